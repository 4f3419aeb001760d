"""Promise 2, row by row: a frame in company is sealed and opened as it would be alone.

Through the public API: batches of 1 to 65 frames of many senders, of every suite, key and length.
On the C core, whose counter shows that rows were interleaved: every length 0..4128 at each position
of a batch of 65, among rows of all families, apart and in place.
"""

import random
from functools import cache
from typing import NamedTuple

import pytest
from c_core.core import kernel_or_skip, load
from c_core.rows import FAMILIES, Rows, first_difference, new_job
from oracle import Oracle, library_for
from parties import SUITES, new_receiver, new_sender

from pysframe import FrameStatus
from pysframe import engine as engines

LENGTHS = range(4129)
LARGEST = 65
COUNTS = range(1, LARGEST + 1)
KERNELS = [name.split(":")[1] for name in engines.available() if name.startswith("native")]

pytestmark = pytest.mark.timeout(900)


def is_native(engine) -> bool:
    return engine.name.startswith("native")


# ---- the public API ----


class Party:
    """A sender, its receiver, and what the oracle says that the sender seals next."""

    def __init__(self, engine, suite, rng) -> None:
        base_key, kid = rng.randbytes(rng.randrange(16, 65)), rng.getrandbits(rng.randrange(65))
        self.ctr = rng.getrandbits(rng.randrange(63))
        self.oracle = Oracle(suite, base_key, kid, library_for(engine))
        self.sender = new_sender(engine, suite, base_key, kid, self.ctr)
        self.receiver = new_receiver(engine, suite, base_key, kid, replay_window=0)

    def expected(self, frame: bytes, metadata: bytes) -> bytes:
        self.ctr += 1
        return self.oracle.seal(self.ctr - 1, frame, metadata)


class Frame(NamedTuple):
    party: Party
    frame: bytes
    metadata: bytes
    ciphertext: bytes


def parties_of(engine, rng) -> list[Party]:
    """Two keys of each suite, and more of GCM, whose rows share kernels."""
    return [Party(engine, suite, rng) for suite in (*SUITES, *SUITES, 4, 5, 4, 5, 4)]


def new_frame(party, size, rng) -> Frame:
    frame, metadata = rng.randbytes(size), rng.randbytes(rng.choice((0, 0, 5, 40)))
    return Frame(party, frame, metadata, party.expected(frame, metadata))


def wrong_when_sealed(engine, frames) -> list[str]:
    batch = engine.protect_many(
        [f.party.sender for f in frames], [f.frame for f in frames], [f.metadata for f in frames]
    )
    return differences(batch, [f.ciphertext for f in frames], frames)


def wrong_when_opened(engine, frames) -> list[str]:
    batch = engine.unprotect_many(
        [f.party.receiver for f in frames],
        [f.ciphertext for f in frames],
        [f.metadata for f in frames],
    )
    statuses = [FrameStatus(s).name for s in batch.status if s != FrameStatus.OK]
    return statuses + differences(batch.to_list(), [f.frame for f in frames], frames)


def differences(got, expected, frames) -> list[str]:
    triples = enumerate(zip(got, expected, frames, strict=True))
    return [
        f"row {row} of {len(frames)}, {len(f.frame)} bytes, {f.party.sender.suite.name}"
        for row, (ours, theirs, f) in triples
        if bytes(ours) != theirs
    ]


def test_mixed_batches_of_1_to_65(engine, by_tier, rng):
    """Every count, so every position of each; two rounds, and more in longer runs."""
    parties, wrong, rows = parties_of(engine, rng), [], 0
    rounds = by_tier(2 if is_native(engine) else 1, 12, 100)
    for count in [*COUNTS] * rounds:
        sizes = [rng.choice((rng.randrange(200), rng.randrange(4129))) for _ in range(count)]
        frames = [new_frame(rng.choice(parties), size, rng) for size in sizes]
        wrong += wrong_when_sealed(engine, frames) + wrong_when_opened(engine, frames)
        rows += count
    print(f"{rounds * len(COUNTS)} batches, {rows} rows each way, {len(wrong)} mismatches")
    assert rows == rounds * 2145
    assert not wrong


