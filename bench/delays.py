"""A copy of the library that is slow where it is told to be, for trials of the gates.

The copy has every file of this checkout, and c/delay.c between the library and its kernels, and
between it and what it calls around a batch. How much a delay must be is found by measuring with it:
such that a row's figure is 25 % beyond its gate, whatever that takes on this machine.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gates
from verdicts import Contest, Measured, Verdict

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "trial"
CALLED = (  # around a batch: what it calls, without a kernel
    "PyObject_GetBuffer",
    "PyMemoryView_FromObject",
    "PyBytes_FromStringAndSize",
    "sfr_header_parse",
    "sfr_receiver_keys",
)
FAMILY_OF_SUITE = {1: 2, 4: 0, 5: 1, 6: 3}
# Links delay.c between the library and its kernels, and around a batch.
WRAPPED = " ".join(f"-Wl,--wrap={symbol}" for symbol in ("sfr_init", *CALLED))
BEYOND = 1.25
CLOSE = 0.03  # of the figure that is aimed at
MOST_GUESSES = 20


# ---- the copy ----


def build(engine: Path | None = None) -> Path:
    """Makes the copy and builds its engine, or takes one that was made as its own would be; its
    root."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT
    )
    for name in listed.decode().split("\0")[:-1]:
        (COPY / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, COPY / name)
    if engine:
        shutil.copy(engine, COPY / "src" / "pysframe" / "engine")
        return COPY
    shutil.copy(ROOT / "bench" / "c" / "delay.c", COPY / "csrc" / "aead" / "delay.c")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=COPY, env=environment() | {"PYSFRAME_BUILD": "require"}, check=True)
    return COPY


def environment(kernel: str = "", slow: str = "") -> dict[str, str]:
    """In which Python finds the copy, and in which more of it is linked."""
    found = os.environ | {
        "PYTHONPATH": str(COPY / "src"),
        "LDFLAGS": WRAPPED,
        "SFR_TRIAL": slow,  # a name that around.Imports lets through
    }
    return found | ({"PYSFRAME_KERNEL": kernel} if kernel else {})


def set_slow(clauses: str) -> None:
    """From now on, in this process and in those it starts. Only in a copy."""
    from pysframe.engine import _native

    os.environ["SFR_TRIAL"] = clauses
    ctypes.CDLL(_native.__file__).delay_set(clauses.encode())


# ---- the points of all rows ----


@dataclass(frozen=True)
class Point:
    """One verdict's place. kind and size are those of a clause in delay.c."""

    asked: Verdict
    begin: Callable[[], Contest]
    kind: str
    family: str
    half: str
    size: str

    def clause(self, amount: float, late: bool = False) -> str:
        kernel = "*" if self.kind in AROUND.values() else self.asked.kernel
        kind = "late" if late else self.kind
        return f"{kind} {kernel} {self.family} {self.half} {self.size} {amount:.1f};"

    @property
    def name(self) -> str:
        return f"{self.asked.name} {self.asked.where}".strip()


SHAPE_KINDS = {
    "mixed traffic": "mixed",
    "10,000 keys": "keys",
    "page edges": "edge",
    "long header, metadata": "aad",
    "threads": "crowd",
    "memory": "bytes",
    "Sender(...)": "init",
    "Receiver.add_key": "init",
    "tick:": "frame",
}
AROUND = {
    "tick: columns sealed": "buffer",
    "FrameBatch(...)": "buffer",
    "from_frames": "block",
    "for row in batch": "view",
    "batch[i]": "view",
    "parse_headers": "block",
    "Header.parse": "header",
    "key_flow": "report",
    "import pysframe": "load",
}


def rows(kernel: str) -> Iterator[list[Point]]:
    """The points of each row of a kernel's budget."""
    budget = gates.budgets()
    tier = gates.tier(budget, kernel)
    for kind, points in gates.POINTS.items():
        for row in tier[kind]:
            yield [
                _point(gates.asked(kernel, row, where, budget), begin, kind, row)
                for where, begin in points(kernel, row)
            ]


def _point(asked: Verdict, begin: Callable[[], Contest], kind: str, row: dict[str, Any]) -> Point:
    if "shape" in row:
        return Point(asked, begin, _kind_of(kind, row["shape"]), "*", "*", "*")
    words = asked.where.split()  # suite 4 80 B open
    opens = words[-1] == "open" or row.get("call", "").startswith("un")
    family = str(FAMILY_OF_SUITE[int(words[1])])
    return Point(asked, begin, "frame", family, "open" if opens else "seal", words[2])


def _kind_of(kind: str, shape: str) -> str:
    if kind == "floors":
        return "frame"
    known = AROUND | SHAPE_KINDS
    return next(found for name, found in known.items() if shape.startswith(name))


# ---- how much a delay must be ----

# Steps, each of about a nanosecond, by kind.
FIRST_GUESSES = dict.fromkeys(("frame", "mixed", "keys", "edge", "aad", "view", "report"), 50.0) | {
    "init": 3000.0,
    "bytes": 512.0,
    "crowd": 200.0,
    "late": 4000.0,
    "buffer": 500.0,
    "block": 1000.0,
    "header": 100.0,
    "load": 1e7,
}


def amount_for(point: Point, late: bool = False) -> tuple[float, float]:
    """The delay that takes the point 25 % beyond its gate, and the figure it has with it; late:
    a delay of one block of 13, and the gate of the 99th percentile.

    Both are measured: with no delay, with a guess, and with what follows from the two.
    """
    most, gate = point.asked.most, point.asked.late_gate if late else point.asked.gate
    aim = gate * (BEYOND if most else 1 / BEYOND)

    def inverse(amount: float) -> float:
        """Of a floor's figure, the inverse, so that it grows with the delay as a ceiling's does."""
        set_slow(point.clause(amount, late))
        found = _measured(point.begin())
        figure = found.late if late else found.figure
        return figure if most else 1 / figure

    wanted = aim if most else 1 / aim
    tried = [(0.0, inverse(0.0))]
    guess = FIRST_GUESSES["late" if late else point.kind]
    for _ in range(MOST_GUESSES):
        figure = inverse(guess)
        if abs(figure / wanted - 1) < CLOSE:
            return guess, figure if most else 1 / figure
        tried.append((guess, figure))
        guess = _between(tried, wanted)
    raise SystemExit(f"{point.name}: no delay makes it {aim:.4g}: {tried}")


def _between(tried: list[tuple[float, float]], wanted: float) -> float:
    """The next amount, from those tried and what they led to. It lies on the line through the
    nearest on either side, since a core hides a part of a short delay behind other work; or on that
    through the first and the latest, where none is on the other side, or the two are so close that
    one of them was chance."""
    below = max((pair for pair in tried if pair[1] < wanted), default=tried[0])
    above = min((pair for pair in tried if pair[1] > wanted), default=tried[0])
    if above[0] - below[0] < CLOSE * above[0] or above == tried[0]:
        below, above = tried[0], tried[-1]
    slope = (above[1] - below[1]) / (above[0] - below[0])
    return below[0] + (wanted - below[1]) / slope if slope > 0 else 4 * above[0]


def _measured(contest: Contest) -> Measured:
    for longer in (1, 2, 3):
        found = contest.go_on(longer)
    return found
