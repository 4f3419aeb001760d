"""The latency budget: the bars of budgets.toml, measured and judged.

    python bench/gates.py                    every gate of every kernel this machine has
    python bench/gates.py protect mixed      only gates whose name contains one of these words;
                                             a name is, for example, "protect suite 4 160 B"
    python bench/gates.py --kernel aesni     one tier
    python bench/gates.py --json             the same for machines

Exit status 1 when a gate fails. Rules of this file:
  1. It refuses to run on the fallback engine, and an empty set of gates fails.
  2. A bar is a claim about a CPU, and names it; its gate is `share` of it, never less than 0.75.
     A CPU that no bar of a row names must hold the lowest of its gates. So that it can, a gate
     holds no time, only a ratio to something that is timed in the same turns.
  3. A row is judged at each of its sizes and suites; every figure is printed. One that misses is
     measured again, longer: verdicts.py.
  4. A kernel is a property of the process here (PYSFRAME_KERNEL), so each tier runs in its own. One
     that has no table in budgets.toml yet must hold that of the next narrower kernel.
  5. What this machine does not have (a second core for threads, a C peer) is named, and its rows
     are neither passed nor failed. That the machine is busy is no reason.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import about
import c_peers
import shapes
import threads
from calls import CallContest
from verdicts import Contest, Verdict, decide, line, summary

import pysframe
from pysframe import engine

BUDGETS = Path(__file__).parent / "budgets.toml"
LEAST_SHARE = 0.75

# ---- the points of a row: where, and the contest that is held there ----

Points = Iterator[tuple[str, Callable[[], Contest]]]


def call_points(kernel: str, row: dict[str, Any]) -> Points:
    """Whole calls, times faster than cryptography's bare call."""
    for suite in row.get("suites", [4, 5]):
        for size in row["sizes"]:
            yield f"suite {suite} {size} B", partial(CallContest, row["call"], suite, size)


def kernel_points(kernel: str, row: dict[str, Any]) -> Points:
    """Kernels alone, times faster than intel-ipsec-mb or OpenSSL."""
    suite, peer = row["suite"], row["peer"]
    for opening, half in ((False, "seal"), (True, "open")):
        for size in row["sizes"]:
            contest = partial(c_peers.KernelContest, suite, opening, size, kernel, peer)
            yield f"suite {suite} {size} B {half}", contest


def shape_points(kernel: str, row: dict[str, Any]) -> Points:
    """Ours against ours, and amounts."""
    yield "", shapes.SHAPES[row["shape"]].begin


POINTS = {"rows": call_points, "kernels": kernel_points} | dict.fromkeys(shapes.KINDS, shape_points)


# ---- a tier ----


def budgets() -> dict[str, Any]:
    budget = tomllib.loads(BUDGETS.read_text())
    if budget["share"] < LEAST_SHARE:
        raise SystemExit(f"budgets.toml: share {budget['share']} is below {LEAST_SHARE}")
    return budget


def tier(budget: dict[str, Any], kernel: str) -> dict[str, Any]:
    """What a kernel must hold: its own table or, while it has none, the next narrower kernel's."""
    ladder = engine.ladder()
    narrower = ladder[: ladder.index(kernel)] if kernel in ladder else ()
    for name in (kernel, *reversed(narrower)):
        if name in budget:
            return dict(budget[name])
    raise SystemExit(f"budgets.toml has nothing for {kernel}, nor for a narrower kernel")


def peers_in_c(kernels: list[str]) -> list[str]:
    """What the C kernels are compared with, but for OpenSSL, which every one of them is."""
    budget = budgets()
    rows = (row for kernel in kernels for row in tier(budget, kernel)["kernels"])
    return [peer for peer in dict.fromkeys(row["peer"] for row in rows) if peer != "openssl"]


def name_of(row: dict[str, Any]) -> str:
    return str(row.get("call") or row.get("shape") or f"C kernel/{row['peer']}")


def is_wanted(row: dict[str, Any], where: str, words: list[str]) -> bool:
    """Whether one of the words is in the point's full name; without words every point is wanted."""
    return not words or any(word in f"{name_of(row)} {where}" for word in words)


