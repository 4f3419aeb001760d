"""The latency budget: the bars of budgets.toml, measured and judged.

    python bench/gates.py                    every gate of every kernel this machine has
    python bench/gates.py protect mixed      only gates whose name contains one of these words
    python bench/gates.py --kernel aesni     one tier
    python bench/gates.py --json             the same for machines

Exit status 1 when a gate fails. Rules of this file:
  1. It refuses to run on the fallback engine, and an empty set of gates fails.
  2. A bar is the aim; its gate is `share` of it, never below 0.75. Only a row that says what it
     `reached`, less than 0.9 of its bar, has a lower gate: that share of what it reached. Such a
     row is marked LOW, counted in the last line, and told when it needs the excuse no more.
  3. A row is judged at each of its sizes and suites; every figure is printed. A neighbour on the
     machine can only make it slower, so one that fails is measured up to five times more, a
     little later.
  4. A kernel is a property of the process here (PYSFRAME_KERNEL), so each tier runs in its own.
  5. What this machine cannot measure (two threads on one core, a C peer that is not installed) is
     named, and is neither passed nor failed. Nor are times of another machine: the caps on the
     99th percentile, and microseconds of set-up, hold where they were recorded.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import about
import c_peers
import shapes
from interleave import Contender, by_block, p99, race, ratio
from peers import cryptography
from workloads import PeerCalls, Workload

import pysframe
from pysframe import engine

BUDGETS = Path(__file__).parent / "budgets.toml"
LEAST_SHARE = 0.75
NEAR = 0.9  # a row that reaches so much of its bar needs no excuse
TRIES, PAUSE = 6, 5.0  # seconds between tries
MOST_P99 = 3.0  # an absolute cap is so many times the recorded p99
REPETITIONS = 41


@dataclass(frozen=True)
class Verdict:
    """One measured figure beside its gate: at least the gate, or at most when `most` is set."""

    kernel: str
    name: str
    where: str
    figure: float
    unit: str
    bar: float
    gate: float
    most: bool = False
    excused: bool = False
    ns: float = 0.0
    p99_ns: float = 0.0
    cap_ns: float = 0.0  # none

    @property
    def passed(self) -> bool:
        within = self.figure <= self.gate if self.most else self.figure >= self.gate
        return within and (not self.cap_ns or self.p99_ns <= self.cap_ns)

    @property
    def of_bar(self) -> float:
        return self.bar / self.figure if self.most else self.figure / self.bar

    @property
    def mark(self) -> str:
        return ("LOW" if self.excused else "ok") if self.passed else "FAIL"


def gate_of(row: dict[str, Any], share: float, most: bool = False) -> tuple[float, bool]:
    """Where the row's gate lies, and whether it lies lower than its bar demands."""
    bar = row["bar"]
    reached = row.get("reached", bar)
    excused = (bar / reached if most else reached / bar) < NEAR
    aim = reached if excused else bar
    return (aim / share if most else aim * share), excused


# ---- whole operations, times faster than cryptography's bare call ----

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


def duel(call: str, suite: int, size: int) -> tuple[Contender, Contender]:
    """Ours, and what cryptography does to the same frames."""
    workload = Workload(suite, size)
    calls = PeerCalls(workload, cryptography())
    return OURS[call](workload), calls.opening() if call.startswith("un") else calls.sealing()


def measure(call: str, suite: int, size: int) -> tuple[float, float, float]:
    """How many times faster ours is; its nanoseconds per frame, median and 99th percentile."""
    ours, theirs = duel(call, suite, size)
    timings = race([ours, theirs], REPETITIONS)
    times = ratio(timings[theirs.name], timings[ours.name])
    return times, timings[ours.name].median, p99(by_block(ours))


def judge_row(kernel: str, row: dict[str, Any], share: float, slower: float) -> Iterator[Verdict]:
    for suite in row.get("suites", [4, 5]):
        for size in row["sizes"]:
            yield patiently(partial(_judge_call, kernel, row, suite, size, share, slower))


def _judge_call(
    kernel: str, row: dict[str, Any], suite: int, size: int, share: float, slower: float
) -> Verdict:
    times, ns, p99_ns = measure(row["call"], suite, size)
    gate, excused = gate_of(row, share)
    verdict = Verdict(
        kernel, row["call"], f"suite {suite} {size} B", times / slower, "x", row["bar"], gate
    )
    cap = row["p99_ns"] * MOST_P99 if row.get("at_home", True) else 0.0
    return replace(verdict, excused=excused, ns=ns * slower, p99_ns=p99_ns * slower, cap_ns=cap)


# ---- kernels alone, times faster than intel-ipsec-mb or OpenSSL ----


def judge_kernel(
    kernel: str, row: dict[str, Any], share: float, slower: float
) -> Iterator[Verdict]:
    suite = row["suite"]
    for opening in (False, True):
        for size in row["sizes"]:
            yield patiently(partial(_judge_c, kernel, row, suite, opening, size, share, slower))


def _judge_c(
    kernel: str,
    row: dict[str, Any],
    suite: int,
    opening: bool,
    size: int,
    share: float,
    slower: float,
) -> Verdict:
    times, ns = c_peers.times_faster(suite, opening, size, kernel, row["peer"])
    gate, excused = gate_of(row, share)
    where = f"suite {suite} {size} B {'open' if opening else 'seal'}"
    name = f"C kernel/{row['peer']}"
    verdict = Verdict(kernel, name, where, times / slower, "x", row["bar"], gate)
    return replace(verdict, excused=excused, ns=ns * slower)


# ---- ours against ours, and amounts ----


def judge_shape(kernel: str, row: dict[str, Any], share: float, slower: float) -> Iterator[Verdict]:
    yield patiently(partial(_judge_shape, kernel, row, share, slower))


