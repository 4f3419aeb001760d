"""Promise 2, frame by frame: every length equals what another library makes of it.

Each length 0..4128 and a sample up to 1 MiB; sealed and opened into a new object, into a buffer at
another place, and in place; at each of 64 alignments of input and of output. The rows of the C core
do the same in tests/c_core/test_lengths.py, with keys and nonces of their own.
"""

import mmap
from itertools import product

import pytest
from oracle import Oracle, library_for
from parties import SUITES, new_receiver, new_sender

from pysframe import CipherSuite

LAST = 4128
LONGEST = 1 << 20
SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
# One suite for each family: the two key sizes of GCM, and of CTR with HMAC.
FAMILY = pytest.mark.parametrize(
    "suite", [CipherSuite(number) for number in (4, 5, 1, 6)], ids=lambda suite: suite.name
)

pytestmark = pytest.mark.timeout(600)


# ---- ways to seal and to open; `at` is the alignment of input and of output ----

SOURCE, OUT = (memoryview(mmap.mmap(-1, LONGEST + 8192)) for _ in range(2))  # page-aligned


def placed(memory, alignment, data):
    room = memory[alignment : alignment + len(data)]
    room[:] = data
    return room


def protect(sender, frame, metadata, at):
    return sender.protect(frame, metadata)


def protect_apart(sender, frame, metadata, at):
    source = placed(SOURCE, at[0], frame)
    out = OUT[at[1] : at[1] + sender.protected_size(len(frame))]
    return bytes(out[: sender.protect_into(source, out, metadata)])


def protect_in_place(sender, frame, metadata, at):
    size = sender.protected_size(len(frame))
    header = size - len(frame) - sender.suite.Nt
    out = OUT[at[1] : at[1] + size]
    source = placed(OUT, at[1] + header, frame)
    return bytes(out[: sender.protect_into(source, out, metadata)])


def unprotect(receiver, ciphertext, size, metadata, at):
    return receiver.unprotect(ciphertext, metadata)


def unprotect_apart(receiver, ciphertext, size, metadata, at):
    out = OUT[at[1] : at[1] + size]
    source = placed(SOURCE, at[0], ciphertext)
    return bytes(out[: receiver.unprotect_into(source, out, metadata)])


def unprotect_in_place(receiver, ciphertext, size, metadata, at):
    header = len(ciphertext) - size - receiver.suite.Nt
    source = placed(OUT, at[1], ciphertext)
    out = source[header : header + size]
    return bytes(out[: receiver.unprotect_into(source, out, metadata)])


WAYS = [
    (protect, unprotect),
    (protect_apart, unprotect_apart),
    (protect_in_place, unprotect_in_place),
]


def late_block(way):
    """The seeded fault: the block at byte 1792 is sealed with the key stream of the next."""

    def faulty(sender, frame, metadata, at):
        sealed = bytearray(way(sender, frame, metadata, at))
        if len(frame) >= 1824:
            start = len(sealed) - len(frame) - sender.suite.Nt + 1792
            key_stream = xor(sealed[start + 16 : start + 32], frame[1808:1824])
            sealed[start : start + 16] = xor(key_stream, frame[1792:1808])
        return bytes(sealed)

    return faulty


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


# ---- the comparison ----