def why_not(row: dict[str, Any], cores: int) -> str:
    """What this machine lacks to measure the row; or nothing."""
    needed = shapes.SHAPES[row["shape"]].cores if "shape" in row else 1
    if needed > cores:
        return f"it takes {needed} cores, and this process has {cores}"
    if needed > 1 and not threads.WAITED.exists():
        return f"this system does not say how long a thread waits for a core ({threads.WAITED})"
    if "peer" in row and c_peers.ipsec_version() is None:
        return "intel-ipsec-mb is not installed (make bench-peers)"
    return ""


def asked(kernel: str, row: dict[str, Any], where: str, budget: dict[str, Any]) -> Verdict:
    """The verdict on a point of a row before anything is measured."""
    shape = shapes.SHAPES.get(row.get("shape", ""))
    most = shape is not None and shape.most
    cpu, bar = bar_of(row["bar"], about.microarchitecture(), most)
    late = bar_of(row["p99"], about.microarchitecture())[1] if "p99" in row else 0.0
    share = budget["share"]
    return Verdict(
        kernel=kernel,
        name=name_of(row),
        where=where,
        unit=shape.unit if shape else "x",
        bar=bar,
        cpu=cpu,
        gate=bar / share if most else bar * share,
        most=most,
        late_gate=late * share,
    )


def bar_of(bars: dict[str, float], cpu: str, most: bool = False) -> tuple[str, float]:
    """The CPU and the bar that hold here: the lowest of all where none names this CPU."""
    if cpu not in bars:
        cpu = (max if most else min)(bars, key=lambda name: bars[name])
    return cpu, bars[cpu]


def judge(
    kernel: str, words: list[str], slower: float = 1.0, tell: Callable[[str], None] = print
) -> Iterator[Verdict]:
    """The verdicts of one tier. slower > 1 pretends that ours took so much longer: for tests."""
    budget = budgets()
    rows = tier(budget, kernel)
    for kind, points in POINTS.items():
        begun, judged = time.monotonic(), 0
        for row in rows.get(kind, []):
            chosen = [point for point in points(kernel, row) if is_wanted(row, point[0], words)]
            reason = why_not(row, len(os.sched_getaffinity(0)))
            if chosen and reason:
                tell(f"--     {kernel:8}{name_of(row)}: not measured: {reason}")
                continue
            for where, begin in chosen:
                judged += 1
                yield decide(asked(kernel, row, where, budget), begin(), slower)
        if judged:
            spent = time.monotonic() - begun
            tell(f"--     {kernel:8}{kind}: {judged} verdicts in {spent:.1f} s")


def run_tier(kernel: str, options: argparse.Namespace) -> int:
    """Judges the kernel this process runs on. Returns how many gates failed."""
    verdicts = []
    for verdict in judge(kernel, options.words, tell=lambda said: print(said, file=sys.stderr)):
        verdicts.append(verdict)
        if not options.json:
            print(line(verdict), flush=True)
    if options.json:
        print(json.dumps([asdict(v) | {"passed": v.passed, "failed": v.failed} for v in verdicts]))
    else:
        print("\n".join(summary(kernel, verdicts)))
    if not verdicts:
        raise SystemExit(f"{kernel}: no gate was measured")
    return sum(not verdict.passed for verdict in verdicts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only gates whose name contains one of these")
    parser.add_argument("--kernel", help="one tier instead of all")
    parser.add_argument("--json", action="store_true", help="a list of verdicts for each tier")
    options = parser.parse_args()
    begun = time.monotonic()
    ready = kernels()
    if options.kernel:
        if pysframe.backend_info().kernel != options.kernel:
            sys.exit(f"this process runs on {pysframe.backend_info().kernel}")
        return 1 if run_tier(options.kernel, options) else 0
    failed = [kernel for kernel in ready if run_alone(kernel)]
    if not options.json:
        print(f"{', '.join(ready)}: {'FAILED on ' + ', '.join(failed) if failed else 'all passed'}")
        print(f"{time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


def kernels() -> list[str]:
    """The kernels of this machine, widest first; each must have something to hold."""
    ready = [name.split(":")[1] for name in engine.available() if name.startswith("native:")]
    if not ready or not engine.default().name.startswith("native:"):
        sys.exit("the gates are for the native engine; here is only the fallback")
    budget = budgets()
    return [kernel for kernel in ready if tier(budget, kernel)]


def run_alone(kernel: str) -> int:
    environment = os.environ | {"PYSFRAME_KERNEL": kernel}
    command = [sys.executable, __file__, *sys.argv[1:], "--kernel", kernel]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
