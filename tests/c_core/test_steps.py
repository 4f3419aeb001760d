"""Batches in one, two and three steps: what may change between them, and what must not."""

import pytest
from c_core.parties import LAST_CTR, CReceiver, CSender
from c_core.test_batch import Batch
from isolated import in_child

LONG = 5000  # bytes: more than is run under a lock


def batch_of(owner, inputs, rooms):
    batch = Batch([owner] * len(inputs), inputs, rooms)
    kind = "sfr_sender *[]" if isinstance(owner, CSender) else "sfr_receiver *[]"
    return batch, batch.ffi.new(kind, batch.pointers)


# ---- sealing ----


@pytest.mark.parametrize(
    ("first", "last", "ahead", "sealed"),
    [
        (250, LAST_CTR, None, 64),
        (2**16 - 1, LAST_CTR, None, 64),
        (LAST_CTR - 63, LAST_CTR, None, 64),
        (LAST_CTR - 62, LAST_CTR, None, 63),
        (LAST_CTR, LAST_CTR, None, 1),
        (0, 9, None, 10),
        (0, 9, (10, 40), 41),
        (0, 9, (300, 340), 51),  # its counters take another byte
        (0, 62, (2**40, LAST_CTR), 64),
    ],
)
@pytest.mark.parametrize("steps", [1, 2])
def test_counters_within_a_batch(core, kernel, steps, first, last, ahead, sealed, rng, either_way):
    """Each counter once, in order, over leases and longer headers; then a refusal."""
    _, lib = core

    def work():
        base_key = rng.randbytes(16)
        sender = CSender(kernel, 4, base_key, first=first, last=last)
        if ahead:
            assert sender.extend(*ahead) == lib.SFR_OK
        batch, senders = batch_of(sender, [b"frame"] * 64, [5 + 33] * 64)
        protect = lib.sfr_protect_many if steps == 1 else lib.sfr_reserve_many
        assert protect(senders, batch.frames, 64) == sealed
        if steps == 2:
            lib.sfr_seal_many(senders, batch.frames, sealed)
        expected = [first + i if first + i <= last else ahead[0] + first + i - last - 1
                    for i in range(sealed)]  # fmt: skip
        assert [f.ctr for f in batch.frames][:sealed] == expected
        receiver = CReceiver(kernel, 4, base_key)
        for output in batch.outputs()[:sealed]:
            assert receiver.unprotect(output) == (lib.SFR_OK, b"frame")
        if sealed < 64:
            ended = lib.SFR_E_CTR_EXHAUSTED if last == LAST_CTR else lib.SFR_E_LEASE_ENDED
            assert batch.statuses()[sealed] == ended

    either_way(work)


def test_room_for_the_header_that_was(core, kernel, rng, either_way):
    """Counter 256 needs a byte more than the caller left: refused before it is taken."""
    _, lib = core

    def work():
        sender = CSender(kernel, 4, rng.randbytes(16), first=250)
        room = lib.sfr_protect_size(sender.pointer, 5, 0)
        batch, senders = batch_of(sender, [b"frame"] * 64, [room] * 64)
        assert lib.sfr_protect_many(senders, batch.frames, 64) == 6
        assert batch.statuses()[6] == lib.SFR_E_ROOM
        assert sender.next_ctr() == (lib.SFR_OK, 256)

    either_way(work)


@pytest.mark.parametrize(("first", "count", "steady"), [(192, 64, 0), (191, 64, 1), (0, 8, 0)])
def test_steady(core, kernel, first, count, steady, rng):
    """Rooms are exact where it says so, and suffice where it does not."""
    _, lib = core
    sender = CSender(kernel, 4, rng.randbytes(16), first=first)
    batch, senders = batch_of(sender, [b"frame"] * count, [0] * count)
    said = batch.ffi.new("int *")
    assert lib.sfr_protect_many_size(senders, batch.frames, count, said) == count
    rooms = [f.out_size for f in batch.frames]
    assert said[0] == steady and sender.next_ctr()[1] == first
    batch, senders = batch_of(sender, [b"frame"] * count, rooms)
    assert lib.sfr_protect_many(senders, batch.frames, count) == count
    used = [f.out_size for f in batch.frames]
    assert used == rooms if steady else all(a <= b for a, b in zip(used, rooms, strict=True))


def test_not_steady_in_the_key_s_second_half(core, kernel, rng):
    _, lib = core
    sender = CSender(kernel, 4, rng.randbytes(16), first=300)
    batch, senders = batch_of(sender, [b"frame"], [0])
    said = batch.ffi.new("int *")
    for blocks, steady in ((2**35 - 100, 1), (2**35, 1), (2**36 - 2, 0), (2**36, 0)):
        lib.sfr_sender_set_blocks(sender.pointer, blocks)
        assert lib.sfr_protect_many_size(senders, batch.frames, 1, said) == 1
        assert said[0] == steady


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_seal_after_close(core, kernel, count, rng, either_way):
    _, lib = core

    def work():
        sender = CSender(kernel, 4, rng.randbytes(16))
        batch, senders = batch_of(sender, [b"frame"] * count, [60] * count)
        assert lib.sfr_reserve_many(senders, batch.frames, count) == count
        sender.close()
        lib.sfr_seal_many(senders, batch.frames, count)
        assert batch.statuses() == [lib.SFR_E_RETIRED] * count
        assert batch.outputs() == [b""] * count
        assert not any(any(bytes(batch.ffi.buffer(out))) for _, out in batch.kept)

    either_way(work)


