"""Two threads, each on a core of its own: what ours gain by the second, beside what a peer gains.

The peer works on two threads in the same turns, so that whoever else wants those cores takes them
from both. For batches that let go of the GIL it is cryptography's AESGCM on one long buffer: it
lets go of the GIL as well, uses the same units of the CPU, and its call takes as long as ours, so
that the GIL changes hands as often. For batches too short for that it is a call that keeps the GIL
as they do: what is asked then is only that two threads are no slower than one.
"""

import hashlib
import os
import random
import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from verdicts import Measured
from workloads import Workload

import pysframe

WHILE = 2_000_000  # ns of one turn: less than the time for which a neighbour keeps a core
TURNS = 40
GAINS = 1.6  # a peer's gain from which on it has surely had both cores for a turn
SUITE = 4
KEEPS_GIL = 2047  # bytes: hashlib lets go of it from 2,048 on

Work = Callable[[int], None]  # does so many calls


class ThreadsContest:
    """Gain of ours by a second thread, as many times the peer's gain.

    Both are made anew in each round, with buffers elsewhere in memory, to do the same work.
    """

    def __init__(self, size: int, rows: int, lets_go: bool) -> None:
        self.ours = _Side(partial(_batches, size, rows))
        call_ns = _call_ns(self.ours.make())
        self.theirs = _Side(partial(_seal_of, _size_for(call_ns)) if lets_go else _short_hash)
        self.enough = GAINS if lets_go else GAINS / 2

    def go_on(self, longer: int) -> Measured:
        self.ours.renew()
        self.theirs.renew()
        for _ in range(TURNS * longer):
            for side in random.sample([self.ours, self.theirs], 2):
                side.turn()
        gain = self.theirs.gain
        return Measured(self.ours.gain / gain, sure=gain >= self.enough)


class _Side:
    """One library on two threads: the best turns so far of the same calls, alone and together."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self.make = make
        self.calls = int(WHILE // _call_ns(make())) + 1
        self.alone = self.together = float("inf")

    def renew(self) -> None:
        self.first, self.second = (partial(self.make(), self.calls) for _ in range(2))

    def turn(self) -> None:
        self.alone = min(self.alone, _span([self.first]), _span([None, self.second]))
        self.together = min(self.together, _span([self.first, self.second]))

    @property
    def gain(self) -> float:
        return 2 * self.alone / self.together


def _span(tasks: list[Callable[[], None] | None]) -> float:
    """Nanoseconds from the first thread's start to the last one's end; task i is on core i."""
    cores = sorted(os.sched_getaffinity(0))
    ready = threading.Barrier(sum(task is not None for task in tasks))
    times: list[int] = []

    def run(core: int, task: Callable[[], None]) -> None:
        os.sched_setaffinity(0, {core})
        ready.wait()
        start = perf_counter_ns()
        task()
        times.extend((start, perf_counter_ns()))

    pairs = zip(cores, tasks, strict=False)
    threads = [threading.Thread(target=run, args=pair) for pair in pairs if pair[1] is not None]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(times) - min(times)


def _call_ns(work: Work) -> float:
    """The quickest of some calls, alone."""
    work(2)
    times = []
    for _ in range(20):
        start = perf_counter_ns()
        work(1)
        times.append(perf_counter_ns() - start)
    return min(times)


def _batches(size: int, rows: int) -> Work:
    w = Workload(SUITE, size)
    sender, _ = w.sender()
    batch = pysframe.FrameBatch.from_frames([w.rng.randbytes(size)] * rows)
    out = bytearray(rows * (size + 33))

    def work(calls: int) -> None:
        for _ in range(calls):
            pysframe.protect_batch(sender, batch, out=out)

    return work


def _size_for(call_ns: float) -> int:
    """Bytes that the peer seals in that time."""
    trial = 1 << 16
    return max(int(trial * call_ns / _call_ns(_seal_of(trial))), 1 << 12)


def _seal_of(size: int) -> Work:
    aead, data, out = AESGCM(os.urandom(16)), os.urandom(size), bytearray(size + 16)
    numbers = iter(range(1 << 62))

    def work(calls: int) -> None:
        for _ in range(calls):
            aead.encrypt_into(next(numbers).to_bytes(12, "big"), data, None, out)

    return work


def _short_hash() -> Work:
    data = os.urandom(KEEPS_GIL)

    def work(calls: int) -> None:
        for _ in range(calls):
            hashlib.sha256(data).digest()

    return work
