"""The gates on trial: do they stay green where they should, and fail where they should?

    python bench/trial.py neighbour --runs 20   whole runs beside a busy neighbour: all must pass
    python bench/trial.py delayed --runs 20     whole runs of a copy that is slow in one row of each
                                                kernel: each of those rows must fail each time
    python bench/trial.py every                 every row once, slow, run alone: each must fail;
                                                with --only WORD, rows with that word in their name
    python bench/trial.py late                  the same for the 99th percentile of every call

`delayed`, `every` and `late` build a copy of the library with real delays (delays.py). Exit status
1 when the gates were wrong once. Each run is told as it ends.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import delays
import gates

HERE = Path(__file__).parent
NEIGHBOUR = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
source, target = bytes(64 << 20), bytearray(64 << 20)
while True:
    target[:] = source
"""


@contextmanager
def neighbour() -> Iterator[None]:
    """Keeps the last core busy, and with it the cache and the memory that all cores share."""
    core = str(max(os.sched_getaffinity(0)))
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR, core])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def slow_points() -> dict[str, str]:
    """The point of each kernel that a whole run of the copy is slow in."""
    budget = gates.budgets()
    return {kernel: str(gates.tier(budget, kernel)["trial"]) for kernel in gates.kernels()}


def say(words: str) -> None:
    print(time.strftime("%H:%M:%S"), words, flush=True)


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


# ---- beside a neighbour ----


def beside(runs: int) -> int:
    wrong = 0
    for number in range(1, runs + 1):
        begun = time.monotonic()
        with neighbour():
            done = subprocess.run(
                [sys.executable, HERE / "gates.py"], capture_output=True, text=True, check=False
            )
        wrong += done.returncode != 0
        lines = done.stdout.splitlines()
        failed = [line for line in lines if line.startswith(("FAIL", "UNSURE"))]
        again = sum("rounds" in line for line in lines)
        said = "green" if not done.returncode else f"FAILED {len(failed)}\n" + "\n".join(failed)
        gates = sum(line.startswith(("ok", "FAIL", "UNSURE")) for line in lines)
        say(
            f"run {number} of {runs}: {said}, {gates} gates, {again} measured again, "
            f"{time.monotonic() - begun:.0f} s, {load()}"
        )
    say(f"{runs - wrong} of {runs} runs green")
    return wrong


# ---- with a delay ----


def failed_in(kernel: str, clauses: str, *words: str) -> tuple[set[str], int]:
    """The points that fail in the copy so slowed, and how many were judged."""
    environment = delays.environment(kernel, clauses)
    command = [sys.executable, delays.COPY / "bench" / "gates.py", "--json", "--kernel", kernel]
    done = subprocess.run(
        [*command, *words], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    verdicts = json.loads(done.stdout)
    failed = {f"{v['name']} {v['where']}".strip() for v in verdicts if v["failed"]}
    if all(v["passed"] for v in verdicts) == bool(done.returncode):
        raise SystemExit(f"exit status {done.returncode} with {len(failed)} failed gates")
    return failed, len(verdicts)


def amount_in(kernel: str, place: str, late: bool = False) -> tuple[str, float, float]:
    """The clause that slows the place enough, the figure it then has, and its gate; late: those of
    its 99th percentile."""
    program = f"import trial; trial.calibrate({kernel!r}, {place!r}, {late})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=delays.COPY / "bench",
        env=delays.environment(kernel),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    clause, figure, gate = json.loads(done.stdout)
    return clause, figure, gate


def calibrate(kernel: str, place: str, late: bool) -> None:
    """In the copy: prints what amount_in returns."""
    points = [point for row in delays.rows(kernel) for point in row]
    point = next(point for point in points if point.name == place)
    amount, figure = delays.amount_for(point, late)
    gate = point.asked.late_gate if late else point.asked.gate
    print(json.dumps([point.clause(amount, late), figure, gate]))


def delayed(runs: int) -> int:
    delays.build()
    wrong, clauses, slow = 0, "", slow_points()
    for kernel, place in slow.items():
        clause, figure, gate = amount_in(kernel, place)
        clauses += clause
        say(f"{kernel} {place}: slowed to {figure:.4g} for a gate of {gate:.4g} by `{clause}`")
    for number in range(1, runs + 1):
        begun, missed, told = time.monotonic(), [], []
        for kernel, place in slow.items():
            failed, judged = failed_in(kernel, clauses)
            missed += [kernel] * (place not in failed)
            told.append(f"{kernel} {len(failed)} of {judged} failed")
        wrong += bool(missed)
        say(
            f"run {number} of {runs}: {'MISSED ' + ' '.join(missed) if missed else 'all seen'}; "
            f"{', '.join(told)}; {time.monotonic() - begun:.0f} s, {load()}"
        )
    say(f"{runs - wrong} of {runs} runs saw all {len(slow)} delayed rows")
    return wrong


def every(late: bool, word: str) -> int:
    """One point of each row, by chance."""
    delays.build()
    wrong = number = 0
    for kernel, slow in slow_points().items():
        for row in delays.rows(kernel):
            point = random.choice(row)
            if point.name == slow or word not in point.name:
                continue
            if late and not point.asked.late_gate:
                continue
            number += 1
            wrong += not seen(kernel, point.name, late)
    say(f"{number - wrong} of {number} delayed rows failed")
    return wrong


def seen(kernel: str, place: str, late: bool) -> bool:
    clause, figure, gate = amount_in(kernel, place, late)
    failed, _ = failed_in(kernel, clause, place)
    said = "failed" if place in failed else "NOT SEEN"
    what = "its 99th percentile" if late else "its figure"
    say(
        f"{said:9}{kernel} {place}: {what} slowed to {figure:.4g} for a gate of {gate:.4g} "
        f"by `{clause}`, {load()}"
    )
    return place in failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trial", choices=["neighbour", "delayed", "every", "late"])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", metavar="WORD", default="")
    options = parser.parse_args()
    if options.trial == "neighbour":
        return bool(beside(options.runs))
    if options.trial == "delayed":
        return bool(delayed(options.runs))
    return bool(every(options.trial == "late", options.only))


if __name__ == "__main__":
    sys.exit(main())
