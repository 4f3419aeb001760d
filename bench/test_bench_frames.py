"""pytest-benchmark's tables: `make bench-tables`. Ratios come from gates.py, not from here.

A round is one block of 64 frames; every round has material of its own, which is checked.
"""

import peers
import pytest
from gates import OURS
from interleave import BLOCK
from workloads import PeerCalls, Workload

SIZES = (40, 160, 1200)
ROUNDS = 30


def run_rounds(benchmark, contender, size):
    given, results = [], []

    def setup():
        given[:] = [contender.prepare()]
        return (given[0],), {}

    def run(blocks):
        results[:] = contender.run(blocks)

    benchmark.group = f"{BLOCK} frames of {size} bytes"
    benchmark.pedantic(run, setup=setup, rounds=ROUNDS, warmup_rounds=1)
    contender.check(given[0], results)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("call", OURS)
def test_bench_ours(benchmark, call, size):
    run_rounds(benchmark, OURS[call](Workload(4, size, BLOCK)), size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("half", ["seal", "open"])
@pytest.mark.parametrize("make", peers.ALL, ids=lambda make: make.__name__)
def test_bench_peer(benchmark, make, half, size):
    peer = make()
    suite = peer.suites[0]
    calls = PeerCalls(Workload(suite, size, BLOCK), peer)
    run_rounds(benchmark, calls.sealing() if half == "seal" else calls.opening(), size)
