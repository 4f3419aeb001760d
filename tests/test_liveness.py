"""Key-flow states from counters and seconds, as every engine tells them; no receiver is needed."""

import pytest
from counters_by_hand import (
    FLOWING,
    MISSING_KEY,
    STALE_KEY,
    STALLED,
    WAITING,
    WRONG_KEY,
    Counters,
    told,
)
from figures import load


@pytest.mark.parametrize("case", load("key_flow_states")["cases"], ids=lambda case: case["name"])
def test_the_table_of_states(engine, case):
    monitor = engine.KeyFlowMonitor()
    for number, poll in enumerate(case["polls"]):
        flows = monitor.poll_stats(poll["now"], told(poll), lambda kid: False)
        states = {"" if kid is None else str(kid): flow.state.name for kid, flow in flows.items()}
        assert states == poll["states"], number


# ---- a KID with a key ----


def stream(counters, after, seconds, fails, per_second=50):
    """Its states at polls, `after` seconds from each other; fails: which of its frames do."""
    frames = 0
    for poll in range(1, round(seconds / after) + 1):
        came = range(frames, frames := round(poll * after * per_second))
        failed = sum(map(fails, came))
        yield counters.come(opened=len(came) - failed, failed=failed, after=after)


def test_waiting_until_five_frames_opened(seven):
    assert [seven.come(opened=1) for _ in range(6)] == [WAITING] * 4 + [FLOWING] * 2


def test_waiting_however_long_it_takes(seven):
    assert seven.come(after=1000) is WAITING


def test_a_flow_tells_its_counters(engine, seven):
    seven.come(opened=3, failed=2)
    flow = seven.poll(after=0.5)[7]
    reasons = {"authentication": 2, "replayed": 0, "too old": 0}
    assert flow == engine.KeyFlow(WAITING, 7, 3, reasons, 2, flow.silent_for_s)
    assert flow.silent_for_s == pytest.approx(0.5)


def test_stalled_after_two_seconds_and_back_after_five_frames(seven):
    seven.come(opened=10)
    assert seven.come(after=1.9) is FLOWING
    assert seven.come(after=0.2) is STALLED
    assert [seven.come(opened=1) for _ in range(5)] == [STALLED] * 4 + [FLOWING]


def test_a_slow_stream_flows(seven):
    assert [seven.come(opened=1, after=1.5) for _ in range(6)][-1] is FLOWING


def test_single_failures_trip_nothing(seven):
    seven.come(opened=10)
    assert {seven.come(opened=50, failed=1) for _ in range(100)} == {FLOWING}


def test_nine_failures_in_a_row_trip_nothing_and_ten_do(engine, seven):
    assert [seven.come(failed=3) for _ in range(4)] == [WAITING] * 3 + [WRONG_KEY]
    other = Counters(engine, 7)
    other.come(opened=200)
    assert other.come(failed=9) is FLOWING
    assert other.come(opened=1, failed=9) is FLOWING, "they may have come before the good one"
    assert other.come(failed=9) is FLOWING
    assert other.come(failed=1) is WRONG_KEY


def test_failures_before_a_silence_are_not_in_a_row(seven):
    seven.come(opened=1000, failed=40)
    assert seven.come() is FLOWING


@pytest.mark.parametrize(("failed", "state"), [(20, FLOWING), (21, WRONG_KEY)])
def test_more_than_a_fifth_of_a_hundred(seven, failed, state):
    """Spread so thinly that no ten come in a row."""
    seven.come(opened=100 - 2 * failed)
    states = [seven.come(opened=1, failed=1, after=0.01) for _ in range(failed)]
    assert (states[-1], set(states[20:-1])) == (state, set())


def test_the_share_is_of_the_recent_frames(seven):
    seven.come(opened=100_000)
    seven.come(after=2)
    assert seven.come(opened=70, failed=30) is WRONG_KEY


@pytest.mark.parametrize("after", [0.02, 0.1, 1, 60])
@pytest.mark.parametrize("one_in", [20, 15])
def test_a_few_odd_frames_of_a_stream_are_no_wrong_key(seven, one_in, after):
    """As where a peer leaves RTP padding on."""
    for state in stream(seven, after, 100, lambda frame: frame % one_in == 0):
        assert state in (WAITING, FLOWING)


