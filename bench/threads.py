"""Two threads, each on a core of its own: what ours gain by the second, beside what a peer gains.

The peer works on two threads in the same turns, so that whoever else wants those cores takes them
from both. For batches that let go of the GIL it is cryptography's AESGCM on one long buffer: it
lets go of the GIL as well, uses the same units of the CPU, and its call takes as long as ours, so
that the GIL changes hands as often. For batches too short for that it is a call that keeps the GIL
as they do: what is asked then is only that two threads are no slower than one.

A neighbour that is never away would take a core from all turns of the peer, and make a good figure
of its bad luck. So Linux is asked how long each thread was ready and had no core. A figure is sure
when the peer has had some turns in which both threads went on undisturbed, and ours some alone.
Of ours together nothing is asked: whoever disturbs them can only make the figure worse.
"""

import hashlib
import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from time import perf_counter_ns

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from verdicts import Measured
from workloads import Workload

import pysframe

WHILE = 2_000_000  # ns of one turn: less than the time for which a neighbour keeps a core
TURNS = 40
UNDISTURBED = 0.05  # of a turn, at most, may a thread have waited for its core
ENOUGH = 10  # such turns
SUITE = 4
KEEPS_GIL = 2047  # bytes: hashlib lets go of it from 2,048 on
WAITED = Path("/proc/thread-self/schedstat")  # ns: on a core, ready without one; and how often

Work = Callable[[int], None]  # does so many calls


class ThreadsContest:
    """Gain of ours by a second thread, as many times the peer's gain.

    Both are made anew in each round, with buffers elsewhere in memory, to do the same work.
    """

    def __init__(self, size: int, rows: int, lets_go: bool) -> None:
        self.ours = _Side(partial(_batches, size, rows))
        call_ns = _call_ns(self.ours.make())
        self.theirs = _Side(partial(_seal_of, _size_for(call_ns)) if lets_go else _short_hash)

    def go_on(self, longer: int) -> Measured:
        self.ours.renew()
        self.theirs.renew()
        for _ in range(TURNS * longer):
            for side in random.sample([self.ours, self.theirs], 2):
                side.turn()
        undisturbed = self.ours.undisturbed["alone"], self.theirs.undisturbed["together"]
        return Measured(self.ours.gain / self.theirs.gain, sure=min(undisturbed) >= ENOUGH)


@dataclass(frozen=True, order=True)
class Turn:
    """ns: from the first thread's start to the last one's end. waited: how long of it the thread
    that had least luck was ready and had no core."""

    ns: float
    waited: float = 0.0

    @property
    def is_undisturbed(self) -> bool:
        return self.waited <= UNDISTURBED * self.ns


class _Side:
    """One library on two threads: the best turns so far of the same calls, alone and together."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self.make = make
        self.calls = int(WHILE // _call_ns(make())) + 1
        self.alone = self.together = Turn(float("inf"))
        self.undisturbed = {"alone": 0, "together": 0}

    def renew(self) -> None:
        self.first, self.second = (partial(self.make(), self.calls) for _ in range(2))

    def turn(self) -> None:
        self.saw(_turn([self.first]), _turn([None, self.second]), _turn([self.first, self.second]))

    def saw(self, first: Turn, second: Turn, together: Turn) -> None:
        self.alone = min(self.alone, first, second)
        self.together = min(self.together, together)
        self.undisturbed["alone"] += first.is_undisturbed or second.is_undisturbed
        self.undisturbed["together"] += together.is_undisturbed

    @property
    def gain(self) -> float:
        return 2 * self.alone.ns / self.together.ns


def _turn(tasks: list[Callable[[], None] | None]) -> Turn:
    """Each task in a thread of its own; task i is on core i."""
    cores = sorted(os.sched_getaffinity(0))
    ready = threading.Barrier(sum(task is not None for task in tasks))
    times: list[int] = []
    waits: list[int] = []

    def run(core: int, task: Callable[[], None]) -> None:
        os.sched_setaffinity(0, {core})
        with WAITED.open("rb", buffering=0) as schedstat:
            before = _waited(schedstat)
            ready.wait()
            start = perf_counter_ns()
            task()
            times.extend((start, perf_counter_ns()))
            waits.append(_waited(schedstat) - before)

    pairs = zip(cores, tasks, strict=False)
    threads = [threading.Thread(target=run, args=pair) for pair in pairs if pair[1] is not None]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Turn(max(times) - min(times), max(waits))


def _waited(schedstat: FileIO) -> int:
    """Nanoseconds for which the thread that opened it was ready to run and had no core."""
    return int(os.pread(schedstat.fileno(), 64, 0).split()[1])


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