class Exchange:
    """A sender, a receiver and the oracle of one fresh key."""

    def __init__(self, engine, suite, rng) -> None:
        base_key, kid = rng.randbytes(rng.randrange(16, 65)), rng.getrandbits(rng.randrange(65))
        self.ctr = rng.getrandbits(rng.randrange(64))
        self.oracle = Oracle(suite, base_key, kid, library_for(engine))
        self.sender = new_sender(engine, suite, base_key, kid, self.ctr)
        self.receiver = new_receiver(engine, suite, base_key, kid, replay_window=0)
        self.rng, self.done, self.wrong = rng, 0, []

    def check(self, size: int, ways, at=(0, 0)) -> None:
        """One frame through one way of sealing and one of opening."""
        seal, open_ = ways
        frame, metadata = self.rng.randbytes(size), self.rng.randbytes(self.rng.randrange(40))
        expected = self.oracle.seal(self.ctr, frame, metadata)
        self.ctr += 1
        self.done += 2
        if difference := differs(seal(self.sender, frame, metadata, at), expected):
            self.wrong.append(f"{size} bytes, {seal.__name__} at {at}: {difference}")
        if difference := differs(open_(self.receiver, expected, size, metadata, at), frame):
            self.wrong.append(f"{size} bytes, {open_.__name__} at {at}: {difference}")

    def report(self, what: str) -> None:
        print(f"{what}: {self.done} comparisons, {len(self.wrong)} mismatches")
        assert not self.wrong


def differs(got: bytes, expected: bytes) -> str:
    if got == expected:
        return ""
    if len(got) != len(expected):
        return f"{len(got)} bytes instead of {len(expected)}"
    return f"byte {next(i for i, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b)}"


def is_native(engine) -> bool:
    return engine.name.startswith("native")


@SUITE
def test_every_length(engine, suite, by_tier, rng):
    """Quick: the twin takes every 32nd length, and an HMAC suite goes one way for each length."""
    step = by_tier(1 if is_native(engine) else 32, 1, 1)
    ways = 3 if suite.is_gcm else by_tier(1, 3, 3)
    exchange = Exchange(engine, suite, rng)
    lengths = range(rng.randrange(step), LAST + 1, step)
    for number, size in enumerate(lengths):
        for way in range(ways):
            at = size % 64, size // 64 % 64
            exchange.check(size, WAYS[(number + way) % 3], at)
    assert exchange.done == 2 * ways * len(lengths)
    assert step > 1 or len(lengths) == 4129
    exchange.report(f"{len(lengths)} lengths")


@FAMILY
def test_a_sample_to_one_mebibyte(engine, suite, by_tier, rng):
    """As many of each size class; the ends of it always."""
    exchange = Exchange(engine, suite, rng)
    count = by_tier(3 if is_native(engine) else 1, 24, 96)
    sizes = [round(LAST * (LONGEST / LAST) ** rng.random()) for _ in range(count)]
    for size in (LAST + 1, *sizes, LONGEST - 1, LONGEST):
        for ways in WAYS:
            exchange.check(size, ways, (rng.randrange(64), rng.randrange(64)))
    exchange.report(f"{count + 3} lengths up to {LONGEST}")


@FAMILY
def test_every_alignment(engine, suite, by_tier, rng):
    """All 4,096 pairs of alignments; in place the input's follows. Quick: a 64th for the twin."""
    exchange = Exchange(engine, suite, rng)
    pairs = list(product(range(64), range(64)))
    share = by_tier(len(pairs) if is_native(engine) else 64, len(pairs), len(pairs))
    for at in rng.sample(pairs, share):
        exchange.check(rng.choice((rng.randrange(300), rng.randrange(1400))), WAYS[1], at)
    for alignment in range(64):
        exchange.check(rng.randrange(1400), WAYS[2], (0, alignment))
    assert exchange.done == 2 * (share + 64)
    exchange.report(f"{share} pairs of alignments and 64 in place")


@pytest.mark.parametrize("ways", WAYS, ids=lambda ways: ways[0].__name__)
def test_a_block_too_late_is_reported(engine, ways, rng):
    exchange = Exchange(engine, 4, rng)
    faulty = late_block(ways[0])
    for size in (1791, 1792, 1823, 1824, LAST):
        exchange.check(size, (faulty, ways[1]))
    assert [line.split(",")[0] for line in exchange.wrong] == ["1824 bytes", f"{LAST} bytes"]
    with pytest.raises(AssertionError, match="1824 bytes"):
        exchange.report("seeded")