@pytest.mark.parametrize("count", [1, 65])
def test_seal_after_a_fork(core, kernel, count, rng, either_way):
    """The child has the counters, and what it would seal may differ: it seals nothing."""
    _, lib = core

    def work():
        sender = CSender(kernel, 4, rng.randbytes(16))
        batch, senders = batch_of(sender, [b"frame"] * count, [60] * count)
        assert lib.sfr_reserve_many(senders, batch.frames, count) == count

        def child():
            lib.sfr_seal_many(senders, batch.frames, count)
            return batch.statuses(), batch.outputs()

        assert in_child(child) == ([lib.SFR_E_FORKED] * count, [b""] * count)
        lib.sfr_seal_many(senders, batch.frames, count)
        assert batch.statuses() == [lib.SFR_OK] * count

    either_way(work)


# ---- opening ----


def in_place(receiver, wire, clear=0):
    """A frame that is to be opened over its own ciphertext."""
    f = receiver.frame(wire, b"", clear, 0)
    header = receiver.ffi.new("sfr_header *")
    at = getattr(f, "in") + clear
    assert receiver.lib.sfr_header_parse(at, len(wire) - clear, 1, header) == 0
    f.out = getattr(f, "in") + header.size
    f.out_size = receiver.lib.sfr_unprotect_size(
        receiver.pointer, getattr(f, "in"), len(wire), clear
    )
    return f


def source_of(receiver, f) -> bytes:
    return bytes(receiver.ffi.buffer(getattr(f, "in"), f.in_size))


@pytest.mark.parametrize("clear", [0, 1, 3, 10, 100])
@pytest.mark.parametrize("size", [200, LONG])
@pytest.mark.parametrize("suite", [4, 6])
def test_three_steps_in_place(core, kernel, suite, size, clear, rng, either_way):
    """Screen only looks: open finds the ciphertext as it came, and a replay leaves it so."""
    _, lib = core

    def work():
        base_key, frame = rng.randbytes(16), rng.randbytes(size)
        wire = CSender(kernel, suite, base_key, 300, 300).protect(frame, clear=clear)[1]
        receiver = CReceiver(kernel, suite, base_key, 300)
        pointers = receiver.ffi.new("sfr_receiver *[]", [receiver.pointer])
        f = in_place(receiver, wire, clear)
        room = f.out_size
        assert lib.sfr_screen(receiver.pointer, f) == lib.SFR_OK
        assert source_of(receiver, f) == wire
        f.out_size = room
        lib.sfr_open_many(pointers, f, 1)
        assert lib.sfr_commit_many(pointers, f, 1) == 0
        assert receiver.output(f) == frame
        again = in_place(receiver, wire, clear)
        assert lib.sfr_screen(receiver.pointer, again) == lib.SFR_REPLAYED
        assert (source_of(receiver, again), again.out_size) == (wire, 0)
        assert receiver.keys()[300].replayed == 1

    either_way(work)


def test_a_header_changed_after_screening(core, kernel, rng):
    """In place is where the payload is: with another header it overlaps in another way."""
    _, lib = core
    base_key = rng.randbytes(16)
    wire = CSender(kernel, 6, base_key, 300, 300).protect(bytes(LONG))[1]
    receiver = CReceiver(kernel, 6, base_key, 300)
    receiver.add(0, base_key)
    pointers = receiver.ffi.new("sfr_receiver *[]", [receiver.pointer])
    f = in_place(receiver, wire)
    room = f.out_size
    assert lib.sfr_screen(receiver.pointer, f) == lib.SFR_OK
    getattr(f, "in")[0], f.out_size = 0x0F, LONG + 100
    assert room == LONG
    lib.sfr_open_many(pointers, f, 1)
    lib.sfr_commit_many(pointers, f, 1)
    assert (f.status, f.out_size) == (lib.SFR_E_OVERLAP, 0)


@pytest.mark.parametrize("readded", [False, True])
@pytest.mark.parametrize("count", [1, 64, 65, 200])
def test_keys_removed_before_commit(core, kernel, count, readded, rng, either_way):
    """Even the same key under the same KID is another one: its window is empty."""
    _, lib = core

    def work():
        base_key = rng.randbytes(16)
        sender, receiver = CSender(kernel, 4, base_key), CReceiver(kernel, 4, base_key)
        wires = [sender.protect(b"frame")[1] for _ in range(count)]
        batch, receivers = batch_of(receiver, wires, [5] * count)
        lib.sfr_open_many(receivers, batch.frames, count)
        receiver.remove(7)
        if readded:
            assert receiver.add(7, base_key) == lib.SFR_OK
        assert lib.sfr_commit_many(receivers, batch.frames, count) == count
        assert batch.statuses() == [lib.SFR_UNKNOWN_KEY] * count
        assert not any(any(bytes(batch.ffi.buffer(out))) for _, out in batch.kept)
        if readded:
            assert receiver.keys()[7].opened == 0
            batch, receivers = batch_of(receiver, wires, [5] * count)
            assert lib.sfr_unprotect_many(receivers, batch.frames, count) == 0

    either_way(work)


def test_replays_between_open_and_commit(core, kernel, rng, either_way):
    """Two batches of the same frames, both opened before either is judged."""
    _, lib = core

    def work():
        base_key = rng.randbytes(16)
        sender, receiver = CSender(kernel, 4, base_key), CReceiver(kernel, 4, base_key)
        wires = [sender.protect(b"frame")[1] for _ in range(65)]
        (one, receivers), (two, _) = (batch_of(receiver, wires, [5] * 65) for _ in range(2))
        for batch in (one, two):
            lib.sfr_open_many(receivers, batch.frames, 65)
        assert lib.sfr_commit_many(receivers, two.frames, 65) == 0
        assert lib.sfr_commit_many(receivers, one.frames, 65) == 65
        assert two.outputs() == [b"frame"] * 65
        assert one.statuses() == [lib.SFR_REPLAYED] * 65
        assert not any(any(bytes(one.ffi.buffer(out))) for _, out in one.kept)

    either_way(work)
