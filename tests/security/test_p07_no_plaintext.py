"""Promise 7: a rejected frame releases no byte of plaintext, and its neighbours are untouched.

Buffers are filled with 0xA5 before a call. After a refusal there are zeros where the frame would
have been and 0xA5 elsewhere, or, in place and before a key ran, the ciphertext as it was.
"""

from itertools import pairwise

import pytest
from oracle import Oracle, library_for
from parties import SUITES, flipped, new_receiver

from pysframe import FrameBatch, FrameRejected, FrameStatus, Header
from pysframe import engine as engines
from pysframe.engine.twin._arrival import Parsed

EDGES = (0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 1299, 1300)
FILLER, PAD = 0xA5, 40
KID, KEY = 7, bytes(range(16))
OK, FAILED = FrameStatus.OK, FrameStatus.AUTHENTICATION_FAILED
SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)


class Fault(AssertionError):
    """Something was released, or something else was touched."""


def filler(size):
    return bytearray([FILLER]) * size


def only_filler(data):
    return data.count(FILLER) == len(data)


# ---- single calls ----


class Victim:
    """A frame, and ways to have it rejected by one receiver."""

    def __init__(self, engine, suite, size, rng):
        seal = Oracle(suite, KEY, KID, library_for(engine)).seal
        self.frame = rng.randbytes(size)
        self.clear = rng.choice((0, 0, min(size, 3), size))
        self.metadata = rng.choice((b"", rng.randbytes(20)))
        self.ctr = rng.choice((2000, 70_000))
        self.wire = seal(self.ctr, self.frame, self.metadata, self.clear)
        self.header = Header.parse(self.wire[self.clear :]).size
        self.receiver = new_receiver(engine, suite, KEY, KID)
        self.tag = suite.Nt

    def changed(self, rng):
        """(ciphertext, metadata) whose tag does not fit."""
        inside = [*range(self.clear), *range(self.clear + self.header, len(self.wire))]
        position = rng.choice((rng.choice(inside), len(self.wire) - 1 - rng.randrange(self.tag)))
        ways = [(flipped(self.wire, position, 1 << rng.randrange(8)), self.metadata)]
        return rng.choice([*ways, (self.wire, self.metadata + b"\0")])

    def apart(self, wire, metadata):
        out = filler(PAD + len(self.frame) + PAD)
        with pytest.raises(FrameRejected):
            self.receiver.unprotect_into(wire, memoryview(out)[PAD:], metadata, clear=self.clear)
        end = PAD + len(self.frame)
        if any(out[PAD:end]):
            raise Fault("plaintext, or what was there before, is where the frame would be")
        # Before a key ran, where the frame would end is not known: the ciphertext's size is.
        if not only_filler(out[:PAD]) or set(out[end:]) - {0, FILLER}:
            raise Fault("something else was written")
        return out[end:]

    def in_place(self, wire, metadata):
        memory = filler(PAD) + wire + filler(PAD)
        out = memoryview(memory)[PAD + self.header : PAD + len(wire)]
        with pytest.raises(FrameRejected) as raised:
            self.receiver.unprotect_into(
                memoryview(memory)[PAD : PAD + len(wire)], out, metadata, clear=self.clear
            )
        expected = bytearray(wire)
        if raised.value.status == FAILED:
            expected[self.header : self.header + len(self.frame)] = bytes(len(self.frame))
        if memory != filler(PAD) + expected + filler(PAD):
            raise Fault("other bytes than the frame's were changed, or were not wiped")


def reject_single_frames(engine, suite, sizes, rng):
    for size in sizes:
        victim = Victim(engine, suite, size, rng)
        if not only_filler(victim.apart(*victim.changed(rng))):
            raise Fault("bytes behind the frame were changed")
        victim.in_place(*victim.changed(rng))
        before_a_key_runs(engine, suite, victim)


def before_a_key_runs(engine, suite, victim):
    """A replay, a frame that is too old, and one under an unknown KID."""
    opened = victim.receiver.unprotect(victim.wire, victim.metadata, clear=victim.clear)
    if opened != victim.frame:
        raise Fault("a good frame did not open")
    seal = Oracle(suite, KEY, KID, library_for(engine)).seal
    stranger = Oracle(suite, KEY, KID - 1, library_for(engine)).seal
    more = victim.frame, victim.metadata, victim.clear
    for wire in (victim.wire, seal(victim.ctr - 1024, *more), stranger(victim.ctr, *more)):
        victim.apart(wire, victim.metadata)
        victim.in_place(wire, victim.metadata)


