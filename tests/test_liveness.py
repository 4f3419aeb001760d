"""Key-flow states from counters and seconds, as every engine tells them; no receiver is needed."""

import contextlib
import copy
import dataclasses
import math
import pickle
import tracemalloc
from collections import Counter
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from figures import load
from hypothesis import given
from hypothesis import strategies as st

from pysframe import FrameRejected, KeyState, MisuseError
from pysframe.limits import REMEMBERED
from pysframe.liveness import seconds
from pysframe.stats import KeyStats, ReceiverStats, StrangerStats

WAITING, FLOWING, MISSING_KEY, WRONG_KEY, STALE_KEY, STALLED, NOT_SFRAME = KeyState


@pytest.fixture(autouse=True, scope="module")
def on_each_engine(engine):
    Counters.engine = engine


class Counters:
    """A receiver's counters, moved by hand, and a clock. CTRs go on, unless frames are stuck."""

    engine = None

    def __init__(self, *kids, provisional=()):
        self.now, self.malformed, self.unknown = 1000.0, 0, 0
        self.opened, self.failed, self.strangers = Counter(), Counter(), Counter()
        self.replayed, self.too_old, self.stuck = Counter(), Counter(), Counter()
        self.kids, self.provisional, self.closed = list(kids), set(provisional), set()
        self.stale = set()
        self.monitor = self.engine.KeyFlowMonitor()

    def poll(self, *, after=0.0):
        self.now += after
        return self.poll_at(self.now)

    def poll_at(self, now):
        return self.monitor.poll_stats(seconds(now), self.counted(), self.stale.__contains__)

    def counted(self):
        keys = [self.stats(kid) for kid in self.kids]
        strangers = {
            kid: StrangerStats(frames, max(0, frames - 1 - self.stuck[kid]))
            for kid, frames in self.strangers.items()
        }
        return ReceiverStats(self.malformed, self.unknown, strangers, keys)

    def stats(self, kid):
        refused = self.failed[kid], self.replayed[kid], self.too_old[kid]
        ctr, advanced = max(self.opened[kid] - 1, 0), max(0, sum(refused) - 1 - self.stuck[kid])
        marks = kid in self.provisional, kid in self.closed
        return KeyStats(kid, self.opened[kid], *refused, ctr, *marks, advanced)

    def come(self, *, opened=0, failed=0, replayed=0, too_old=0, stuck=0, kid=7, after=0.1):
        """Frames under a known KID; the state at the next poll. stuck: failures, too."""
        self.opened[kid] += opened
        self.failed[kid] += failed + stuck
        self.replayed[kid] += replayed
        self.too_old[kid] += too_old
        self.stuck[kid] += stuck
        return self.poll(after=after)[kid].state

    def stray(self, frames, *, kid=9, after=0.1, stuck=False):
        """Frames under an unknown KID."""
        self.strangers[kid] += frames
        self.stuck[kid] += frames * stuck
        self.unknown += frames
        return self.poll(after=after)


@pytest.fixture
def seven():
    counters = Counters(7)
    assert counters.poll()[7].state is WAITING
    return counters


def told(rows):
    """A receiver's counters as vectors/key_flow_states.json writes them."""
    keys = []
    for kid, (opened, failed, replayed, too_old, advanced, closed) in rows["keys"].items():
        refused = failed, replayed, too_old
        last_ctr = max(opened - 1, 0)
        keys.append(KeyStats(int(kid), opened, *refused, last_ctr, False, closed, advanced))
    strangers = {int(kid): StrangerStats(*row) for kid, row in rows["strangers"].items()}
    return ReceiverStats(rows["malformed"], rows["unknown"], strangers, keys)


@pytest.mark.parametrize("case", load("key_flow_states")["cases"], ids=lambda case: case["name"])
def test_the_table_of_states(engine, case):
    monitor = engine.KeyFlowMonitor()
    for number, poll in enumerate(case["polls"]):
        flows = monitor.poll_stats(poll["now"], told(poll), lambda kid: False)
        states = {"" if kid is None else str(kid): flow.state.name for kid, flow in flows.items()}
        assert states == poll["states"], number


# ---- a KID with a key ----


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


def test_nine_failures_in_a_row_trip_nothing_and_ten_do(seven):
    assert [seven.come(failed=3) for _ in range(4)] == [WAITING] * 3 + [WRONG_KEY]
    other = Counters(7)
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


