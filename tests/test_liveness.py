"""Key-flow states from counters and seconds; no receiver is needed to tell them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pysframe import KeyFlow, KeyState
from pysframe.engine import KeyStats
from pysframe.liveness import REMEMBERED, Monitor

WAITING, FLOWING, MISSING_KEY, WRONG_KEY, STALE_KEY, STALLED, NOT_SFRAME = KeyState


class Counters:
    """A receiver's counters, moved by hand, and a clock."""

    def __init__(self, *kids, provisional=()):
        self.now, self.malformed, self.unknown = 1000.0, 0, 0
        self.opened, self.failed, self.strangers = Counter(), Counter(), Counter()
        self.kids, self.provisional, self.closed = list(kids), set(provisional), set()
        self.stale = set()
        self.monitor = Monitor()

    def poll(self, *, after=0.0):
        self.now += after
        keys = [self.stats(kid) for kid in self.kids]
        stats = self.malformed, self.unknown, dict(self.strangers), keys
        return self.monitor.poll(self.now, stats, self.stale.__contains__)

    def stats(self, kid):
        ctr = max(self.opened[kid] - 1, 0)
        counted = self.opened[kid], self.failed[kid], 0, 0, ctr
        return KeyStats(kid, *counted, kid in self.provisional, kid in self.closed)

    def come(self, *, opened=0, failed=0, kid=7, after=0.1):
        """Frames under a known KID; the state at the next poll."""
        self.opened[kid] += opened
        self.failed[kid] += failed
        return self.poll(after=after)[kid].state

    def stray(self, frames, *, kid=9, after=0.1):
        """Frames under an unknown KID."""
        self.strangers[kid] += frames
        self.unknown += frames
        return self.poll(after=after)


@pytest.fixture
def seven():
    counters = Counters(7)
    assert counters.poll()[7].state is WAITING
    return counters


# ---- a KID with a key ----


def test_waiting_until_five_frames_opened(seven):
    assert [seven.come(opened=1) for _ in range(6)] == [WAITING] * 4 + [FLOWING] * 2


def test_waiting_however_long_it_takes(seven):
    assert seven.come(after=1000) is WAITING


def test_a_flow_tells_its_counters(seven):
    seven.come(opened=3, failed=2)
    flow = seven.poll(after=0.5)[7]
    reasons = {"authentication": 2, "replayed": 0, "too old": 0}
    assert flow == KeyFlow(WAITING, 7, 3, reasons, 2, flow.silent_for_s)
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


def test_nine_failures_in_a_row_trip_nothing_and_ten_do(seven):
    assert [seven.come(failed=3) for _ in range(4)] == [WAITING] * 3 + [WRONG_KEY]
    other = Counters(7)
    other.come(opened=10)
    assert other.come(failed=9) is FLOWING
    assert other.come(opened=1, failed=9) is FLOWING, "they may have come before the good one"
    assert other.come(failed=9) is FLOWING
    assert other.come(failed=1) is WRONG_KEY


def test_failures_before_a_silence_are_not_in_a_row(seven):
    seven.come(opened=1000, failed=40)
    assert seven.come() is FLOWING


@pytest.mark.parametrize(("failed", "state"), [(5, FLOWING), (6, WRONG_KEY)])
def test_more_than_five_percent_of_a_hundred(seven, failed, state):
    """Spread so thinly that no ten come in a row."""
    for _ in range(failed):
        seven.come(opened=1, failed=1)
    assert seven.come(opened=100 - 2 * failed) is state


def test_the_share_is_of_the_recent_frames(seven):
    seven.come(opened=100_000)
    assert seven.come(opened=90, failed=10) is WRONG_KEY


def test_wrong_until_a_hundred_opened_without_a_failure(seven):
    seven.come(failed=10)
    states = [seven.come(opened=30), seven.come(opened=30), seven.come(opened=30, failed=1)]
    states += [seven.come(opened=50), seven.come(opened=49), seven.come(opened=1)]
    assert states == [WRONG_KEY] * 5 + [FLOWING]


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


def test_each_kid_has_its_own_state():
    counters = Counters(1, 2, 3)
    counters.opened[1] = 10
    counters.failed[2] = 10
    flows = counters.poll()
    assert {kid: flow.state for kid, flow in flows.items()} == {
        1: FLOWING,
        2: WRONG_KEY,
        3: WAITING,
    }


def test_the_first_poll_can_tell():
    """Someone who looks once, long after, is told what the counters say."""
    counters = Counters(7)
    counters.opened[7] = 1000
    counters.unknown = counters.strangers[9] = 500
    flows = counters.poll()
    assert flows[7].state is FLOWING
    assert flows[9].state is MISSING_KEY


