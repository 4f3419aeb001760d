"""A copy of the library that is slow where it is told to be, for trials of the gates.

The copy has every file of this checkout, and c/delay.c between the library and its kernels. How
much a delay must be is found by measuring with it: such that a row's figure is 25 % beyond its
gate, whatever that takes on this machine.
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
FAMILY_OF_SUITE = {1: 2, 4: 0, 5: 1, 6: 3}
WRAPPED = "-Wl,--wrap=sfr_init"  # links delay.c between the library and its kernels
BEYOND = 1.25
CLOSE = 0.03  # of the figure that is aimed at
MOST_GUESSES = 12


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
        "PYSFRAME_TRIAL": slow,
    }
    return found | ({"PYSFRAME_KERNEL": kernel} if kernel else {})


def set_slow(clauses: str) -> None:
    """From now on, in this process and in those it starts. Only in a copy."""
    from pysframe.engine import _native

    os.environ["PYSFRAME_TRIAL"] = clauses
    ctypes.CDLL(_native.__file__).delay_set(clauses.encode())


# ---- the points of all rows ----


@dataclass(frozen=True)
class Point:
    """One verdict's place. kind and size are those of a clause in delay.c; without a kind none
    slows it, and `unreached` says why."""

    asked: Verdict
    begin: Callable[[], Contest]
    kind: str
    family: str
    half: str
    size: str
    unreached: str = ""

    def clause(self, amount: float, kind: str = "") -> str:
        kernel = self.asked.kernel
        return f"{kind or self.kind} {kernel} {self.family} {self.half} {self.size} {amount:.1f};"

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
    "tick: columns sealed": "",
    "tick:": "frame",
}
KINDS = {"floors": "frame", "around": ""}
UNREACHED = {
    "ticks": "what it is compared with is the same call, which a delay in a kernel slows as much",
    "around": "it reaches no kernel, and the delays lie between the library and its kernels",
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
        found = _kind_of(kind, row["shape"])
        return Point(asked, begin, found, "*", "*", "*", "" if found else UNREACHED[kind])
    words = asked.where.split()  # suite 4 80 B open
    opens = words[-1] == "open" or row.get("call", "").startswith("un")
    family = str(FAMILY_OF_SUITE[int(words[1])])
    return Point(asked, begin, "frame", family, "open" if opens else "seal", words[2])


def _kind_of(kind: str, shape: str) -> str:
    if kind in KINDS:
        return KINDS[kind]
    return next(found for name, found in SHAPE_KINDS.items() if shape.startswith(name))


# ---- how much a delay must be ----


def amount_for(point: Point) -> tuple[float, float]:
    """The delay that takes the point 25 % beyond its gate, and the figure it has with it.

    Both are measured: with no delay, with a guess, and with what follows from the two.
    """
    aim = point.asked.gate * (BEYOND if point.asked.most else 1 / BEYOND)

    def inverse(amount: float) -> float:
        """Of a floor's figure, the inverse, so that it grows with the delay as a ceiling's does."""
        set_slow(point.clause(amount))
        figure = _measured(point.begin()).figure
        return figure if point.asked.most else 1 / figure

    wanted = aim if point.asked.most else 1 / aim
    amounts, figures = [0.0], [inverse(0.0)]
    guess = _first_guess(point)
    for _ in range(MOST_GUESSES):
        amounts.append(guess)
        figures.append(inverse(guess))
        if abs(figures[-1] / wanted - 1) < CLOSE:
            return guess, figures[-1] if point.asked.most else 1 / figures[-1]
        slope = (figures[-1] - figures[0]) / (amounts[-1] - amounts[0])
        guess = (wanted - figures[0]) / slope if slope > 0 else 4 * guess
    raise SystemExit(f"{point.name}: no delay makes it {aim:.4g}, only {figures} by {amounts}")


def _measured(contest: Contest) -> Measured:
    for longer in (1, 2, 3):
        found = contest.go_on(longer)
    return found


def _first_guess(point: Point) -> float:
    return {"init": 3000.0, "bytes": 512.0, "crowd": 200.0}.get(point.kind, 50.0)
