"""Round robin in one process: how fast one way of doing a thing is beside another.

Rules of this file:
  1. Contenders take turns within every repetition, in a random order, so that a change of clock or
     a neighbour on the machine meets them all. A ratio is the median of the repetitions' ratios.
  2. What is timed is checked after every repetition: a wrong or rejected frame ends the run.
  3. The garbage collector is off while the clock runs, and nothing else is.
"""

import gc
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter_ns
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One way. prepare() makes what run() consumes, untimed; check() judges what it returned.

    count: operations of one run, by which its time is divided.
    """

    name: str
    count: int
    prepare: Callable[[], Any]
    run: Callable[[Any], Any]
    check: Callable[[Any, Any], None]


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

    @property
    def p99(self) -> float:
        """Of the repetitions' means, each over `count` operations: a timer costs two of them."""
        return quantiles(self.ns, n=100)[98] if len(self.ns) > 1 else self.ns[0]


def race(contenders: list[Contender], repetitions: int = 31, seed: int = 0) -> dict[str, Timing]:
    """The timings of all contenders, after one repetition that only warms up."""
    order = random.Random(seed)
    results: dict[str, list[float]] = {c.name: [] for c in contenders}
    for repetition in range(repetitions + 1):
        for contender in order.sample(contenders, len(contenders)):
            ns = once(contender)
            if repetition:
                results[contender.name].append(ns)
    return {name: Timing(name, tuple(ns)) for name, ns in results.items()}


def once(contender: Contender) -> float:
    """Nanoseconds per operation of one checked run."""
    given = contender.prepare()
    run = contender.run
    gc.collect(0)
    gc.disable()
    try:
        start = perf_counter_ns()
        result = run(given)
        elapsed = perf_counter_ns() - start
    finally:
        gc.enable()
    contender.check(given, result)
    return elapsed / contender.count


def ratio(slower: Timing, faster: Timing) -> float:
    """How many times `faster` is faster, repetition by repetition."""
    return median(s / f for s, f in zip(slower.ns, faster.ns, strict=True))