@SUITE
def test_single_frames_of_every_length(engine, suite, rng, by_tier):
    sizes = by_tier(rng.sample(range(1301), 12), [*rng.sample(range(1301), 120)], range(1301))
    reject_single_frames(engine, suite, [*rng.sample(EDGES, 6), *sizes], rng)


def releasing(frames):
    """A wipe that leaves the plaintext of a rejected frame."""

    def wipe(self, out):
        if out is not None:
            out[: self.size] = frames[self.ctr]

    return wipe


def too_much(self, out):
    if out is not None:
        out[: self.size + 1] = bytes(min(self.size + 1, len(out)))


def test_a_receiver_that_releases_plaintext_is_noticed(rng, monkeypatch):
    """The seeded fault: the exception is right, and the frame lies in `out`."""
    twin, suite = engines.bind("fallback"), SUITES[3]
    for way in (Victim.apart, Victim.in_place):
        victim = Victim(twin, suite, 100, rng)
        monkeypatch.setattr(Parsed, "wipe", releasing({victim.ctr: victim.frame}))
        with pytest.raises(Fault):
            way(victim, *victim.changed(rng))


def test_a_receiver_that_wipes_too_much_is_noticed(rng, monkeypatch):
    monkeypatch.setattr(Parsed, "wipe", too_much)
    with pytest.raises(Fault):
        reject_single_frames(engines.bind("fallback"), SUITES[3], [100], rng)


# ---- batches ----


class Row:
    """A frame of some suite and length, under a key that only its receiver has."""

    def __init__(self, engine, suite, ctr, rng, lengths):
        self.frame, self.ctr, self.suite = rng.randbytes(rng.choice(lengths)), ctr, suite
        self.wire = Oracle(suite, KEY, KID, library_for(engine)).seal(ctr, self.frame)

    def bad(self, rng):
        return flipped(self.wire, -1 - rng.randrange(self.suite.Nt + len(self.frame)))


def check_batch(engine, rows, bad, rng):
    """Opens rows of which some are bad, into a buffer of the caller's."""
    receivers = {suite: new_receiver(engine, suite, KEY, KID) for suite in SUITES}
    wires = [row.bad(rng) if number in bad else row.wire for number, row in enumerate(rows)]
    out = filler(sum(map(len, wires)) + PAD)
    owners = [receivers[row.suite] for row in rows]
    batch = engine.unprotect_batch(owners, FrameBatch.from_frames(wires), out=out)
    if list(batch.status) != [FAILED if number in bad else OK for number in range(len(rows))]:
        raise Fault("a row has the wrong status")
    ends = [*batch.offsets, batch.offsets[-1] + len(rows[-1].frame)]
    for number, (start, end) in enumerate(pairwise(ends)):
        frame = b"" if number in bad else rows[number].frame
        if out[start : start + len(frame)] != frame or any(out[start + len(frame) : end]):
            raise Fault(f"row {number}: plaintext was released, or a neighbour was touched")
    if not only_filler(out[batch.offsets[-1] + len(wires[-1]) :]):
        raise Fault("something was written behind the last row")


def batches(engine, count, positions, rng):
    """The same rows again and again, each time with others bad: one, then some."""
    lengths = [*rng.sample(EDGES, 3), 160]
    suites = rng.sample(SUITES, rng.choice((1, 3)))
    rows = [Row(engine, rng.choice(suites), ctr, rng, lengths) for ctr in range(count)]
    for position in positions:
        check_batch(engine, rows, {position}, rng)
    check_batch(engine, rows, set(rng.sample(range(count), rng.randrange(count + 1))), rng)


def test_every_position_of_a_batch(engine, rng, by_tier, figure):
    counts = by_tier([1, 2, 65, *rng.sample(range(3, 65), 5)], range(1, 66), range(1, 66))
    most, done = by_tier(5, 65, 65), 0
    for count in counts:
        positions = rng.sample(range(count), min(count, most))
        batches(engine, count, positions, rng)
        done += len(positions)
    figure(f"{done} positions in batches of {min(counts)} to {max(counts)} rows")


def test_a_batch_that_releases_plaintext_is_noticed(rng, monkeypatch):
    twin = engines.bind("fallback")
    rows = [Row(twin, SUITES[3], ctr, rng, [100]) for ctr in range(5)]
    monkeypatch.setattr(Parsed, "wipe", releasing({row.ctr: row.frame for row in rows}))
    with pytest.raises(Fault):
        check_batch(twin, rows, {2}, rng)
    check_batch(twin, rows, set(), rng)
