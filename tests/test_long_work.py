"""Frames and batches of 163840 bytes and more, for which the native engine lets go of the GIL.

What is between taking a counter and sealing, or between opening and accepting, then belongs to
other threads as well. Nothing of that shows: every engine does what it does for short ones.
"""

import threading
from contextlib import suppress

import pytest
from parties import GCM, SUITES, flipped, new_sender, options, pair, status_of

from pysframe import (
    CounterExhausted,
    CounterStore,
    FrameBatch,
    FrameStatus,
    LeaseEnded,
    ReplayedFrame,
    SenderRetired,
    UnknownKey,
)

LONG = 163840
ROWS = 144  # of 1100 bytes: long in all
OK, REPLAYED, UNKNOWN = FrameStatus.OK, FrameStatus.REPLAYED, FrameStatus.UNKNOWN_KEY
FAILED = FrameStatus.AUTHENTICATION_FAILED


def frames_of(rng, rows=ROWS):
    return [rng.randbytes(1100) for _ in range(rows)]


# ---- one frame ----


@pytest.mark.parametrize("clear", [0, 1, 5, 300])
@pytest.mark.parametrize("suite", SUITES)
def test_in_place(engine, suite, clear, rng):
    """Sealed and opened where it lies; a replay leaves its ciphertext, a forgery leaves zeros."""
    sender, receiver = pair(engine, suite, rng, kid=300, next_ctr=300)
    frame, header = rng.randbytes(LONG), 5
    memory = bytearray(header) + frame + bytes(16)
    size = sender.protect_into(memoryview(memory)[header:-16], memory, b"m", clear=clear)
    wire = bytes(memory[:size])
    assert new_receiver_of(receiver, wire, clear) == frame
    memory = bytearray(wire)
    with pytest.raises(ReplayedFrame):
        receiver.unprotect_into(memory, memoryview(memory)[header:], b"m", clear=clear)
    assert memory == wire
    forged = bytearray(flipped(sender.protect(frame, b"m", clear=clear), -1))
    out = memoryview(forged)[header:]
    assert status_of_in_place(receiver, forged, out, clear) == FAILED
    assert not any(out[: len(frame)])


def new_receiver_of(receiver, wire, clear):
    memory = bytearray(wire)
    out = memoryview(memory)[5:]
    size = receiver.unprotect_into(memory, out, b"m", clear=clear)
    return bytes(out[:size])


def status_of_in_place(receiver, memory, out, clear):
    class Into:
        @staticmethod
        def unprotect(*_):
            receiver.unprotect_into(memory, out, b"m", clear=clear)
            return b""

    return status_of(Into)[0]


@pytest.mark.parametrize("size", [LONG - 1, LONG, LONG + 1, 2 * LONG])
def test_refusals_of_one_frame(engine, size, rng):
    sender, receiver = pair(engine, GCM, rng)
    wire = sender.protect(rng.randbytes(size))
    assert status_of(receiver, flipped(wire, -1)) == (FAILED, b"")
    assert len(receiver.unprotect(wire)) == size
    assert status_of(receiver, wire) == (REPLAYED, b"")
    receiver.remove_key(7)
    assert status_of(receiver, wire) == (UNKNOWN, b"")
    sender.close()
    with pytest.raises(SenderRetired):
        sender.protect(rng.randbytes(size))


# ---- batches ----


def ways(engine):
    """The two shapes of each call, on lists of bytes."""

    def protect_columns(senders, frames):
        return engine.protect_batch(senders, FrameBatch.from_frames(frames)).to_list()

    def unprotect_columns(receivers, wires):
        return engine.unprotect_batch(receivers, FrameBatch.from_frames(wires))

    return [
        (engine.protect_many, engine.unprotect_many),
        (protect_columns, unprotect_columns),
    ]


@pytest.mark.parametrize("next_ctr", [0, 250, 2**16 - 1, 2**64 - ROWS])
@pytest.mark.parametrize("way", [0, 1])
def test_replays_and_removed_keys(engine, way, next_ctr, rng):
    protect, unprotect = ways(engine)[way]
    sender, receiver = pair(engine, GCM, rng, next_ctr=next_ctr)
    frames = frames_of(rng)
    wires = protect(sender, frames)
    bad = rng.randrange(1, ROWS)
    batch = unprotect(
        receiver, [*wires[:bad], flipped(wires[bad], -1), *wires[bad + 1 :], wires[0]]
    )
    wanted = [OK] * ROWS + [REPLAYED]
    wanted[bad] = FAILED
    assert list(batch.status) == wanted
    assert batch.to_list() == [*frames[:bad], b"", *frames[bad + 1 :], b""]
    assert list(batch.ctr) == [next_ctr + i if s == OK else 0 for i, s in enumerate(wanted)]
    assert set(unprotect(receiver, wires).status) == {OK, REPLAYED}
    receiver.remove_key(7)
    batch = unprotect(receiver, wires)
    assert set(batch.status) == {UNKNOWN} and not any(batch.data)


