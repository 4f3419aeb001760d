"""sfr_seal_many and sfr_unprotect_many, and keys that go while batches run."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from c_core.parties import CReceiver, CSender, Party
from parties import flipped
from racing import race

SUITES = (4, 5, 1, 2, 3, 6, 7, 8)
COUNTS = (*range(1, 66), 127, 128, 129, 200)


class Batch(Party):
    """Frames of many senders or receivers, in memory that lives as long as the batch."""

    def __init__(self, owners, inputs, rooms, metadata=b"") -> None:
        super().__init__()
        self.owners, self.count = owners, len(inputs)
        self.frames = self.ffi.new("sfr_frame[]", self.count)
        self.pointers = [owner.pointer for owner in owners]
        self.kept = [
            (self.bytes_of(data), self.bytes_of(bytes(n)))
            for data, n in zip(inputs, rooms, strict=True)
        ]
        self.metadata = self.bytes_of(metadata)
        for f, data, (source, out), room in zip(self.frames, inputs, self.kept, rooms, strict=True):
            setattr(f, "in", source)
            f.in_size, f.out, f.out_size = len(data), out, room
            f.metadata, f.metadata_size = self.metadata, len(metadata)

    def bytes_of(self, data):
        made = self.ffi.new("uint8_t[]", max(1, len(data)))
        self.ffi.memmove(made, data, len(data))
        return made

    def outputs(self) -> list[bytes]:
        return [self.output(f) for f in self.frames]

    def statuses(self) -> list[int]:
        return [f.status for f in self.frames]

    def protect(self) -> list[bytes]:
        senders = self.ffi.new("sfr_sender *[]", self.pointers)
        steady = self.ffi.new("int *")
        assert (
            self.lib.sfr_protect_many_size(senders, self.frames, self.count, steady) == self.count
        )
        assert self.lib.sfr_reserve_many(senders, self.frames, self.count) == self.count
        self.lib.sfr_seal_many(senders, self.frames, self.count)
        return self.outputs()

    def unprotect(self) -> list[bytes]:
        receivers = self.ffi.new("sfr_receiver *[]", self.pointers)
        self.lib.sfr_unprotect_many(receivers, self.frames, self.count)
        return self.outputs()


def parties_of(kernel, rng):
    """One sender and receiver for each suite, some suites twice."""
    pairs = []
    for suite in (*SUITES, 4, 5, 4):
        base_key, kid = rng.randbytes(16), rng.choice((3, 300, rng.getrandbits(64)))
        first = rng.choice((0, 300, 1 << 40))
        sender = CSender(kernel, suite, base_key, kid, first)
        pairs.append((sender, CReceiver(kernel, suite, base_key, kid)))
    return pairs


def protected(pairs, frames, metadata=b""):
    rooms = [len(frame) + 33 for frame in frames]
    return Batch([sender for sender, _ in pairs], frames, rooms, metadata).protect()


@pytest.mark.parametrize("metadata", [b"", b"twenty bytes of meta"], ids=["bare", "metadata"])
def test_mixed_batches(core, kernel, metadata, rng):
    """Every count from 1 to 65 and beyond a chunk: what a batch seals, single calls open, and
    the other way round."""
    _, lib = core
    all_pairs = parties_of(kernel, rng)
    before = lib.interleaved_calls()
    for count in COUNTS:
        pairs = [rng.choice(all_pairs) for _ in range(count)]
        frames = [rng.randbytes(rng.choice((0, 5, 40, 160, 161, 900, 1300))) for _ in pairs]
        ciphertexts = protected(pairs, frames, metadata)
        again = protected(pairs, frames, metadata)
        singly = [r.unprotect(c, metadata) for (_, r), c in zip(pairs, ciphertexts, strict=True)]
        assert singly == [(0, frame) for frame in frames]
        batch = Batch([r for _, r in pairs], again, list(map(len, again)), metadata)
        assert batch.unprotect() == frames
        assert not any(batch.statuses())
    assert lib.interleaved_calls() > before + len(COUNTS)


def test_bad_frames_among_good_ones(core, kernel, rng):
    """A bad frame at each position of each count: its neighbours open, and it leaves zeros."""
    _, lib = core
    all_pairs = parties_of(kernel, rng)
    for count in (1, 2, 3, 5, 8, 16, 17, 33, 64, 65):
        for position in range(count):
            pairs = [rng.choice(all_pairs) for _ in range(count)]
            frames = [rng.randbytes(rng.choice((1, 40, 160))) for _ in pairs]
            ciphertexts = protected(pairs, frames)
            ciphertexts[position] = flipped(ciphertexts[position], -1 - rng.randrange(4))
            batch = Batch([r for _, r in pairs], ciphertexts, list(map(len, frames)))
            frames[position] = b""
            assert batch.unprotect() == frames
            expected = [lib.SFR_AUTH_FAILED if i == position else 0 for i in range(count)]
            assert batch.statuses() == expected
            assert not any(bytes(batch.ffi.buffer(batch.kept[position][1])))


def test_a_frame_twice_in_one_batch(core, kernel, rng):
    _, lib = core
    pairs = [parties_of(kernel, rng)[0]] * 2
    ciphertext = protected(pairs[:1], [b"frame"])[0]
    batch = Batch([r for _, r in pairs], [ciphertext] * 2, [5, 5])
    assert batch.unprotect() == [b"frame", b""]
    assert batch.statuses() == [lib.SFR_OK, lib.SFR_REPLAYED]


def test_a_sender_closed_after_reserving_seals_nothing(core, kernel, rng):
    _, lib = core
    sender = CSender(kernel, 4, rng.randbytes(16))
    batch = Batch([sender], [b"frame"], [60])
    senders = batch.ffi.new("sfr_sender *[]", batch.pointers)
    assert lib.sfr_reserve_many(senders, batch.frames, 1) == 1
    sender.close()
    lib.sfr_seal_many(senders, batch.frames, 1)
    assert (batch.statuses(), batch.outputs()) == ([lib.SFR_E_RETIRED], [b""])


# ---- with threads: cffi lets go of the GIL for every call ----


def run_beside(work, disturbance, until=lambda: True):
    """work() again and again in two threads while disturbance() runs in a third."""
    race(work, work, disturbance, turns=200, until=until)


def test_keys_removed_during_batches(core, kernel, rng):
    """A row either opens to its frame or its KID is unknown; never anything else."""
    _, lib = core
    base_key = rng.randbytes(16)
    sender, receiver = CSender(kernel, 4, base_key), CReceiver(kernel, 4, base_key, window=0)
    frames = [rng.randbytes(rng.choice((160, 1200))) for _ in range(64)]
    ciphertexts = [sender.protect(frame)[1] for frame in frames]
    seen = set()

    def work():
        batch = Batch([receiver] * 64, ciphertexts, list(map(len, frames)))
        outputs = batch.unprotect()
        for output, frame, status in zip(outputs, frames, batch.statuses(), strict=True):
            assert output == (frame if status == lib.SFR_OK else b"")
            seen.add(status)

    def disturbance():
        receiver.remove(7)
        receiver.add(7, base_key)

    both = {lib.SFR_OK, lib.SFR_UNKNOWN_KEY}
    run_beside(work, disturbance, lambda: seen == both)
    assert seen == both


def test_receivers_closed_during_batches(core, kernel, rng):
    _, lib = core
    base_key = rng.randbytes(16)
    sender = CSender(kernel, 5, base_key)
    frames = [rng.randbytes(700) for _ in range(64)]
    ciphertexts = [sender.protect(frame)[1] for frame in frames]
    current = [CReceiver(kernel, 5, base_key, window=0)]
    seen = set()

    def work():
        receiver = current[0]
        batch = Batch([receiver] * 64, ciphertexts, [700] * 64)
        outputs = batch.unprotect()
        for output, frame, status in zip(outputs, frames, batch.statuses(), strict=True):
            assert output == (frame if status == lib.SFR_OK else b"")
            seen.add(status)

    def disturbance():
        old, current[0] = current[0], CReceiver(kernel, 5, base_key, window=0)
        old.close()

    run_beside(work, disturbance, lambda: lib.SFR_OK in seen)
    assert lib.SFR_OK in seen and seen <= {lib.SFR_OK, lib.SFR_UNKNOWN_KEY, lib.SFR_E_RETIRED}


def test_senders_closed_during_batches(core, kernel, rng):
    """What was sealed opens, what was not says so."""
    _, lib = core

    def new_pair():
        base_key = rng.randbytes(16)
        return CSender(kernel, 4, base_key), CReceiver(kernel, 4, base_key, window=0)

    current, seen = [new_pair()], set()

    def work():
        sender, receiver = current[0]
        batch = Batch([sender] * 32, [b"frame" * 40] * 32, [240] * 32)
        senders = batch.ffi.new("sfr_sender *[]", batch.pointers)
        if lib.sfr_reserve_many(senders, batch.frames, 32) < 32:
            return
        lib.sfr_seal_many(senders, batch.frames, 32)
        for output, status in zip(batch.outputs(), batch.statuses(), strict=True):
            seen.add(status)
            if status == lib.SFR_OK:
                assert receiver.unprotect(output) == (lib.SFR_OK, b"frame" * 40)

    def disturbance():
        old, current[0] = current[0], new_pair()
        old[0].close()

    run_beside(work, disturbance, lambda: lib.SFR_OK in seen)
    assert lib.SFR_OK in seen and seen <= {lib.SFR_OK, lib.SFR_E_RETIRED}


def test_one_frame_is_accepted_once(core, kernel, rng):
    """Two threads with the same ciphertexts: each opens in exactly one of them."""
    _, lib = core
    base_key = rng.randbytes(16)
    sender, receiver = CSender(kernel, 4, base_key), CReceiver(kernel, 4, base_key, window=4096)
    ciphertexts = [sender.protect(b"frame" * 30)[1] for _ in range(2048)]

    def opened():
        batch = Batch([receiver] * 2048, ciphertexts, [150] * 2048)
        batch.unprotect()
        return [status == lib.SFR_OK for status in batch.statuses()]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(opened), pool.submit(opened)
        pairs = zip(first.result(), second.result(), strict=True)
    assert all(a + b == 1 for a, b in pairs)
