"""The latency budget: bars of budgets.toml, measured and judged.

    python bench/gates.py                    every gate of every kernel this machine has
    python bench/gates.py protect mixed      only rows whose name contains one of these words
    python bench/gates.py --kernel aesni     one tier
    python bench/gates.py --json             the same for machines

Exit status 1 when a gate fails. Rules of this file:
  1. It refuses to run on the fallback engine, and an empty set of gates fails.
  2. A bar is the aim. A gate lies at a share of it, never below 0.75; where a row does not reach
     its bar yet, at that share of what it does reach (`reached`); both are printed.
  3. A row is judged at each of its sizes and suites; every figure is printed. A neighbour on the
     machine can only make it slower, so one that fails is measured up to twice more.
  4. A kernel is a property of the process here (PYSFRAME_KERNEL), so each tier runs in its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import shapes
from interleave import Contender, Timing, race, ratio
from peers import cryptography
from workloads import PeerCalls, Workload

import pysframe
from pysframe import engine

BUDGETS = Path(__file__).parent / "budgets.toml"
LEAST_SHARE = 0.75
TRIES = 3
MOST_P99 = 3.0  # an absolute cap is at most this many times the recorded p99


@dataclass(frozen=True)
class Verdict:
    """One measured figure beside its gate: at least the gate, or at most when `most` is set."""

    kernel: str
    row: str
    suite: int
    size: int
    figure: float
    unit: str
    bar: float
    gate: float
    most: bool = False
    ns: float = 0.0
    p99_ns: float = 0.0
    cap_ns: float = 0.0

    @property
    def passed(self) -> bool:
        within = self.figure <= self.gate if self.most else self.figure >= self.gate
        return within and self.p99_ns <= self.cap_ns

    @property
    def at_bar(self) -> bool:
        return self.figure <= self.bar if self.most else self.figure >= self.bar


# ---- times faster than a peer ----

OURS: dict[str, Callable[[Workload], Contender]] = {
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
    workload, peer = Workload(suite, size), cryptography()
    ours = OURS[row](workload)
    calls = PeerCalls(workload, peer)
    theirs = calls.opening() if row.startswith("un") else calls.sealing()
    timings = race([ours, theirs], repetitions)
    return ratio(timings[peer.name], timings["ours"]), timings["ours"]


def judge_row(
    kernel: str, row: dict[str, Any], suite: int, size: int, share: float, slower: float
) -> Verdict:
    times, ours = measure(row["name"], suite, size, row.get("repetitions", 41))
    return Verdict(
        kernel,
        row["name"],
        suite,
        size,
        times / slower,
        "x faster",
        row["bar"],
        row.get("reached", row["bar"]) * share,
        ns=ours.median * slower,
        p99_ns=ours.p99 * slower,
        cap_ns=row["p99_ns"] * MOST_P99,
    )


# ---- ours against ours, and amounts ----

SHAPES: dict[str, tuple[str, bool, Callable[[int], float]]] = {  # unit, at most, measure(suite)
    "mixed traffic": ("x of uniform", True, lambda suite: shapes.mixed_traffic(suite, 15)),
    "10,000 keys": ("x of 64 keys", True, lambda suite: shapes.many_keys(suite, 15)),
    "long header, metadata": (
        "x of plain",
        True,
        lambda suite: shapes.long_header_and_metadata(suite, 41),
    ),
    "threads 1200 B x 1024": ("x of one", False, lambda suite: shapes.two_threads(1200, 1024, 21)),
    "threads 160 B x 1024": ("x of one", False, lambda suite: shapes.two_threads(160, 1024, 21)),
    "threads 160 B x 64": ("x of one", False, lambda suite: shapes.two_threads(160, 64, 21)),
    "memory of a Sender": ("bytes", True, lambda suite: shapes.bytes_each("sender")),
    "memory of a Receiver": ("bytes", True, lambda suite: shapes.bytes_each("receiver")),
    "Sender(...)": ("us", True, lambda suite: shapes.microseconds(shapes.make_sender)),
    "Receiver.add_key": ("us", True, lambda suite: shapes.add_key_microseconds()),
}


def judge_shape(kernel: str, row: dict[str, Any], share: float, slower: float) -> Verdict:
    unit, most, figure_of = SHAPES[row["name"]]
    suite, bar = row.get("suite", 4), row["bar"]
    figure = figure_of(suite) * (slower if most else 1 / slower)
    reached = row.get("reached", bar)
    gate = reached / share if most else reached * share
    return Verdict(kernel, row["name"], suite, row.get("size", 0), figure, unit, bar, gate, most)


# ---- the tier ----


def judge(kernel: str, words: list[str], slower: float = 1.0) -> Iterator[Verdict]:
    """The verdicts of one tier. slower > 1 pretends that ours took so much longer: for tests."""
    budget = tomllib.loads(BUDGETS.read_text())
    share = budget["share"]
    if share < LEAST_SHARE:
        raise SystemExit(f"budgets.toml: share {share} is below {LEAST_SHARE}")
    tier = budget["tier"][kernel]
    for row in tier.get("row", []):
        if wanted(row["name"], words):
            for suite, size in product(row.get("suites", [4, 5]), row["sizes"]):
                yield patiently(partial(judge_row, kernel, row, suite, size, share, slower))
    for row in tier.get("shape", []):
        if wanted(row["name"], words):
            yield patiently(partial(judge_shape, kernel, row, share, slower))


def patiently(judged: Callable[[], Verdict]) -> Verdict:
    for _ in range(TRIES - 1):
        verdict = judged()
        if verdict.passed:
            return verdict
    return judged()


def wanted(name: str, words: list[str]) -> bool:
    return not words or any(word in name for word in words)


def run_tier(kernel: str, options: argparse.Namespace) -> int:
    """Judges the kernel this process runs on. Returns how many gates failed."""
    verdicts = []
    for verdict in judge(kernel, options.words):
        verdicts.append(verdict)
        if not options.json:
            print(line(verdict), flush=True)
    if options.json:
        print(json.dumps([asdict(v) | {"passed": v.passed} for v in verdicts]))
    if not verdicts:
        raise SystemExit(f"{kernel}: no gate was measured")
    return sum(not verdict.passed for verdict in verdicts)


def line(v: Verdict) -> str:
    mark = ("ok  " if v.at_bar else "low ") if v.passed else "FAIL"
    where = f"suite {v.suite} {v.size:5} B" if v.size else ""
    sign = "<=" if v.most else ">="
    time = f"  {v.ns:7.1f} ns, p99 {v.p99_ns:7.1f} (cap {v.cap_ns:g})" if v.ns else ""
    return (
        f"{mark} {v.kernel:8}{v.row:24}{where:16}{v.figure:8.2f} {v.unit:12}"
        f"(bar {sign} {v.bar:g}, gate {v.gate:.3g}){time}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only rows whose name contains one of these")
    parser.add_argument("--kernel", help="one tier instead of all")
    parser.add_argument("--json", action="store_true", help="a list of verdicts for each tier")
    options = parser.parse_args()
    ready = [name.split(":")[1] for name in engine.available() if name.startswith("native:")]
    if not ready:
        sys.exit("the gates are for the native engine; here is only the fallback")
    if options.kernel:
        if pysframe.backend_info().kernel != options.kernel:
            sys.exit(f"this process runs on {pysframe.backend_info().kernel}")
        return 1 if run_tier(options.kernel, options) else 0
    tiers = tomllib.loads(BUDGETS.read_text())["tier"]
    for kernel in ready:
        if kernel not in tiers:
            print(f"{kernel}: no budget yet", file=sys.stderr)
    ready = [kernel for kernel in ready if kernel in tiers]
    failed = [kernel for kernel in ready if run_alone(kernel)]
    if not ready:
        sys.exit("no kernel of this machine has a budget: nothing was measured")
    if not options.json:
        print(f"{', '.join(ready)}: {'FAILED on ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


def run_alone(kernel: str) -> int:
    environment = os.environ | {"PYSFRAME_KERNEL": kernel}
    command = [sys.executable, __file__, *sys.argv[1:], "--kernel", kernel]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