@pytest.mark.parametrize("after", [0.02, 0.1, 1, 60])
def test_three_of_ten_frames_wrong_is_told_and_stays_told(seven, after):
    states = list(stream(seven, after, 120, lambda frame: frame * 3 % 10 < 3))
    assert set(states[len(states) * 3 // 10 :]) == {WRONG_KEY}


@pytest.mark.parametrize("after", [0.02, 0.1, 1, 60])
@pytest.mark.parametrize("one_in", [20, 15, 10**9])
def test_wrong_no_more_after_some_seconds_of_mostly_good_frames(seven, one_in, after):
    seven.come(failed=100)
    states = list(stream(seven, after, 6 + 2 * after, lambda frame: frame % one_in == 0))
    assert states[0] is WRONG_KEY or after == 60
    assert states[-1] is FLOWING


def test_a_slow_stream_is_wrong_no_more_after_five_frames_and_seconds(seven):
    seven.come(failed=10)
    assert [seven.come(opened=1, after=1.1) for _ in range(5)] == [WRONG_KEY] * 4 + [FLOWING]


def test_wrong_stays_wrong_in_silence(seven):
    seven.come(failed=10)
    assert seven.come(after=100) is WRONG_KEY


def test_a_key_that_closed_itself_is_wrong(seven):
    seven.come(opened=10)
    seven.closed.add(7)
    assert seven.come(opened=500) is WRONG_KEY


def test_a_key_removed_and_added_again_starts_anew(seven):
    seven.come(failed=10)
    seven.failed.clear()
    assert seven.come(opened=3) is WAITING
    assert seven.come(opened=2) is FLOWING


def test_each_kid_has_its_own_state(engine):
    counters = Counters(engine, 1, 2, 3)
    counters.opened[1] = 10
    counters.failed[2] = 10
    flows = counters.poll()
    assert {kid: flow.state for kid, flow in flows.items()} == {
        1: FLOWING,
        2: WRONG_KEY,
        3: WAITING,
    }


def test_the_first_poll_can_tell(engine):
    """Someone who looks once, long after, is told what the counters say."""
    counters = Counters(engine, 7)
    counters.opened[7] = 1000
    counters.unknown = counters.strangers[9] = 500
    flows = counters.poll()
    assert flows[7].state is FLOWING
    assert flows[9].state is MISSING_KEY


def test_keys_derived_ahead_are_shown_when_a_frame_comes(engine):
    counters = Counters(engine, 7, 8, provisional=[8])
    assert list(counters.poll()) == [7]
    assert counters.come(kid=8, failed=10) is WRONG_KEY
    counters.provisional.clear()
    assert set(counters.poll()) == {7, 8}


# ---- a KID without ----


def test_missing_takes_ten_frames_and_200_ms(engine, seven):
    assert seven.stray(9)[9].state is WAITING
    assert seven.stray(1, after=0.05)[9].state is WAITING
    flow = seven.stray(0, after=0.16)[9]
    assert flow.state is MISSING_KEY
    assert flow.rejected == {"unknown key": 10}
    assert flow.opened == 0
    other = Counters(engine, 7)
    other.poll()
    other.stray(9)
    assert other.stray(0, after=0.5)[9].state is WAITING


def test_missing_no_more_when_the_key_comes(seven):
    seven.stray(20)
    assert seven.stray(20, after=1)[9].state is MISSING_KEY
    seven.kids.append(9)
    assert seven.come(kid=9, opened=1) is WAITING
    assert seven.come(kid=9, opened=4) is FLOWING


def test_a_stranger_that_stops_is_left_out(seven):
    seven.stray(20)
    assert 9 in seven.poll(after=1.9)
    assert 9 not in seven.poll(after=0.2)
    assert seven.stray(1)[9].state is MISSING_KEY


def test_a_stranger_whose_key_was_derived_is_no_stranger(seven):
    seven.stray(20)
    seven.kids.append(9)
    seven.provisional.add(9)
    assert set(seven.poll(after=1)) == {7}


def test_stale_when_the_key_was_here_or_the_rules_say_so(seven):
    seven.come(opened=10)
    seven.kids.remove(7)
    seven.stale.add(9)
    for kid in (7, 9, 11):
        seven.stray(20, kid=kid)
    flows = seven.poll(after=1)
    assert [flows[kid].state for kid in (7, 9, 11)] == [STALE_KEY, STALE_KEY, MISSING_KEY]
    seven.kids.append(7)
    seven.opened.clear()
    seven.poll()
    seven.kids.remove(7)
    seven.stray(20, kid=7)
    assert seven.poll(after=1)[7].state is MISSING_KEY, "added again, and nothing opened since"
