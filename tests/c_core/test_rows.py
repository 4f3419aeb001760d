"""Rows in company: batches of 1 to 65, mixed in every way, and bad ones among good ones."""

import random
from functools import cache

import pytest
from c_core.rows import FAMILIES, Rows, first_difference, random_job
from parties import flipped

from pysframe import FrameStatus

OK, REFUSED = FrameStatus.OK, FrameStatus.AUTHENTICATION_FAILED
COUNTS = range(1, 66)
SIZES = (0, 1, 15, 16, 17, 40, 63, 64, 65, 80, 120, 160, 161, 300, 640, 1200, 1263, 1300, 2100)


@cache
def pool(suite):
    """Jobs to draw from: every size, all kinds of AAD, four keys."""
    rng = random.Random(f"pool {suite}")
    keys = [rng.randbytes(suite.Nk) for _ in range(4)]
    jobs = [random_job(rng, suite, size + rng.choice((0, 0, 3))) for size in SIZES * 4]
    return jobs, keys


def drawn(rng, suites, count):
    return [rng.choice(pool(rng.choice(suites))[0]) for _ in range(count)]


def assert_seals_and_opens(rows, in_place=False):
    outputs, tags = rows.seal(in_place=in_place)
    expected = rows.joined([job.ciphertext for job in rows.jobs])
    assert not first_difference(outputs, expected, rows)
    assert tags == [job.tag for job in rows.jobs]
    outputs, statuses = rows.open(in_place=in_place)
    expected = rows.joined([job.plaintext for job in rows.jobs])
    assert not first_difference(outputs, expected, rows)
    assert statuses == [OK] * rows.count


@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in_place"])
def test_batches_of_one_family(kernel, family, in_place, rng):
    for count in COUNTS:
        assert_seals_and_opens(Rows(kernel, drawn(rng, [family], count)), in_place)


@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in_place"])
def test_batches_of_all_families(kernel, in_place, rng):
    for count in COUNTS:
        assert_seals_and_opens(Rows(kernel, drawn(rng, FAMILIES, count)), in_place)


def test_rows_of_one_size_and_key(kernel, family, rng):
    """What interleaves best: the same size in every row, with one key and with one key each."""
    key = rng.randbytes(family.Nk)
    for size in (0, 40, 80, 160, 1200):
        for count in (2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65):
            jobs = [random_job(rng, family, size) for _ in range(count)]
            assert_seals_and_opens(Rows(kernel, jobs))
            alike = [job._replace(sframe_key=key) for job in jobs]
            rows = Rows(kernel, alike)
            outputs, tags = rows.seal()
            again, tags_alone = rows.seal(run=rows.lib.run_alone)
            assert (outputs, tags) == (again, tags_alone)


def test_interleaved_calls_are_counted(core, kernel, family, rng):
    _, lib = core
    for count, moved in ((1, 0), (2, 2), (65, 2)):
        rows = Rows(kernel, drawn(rng, [family], count))
        before = lib.interleaved_calls()
        assert_seals_and_opens(rows)
        assert lib.interleaved_calls() - before >= moved
        assert moved or lib.interleaved_calls() == before


def test_every_alignment(kernel, family, rng):
    """Inputs against outputs at each of 64 shifts; odd sizes bring each alignment of both."""
    rows = Rows(kernel, [random_job(rng, family, 2 * rng.randrange(90) + 1) for _ in range(130)])
    for shift in range(64):
        rows.shift = shift
        assert_seals_and_opens(rows)


# ---- bad rows ----


def opened(rows, bad):
    """What must come out when the tags of the rows in `bad` do not fit."""
    return rows.joined(
        [
            bytes(len(job.plaintext)) if row in bad else job.plaintext
            for row, job in enumerate(rows.jobs)
        ]
    ), [REFUSED if row in bad else OK for row in range(rows.count)]


def open_with_bad_tags(rows, bad, rng, in_place, run=None):
    tags = [job.tag for job in rows.jobs]
    for row in bad:
        tags[row] = flipped(tags[row], rng.randrange(len(tags[row])), 1 << rng.randrange(8))
    outputs, statuses = rows.open(in_place=in_place, tags=tags, run=run)
    expected, expected_statuses = opened(rows, bad)
    assert not first_difference(outputs, expected, rows)
    assert statuses == expected_statuses


@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in_place"])
def test_a_bad_tag_at_each_position(kernel, family, in_place, rng):
    for count in COUNTS:
        rows = Rows(kernel, drawn(rng, [family], count))
        for position in range(count):
            open_with_bad_tags(rows, {position}, rng, in_place)


def test_any_number_of_bad_tags(kernel, rng):
    for count in COUNTS:
        rows = Rows(kernel, drawn(rng, FAMILIES, count))
        for share in (0.1, 0.5, 1.0):
            bad = {row for row in range(count) if rng.random() < share}
            open_with_bad_tags(rows, bad, rng, rng.random() < 0.5)


def test_a_changed_byte_of_anything_is_refused(kernel, family, rng):
    """Ciphertext, AAD, nonce or key: the row's plaintext is zeros then, its neighbours' is not."""
    for count in (1, 5, 16):
        for _ in range(20):
            jobs = drawn(rng, [family], count)
            row = rng.randrange(count)
            jobs[row] = spoiled(jobs[row], rng)
            rows = Rows(kernel, jobs)
            assert rows.open() == opened(rows, {row})


def spoiled(job, rng):
    field = rng.choice(("nonce", "aad", "sframe_key", "sealed"))
    value = getattr(job, field)
    # Of an HMAC suite's key the first Nka bytes only decrypt: no tag can tell.
    first = job.suite.Nka if field == "sframe_key" else 0
    changed = flipped(value, rng.randrange(first, len(value)), 1 << rng.randrange(8))
    return job._replace(**{field: changed})


def test_left_over_plaintext_is_noticed(core, kernel, family, rng):
    """The seeded fault: a refused row keeps one byte."""
    _, lib = core

    def run(specs, count, sealing):
        lib.run_faulty(specs, count, sealing, lib.FAULT_KEEP_PLAINTEXT)

    rows = Rows(kernel, [random_job(rng, family, 160) for _ in range(3)])
    open_with_bad_tags(rows, set(), rng, False, run)
    with pytest.raises(AssertionError, match="row 1 of 3, 160 bytes, differs at byte 159"):
        open_with_bad_tags(rows, {1}, rng, False, run)
