"""Nothing outside a frame is read or written: every buffer lies against a page that must not be
touched, once with its end and once with its beginning. In a forked child, since a fault kills.
"""

import signal

import pytest
from c_core.rows import FAMILIES, new_job
from isolated import Died, in_child

PAGE = 4096
PAGES = 2
SIZES = [*range(300), 319, 320, 640, 1199, 1200, 1263, 1264, 1265, 2047, 4095, 4096, 4129, 8192]
AAD_SIZES = (1, 2, 5, 8, 15, 16, 17, 31, 37)
READ, WRITE = 1, 2


class Fence:
    """A buffer of at most PAGES pages; place() puts bytes at its end or its beginning."""

    def __init__(self, core) -> None:
        self.ffi, self.lib = core
        self.memory = self.lib.fenced(PAGES)
        assert self.memory

    def place(self, data: bytes, at_end: bool, *, writable: bool = False):
        self.lib.fenced_protect(self.memory, PAGES, READ | WRITE)
        pointer = self.memory + (PAGES * PAGE - len(data) if at_end else 0)
        self.ffi.memmove(pointer, data, len(data))
        self.lib.fenced_protect(self.memory, PAGES, READ | (WRITE if writable else 0))
        return pointer


class FencedRow:
    """One row, each of its buffers in a fence of its own; what is only read is write-protected."""

    def __init__(self, core, kernel: str) -> None:
        self.ffi, self.lib = core
        self.kernel = kernel
        self.fences = {name: Fence(core) for name in ("source", "out", "aad", "nonce", "tag")}
        self.keys = {}

    def set_key(self, job) -> None:
        name = job.suite, job.sframe_key
        if name not in self.keys:
            self.keys[name] = self.lib.raw_key(self.kernel.encode(), *name)
        self.spec.key = self.keys[name]

    def run(self, job, sealing: int, at_end: bool, in_place: bool, run) -> bytes:
        """The output and, after sealing, the tag."""
        self.spec = spec = self.ffi.new("spec *")
        self.set_key(job)
        data = job.plaintext if sealing else job.ciphertext
        spec.size, spec.aad_size = len(data), len(job.aad)
        spec.clear_at, spec.metadata_at = min(len(job.aad), 17), min(len(job.aad), 20)
        spec.aad = self.fences["aad"].place(job.aad, at_end)
        spec.nonce = self.fences["nonce"].place(job.nonce, at_end)
        spec.tag = self.fences["tag"].place(job.tag, at_end, writable=bool(sealing))
        spec.out = self.fences["out"].place(data, at_end, writable=True)
        spec.source = spec.out if in_place else self.fences["source"].place(data, at_end)
        run(spec, 1, sealing)
        out = bytes(spec.out[0 : spec.size])
        return out + bytes(spec.tag[0 : len(job.tag)]) if sealing else out


def jobs_of(suite, rng):
    key = rng.randbytes(suite.Nk)
    for number, size in enumerate(SIZES):
        aad = rng.randbytes(AAD_SIZES[number % len(AAD_SIZES)])
        yield new_job(suite, key, rng.randbytes(12), aad, rng.randbytes(size))


def check(core, kernel, jobs, run) -> int:
    row, done = FencedRow(core, kernel), 0
    for job in jobs:
        for at_end in (True, False):
            for in_place in (True, False):
                assert row.run(job, 1, at_end, in_place, run) == job.sealed
                assert row.run(job, 0, at_end, in_place, run) == job.plaintext
                done += 2
    return done


def test_kernels_stay_inside(core, kernel, family, rng):
    _, lib = core
    jobs = list(jobs_of(family, rng))
    runs = in_child(lambda: check(core, kernel, jobs, lib.run_alone))
    assert runs == 8 * len(SIZES)


def test_interleaved_rows_stay_inside(core, kernel, rng):
    """Eight rows at once, each of their buffers against a page: at its end, then its beginning."""
    batches = []
    for size in (*range(0, 200, 3), 640, 1200, 1400):
        suite = rng.choice(FAMILIES)
        key = rng.randbytes(suite.Nk)
        parts = [(rng.randbytes(12), rng.randbytes(9), rng.randbytes(size)) for _ in range(8)]
        batches.append([new_job(suite, key, *part) for part in parts])

    def run():
        rows = [FencedRow(core, kernel) for _ in range(8)]
        for jobs in batches:
            for at_end, in_place in ((True, False), (True, True), (False, False)):
                check_batch(core, rows, jobs, at_end, in_place)

    in_child(run)