def test_every_length_opens_at_each_position(engine, by_tier, rng):
    """The lengths in random order, in batches of 65; each shift by one row moves all of them."""
    parties = parties_of(engine, rng)
    shifts = by_tier(2, 65, 65) if is_native(engine) else by_tier(0, 4, 65)
    sizes = random_order(rng) if shifts else rng.sample(LENGTHS, LARGEST * 4)
    frames = [new_frame(rng.choice(parties), size, rng) for size in sizes]
    wrong, seen = [], set()
    for shift in rng.sample(range(LARGEST), shifts) or [0]:
        for batch in batches(frames, shift):
            seen.update((len(f.frame), position) for position, f in enumerate(batch))
            wrong += wrong_when_opened(engine, batch)
    print(f"{len(seen)} pairs of length and position, {len(wrong)} mismatches")
    assert shifts < LARGEST or len(seen) == 4129 * LARGEST
    assert not wrong


def random_order(rng) -> list[int]:
    """Every length at least once, in a whole number of batches."""
    sizes = [*LENGTHS, *rng.sample(LENGTHS, -len(LENGTHS) % LARGEST)]
    rng.shuffle(sizes)
    return sizes


def batches(rows, shift):
    turned = rows[shift:] + rows[:shift]
    return [turned[at : at + LARGEST] for at in range(0, len(turned), LARGEST)]


def test_a_wrong_row_is_named(engine, rng):
    """The seeded fault: an engine whose batches, not its single calls, turn one bit."""

    class Faulty:
        @staticmethod
        def protect_many(*args):
            sealed = list(engine.protect_many(*args))
            if len(sealed) > 8:
                sealed[8] = sealed[8][:-1] + bytes([sealed[8][-1] ^ 1])
            return sealed

    parties = parties_of(engine, rng)
    for count, expected in ((8, []), (9, ["row 8 of 9, 100 bytes"])):
        frames = [new_frame(rng.choice(parties), 100, rng) for _ in range(count)]
        wrong = wrong_when_sealed(Faulty, frames)
        assert [text.rpartition(",")[0] for text in wrong] == expected


# ---- the C core, row by row ----


@cache
def jobs() -> list:
    """One job for each length, its family, key, nonce and AAD at random; the same for all."""
    rng = random.Random("rows of promise 2")
    keys = {suite: [rng.randbytes(suite.Nk) for _ in range(3)] for suite in FAMILIES}
    made = []
    for size in random_order(rng):
        suite = rng.choice(FAMILIES)
        aad = rng.randbytes(rng.choice((1, 2, 5, 9, 13, 16, 17, 37, 70)))
        parts = rng.choice(keys[suite]), rng.randbytes(12), aad, rng.randbytes(size)
        made.append(new_job(suite, *parts))
    return made


def check_rows(kernel, some, in_place, run=None) -> None:
    rows = Rows(kernel, some)
    outputs, tags = rows.seal(in_place=in_place, run=run)
    expected = rows.joined([job.ciphertext for job in some])
    assert not first_difference(outputs, expected, rows)
    assert tags == [job.tag for job in some]
    outputs, statuses = rows.open(in_place=in_place)
    assert not first_difference(outputs, rows.joined([job.plaintext for job in some]), rows)
    assert not any(statuses)


@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in_place"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_length_at_each_position_of_the_core(kernel, in_place, by_tier, rng):
    _, lib = load()
    kernel_or_skip(kernel)
    before, done, seen = lib.interleaved_calls(), 0, set()
    for shift in rng.sample(range(LARGEST), by_tier(1, 65, 65)):
        for some in batches(jobs(), shift):
            check_rows(kernel, some, in_place)
            seen.update((len(job.plaintext), position) for position, job in enumerate(some))
            done += 1
    interleaved = lib.interleaved_calls() - before
    print(f"{done} batches, {len(seen)} pairs of length and position, {interleaved} interleaved")
    assert len(seen) == by_tier(len(seen), 4129 * LARGEST, 4129 * LARGEST)
    assert interleaved >= 2 * done  # once to seal and once to open, at the least


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_late_block_is_reported(kernel):
    """The seeded fault: the block at byte 1792 is the one that belongs behind it."""
    _, lib = load()
    kernel_or_skip(kernel)

    def run(specs, count, sealing):
        lib.run_faulty(specs, count, sealing, lib.FAULT_LATE_BLOCK)

    short = [job for job in jobs() if len(job.plaintext) < 1824][:LARGEST]
    check_rows(kernel, short, False, run)
    (long,) = (job for job in jobs() if len(job.plaintext) == 1824)
    with pytest.raises(AssertionError, match="row 40 of 65, 1824 bytes, differs at byte 1792"):
        check_rows(kernel, [*short[:40], long, *short[41:]], False, run)