def stream(counters, after, seconds, fails, per_second=50):
    """Its states at polls, `after` seconds from each other; fails: which of its frames do."""
    frames = 0
    for poll in range(1, round(seconds / after) + 1):
        came = range(frames, frames := round(poll * after * per_second))
        failed = sum(map(fails, came))
        yield counters.come(opened=len(came) - failed, failed=failed, after=after)


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
    seven.come(opened=180)
    for _ in range(20):
        seven.opened[7] += 180
        seven.malformed += 9
        assert None not in seven.poll(after=2.1)


def test_slow_media_in_clear_has_its_name_too(seven):
    """Discontinuous transmission: two frames a second and less, and nothing else."""
    for _ in range(9):
        seven.malformed += 1
        assert None not in seven.poll(after=0.9)
    seven.malformed += 1
    assert seven.poll(after=0.9)[None].state is NOT_SFRAME


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


@pytest.mark.parametrize("first", [0xB8, 0xF8, 0xFC])  # Opus of a fullband encoder
def test_kids_that_media_in_clear_makes_up_are_left_out(engine, first, rng):
    receiver = engine.Receiver(4)
    receiver.add_key(300, bytes(16))
    for tick in range(1, 501):
        with contextlib.suppress(FrameRejected):
            receiver.unprotect(bytes([first]) + rng.randbytes(80))
        if tick % 50 == 0:
            flows = receiver.key_flow(tick / 50)
    assert {kid: flow.state for kid, flow in flows.items()} == {300: WAITING, None: NOT_SFRAME}


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


def test_sframe_again_after_a_second_of_good_frames_or_two_of_silence(seven):
    seven.malformed += 100
    assert None in seven.poll()
    seven.opened[7] += 4
    assert None in seven.poll(after=1.1)
    seven.opened[7] += 1
    assert None not in seven.poll(after=0.1)
    seven.malformed += 100
    assert None in seven.poll(after=2)
    assert None in seven.poll(after=1.9)
    assert None not in seven.poll(after=0.2)


@pytest.mark.parametrize("after", [0.1, 1, 10])
def test_sframe_again_though_an_odd_frame_comes_now_and_then(seven, after):
    seven.malformed += 100
    assert None in seven.poll()
    for _ in range(10):
        seven.opened[7] += 98
        seven.malformed += 2
        flows = seven.poll(after=max(1, after))
    assert None not in flows


# ---- headers that no sender sent ----


def test_frames_whose_ctr_stands_still_miss_no_key(seven):
    flows = seven.stray(50, stuck=True)
    assert set(flows) == {7, None}
    assert flows[None].state is NOT_SFRAME
    assert set(seven.stray(50, stuck=True, after=1)) == {7, None}


def test_a_stranger_beside_media_in_clear_misses_its_key(seven):
    seven.stray(50, kid=0, stuck=True)
    seven.stray(50)
    seven.stray(50, kid=0, stuck=True)
    flows = seven.stray(50)
    assert {kid: flow.state for kid, flow in flows.items()} == {
        7: WAITING,
        9: MISSING_KEY,
        None: NOT_SFRAME,
    }


def test_media_in_clear_is_no_wrong_key(seven):
    assert seven.come(stuck=50) is WAITING
    flows = seven.poll(after=0.1)
    assert flows[None].state is NOT_SFRAME
    assert flows[None].rejected["authentication"] == 50
    assert {seven.come(stuck=5, after=0.1) for _ in range(20)} == {WAITING}


def test_media_in_clear_ends_a_wrong_key(seven):
    assert seven.come(failed=50) is WRONG_KEY
    assert seven.come(stuck=500) is WAITING
    assert seven.come(failed=500) is WRONG_KEY


def test_media_in_clear_hides_no_stall(seven):
    seven.come(opened=50)
    assert [seven.come(stuck=50, after=0.9) for _ in range(3)] == [FLOWING, FLOWING, STALLED]


@pytest.mark.parametrize("reason", ["replayed", "too_old"])
def test_media_in_clear_under_the_kid_of_a_stream_that_flows(seven, reason):
    """Its CTRs are not new, so that no tag is looked at."""
    for _ in range(3):
        seven.stuck[7] += 20
        assert seven.come(opened=50, **{reason: 20}, after=1) is FLOWING
    assert seven.poll()[None].state is NOT_SFRAME


@pytest.mark.parametrize("reason", ["replayed", "too_old"])
def test_frames_that_come_again_are_no_media_in_clear(seven, reason):
    for _ in range(5):
        assert seven.come(opened=50, **{reason: 50}, after=1) is FLOWING
    assert None not in seven.poll()
    seven.come(**{reason: 50}, after=1)
    assert seven.come(**{reason: 50}, after=1) is STALLED
    assert None not in seven.poll()


