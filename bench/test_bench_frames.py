"""pytest-benchmark's tables: `make bench-tables`. Ratios come from gates.py, not from here."""

import peers
import pytest
from gates import OURS
from workloads import Workload

SIZES = (40, 160, 1200)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("row", OURS)
def test_bench_ours(benchmark, row, size):
    contender = OURS[row](Workload(4, size))
    benchmark.group = f"{size} bytes"
    benchmark.extra_info["frames"] = contender.count
    given = []

    def setup():
        given[:] = [contender.prepare()]
        return (given[0],), {}

    result = benchmark.pedantic(contender.run, setup=setup, rounds=30)
    contender.check(given[0], result)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [peers.cryptography, peers.pycryptodome])
def test_bench_peer(benchmark, make, size):
    contender = Workload(4, size).peer_seal(make())
    benchmark.group = f"{size} bytes"
    benchmark.extra_info["frames"] = contender.count
    given = contender.prepare()
    contender.check(given, benchmark.pedantic(contender.run, args=(given,), rounds=10))
