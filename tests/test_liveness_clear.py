"""Key flow beside media in the clear, which can be read as headers that no sender wrote."""

import contextlib

import pytest
from counters_by_hand import (
    FLOWING,
    MISSING_KEY,
    NOT_SFRAME,
    STALLED,
    WAITING,
    WRONG_KEY,
    Counters,
)
from hypothesis import given
from hypothesis import strategies as st

from pysframe import FrameRejected, KeyState

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


def test_keys_derived_ahead_that_only_media_in_clear_came_under_are_left_out(engine):
    counters = Counters(engine, 7, 8, provisional=[8])
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


# ---- how the CTRs of refused frames follow: the thresholds, from both sides ----


def following(engine, frames, advanced, counters=None):
    """The state of a KID without a key so many of whose frames followed others.

    Beside a stream that flows, since a receiver of media in the clear leaves such KIDs out.
    """
    counters = counters or Counters(engine, 7)
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
def test_how_many_frames_must_follow_others(engine, frames, advanced, state):
    assert following(engine, frames, advanced) is state


@pytest.mark.parametrize(("advanced", "state"), [(8, MISSING_KEY), (7, None)])
def test_who_was_no_sender_needs_two_in_five(engine, advanced, state):
    counters = Counters(engine)
    assert following(engine, 10, 0, counters) is None
    counters.strangers[9] = counters.unknown = 20
    counters.stuck[9] = 19 - advanced
    flow = counters.poll(after=0.1).get(9)
    assert (flow and flow.state) is state


@pytest.mark.parametrize(("stuck", "state"), [(29, MISSING_KEY), (30, None)])
def test_a_sender_is_one_until_only_a_quarter_follows(engine, stuck, state):
    """Ten frames that follow; then so many that do not: 10 of 39 are more than a quarter."""
    counters = Counters(engine)
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
def test_states_follow_from_what_came(engine, polls):
    """FLOWING only when frames opened lately, WRONG_KEY only after ten failures, and so on."""
    counters = Counters(engine, 7)
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
