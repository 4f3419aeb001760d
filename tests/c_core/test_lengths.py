"""Every length from 0 to 4128 on every kernel, against another library.

Public vectors end at 513 bytes and a wide kernel takes 1024 at a time: real faults have hidden
between the two.
"""

import random
from functools import cache

import pytest
from c_core.rows import FAMILIES, Rows, first_difference, new_job

LENGTHS = range(4129)
LONG = [n + d for n in (8192, 16384, 65536, 262144, 1 << 20) for d in (-17, -1, 0, 1, 33)]
IN_PLACE = pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in_place"])
AAD_SIZES = (1, 2, 5, 9, 13, 16, 17, 37, 70)


@cache
def jobs_of(suite, lengths):
    """The same for every kernel; another AAD size and nonce each, a new key now and then."""
    rng = random.Random(f"{suite} {lengths}")
    keys = [rng.randbytes(suite.Nk) for _ in range(7)]
    return [
        new_job(
            suite,
            keys[n // 64 % len(keys)],
            rng.randbytes(12),
            rng.randbytes(AAD_SIZES[n % len(AAD_SIZES)]),
            rng.randbytes(n),
        )
        for n in lengths
    ]


def check(rows, in_place, run=None):
    jobs = rows.jobs
    outputs, tags = rows.seal(in_place=in_place, run=run)
    expected = rows.joined([job.ciphertext for job in jobs])
    assert not first_difference(outputs, expected, rows)
    assert tags == [job.tag for job in jobs]
    outputs, statuses = rows.open(in_place=in_place, run=run)
    assert not first_difference(outputs, rows.joined([job.plaintext for job in jobs]), rows)
    assert not any(statuses)


@IN_PLACE
@pytest.mark.parametrize("way", ["run_rows", "run_alone"], ids=["batched", "alone"])
def test_every_length(core, kernel, family, in_place, way):
    _, lib = core
    check(Rows(kernel, jobs_of(family, LENGTHS)), in_place, getattr(lib, way))


@IN_PLACE
def test_longer_ones(kernel, family, in_place):
    check(Rows(kernel, jobs_of(family, tuple(LONG))), in_place)


def test_a_wrong_byte_deep_inside_is_noticed(core, kernel):
    """The seeded fault: one bit at byte 1999 of long rows."""
    _, lib = core

    def run(specs, count, sealing):
        lib.run_faulty(specs, count, sealing, lib.FAULT_WRONG_BYTE)

    with pytest.raises(AssertionError, match="2001 bytes, differs at byte 1999"):
        check(Rows(kernel, jobs_of(FAMILIES[0], LENGTHS)), False, run)
