"""The latency budget: bars of budgets.toml, measured and judged.

    python bench/gates.py            every gate; exit status 1 when one fails
    python bench/gates.py --json     the same for machines
    python bench/gates.py protect    the rows whose name contains a word

Rules of this file:
  1. It refuses to run on the fallback engine, and an empty set of gates fails.
  2. A bar is what a quiet machine reaches. A gate lies at a share of it, never below 0.75.
  3. A row is judged at its worst size and suite; every figure is printed.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from interleave import Contender, Timing, race, ratio
from workloads import Workload, cryptography_peer

import pysframe

BUDGETS = Path(__file__).parent / "budgets.toml"
LEAST_SHARE = 0.75
MOST_P99 = 3.0  # an absolute cap is at most this many times the recorded p99


@dataclass(frozen=True)
class Verdict:
    """One row at one size and suite. times: how many times faster than the peer's bare AEAD."""

    row: str
    suite: int
    size: int
    times: float
    bar: float
    gate: float
    ns: float
    p99_ns: float
    cap_ns: float

    @property
    def passed(self) -> bool:
        return self.times >= self.gate and self.p99_ns <= self.cap_ns


OURS = {
    "protect": lambda w: w.protect(),
    "unprotect": lambda w: w.unprotect(),
    "protect_many": lambda w: w.batches().protect_many(),
    "unprotect_many.to_list": lambda w: w.batches().unprotect_many_to_list(),
    "protect_batch": lambda w: w.batches().protect_batch(),
    "unprotect_batch": lambda w: w.batches().unprotect_batch(),
    "protect_batch.out": lambda w: w.batches().protect_batch(out=True),
    "unprotect_batch.out": lambda w: w.batches().unprotect_batch(out=True),
}


def measure(row: str, suite: int, size: int, repetitions: int) -> tuple[float, Timing]:
    """How many times faster ours is than the peer, and ours."""
    workload, peer = Workload(suite, size), cryptography_peer()
    ours: Contender = OURS[row](workload)
    theirs = workload.peer_open(peer) if row.startswith("un") else workload.peer_seal(peer)
    timings = race([ours, theirs], repetitions)
    return ratio(timings[peer.name], timings["ours"]), timings["ours"]


def judge(budget: dict[str, Any], words: list[str], slow_down: float = 1.0) -> Iterator[Verdict]:
    """The verdicts of one tier. slow_down > 1 pretends that ours were slower: for tests."""
    share = budget["share"]
    if share < LEAST_SHARE:
        raise SystemExit(f"share {share} is below {LEAST_SHARE}")
    for row in budget["row"]:
        if words and not any(word in row["name"] for word in words):
            continue
        for suite in row.get("suites", [4, 5]):
            for size in row["sizes"]:
                times, ours = measure(row["name"], suite, size, budget["repetitions"])
                yield Verdict(
                    row["name"],
                    suite,
                    size,
                    times / slow_down,
                    row["bar"],
                    row["bar"] * share,
                    ours.median * slow_down,
                    ours.p99 * slow_down,
                    row["p99_ns"] * MOST_P99,
                )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only rows whose name contains one of these")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    backend = pysframe.backend_info()
    if backend.engine != "native":
        sys.exit("the gates are for the native engine; this is the fallback")
    budget = tomllib.loads(BUDGETS.read_text())["tier"][backend.kernel]
    verdicts = []
    for verdict in judge(budget, options.words):
        verdicts.append(verdict)
        if not options.json:
            print(line(verdict), flush=True)
    if options.json:
        print(json.dumps([asdict(v) | {"passed": v.passed} for v in verdicts], indent=1))
    if not verdicts:
        sys.exit("no gate was measured")
    failed = sum(not verdict.passed for verdict in verdicts)
    if not options.json:
        print(f"{backend.kernel}: {len(verdicts) - failed} passed, {failed} failed")
    return 1 if failed else 0


def line(v: Verdict) -> str:
    mark = "ok  " if v.passed else "FAIL"
    return (
        f"{mark} {v.row:24} suite {v.suite} {v.size:5} B  {v.times:5.1f}x "
        f"(bar {v.bar:g}, gate {v.gate:.3g})  {v.ns:7.1f} ns, p99 {v.p99_ns:7.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
