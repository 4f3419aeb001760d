"""Key flow as a value: clocks that go anywhere, memory that is bounded, and what a KeyFlow is."""

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
from counters_by_hand import FLOWING, MISSING_KEY, STALE_KEY, STALLED, WAITING, Counters

from pysframe import MisuseError
from pysframe.limits import REMEMBERED

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
def test_a_wrong_time_changes_nothing(engine, now):
    polled, other = Counters(engine, 7), Counters(engine, 7)
    for counters in (polled, other):
        counters.come(opened=10)
    polled.failed[7] = other.failed[7] = 10
    polled.strangers[9] = polled.unknown = other.strangers[9] = other.unknown = 10
    with pytest.raises((TypeError, MisuseError)):
        polled.poll_at(now)
    for _ in range(5):
        assert polled.poll(after=0.9) == other.poll(after=0.9)


@pytest.mark.parametrize("now", [5, Fraction(11, 2), 5.5])
def test_any_real_number_is_a_time(engine, now):
    assert Counters(engine, 7).poll_at(now)[7].silent_for_s == 0


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