def check_batch(core, rows, jobs, at_end, in_place):
    ffi, lib = core
    for sealing in (1, 0):
        for row, job in zip(rows, jobs, strict=True):
            row.run(job, sealing, at_end, in_place, lambda *_: None)
        specs = ffi.new("spec[]", [row.spec[0] for row in rows])
        lib.run_rows(specs, len(rows), sealing)
        for spec, job in zip(specs, jobs, strict=True):
            expected = job.ciphertext if sealing else job.plaintext
            assert bytes(spec.out[0 : spec.size]) == expected
            assert bytes(spec.tag[0 : len(job.tag)]) == job.tag


@pytest.mark.parametrize("fault", ["FAULT_STORE_16_PAST", "FAULT_READ_16_BEFORE"])
def test_a_step_outside_is_noticed(core, fault, rng):
    """The seeded faults: a store 16 bytes past the end, a load 16 bytes before the beginning."""
    _, lib = core

    def run(spec, count, sealing):
        lib.run_faulty(spec, count, sealing, getattr(lib, fault))

    job = new_job(FAMILIES[0], rng.randbytes(16), rng.randbytes(12), b"aad", rng.randbytes(160))
    with pytest.raises(Died) as death:
        in_child(lambda: check(core, "aesni", [job], run))
    assert death.value.signal == signal.SIGSEGV


# ---- whole frames ----


def test_frames_stay_inside(core, kernel, family, rng):
    """sfr_protect and sfr_unprotect move clear bytes and headers by whole words."""
    _ffi, lib = core
    suite = lib.sfr_suite_find(family)
    secret = lib.sfr_secret_new(suite, rng.randbytes(16), 16)
    assert in_child(lambda: frames_stay_inside(core, kernel, suite, secret, rng)) > 1000
    lib.sfr_secret_free(secret)


def frames_stay_inside(core, kernel, suite, secret, rng) -> int:
    ffi, lib = core
    found = lib.sfr_kernel_find(kernel.encode())
    receiver = ffi.new("sfr_receiver **")
    assert lib.sfr_receiver_new(receiver, suite, found, 0, 1 << 20, 1) == 0
    fences = [Fence(core) for _ in range(4)]
    done = 0
    for kid, first in ((1, 1), (7, 300), (300, 7), (1 << 63, (1 << 63) + 5)):
        sender = ffi.new("sfr_sender **")
        assert lib.sfr_sender_new(sender, secret, found, kid, first, 2**64 - 1, 1 << 20) == 0
        assert lib.sfr_receiver_add(receiver[0], kid, secret, 0) == 0
        for size in (*range(70), 160, 1200, 5000):
            for at_end in (True, False):
                for clear in {0, min(size, 1), min(size, 11), size}:
                    frame = rng.randbytes(size)
                    one_frame(core, sender[0], receiver[0], fences, frame, clear, at_end)
                    done += 1
    return done


def one_frame(core, sender, receiver, fences, frame, clear, at_end):
    ffi, lib = core
    room = lib.sfr_protect_size(sender, len(frame), 0)
    metadata = b"metadata"
    f = ffi.new("sfr_frame *", {"in": fences[0].place(frame, at_end), "in_size": len(frame)})
    f.metadata, f.metadata_size = fences[1].place(metadata, at_end), len(metadata)
    f.clear, f.out_size = clear, room
    f.out = fences[2].place(bytes(room), at_end, writable=True)
    assert lib.sfr_protect(sender, f) == 0
    assert f.out_size == room
    ciphertext = bytes(ffi.buffer(f.out, room))
    sealed = {"in": fences[0].place(ciphertext, at_end), "in_size": room, "clear": clear}
    back = ffi.new("sfr_frame *", sealed)
    back.metadata, back.metadata_size = f.metadata, len(metadata)
    back.out, back.out_size = fences[3].place(bytes(len(frame)), at_end, writable=True), len(frame)
    assert lib.sfr_unprotect(receiver, back) == 0
    assert bytes(ffi.buffer(back.out, back.out_size)) == frame