def _judge_shape(kernel: str, row: dict[str, Any], share: float, slower: float) -> Verdict:
    shape = shapes.SHAPES[row["shape"]]
    figure = shape.measure() * (slower if shape.most else 1 / slower)
    gate, excused = gate_of(row, share, shape.most)
    verdict = Verdict(kernel, row["shape"], "", figure, shape.unit, row["bar"], gate, shape.most)
    return replace(verdict, excused=excused)


# ---- a tier ----

JUDGES = {"rows": judge_row, "kernels": judge_kernel, "shapes": judge_shape}


def budgets() -> dict[str, Any]:
    budget = tomllib.loads(BUDGETS.read_text())
    if budget["share"] < LEAST_SHARE:
        raise SystemExit(f"budgets.toml: share {budget['share']} is below {LEAST_SHARE}")
    return budget


def name_of(row: dict[str, Any]) -> str:
    return str(row.get("call") or row.get("shape") or f"C kernel/{row['peer']}")


def why_not(row: dict[str, Any], cores: int, at_home: bool = True) -> str:
    """Why this machine cannot measure the row, or judge it; or nothing."""
    if "shape" in row and shapes.SHAPES[row["shape"]].unit == "us" and not at_home:
        return "times hold where they were recorded"
    if row.get("shape", "").startswith("threads") and cores < 2:
        return "this process has one core"
    if "peer" in row and c_peers.ipsec_version() is None:
        return "intel-ipsec-mb is not installed (make bench-peers)"
    return ""


def judge(
    kernel: str, words: list[str], slower: float = 1.0, tell: Callable[[str], None] = print
) -> Iterator[Verdict]:
    """The verdicts of one tier. slower > 1 pretends that ours took so much longer: for tests."""
    budget = budgets()
    if not (at_home := budget["cpu"] == about.cpu()):
        tell(f"--   {kernel:8}p99: not judged: recorded on another machine, {budget['cpu']}")
    for kind, judged in JUDGES.items():
        for row in budget[kernel].get(kind, []):
            if words and not any(word in name_of(row) for word in words):
                continue
            if reason := why_not(row, len(os.sched_getaffinity(0)), at_home):
                tell(f"--   {kernel:8}{name_of(row)}: not measured: {reason}")
                continue
            yield from judged(kernel, row | {"at_home": at_home}, budget["share"], slower)


def patiently(judged: Callable[[], Verdict]) -> Verdict:
    for _ in range(TRIES - 1):
        verdict = judged()
        if verdict.passed:
            return verdict
        time.sleep(PAUSE)
    return judged()


def run_tier(kernel: str, options: argparse.Namespace) -> int:
    """Judges the kernel this process runs on. Returns how many gates failed."""
    verdicts = []
    for verdict in judge(kernel, options.words, tell=lambda said: print(said, file=sys.stderr)):
        verdicts.append(verdict)
        if not options.json:
            print(line(verdict), flush=True)
    if options.json:
        print(json.dumps([asdict(v) | {"passed": v.passed} for v in verdicts]))
    else:
        print("\n".join(remarks(kernel, verdicts)))
    if not verdicts:
        raise SystemExit(f"{kernel}: no gate was measured")
    return sum(not verdict.passed for verdict in verdicts)


def line(v: Verdict) -> str:
    sign = "<=" if v.most else ">="
    time = f"  {v.ns:7.1f} ns" if v.ns else ""
    time += f", p99 {v.p99_ns:.0f} (cap {v.cap_ns:.0f})" if v.cap_ns else ""
    return (
        f"{v.mark:5}{v.kernel:8}{v.name:24}{v.where:18}{v.figure:9.4g} {v.unit:12}"
        f"(bar {sign} {v.bar:g}, gate {v.gate:.3g}){time}"
    )


def remarks(kernel: str, verdicts: list[Verdict]) -> Iterator[str]:
    passed = sum(v.passed for v in verdicts)
    yield f"{kernel}: {passed} of {len(verdicts)} gates passed"
    if low := sorted({v.name for v in verdicts if v.excused}):
        yield f"{kernel}: LOW, short of the bar and gated by what is reached: {', '.join(low)}"
    for name in low:
        if all(v.of_bar >= NEAR for v in verdicts if v.name == name and v.excused):
            yield f"{kernel}: {name} is near its bar now: record again (make bench-record)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only gates whose name contains one of these")
    parser.add_argument("--kernel", help="one tier instead of all")
    parser.add_argument("--json", action="store_true", help="a list of verdicts for each tier")
    options = parser.parse_args()
    ready = kernels()
    if options.kernel:
        if pysframe.backend_info().kernel != options.kernel:
            sys.exit(f"this process runs on {pysframe.backend_info().kernel}")
        return 1 if run_tier(options.kernel, options) else 0
    failed = [kernel for kernel in ready if run_alone(kernel)]
    if not options.json:
        print(f"{', '.join(ready)}: {'FAILED on ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


def kernels(budgeted: bool = True) -> list[str]:
    """The kernels of this machine, widest first; each must have a budget."""
    ready = [name.split(":")[1] for name in engine.available() if name.startswith("native:")]
    if not ready or not engine.default().name.startswith("native:"):
        sys.exit("the gates are for the native engine; here is only the fallback")
    if budgeted and (missing := [kernel for kernel in ready if kernel not in budgets()]):
        sys.exit(f"budgets.toml has nothing for {', '.join(missing)}")
    return ready


def run_alone(kernel: str) -> int:
    environment = os.environ | {"PYSFRAME_KERNEL": kernel}
    command = [sys.executable, __file__, *sys.argv[1:], "--kernel", kernel]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
