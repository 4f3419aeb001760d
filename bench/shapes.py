"""Ours against ours: that no shape of traffic falls off a cliff. And what an object costs.

Every figure is a ratio within one process, or a plain amount (bytes, microseconds). See gates.py.
"""

import random
import threading
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter_ns
from typing import Any

import edges
import objects
from frames import mixed
from interleave import BLOCK, Contender, race, ratio
from workloads import Batches, Workload, blocks_of, flat, require

import pysframe

# ---- mixed lengths, many keys ----


class Sized(Workload):
    """A workload of given frame sizes instead of one."""

    def __init__(self, suite: int, sizes: list[int]) -> None:
        super().__init__(suite, 0)
        self.count = len(sizes) // BLOCK * BLOCK
        self.frames = [self.rng.randbytes(size) for size in sizes[: self.count]]


def mixed_traffic(suite: int, repetitions: int, keys: int = 1000) -> float:
    """Audio 3 : video 1 in batches of 64 against the same frames in batches of their own length."""
    sizes = mixed(1024, random.Random(7))
    grid = sorted({20, 48, 64, 80, 96, 112, 128, 160, *range(256, max(sizes) + 512, 512)})
    contenders = [replace(Batches(Sized(suite, sizes), keys).protect_batch(), name="mixed")]
    for size in grid:
        uniform = Batches(Sized(suite, [size] * BLOCK * 4), keys).protect_batch()
        contenders.append(replace(uniform, name=str(size)))
    timings = race(contenders, repetitions)
    costs = [timings[str(size)].median for size in grid]
    expected = sum(_between(grid, costs, size) for size in sizes) / len(sizes)
    return timings["mixed"].median / expected


def _between(grid: list[int], costs: list[float], size: int) -> float:
    right = min(max(bisect(grid, size), 1), len(grid) - 1)
    low, high = grid[right - 1], grid[right]
    return costs[right - 1] + (costs[right] - costs[right - 1]) * (size - low) / (high - low)


def many_keys(suite: int, repetitions: int, keys: int = 10_000) -> float:
    """Columnar, 160 bytes: each pass a fresh permutation of all keys, against 64 keys.

    Both protect the same number of frames a pass, into fresh memory, after a pass like it, so that
    the keys are all the difference. The best passes of both: what a neighbour does to the cache
    that all cores share is not ours.
    """
    count = keys // BLOCK * BLOCK
    passes = [Batches(_pass_of(suite, count), held).protect_batch() for held in (BLOCK, keys)]
    few, many = (replace(_after_another(c), name=n) for c, n in zip(passes, "fm", strict=True))
    timings = race([few, many], repetitions)
    return timings[many.name].best / timings[few.name].best


def _after_another(contender: Contender) -> Contender:
    """Timed in the middle of its work, and not after the check of what it made before, which goes
    through all receivers and leaves the caches to them."""

    def prepare() -> list[Any]:
        given = contender.prepare()
        contender.run(contender.prepare())
        return given

    return replace(contender, prepare=prepare)


def _pass_of(suite: int, count: int) -> Workload:
    workload = Workload(suite, 160)
    workload.frames = [workload.frames[i % workload.count] for i in range(count)]
    workload.count = count
    return workload


# ---- one call ----


def long_header_and_metadata(suite: int, repetitions: int) -> float:
    """A 17-byte header and 20 bytes of metadata against a short header and none; 160 bytes."""
    plain = replace(Workload(suite, 160).protect(), name="plain")
    timings = race([plain, _with_metadata(Workload(suite, 160))], repetitions)
    return ratio(timings["long"], timings["plain"])


def _with_metadata(w: Workload) -> Contender:
    key, kid, metadata = w.rng.randbytes(16), 1 << 63, w.rng.randbytes(20)
    sender = pysframe.Sender(w.suite, kid=kid, base_key=key, next_ctr=1 << 63)
    receiver = pysframe.Receiver(w.suite)
    receiver.add_key(kid, key)
    blocks = blocks_of(w.frames)

    def run(blocks: list[Any]) -> list[Any]:
        protect = sender.protect
        return [[protect(frame, metadata) for frame in block] for (block,) in blocks]

    def check(_: Any, out: list[Any]) -> None:
        require([receiver.unprotect(c, metadata) for c in flat(out)] == w.frames, "metadata")

    return Contender("long", w.count, lambda: blocks, run, check)


# ---- threads ----

WHILE = 20_000_000  # ns


def two_threads(size: int, rows: int, repetitions: int, suite: int = 4) -> float:
    """Throughput of two threads, each with batches of its own, against one thread's."""
    work = [_batch_work(suite, size, rows) for _ in range(2)]
    ratios = []
    for _ in range(repetitions):
        alone = _seconds([work[0]])
        together = _seconds(work)
        ratios.append(2 * alone / together)
    return median(ratios)


def _batch_work(suite: int, size: int, rows: int) -> Callable[[], None]:
    w = Workload(suite, size)
    sender, _ = w.sender()
    batch = pysframe.FrameBatch.from_frames([w.rng.randbytes(size)] * rows)
    out = bytearray(rows * (size + 33))

    def work(calls: int) -> None:
        for _ in range(calls):
            pysframe.protect_batch(sender, batch, out=out)

    return partial(work, _calls_for(work))


def _calls_for(work: Callable[[int], None]) -> int:
    """How many calls take a while: threads take turns every 5 ms, and take long to start."""
    work(8)
    start = perf_counter_ns()
    work(8)
    return 8 * WHILE // (perf_counter_ns() - start) + 1


def _seconds(work: list[Callable[[], None]]) -> float:
    start = threading.Barrier(len(work) + 1)

    def run(task: Callable[[], None]) -> None:
        start.wait()
        task()

    threads = [threading.Thread(target=run, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    start.wait()
    begun = perf_counter_ns()
    for thread in threads:
        thread.join()
    return (perf_counter_ns() - begun) / 1e9


# ---- the list that budgets.toml names ----


@dataclass(frozen=True)
class Shape:
    unit: str
    most: bool  # the bar is a ceiling
    measure: Callable[[], float]


def worst(of: Callable[[int], float], suites: tuple[int, ...] = (4, 5)) -> Callable[[], float]:
    return lambda: max(of(suite) for suite in suites)


SHAPES = {
    "mixed traffic": Shape("x uniform", True, worst(partial(mixed_traffic, repetitions=21))),
    "10,000 keys": Shape("x 64 keys", True, worst(partial(many_keys, repetitions=61))),
    "page edges": Shape("x mid-page", True, worst(edges.worst_of)),
    "long header, metadata": Shape(
        "x plain", True, worst(partial(long_header_and_metadata, repetitions=41))
    ),
    "threads 1200 B x 1024": Shape("x one", False, lambda: two_threads(1200, 1024, 15)),
    "threads 160 B x 1024": Shape("x one", False, lambda: two_threads(160, 1024, 15)),
    "threads 160 B x 64": Shape("x one", False, lambda: two_threads(160, 64, 15)),
    "memory of a Sender": Shape("bytes", True, lambda: objects.bytes_each("sender")),
    "memory of a Receiver": Shape("bytes", True, lambda: objects.bytes_each("receiver")),
    "Sender(...)": Shape("us", True, lambda: objects.microseconds(objects.make_sender)),
    "Receiver.add_key": Shape("us", True, objects.add_key_microseconds),
}