def test_keys_derived_ahead_are_shown_when_a_frame_comes():
    counters = Counters(7, 8, provisional=[8])
    assert list(counters.poll()) == [7]
    assert counters.come(kid=8, failed=10) is WRONG_KEY
    counters.provisional.clear()
    assert set(counters.poll()) == {7, 8}


# ---- a KID without ----


def test_missing_takes_ten_frames_and_200_ms(seven):
    assert seven.stray(9)[9].state is WAITING
    assert seven.stray(1, after=0.05)[9].state is WAITING
    flow = seven.stray(0, after=0.16)[9]
    assert flow.state is MISSING_KEY
    assert flow.rejected == {"unknown key": 10}
    assert flow.opened == 0
    other = Counters(7)
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


# ---- no KID at all ----


def test_a_few_malformed_frames_trip_nothing(seven):
    seven.malformed += 9
    assert None not in seven.poll()
    seven.come(opened=5)
    for _ in range(20):
        seven.malformed += 9
        assert None not in seven.poll(after=2.1)


def test_malformed_frames_are_not_sframe(seven):
    seven.malformed += 10
    flow = seven.poll()[None]
    assert (flow.state, flow.kid, flow.rejected["malformed"]) == (NOT_SFRAME, None, 10)


def test_kids_that_come_once_are_not_sframe(seven):
    """Media in clear reads as headers with KIDs all over; the engine keeps sixteen of them."""
    seven.unknown = 50
    seven.strangers.update(range(100, 116))
    flows = seven.poll(after=0.1)
    assert flows[None].state is NOT_SFRAME
    assert {flow.state for kid, flow in flows.items() if kid is not None} == {WAITING}


def test_one_missing_key_is_sframe(seven):
    assert None not in seven.stray(1000)
    assert None not in seven.stray(1000)


def test_one_stream_in_clear_among_twenty_and_among_few(seven):
    seven.come(opened=100)
    seven.opened[7] += 1000
    seven.malformed += 50
    assert None not in seven.poll(after=2), "5 % of what came is not more than 5 %"
    seven.opened[7] += 900
    seven.malformed += 50
    assert seven.poll(after=2)[None].state is NOT_SFRAME


def test_sframe_again_after_five_good_frames_or_two_seconds(seven):
    seven.malformed += 100
    assert None in seven.poll()
    seven.opened[7] += 4
    assert None in seven.poll(after=0.1)
    seven.opened[7] += 1
    assert None not in seven.poll(after=0.1)
    seven.malformed += 100
    assert None in seven.poll(after=2)
    assert None in seven.poll(after=1.9)
    assert None not in seven.poll(after=0.2)


# ---- bounds ----


def test_memory_is_bounded(seven):
    for kid in range(10_000):
        seven.kids = [kid]
        seven.opened[kid] = 1
        seven.strangers = Counter(range(kid, kid + 16))
        seven.unknown += 16
        seven.poll(after=0.01)
    monitor = seven.monitor
    assert len(monitor._known) == 1
    assert len(monitor._strangers) == 16
    assert len(monitor._removed) == REMEMBERED


@given(
    st.lists(
        st.tuples(
            st.floats(0, 5), st.integers(0, 200), st.integers(0, 200), st.integers(0, 60),
            st.integers(0, 60), st.booleans(),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_states_follow_from_what_came(polls):
    """FLOWING only when frames opened lately, WRONG_KEY only after ten failures, and so on."""
    counters = Counters(7)
    counters.poll()
    for after, opened, failed, unknown, malformed, present in polls:
        counters.kids = [7] if present else []
        counters.opened[7] += opened
        counters.failed[7] += failed
        counters.malformed += malformed
        flows = counters.stray(unknown, after=after)
        assert (7 in flows) <= (present or counters.strangers[7] > 0)
        for kid, flow in flows.items():
            assert flow.kid == kid
            assert flow.silent_for_s >= 0
            match flow.state:
                case KeyState.FLOWING:
                    assert flow.opened >= 5
                    assert flow.silent_for_s < 2
                case KeyState.STALLED:
                    assert flow.opened > 0
                    assert flow.silent_for_s >= 2
                case KeyState.WRONG_KEY:
                    assert flow.rejected["authentication"] >= 6
                case KeyState.MISSING_KEY | KeyState.STALE_KEY:
                    assert flow.rejected["unknown key"] >= 10
                case KeyState.NOT_SFRAME:
                    assert sum(flow.rejected.values()) >= 10
