"""What a Receiver counts of real frames, and the key flow that follows."""

import math
import random

import pytest
from parties import GCM, fresh_sender, new_receiver, new_sender, status_of
from ratchets import MLS, opens

from pysframe import (
    AuthenticationFailed,
    FrameRejected,
    FrameStatus,
    Header,
    KeyState,
    MisuseError,
    MLSLayout,
    Receiver,
    UnknownKey,
)
from pysframe.engine import KeyKind
from pysframe.engine.twin._trail import Trail

# ---- key flow ----


def test_what_is_counted_of_a_key(engine, base_key):
    receiver, sender = new_receiver(engine, GCM, base_key), new_sender(engine, GCM, base_key, 7, 9)
    assert receiver._stats() == (0, 0, {}, [(7, 0, 0, 0, 0, 0, False, False, 0)])
    opens(receiver, sender)
    receiver._add(8, engine.Secret(GCM, base_key), KeyKind.ASKED)
    (given, asked) = sorted(receiver._stats().keys)
    assert given == (7, 1, 0, 0, 0, 9, False, False, 0)
    assert asked == (8, 0, 0, 0, 0, 0, True, False, 0)


def test_key_flow(engine, receiver, base_key):
    sender, other = new_sender(engine, GCM, base_key), fresh_sender(engine, GCM, 9)
    receiver.add_key(7, base_key)
    assert receiver.key_flow(0.0)[7].state is KeyState.WAITING
    for _ in range(20):
        opens(receiver, sender)
        opens(receiver, other)
    flows = receiver.key_flow(0.1)
    assert (flows[7].state, flows[7].opened, flows[7].last_ctr) == (KeyState.FLOWING, 20, 19)
    assert flows[9].state is KeyState.WAITING
    assert receiver.key_flow(0.2)[9].state is KeyState.MISSING_KEY
    assert receiver.key_flow(4.0)[7].state is KeyState.STALLED


@pytest.mark.parametrize("batched", [False, True])
def test_a_sender_whose_key_is_derived_is_no_stranger(engine, receiver, base_key, batched):
    """A whole roster that speaks at once would look like media in clear."""
    layout = MLSLayout(E=4, S=10)
    receiver.add_epoch(3, base_key, layout=layout, senders=300)
    receiver.key_flow(0.0)
    senders = [new_sender(engine, GCM, base_key, layout.pack(3, index)) for index in range(300)]
    rows = [sender.protect(b"frame") for sender in senders for _ in range(2)]
    stranger = new_sender(engine, GCM, base_key, 0x99)
    assert not any(opens(receiver, stranger) for _ in range(3))
    if batched:
        assert engine.unprotect_many(receiver, rows).ok
    else:
        assert all(receiver.unprotect(row) for row in rows)
    assert receiver._stats()[:3] == (0, 3, {0x99: (3, 2)})
    assert None not in receiver.key_flow(1.0)


@pytest.mark.parametrize("steps", [(1, 1, 1), (0, 0, 0), (40, 40, 40), (1, -1, 2), (5, -300, 2)])
def test_refused_frames_are_told_by_whether_their_ctr_goes_on(engine, receiver, base_key, steps):
    """Alike under a KID with a key and under one without."""
    receiver.add_key(7, base_key)
    twin = Trail()
    ctr = 50_000
    for step in steps * 30:
        ctr += step
        twin.follow(ctr)
        for kid in (7, 9):
            with pytest.raises((AuthenticationFailed, UnknownKey)):
                receiver.unprotect(Header(kid, ctr).encode() + bytes(40))
    stats = receiver._stats()
    assert (stats.keys[0].auth_failed, stats.keys[0].advanced) == (90, twin.advanced)
    assert stats.strangers == {9: (90, twin.advanced)}
    assert twin.advanced == {(1, 1, 1): 89, (1, -1, 2): 59}.get(steps, twin.advanced)


def test_frames_that_come_again_advance_and_one_that_does_so_for_ever_does_not(engine, base_key):
    receiver, sender = new_receiver(engine, GCM, base_key), new_sender(engine, GCM, base_key)
    frames = [sender.protect(b"frame") for _ in range(200)]
    for frame in frames:
        receiver.unprotect(frame)
    for frame in frames + frames[-1:] * 50:
        with pytest.raises(FrameRejected):
            receiver.unprotect(frame)
    (key,) = receiver._stats().keys
    assert (key.replayed, key.advanced) == (250, 199)


@pytest.mark.parametrize("now", [None, True, "1", math.nan, math.inf])
def test_key_flow_refuses_what_is_no_time_and_goes_on(receiver, base_key, now):
    receiver.add_key(7, base_key)
    with pytest.raises((TypeError, MisuseError), match="now is"):
        receiver.key_flow(now)
    assert receiver.key_flow(1.0)[7].state is KeyState.WAITING


