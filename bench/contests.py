"""Contests beside a whole call's: matches judged by their worst, amounts, and what names them.

budgets.toml refers to a Shape by its name; shapes.py has the list of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from interleave import Contender, Match
from verdicts import Contest, Measured

SUITES = (4, 5)


class Worst:
    """The worst of several matches, each of which goes on."""

    def __init__(
        self, matches: list[Match], turns: int, figure: Callable[[Match], float], pick: Any = max
    ) -> None:
        self.matches, self.turns, self.figure, self.pick = matches, turns, figure, pick

    def go_on(self, longer: int) -> Measured:
        for match in self.matches:
            match.go_on(self.turns * longer)
        return Measured(self.pick(self.figure(match) for match in self.matches))


class Amount:
    """What does not depend on time: the least of what was found."""

    def __init__(self, measure: Callable[[], float]) -> None:
        self.measure, self.found = measure, float("inf")

    def go_on(self, longer: int) -> Measured:
        self.found = min(self.found, *(self.measure() for _ in range(longer)))
        return Measured(self.found)


def in_suites(
    make: Callable[[int], list[Contender]],
    turns: int,
    figure: Callable[[Match], float],
    pick: Any = max,
) -> Contest:
    return Worst([Match(partial(make, suite)) for suite in SUITES], turns, figure, pick)


@dataclass(frozen=True)
class Shape:
    """most: the bar is a ceiling. cores: it takes so many."""

    unit: str
    most: bool
    begin: Callable[[], Contest]
    cores: int = 1

    def measure(self) -> float:
        return self.begin().go_on(2).figure