def test_keys_derived_ahead_that_only_media_in_clear_came_under_are_left_out():
    counters = Counters(7, 8, provisional=[8])
    counters.poll()
    counters.failed[8] = counters.stuck[8] = 50
    assert set(counters.poll(after=1)) == {7, None}


def test_more_unknown_senders_than_are_tracked_are_senders(seven):
    """The engine counts sixteen, and all frames: a call of forty whose key is missing."""
    for _ in range(5):
        seven.unknown += 24 * 10
        for kid in range(100, 116):
            seven.strangers[kid] += 10
            seven.unknown += 10
        flows = seven.poll(after=0.2)
    assert None not in flows
    assert {flows[kid].state for kid in range(100, 116)} == {MISSING_KEY}


# ---- clocks ----


@pytest.mark.parametrize("now", [None, "1", datetime(2026, 1, 1), 1j, True, Decimal(1), [1.0]])
def test_a_time_that_is_no_number(seven, now):
    with pytest.raises(TypeError, match=f"now is a {type(now).__name__}"):
        seven.poll_at(now)


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf, 10**400])
def test_a_time_that_is_not_finite(seven, now):
    with pytest.raises(MisuseError, match=r"now is -?(nan|inf); pass seconds"):
        seven.poll_at(now)


@pytest.mark.parametrize("now", [None, math.nan, 10**400])
def test_a_wrong_time_changes_nothing(now):
    polled, other = Counters(7), Counters(7)
    for counters in (polled, other):
        counters.come(opened=10)
    polled.failed[7] = other.failed[7] = 10
    polled.strangers[9] = polled.unknown = other.strangers[9] = other.unknown = 10
    with pytest.raises((TypeError, MisuseError)):
        polled.poll_at(now)
    for _ in range(5):
        assert polled.poll(after=0.9) == other.poll(after=0.9)


@pytest.mark.parametrize("now", [5, Fraction(11, 2), 5.5])
def test_any_real_number_is_a_time(now):
    assert Counters(7).poll_at(now)[7].silent_for_s == 0


def test_a_clock_that_goes_back_hides_no_stall(seven):
    seven.come(opened=10)
    assert seven.come(after=1.5) is FLOWING
    assert seven.come(after=-1e6) is FLOWING, "for all that is known no time has passed"
    assert seven.come(after=0.6) is STALLED
    assert seven.poll()[7].silent_for_s == pytest.approx(2.1)


def test_one_time_far_ahead_does_no_lasting_harm(seven):
    seven.come(opened=10)
    assert seven.come(after=1e9) is STALLED
    seven.now = 1001.0
    assert [seven.come(opened=5), seven.come(after=1.9), seven.come(after=0.2)] == [
        FLOWING,
        FLOWING,
        STALLED,
    ]


@pytest.mark.parametrize("after", [0.01, 0.3, 1, 60])
def test_a_missing_key_is_told_however_often_one_polls(seven, after):
    frames = 0
    for poll in range(1, round(max(1, after) / after) + 1):
        came = round(poll * after * 50)
        flows = seven.stray(came - frames, after=after)
        frames = came
    assert flows[9].state is MISSING_KEY


# ---- bounds ----


def test_memory_is_bounded(seven):
    def polls(kids):
        for kid in kids:
            seven.kids = [kid]
            seven.opened = Counter({kid: 1})
            seven.strangers = Counter(range(kid, kid + 16))
            seven.unknown += 16
            seven.poll(after=0.01)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = polls(range(1000))
        assert polls(range(1000, 6000)) < before + 4096
    finally:
        tracemalloc.stop()


def test_the_latest_removed_kids_are_remembered(seven):
    for kid in range(100, 101 + REMEMBERED):
        seven.kids, seven.opened[kid] = [kid], 1
        seven.poll()
    seven.kids = []
    seven.poll()
    for kid in (100, 101, 100 + REMEMBERED):
        seven.stray(20, kid=kid)
    flows = seven.poll(after=1)
    states = [flows[kid].state for kid in (100, 101, 100 + REMEMBERED)]
    assert states == [MISSING_KEY, STALE_KEY, STALE_KEY]


# ---- a flow is a value ----


