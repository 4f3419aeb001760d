"""What is around a batch: building one, reading its rows, headers, key flow, and the import.

None of these reaches a kernel. Each is a share of cryptography's bare AESGCM.encrypt of 160 bytes,
timed in the same turns; the import is compared with that of three modules of the standard library.
"""

import os
import random
import subprocess
import sys
from array import array
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import numpy
from contests import Shape, Worst
from interleave import BLOCK, Contender, Match
from peers import cryptography
from verdicts import Measured
from workloads import PeerCalls, Workload, require

import pysframe

SUITE, SIZE = 4, 160
CALLS = 16  # of 64 rows, in one run
TURNS = 41
MANY = 10_000  # keys of one Receiver
MANY_TURNS = 9
POLLS = 8  # until every key is seen to flow


def share(match: Match) -> float:
    return match.times("ours", "cryptography")


def encrypt() -> Contender:
    return PeerCalls(Workload(SUITE, SIZE, 2 * BLOCK), cryptography()).sealing()


def calls(given: Any, call: Callable[..., Any], right: Callable[[Any], bool]) -> list[Contender]:
    """CALLS times call(*given); every result must be right."""

    def run(jobs: list[Any]) -> list[Any]:
        return [call(*job) for job in jobs]

    def check(_: list[Any], out: list[Any]) -> None:
        require(all(map(right, out)), "a result around a batch")

    return [Contender("ours", CALLS * BLOCK, lambda: [given] * CALLS, run, check), encrypt()]


# ---- frames and batches ----


def frames_of(size: int) -> list[bytes]:
    return [random.randbytes(size) for _ in range(BLOCK)]


def built(column: Callable[[str, list[int]], Any]) -> list[Contender]:
    frames = frames_of(SIZE)
    starts = list(accumulate(map(len, frames[:-1]), initial=0))
    given = b"".join(frames), column("q", starts), column("i", [SIZE] * BLOCK)
    return calls(given, pysframe.FrameBatch, lambda batch: batch.to_list() == frames)


def as_numpy(code: str, values: list[int]) -> Any:
    return numpy.array(values, dtype=code)


def from_frames(size: int) -> list[Contender]:
    frames = frames_of(size)
    make = pysframe.FrameBatch.from_frames
    return calls((frames,), make, lambda batch: batch.to_list() == frames)


def read(how: Callable[[pysframe.FrameBatch], Any]) -> list[Contender]:
    frames = frames_of(SIZE)
    batch = pysframe.FrameBatch.from_frames(frames)
    return calls((batch,), how, lambda rows: rows == frames)


def by_loop(batch: pysframe.FrameBatch) -> Any:
    return [row for row in batch]  # a loop, which also keeps what it found


def by_index(batch: pysframe.FrameBatch) -> Any:
    return [batch[i] for i in range(BLOCK)]


# ---- headers ----


class Ciphertexts:
    """64 of as many senders, and what their headers say."""

    def __init__(self) -> None:
        workload = Workload(SUITE, SIZE, BLOCK)
        senders = [workload.sender()[0] for _ in range(BLOCK)]
        self.said = [(sender.kid, sender.next_ctr) for sender in senders]
        self.sealed = pysframe.protect_many(senders, workload.frames)

    def are_in(self, found: Any) -> bool:
        return list(zip(found.kid, found.ctr, strict=True)) == self.said and not any(found.status)


def headers(columns: bool) -> list[Contender]:
    made = Ciphertexts()
    given = pysframe.FrameBatch.from_frames(made.sealed) if columns else made.sealed
    return calls((given,), pysframe.parse_headers, made.are_in)


def each_header() -> list[Contender]:
    made, parse = Ciphertexts(), pysframe.Header.parse

    def right(found: Any) -> bool:
        return [(header.kid, header.ctr) for header in found] == made.said

    return calls((made.sealed,), lambda sealed: [parse(one) for one in sealed], right)


# ---- key flow ----


