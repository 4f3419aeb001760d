"""Round robin in one process: how fast one way of doing a thing is beside another.

Rules of this file:
  1. Contenders take turns within every repetition, in a random order, so that a change of clock or
     a neighbour on the machine meets them all. A ratio is the median of the repetitions' ratios.
  2. What is timed is checked after every repetition: a wrong or rejected frame ends the run.
  3. The garbage collector is off while the clock runs, and nothing else is.
  4. A median is over runs of many blocks, a percentile over single blocks of BLOCK operations:
     the clock costs as much as two of them.
  5. The allocator keeps the pages it has got, as it does in a process that has run for a while:
     else a contender pays for pages that an earlier one's results gave back.
  6. What is judged, and not only shown, is the best turn of each contender. A neighbour on the
     machine can only add time, and turns are shorter than its pauses; code that is slow is slow
     in every turn.
"""

import ctypes
import gc
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median, quantiles
from time import perf_counter_ns
from typing import Any

BLOCK = 64  # operations
STRETCH = 104  # blocks, of which a 99th percentile passes over the slowest one


@dataclass(frozen=True)
class Contender:
    """One way. prepare() makes the blocks that run() consumes, untimed; check() judges what it
    returned, one result for each block.

    count: operations of one run, by which its time is divided. warm: a Match times it in the middle
    of its work, after a run like it, and not with the caches as a check left them.
    """

    name: str
    count: int
    prepare: Callable[[], list[Any]]
    run: Callable[[list[Any]], list[Any]]
    check: Callable[[list[Any], list[Any]], None]
    warm: bool = True


@dataclass(frozen=True)
class Timing:
    """Nanoseconds per operation, one figure for each repetition."""

    name: str
    ns: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.ns)

    @property
    def best(self) -> float:
        return min(self.ns)


def p99(ns: list[float]) -> float:
    return quantiles(ns, n=100, method="inclusive")[98] if len(ns) > 1 else ns[0]


def race(
    contenders: list[Contender], repetitions: int = 31, seed: int = 0, warm: bool = False
) -> dict[str, Timing]:
    """The timings of all contenders, after one repetition that only warms up; warm: each in the
    middle of its work, which a run of a single block needs."""
    keep_pages()
    order = random.Random(seed)
    results: dict[str, list[float]] = {c.name: [] for c in contenders}
    for repetition in range(repetitions + 1):
        for contender in order.sample(contenders, len(contenders)):
            ns = once(contender, warm)
            if repetition:
                results[contender.name].append(ns)
    return {name: Timing(name, tuple(ns)) for name, ns in results.items()}


class Match:
    """Contenders that take turns for as long as it takes: the best turn of each so far.

    make() makes them anew for every round, so that keys and buffers lie elsewhere in memory.
    best: nanoseconds per operation. late: the 99th percentile of single blocks, in the quietest of
    several stretches of blocks.
    """

    def __init__(self, make: Callable[[], list[Contender]]) -> None:
        self.make = make
        self.best: dict[str, float] = {}
        self.late: dict[str, float] = {}

    def go_on(self, turns: int, stretches: int = 0) -> None:
        keep_pages()
        contenders = self.make()
        for contender in contenders:
            once(contender)
        for _ in range(turns):
            for contender in random.sample(contenders, len(contenders)):
                _keep_less(self.best, contender.name, once(contender, contender.warm))
        for _ in range(stretches):
            for contender in random.sample(contenders, len(contenders)):
                _keep_less(self.late, contender.name, p99(_blocks(contender, STRETCH)))

    def times(self, one: str, other: str) -> float:
        """How many times longer the one takes than the other."""
        return self.best[one] / self.best[other]


def _keep_less(found: dict[str, float], name: str, ns: float) -> None:
    found[name] = min(ns, found.get(name, ns))


def once(contender: Contender, warm: bool = False) -> float:
    """Nanoseconds per operation of one checked run."""
    run = contender.run
    before = contender.prepare() if warm else None  # first: SRTP accepts numbers in their order
    given = contender.prepare()
    if before is not None:
        run(before)
    with _no_collector():
        start = perf_counter_ns()
        result = run(given)
        elapsed = perf_counter_ns() - start
    contender.check(given, result)
    return elapsed / contender.count


def by_block(contender: Contender, blocks: int = 250) -> list[float]:
    """Nanoseconds per operation of single blocks, at least so many, of checked runs.

    A block during which the system ran somebody else on this core is not counted.
    """
    once(contender)
    return _blocks(contender, blocks)


def _blocks(contender: Contender, blocks: int) -> list[float]:
    found: list[float] = []
    run = contender.run
    while len(found) < blocks:
        before, given = contender.prepare(), contender.prepare()
        result, times = [], []
        run(before)
        with _no_collector():
            for block in given:
                switched = _switched()
                start = perf_counter_ns()
                result += run([block])
                elapsed = perf_counter_ns() - start
                if switched == _switched():
                    times.append(elapsed)
        contender.check(given, result)
        found += [ns * len(given) / contender.count for ns in times]
    return found


def _switched() -> int:
    """How often this thread was taken off its core against its will."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


@cache
def keep_pages() -> None:
    """glibc: no trimming, and no mappings of their own for large blocks."""
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    libc = ctypes.CDLL(None)
    for option, value in (
        (trim_threshold, 1 << 30),
        (top_pad, 64 << 20),
        (mmap_threshold, 1 << 30),
    ):
        libc.mallopt(option, value)


@contextmanager
def _no_collector() -> Iterator[None]:
    gc.collect(0)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def ratio(slower: Timing, faster: Timing) -> float:
    """How many times `faster` is faster, repetition by repetition."""
    return median(s / f for s, f in zip(slower.ns, faster.ns, strict=True))