def test_a_flow_is_a_value(engine, seven):
    seven.come(opened=3, failed=2)
    seven.malformed += 50
    seven.stray(20)
    for flow in seven.poll(after=1).values():
        names = engine.KeyFlow.__match_args__
        fields = [getattr(flow, name) for name in names]
        assert names == ("state", "kid", "opened", "rejected", "last_ctr", "silent_for_s")
        for same in (engine.KeyFlow(*fields), copy.copy(flow), pickle.loads(pickle.dumps(flow))):
            assert same == flow
        words = ", ".join(f"{name}={value!r}" for name, value in zip(names, fields, strict=True))
        assert repr(flow) == f"KeyFlow({words})"
        assert flow != tuple(fields)
        for position, other in enumerate((STALLED, 8, 99, {"replayed": 7}, 99, 99.0)):
            assert engine.KeyFlow(*fields[:position], other, *fields[position + 1 :]) != flow
        with pytest.raises(TypeError, match="unhashable"):
            hash(flow)
        for name in names:
            with pytest.raises(AttributeError):
                setattr(flow, name, None)


def test_a_flow_made_by_hand_holds_numbers_alone(engine):
    """So that no cycle can keep it in memory, and nothing in it changes."""
    counts = {"replayed": 1}
    flow = engine.KeyFlow(WAITING, 7, 1, counts, 0, 0.0)
    assert dataclasses.replace(flow, opened=2).opened == 2
    assert dataclasses.asdict(flow)["rejected"] == counts
    counts["replayed"] = 2
    assert flow.rejected == {"replayed": 1}
    with pytest.raises(TypeError):
        engine.KeyFlow(WAITING, 7, 1, {"replayed": flow}, 0, 0.0)


def test_a_flow_is_made_once(engine, seven):
    """Also one that a poll has made."""
    for flow in engine.KeyFlow(WAITING, 7, 1, {}, 0, 0.0), seven.poll()[7]:
        before = repr(flow)
        with pytest.raises(AttributeError, match="a KeyFlow is immutable"):
            flow.__init__(WAITING, 8, 1, {}, 0, 0.0)
        assert repr(flow) == before


def test_a_flow_outlives_its_monitor_and_later_polls(seven):
    seven.come(opened=3, failed=2)
    flow = seven.poll()[7]
    seven.come(opened=50, failed=50)
    seven.monitor = None
    assert (flow.opened, flow.rejected["authentication"], flow.last_ctr) == (3, 2, 2)


# ---- how the CTRs of refused frames follow: the thresholds, from both sides ----


def following(frames, advanced, counters=None):
    """The state of a KID without a key so many of whose frames followed others.

    Beside a stream that flows, since a receiver of media in the clear leaves such KIDs out.
    """
    counters = counters or Counters(7)
    counters.poll()
    counters.opened[7] += 5000
    counters.stray(0, kid=9)
    counters.strangers[9], counters.unknown = frames, frames
    counters.stuck[9] = frames - 1 - advanced
    counters.poll(after=0.1)
    flow = counters.poll(after=0.5).get(9)
    return flow and flow.state


@pytest.mark.parametrize(
    ("frames", "advanced", "state"),
    [
        (10, 7, MISSING_KEY),  # 0.7 of ten frames is plain
        (10, 6, WAITING),
        (19, 13, WAITING),  # 0.68: not plain, and too few for any case
        (10, 3, WAITING),
        (10, 2, None),  # 0.2: no sender's
        (16, 4, None),  # 0.25
        (15, 4, WAITING),
        (20, 8, MISSING_KEY),  # 0.4 of twenty
        (20, 7, MISSING_KEY),  # between: a guess, more than a third
        (21, 7, None),  # a third is not more
        (20, 6, None),
    ],
)
def test_how_many_frames_must_follow_others(frames, advanced, state):
    assert following(frames, advanced) is state


@pytest.mark.parametrize(("advanced", "state"), [(8, MISSING_KEY), (7, None)])
def test_who_was_no_sender_needs_two_in_five(advanced, state):
    counters = Counters()
    assert following(10, 0, counters) is None
    counters.strangers[9] = counters.unknown = 20
    counters.stuck[9] = 19 - advanced
    flow = counters.poll(after=0.1).get(9)
    assert (flow and flow.state) is state


@pytest.mark.parametrize(("stuck", "state"), [(29, MISSING_KEY), (30, None)])
def test_a_sender_is_one_until_only_a_quarter_follows(stuck, state):
    """Ten frames that follow; then so many that do not: 10 of 39 are more than a quarter."""
    counters = Counters()
    counters.poll()
    counters.strangers[9] = counters.unknown = 11
    counters.poll(after=0.5)
    counters.strangers[9] = counters.unknown = 11 + stuck - 1
    counters.stuck[9] = stuck - 1
    flow = counters.poll(after=0.1).get(9)
    assert (flow and flow.state) is state


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
