"""Ours against ours: that no shape of traffic falls off a cliff. And what an object costs.

Every figure is a ratio within one process, or a plain amount (bytes, microseconds). See gates.py.
"""

import random
import subprocess
import sys
import threading
from bisect import bisect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

from frames import mixed
from interleave import Contender, race, ratio
from workloads import Batches, Workload, require

import pysframe

BATCH = 64


# ---- mixed lengths, many keys ----


class Sized(Workload):
    """A workload of given frame sizes instead of one."""

    def __init__(self, suite: int, sizes: list[int]) -> None:
        super().__init__(suite, 0)
        self.count = len(sizes) // BATCH * BATCH
        self.frames = [self.rng.randbytes(size) for size in sizes[: self.count]]


def mixed_traffic(suite: int, repetitions: int, keys: int = 1000) -> float:
    """Audio 3 : video 1 in batches of 64 against the same frames in batches of their own length."""
    sizes = mixed(1024, random.Random(7))
    grid = sorted({20, 48, 64, 80, 96, 112, 128, 160, *range(256, max(sizes) + 512, 512)})
    contenders = [replace(Batches(Sized(suite, sizes), keys).protect_batch(), name="mixed")]
    for size in grid:
        uniform = Batches(Sized(suite, [size] * BATCH * 4), keys).protect_batch()
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
    """Columnar, 160 bytes: each pass a fresh permutation of all keys, against 64 keys."""
    few = replace(Batches(Workload(suite, 160), BATCH).protect_batch(), name="few")
    many_workload = Workload(suite, 160)
    many_workload.count = keys // BATCH * BATCH
    many_workload.frames = [many_workload.frames[i % 256] for i in range(many_workload.count)]
    many = replace(Batches(many_workload, keys).protect_batch(), name="many")
    timings = race([few, many], repetitions)
    return ratio(timings["many"], timings["few"])


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

    def run(_: Any) -> list[bytes]:
        protect = sender.protect
        return [protect(frame, metadata) for frame in w.frames]

    def check(_: Any, out: list[bytes]) -> None:
        require([receiver.unprotect(c, metadata) for c in out] == w.frames, "metadata")

    return Contender("long", w.count, lambda: None, run, check)


# ---- threads ----


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
    calls = max(400_000 // (rows * (size + 300)), 4)

    def work() -> None:
        for _ in range(calls):
            pysframe.protect_batch(sender, batch, out=out)

    return work


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


# ---- objects ----


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def bytes_each(kind: str, count: int = 10_000) -> float:
    """Growth of a fresh process over `count` objects: in a used one freed pages would hide it."""
    program = (
        f"import shapes; make = shapes.make_{kind}; kept = [make(-1 % 2**63)]; "
        f"before = shapes.resident(); kept += [make(i) for i in range({count})]; "
        f"print((shapes.resident() - before) / {count})"
    )
    here = Path(__file__).parent
    return float(subprocess.check_output([sys.executable, "-c", program], cwd=here, text=True))


def make_sender(i: int, suite: int = 4) -> pysframe.Sender:
    return pysframe.Sender(suite, kid=i, base_key=random.randbytes(16), next_ctr=0)


def make_receiver(i: int, suite: int = 4) -> pysframe.Receiver:
    receiver = pysframe.Receiver(suite)
    receiver.add_key(i, random.randbytes(16))
    return receiver


def microseconds(make: Callable[[int], Any], count: int = 2000) -> float:
    """The median over ten runs of making `count` objects, each."""
    runs = []
    for _ in range(10):
        start = perf_counter_ns()
        kept = [make(i) for i in range(count)]
        runs.append((perf_counter_ns() - start) / count / 1000)
        del kept
    return median(runs)


def add_key_microseconds(count: int = 1000) -> float:
    """Receiver.add_key, key schedule included, on receivers that are there."""
    runs = []
    for _ in range(10):
        receivers = [pysframe.Receiver(4) for _ in range(count)]
        keys = [random.randbytes(16) for _ in range(count)]
        start = perf_counter_ns()
        for receiver, key in zip(receivers, keys, strict=True):
            receiver.add_key(7, key)
        runs.append((perf_counter_ns() - start) / count / 1000)
    return median(runs)