def test_key_flow_of_a_wrong_key(engine, base_key):
    receiver = new_receiver(engine, GCM, base_key)
    with fresh_sender(engine, GCM) as sender:
        for _ in range(10):
            with pytest.raises(AuthenticationFailed):
                receiver.unprotect(sender.protect(b"frame"))
    flow = receiver.key_flow(1.0)[7]
    assert flow.state is KeyState.WRONG_KEY
    assert flow.rejected["authentication"] == 10


def statuses(receiver, sender, count):
    return [status_of(receiver, sender.protect(b"frame"))[0] for _ in range(count)]


@pytest.mark.parametrize(
    ("first", "reason"), [(0, FrameStatus.REPLAYED), (5000, FrameStatus.TOO_OLD)]
)
def test_key_flow_of_a_sender_that_begins_again_under_its_kid(engine, rng, first, reason):
    """With a fresh key: of counters that are not new no tag is looked at, so that it is as if
    somebody repeated old frames; from the first new counter on the key is wrong."""
    old, fresh = rng.randbytes(16), rng.randbytes(16)
    receiver = new_receiver(engine, GCM, old)
    with new_sender(engine, GCM, old, 7, first) as sender:
        assert set(statuses(receiver, sender, 100)) == {FrameStatus.OK}
    assert receiver.key_flow(0.0)[7].state is KeyState.FLOWING
    with new_sender(engine, GCM, fresh) as sender:
        assert set(statuses(receiver, sender, 100)) == {reason}
    receiver.key_flow(1.0)
    flow = receiver.key_flow(2.0)[7]
    assert (flow.state, sum(flow.rejected.values())) == (KeyState.STALLED, 100)
    assert flow.rejected["authentication"] == 0
    later = new_sender(engine, GCM, fresh, 7, first + 100)
    assert set(statuses(receiver, later, 10)) == {FrameStatus.AUTHENTICATION_FAILED}
    assert receiver.key_flow(3.0)[7].state is KeyState.WRONG_KEY
    receiver.remove_key(7)
    receiver.add_key(7, fresh)
    assert set(statuses(receiver, later, 5)) == {FrameStatus.OK}
    assert receiver.key_flow(4.0)[7].state is KeyState.FLOWING


def test_key_flow_of_a_sender_that_is_behind(engine, receiver, rng):
    keys = [rng.randbytes(16) for _ in range(3)]
    senders = [new_sender(engine, GCM, key, MLS.pack(n, 0)) for n, key in enumerate(keys)]
    receiver.add_epoch(0, keys[0], layout=MLS)
    receiver.add_epoch(1, keys[1], layout=MLS)
    receiver.remove_epoch(0)
    for _ in range(20):
        for sender in senders:
            opens(receiver, sender)
    flows = receiver.key_flow(1.0)
    states = [flows[epoch].state for epoch in range(3)]
    assert states == [KeyState.STALE_KEY, KeyState.FLOWING, KeyState.MISSING_KEY]


def test_key_flow_of_media_in_clear(receiver, base_key, rng):
    """Opus frames read as eight-byte KIDs that never come twice."""
    receiver.add_key(7, base_key)
    for _ in range(50):
        with pytest.raises(FrameRejected):
            receiver.unprotect(b"\xfc" + rng.randbytes(80))
    assert receiver.key_flow(1.0)[None].state is KeyState.NOT_SFRAME


# ---- many senders whose keys are missing ----


def strangers(engine, count, late_s, seed, seconds=3):
    """Whether frames of so many senders, 50 a second each, read as NOT_SFRAME at some poll."""
    rng = random.Random(f"{count} {late_s} {seed}")
    receiver = engine.Receiver(GCM)
    frames = [
        ((frame + sender / count) / 50 + rng.uniform(0, late_s), 100 + sender, 9 * sender + frame)
        for sender in range(count)
        for frame in range(50 * seconds)
    ]
    for now in range(1, seconds + 1):
        came = sorted(frame for frame in frames if now - 1 <= frame[0] < now)
        wires = [Header(kid, ctr).encode() + bytes(40) for _, kid, ctr in came]
        engine.unprotect_many(receiver, wires)
        if None in receiver.key_flow(now):
            return True
    return False


@pytest.mark.parametrize(
    ("count", "late_s", "is_misread"), [(128, 0, False), (129, 0, True), (48, 0.1, False)]
)
def test_how_many_missing_keys_are_told_from_media_in_the_clear(engine, count, late_s, is_misread):
    """The bounds that key_flow's docstring names; of what comes late, for these networks."""
    said = " ".join(Receiver.key_flow.__doc__.split())
    assert "more than 128 that send in turn" in said and "100 ms late" in said
    assert "more than 48; at 200 ms the frames of one can" in said
    assert {strangers(engine, count, late_s, seed) for seed in range(2)} == {is_misread}


def test_a_network_that_is_late_enough_has_one_sender_misread(engine):
    """Also stated there: half of its frames have been overtaken."""
    assert any(strangers(engine, 1, 0.2, seed) for seed in range(40))