class Polled:
    """A Receiver of so many keys, on each of which a frame was opened since it was last polled."""

    def __init__(self, count: int) -> None:
        workload = Workload(SUITE, 16, count)
        self.frames, self.receiver, self.senders = workload.frames, pysframe.Receiver(SUITE), []
        for kid in range(count):
            key = workload.rng.randbytes(16)
            self.senders.append(pysframe.Sender(SUITE, kid=kid, base_key=key, next_ctr=1 << 24))
            self.receiver.add_key(kid, key)
        self.opened = 0

    def open(self) -> float:
        """Now, in seconds, one after the last."""
        sealed = pysframe.protect_many(self.senders, self.frames)
        require(pysframe.unprotect_many(self.receiver, sealed).ok, "frames for key_flow")
        self.opened += 1
        return float(self.opened)

    def prepare(self) -> list[float]:
        self.run([self.open()])  # what else warms the code: a second poll alone has no news
        return [self.open()]

    def run(self, times: list[float]) -> list[Any]:
        flows = [self.receiver.key_flow(now) for now in times]
        for flow in flows:
            for entry in flow.values():
                entry.state, entry.rejected  # noqa: B018  what a caller reads
        return flows

    def check(self, _: Any, flows: list[Any]) -> None:
        entries = [entry for flow in flows for entry in flow.values()]
        require(len(entries) == len(self.senders), "key_flow: keys")
        for entry in entries:
            require(entry.state is pysframe.KeyState.FLOWING, "key_flow: a state")
            require(not any(entry.rejected.values()), "key_flow: rejected")
            require(entry.opened == self.opened, "key_flow: opened")


def key_flow(count: int) -> list[Contender]:
    polled = Polled(count)
    for _ in range(POLLS):
        polled.prepare()
    ours = Contender("ours", count, polled.prepare, polled.run, polled.check, warm=False)
    return [ours, encrypt()]


# ---- the import ----

BASE = "math, array, secrets"
UNWANTED = ("numpy", "cryptography", "Crypto", "pysframe.engine.twin")
IMPORT = """
from time import perf_counter_ns as now
start = now()
import {modules}
spent = now() - start
import sys
loaded = [name for name in {unwanted} if name in sys.modules]
assert not loaded, loaded
print(spent)
"""
IMPORTS = 5


class Imports:
    """The quickest import of the package beside that of BASE, each in fresh processes.

    The child reads the clock, so that the interpreter's own start is in neither. No switch of ours
    is set: one that names a kernel would look at every engine.
    """

    def __init__(self) -> None:
        self.best = {"pysframe": float("inf"), BASE: float("inf")}

    def go_on(self, longer: int) -> Measured:
        plain = {name: value for name, value in os.environ.items() if "PYSFRAME" not in name}
        for _ in range(IMPORTS * longer):
            for modules in random.sample(list(self.best), len(self.best)):
                program = IMPORT.format(modules=modules, unwanted=UNWANTED)
                command = [sys.executable, "-c", program]
                spent = int(subprocess.check_output(command, env=plain))
                self.best[modules] = min(spent, self.best[modules])
        return Measured(self.best["pysframe"] / self.best[BASE], self.best["pysframe"])


# ---- the rows of budgets.toml ----


def _share(make: Callable[[], list[Contender]], turns: int = TURNS) -> Shape:
    return Shape("x encrypt", True, lambda: Worst([Match(make)], turns, share))


SHAPES = {
    "FrameBatch(...), array": _share(partial(built, array)),
    "FrameBatch(...), NumPy": _share(partial(built, as_numpy)),
    "from_frames 80 B": _share(partial(from_frames, 80)),
    "from_frames 160 B": _share(partial(from_frames, 160)),
    "for row in batch": _share(partial(read, by_loop)),
    "batch[i]": _share(partial(read, by_index)),
    "parse_headers, columns": _share(partial(headers, True)),
    "parse_headers, list": _share(partial(headers, False)),
    "Header.parse": _share(each_header),
    "key_flow, 64 keys": _share(partial(key_flow, BLOCK)),
    "key_flow, 10,000 keys": _share(lambda: key_flow(MANY), MANY_TURNS),
    "import pysframe": Shape("x " + BASE, True, Imports),
}
