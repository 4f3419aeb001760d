"""Rows for the kernels, and what an independent library makes of them."""

from typing import NamedTuple

from c_core.core import load
from oracle import aead_seal

from pysframe import CipherSuite

# Of the HMAC suites the tag size changes nothing but a cut: one for each key size.
FAMILIES = [CipherSuite(number) for number in (4, 5, 1, 6)]

GAP = 32  # bytes between two rows; they must keep what was in them
FILL = 0xA5
TAG_ROOM = 17  # odd, so that tags come at every alignment


class Job(NamedTuple):
    """What goes into a row, and what must come out of it."""

    suite: CipherSuite
    sframe_key: bytes
    nonce: bytes
    aad: bytes
    plaintext: bytes
    sealed: bytes

    @property
    def ciphertext(self) -> bytes:
        return self.sealed[: len(self.plaintext)]

    @property
    def tag(self) -> bytes:
        return self.sealed[len(self.plaintext) :]


def new_job(suite, sframe_key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> Job:
    sealed = aead_seal(suite, sframe_key, nonce, aad, plaintext, "cryptography")
    return Job(suite, sframe_key, nonce, aad, plaintext, sealed)


def random_job(rng, suite: CipherSuite, size: int, aad_size: int | None = None) -> Job:
    """aad_size: by default that of a header with or without metadata."""
    if aad_size is None:
        aad_size = rng.choice((1, 2, 5, 12, 15, 16, 17, 18, 31, 32, 33, 37, 64, 200))
    parts = (rng.randbytes(n) for n in (suite.Nk, 12, aad_size, size))
    return new_job(suite, *parts)


class Rows:
    """Rows of one kernel over memory of our own, a gap of known bytes behind each.

    seal() and open() run them and return (outputs, tags or statuses); `in_place` lets input and
    output be the same bytes. Outputs come with their gaps, so that a store beside a row shows.
    """

    def __init__(self, kernel: str, jobs: list[Job]) -> None:
        self.ffi, self.lib = load()
        self.jobs, self.count = jobs, len(jobs)
        self.starts, end = [], 0
        for job in jobs:
            self.starts.append(end)
            end += len(job.plaintext) + GAP
        self.size = end
        self.shift = 0  # of inputs against outputs, 0..63: another alignment for each
        self.source, self.out = (self.ffi.new("uint8_t[]", end + 64) for _ in range(2))
        self.tags = self.ffi.new("uint8_t[]", TAG_ROOM * self.count + 1)
        self.keys: dict[tuple[int, bytes], object] = {}
        self.held = []
        self.specs = self.ffi.new("spec[]", self.count)
        for job, start, spec in zip(jobs, self.starts, self.specs, strict=True):
            self.describe(spec, kernel, job, start)

    def describe(self, spec, kernel: str, job: Job, start: int) -> None:
        nonce_and_aad = self.ffi.new("uint8_t[]", job.nonce + job.aad)
        self.held.append(nonce_and_aad)
        spec.key = self.key(kernel, job)
        spec.nonce, spec.aad = nonce_and_aad, nonce_and_aad + 12
        spec.aad_size = len(job.aad)
        spec.clear_at, spec.metadata_at = min(len(job.aad), 17), min(len(job.aad), 40)
        spec.out, spec.size = self.out + start, len(job.plaintext)

    def key(self, kernel: str, job: Job):
        name = job.suite, job.sframe_key
        if name not in self.keys:
            raw = self.lib.raw_key(kernel.encode(), job.suite, job.sframe_key)
            self.keys[name] = self.ffi.gc(raw, self.lib.raw_key_free)
        return self.keys[name]

    def seal(self, *, in_place: bool = False, run=None) -> tuple[bytes, list[bytes]]:
        self.place([job.plaintext for job in self.jobs], in_place)
        self.place_tags([bytes(16)] * self.count)
        (run or self.lib.run_rows)(self.specs, self.count, 1)
        specs = zip(self.specs, self.jobs, strict=True)
        return self.outputs, [bytes(spec.tag[0 : job.suite.Nt]) for spec, job in specs]

    def open(self, *, in_place: bool = False, run=None, tags=None) -> tuple[bytes, list[int]]:
        self.place([job.ciphertext for job in self.jobs], in_place)
        self.place_tags(tags or [job.tag for job in self.jobs])
        (run or self.lib.run_rows)(self.specs, self.count, 0)
        return self.outputs, [spec.status for spec in self.specs]

    def place(self, inputs: list[bytes], in_place: bool) -> None:
        source = self.out if in_place else self.source + self.shift
        self.ffi.memmove(self.out, bytes([FILL]) * self.size, self.size)
        self.ffi.memmove(source, self.joined(inputs), self.size)
        for spec, start in zip(self.specs, self.starts, strict=True):
            spec.source = source + start

    def place_tags(self, tags: list[bytes]) -> None:
        for row, (spec, tag) in enumerate(zip(self.specs, tags, strict=True)):
            spec.tag = self.tags + TAG_ROOM * row
            self.ffi.memmove(spec.tag, tag, len(tag))

    @property
    def outputs(self) -> bytes:
        """All outputs and the gaps between them: equal to joined(what they should be)."""
        return bytes(self.ffi.buffer(self.out, self.size))

    @staticmethod
    def joined(pieces: list[bytes]) -> bytes:
        return b"".join(piece + bytes([FILL]) * GAP for piece in pieces)


def first_difference(ours: bytes, expected: bytes, rows: Rows) -> str:
    """Which row, and where in it: for a message that a person can use."""
    if ours == expected:
        return ""
    at = next(i for i, (a, b) in enumerate(zip(ours, expected, strict=True)) if a != b)
    row = max(i for i, start in enumerate(rows.starts) if start <= at)
    size = len(rows.jobs[row].plaintext)
    return f"row {row} of {rows.count}, {size} bytes, differs at byte {at - rows.starts[row]}"
