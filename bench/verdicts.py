"""The rule by which a row passes or fails, and how a verdict reads.

A row has a contest: something of ours and what it is compared with, timed in turns. A round of
turns that surely reaches the gate ends it. One that does not is followed by a longer one, a little
later, and the row is judged by the best turns of all rounds so far; it fails when the last one has
not reached the gate either. A good figure that is not sure even then could not be measured: that
has a name of its own, and fails the run as well, since no row is left out because the machine is
busy. bench/README.md says how often that is wrong.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

ROUNDS = (1, 2, 4, 8, 8, 8)  # how much longer than the first each round is
PAUSE = 2.0  # seconds between rounds


@dataclass(frozen=True)
class Measured:
    """What a contest has found in all rounds so far.

    figure: what the bar is about. ns: of one operation of ours. late: how many times sooner our
    99th percentile is than the peer's, late_ns our own; zero where nobody asks for it. sure:
    whether what ours is compared with has done what it can; else a good figure may be its bad luck.
    """

    figure: float
    ns: float = 0.0
    late: float = 0.0
    late_ns: float = 0.0
    sure: bool = True


class Contest(Protocol):
    def go_on(self, longer: int) -> Measured:
        """One more round, so many times as long as the shortest."""


@dataclass(frozen=True)
class Verdict:
    """One measured figure beside its gate: at least the gate, or at most when `most` is set."""

    kernel: str
    name: str
    where: str
    unit: str
    bar: float
    gate: float
    cpu: str  # of which the bar is a claim
    most: bool = False
    late_gate: float = 0.0  # none
    figure: float = 0.0
    ns: float = 0.0
    late: float = 0.0
    late_ns: float = 0.0
    rounds: int = 0
    sure: bool = True

    @property
    def failed(self) -> bool:
        within = self.figure <= self.gate if self.most else self.figure >= self.gate
        return not within or self.late < self.late_gate

    @property
    def passed(self) -> bool:
        return self.sure and not self.failed

    @property
    def mark(self) -> str:
        return "FAIL" if self.failed else "ok" if self.sure else "UNSURE"


def decide(asked: Verdict, contest: Contest, slower: float = 1.0) -> Verdict:
    """Measures until the gate is reached, or the last round is over.

    slower > 1 pretends that ours took so much longer: for tests.
    """
    verdict = asked
    for number, longer in enumerate(ROUNDS, 1):
        if number > 1:
            time.sleep(PAUSE)
        found = contest.go_on(longer)
        verdict = _judged(asked, found, number, slower)
        if verdict.passed:
            break
    return verdict


def _judged(asked: Verdict, found: Measured, rounds: int, slower: float) -> Verdict:
    return replace(
        asked,
        figure=found.figure * (slower if asked.most else 1 / slower),
        ns=found.ns * slower,
        late=found.late / slower,
        late_ns=found.late_ns * slower,
        rounds=rounds,
        sure=found.sure,
    )


# ---- in words ----


def line(v: Verdict) -> str:
    sign = "<=" if v.most else ">="
    late = f", p99 {v.late:.3g} x (gate {v.late_gate:.3g})" if v.late_gate else ""
    time = f"  {v.ns:7.1f} ns" if v.ns else ""
    again = f", {v.rounds} rounds" if v.rounds > 1 else ""
    unsure = ", not measured: the peer never had its cores" if v.mark == "UNSURE" else ""
    return (
        f"{v.mark:7}{v.kernel:8}{v.name:24}{v.where:18}{v.figure:9.4g} {v.unit:12}"
        f"(bar {sign} {v.bar:g} on {v.cpu}, gate {v.gate:.3g}){late}{time}{again}{unsure}"
    )


def summary(kernel: str, verdicts: Iterable[Verdict]) -> Iterator[str]:
    found = list(verdicts)
    yield f"{kernel}: {sum(v.passed for v in found)} of {len(found)} gates passed"
    if unsure := sum(v.mark == "UNSURE" for v in found):
        yield f"{kernel}: {unsure} could not be measured, which fails the run"
    if again := sum(v.rounds > 1 for v in found):
        yield f"{kernel}: {again} measured again"