@pytest.mark.parametrize("way", [0, 1])
def test_the_last_counters(engine, way, rng):
    """A row too many: an error, and the counters of the rows before it are gone."""
    protect, _ = ways(engine)[way]
    sender, _ = pair(engine, GCM, rng, next_ctr=2**64 - ROWS + 1)
    with pytest.raises(CounterExhausted):
        protect(sender, frames_of(rng))
    with pytest.raises(CounterExhausted):
        sender.protect(b"frame")


LEASES = [(300, 340), (2**16 - 5, 2**16 + 5), (2**40, 2**40 + 1000)]


def leased_sender(engine, rng, folder, lease):
    base_key = rng.randbytes(16)
    store = CounterStore(folder / "counters", lease=lease)
    sender = engine.Sender(GCM, kid=7, base_key=base_key, counters=store)
    receiver = engine.Receiver(GCM, replay_window=0)
    receiver.add_key(7, base_key)
    return sender, receiver


@pytest.mark.parametrize("size", [20, 1100])  # short work, long work
@pytest.mark.parametrize("lease", [1, 7, 64, 96])
@pytest.mark.parametrize("way", [0, 1])
def test_leases_within_a_batch(engine, way, lease, size, rng, tmp_path):
    """Every leased counter once and in order, wherever the leases lie."""
    protect, unprotect = ways(engine)[way]
    sender, receiver = leased_sender(engine, rng, tmp_path, lease)
    for first, last in LEASES:  # other processes had what is between
        sender._grant(first, last)
    counters = [*range(lease)]
    for first, last in LEASES:
        counters += range(first, last + 1)
    frames = [frame[:size] for frame in frames_of(rng)]
    batch = unprotect(receiver, protect(sender, frames))
    assert batch.ok and batch.to_list() == frames
    assert list(batch.ctr) == counters[:ROWS]
    batch = unprotect(receiver, protect(sender, frames[:3]))
    assert list(batch.ctr) == counters[ROWS : ROWS + 3]


@pytest.mark.parametrize("size", [20, 1100])
@pytest.mark.parametrize("lease", [1, 7, 64, 95])
@pytest.mark.parametrize("way", [0, 1])
def test_a_lease_that_ends_within_a_batch(engine, way, lease, size, rng, tmp_path):
    """The counters before it are gone, and come in no later frame."""
    protect, unprotect = ways(engine)[way]
    sender, receiver = leased_sender(engine, rng, tmp_path, lease)
    frames = [frame[:size] for frame in frames_of(rng)]
    with pytest.raises(LeaseEnded, match=f"row {lease}:"):
        protect(sender, frames)
    sender._grant(500, 1000)
    assert list(unprotect(receiver, protect(sender, frames)).ctr) == [*range(500, 500 + ROWS)]


# ---- while other threads are at it ----


def beside(work, disturb, turns=30):
    """Calls work() `turns` times while another thread calls disturb() again and again."""
    stop = threading.Event()

    def disturbance():
        while not stop.is_set():
            disturb()

    thread = threading.Thread(target=disturbance)
    thread.start()
    try:
        return [work() for _ in range(turns)]
    finally:
        stop.set()
        thread.join()


def test_two_threads_share_a_sender(engine, rng):
    """No counter twice."""
    sender, receiver = pair(engine, GCM, rng, replay_window=2**16)
    frames, others = frames_of(rng), []
    mine = beside(
        lambda: engine.protect_many(sender, frames),
        lambda: others.append(engine.protect_batch(sender, FrameBatch.from_frames(frames))),
        turns=8,
    )
    wires = [wire for batch in mine for wire in batch]
    wires += [wire for batch in others[:8] for wire in batch.to_list()]
    assert set(engine.unprotect_many(receiver, wires).status) == {OK}


def test_keys_removed_and_added_again(engine, rng):
    """A row is its frame, or its KID is unknown; and then its room holds zeros."""
    base_key = rng.randbytes(16)
    sender = new_sender(engine, GCM, base_key)
    receiver = engine.Receiver(GCM, replay_window=0, **options(GCM))
    frames = frames_of(rng)
    wires = FrameBatch.from_frames(engine.protect_many(sender, frames))
    long = rng.randbytes(LONG)
    wire = sender.protect(long)

    def work():
        batch = engine.unprotect_batch(receiver, wires)
        for frame, row, status in zip(frames, batch.to_list(), batch.status, strict=True):
            assert row == (frame if status == OK else b"")
            assert status in (OK, UNKNOWN)
        assert any(batch.status) or batch.data == b"".join(frames)
        with suppress(UnknownKey):
            assert receiver.unprotect(wire) == long

    def disturb():
        receiver.add_key(7, base_key)
        receiver.remove_key(7)

    beside(work, disturb)


def test_senders_closed_meanwhile(engine, rng):
    """All ciphertexts of a batch, or SenderRetired."""
    frames = frames_of(rng)
    for _ in range(10):
        sender, receiver = pair(engine, GCM, rng)
        closing = threading.Thread(target=sender.close)
        closing.start()
        try:
            wires = engine.protect_many(sender, frames)
        except SenderRetired:
            wires = []
        closing.join()
        assert engine.unprotect_many(receiver, wires).to_list() == frames[: len(wires)]
        with pytest.raises(SenderRetired):
            sender.protect(b"frame")
