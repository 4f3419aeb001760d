"""What this machine reaches, into budgets.toml: `make bench-record`.

    python bench/record.py              everything
    python bench/record.py aesni WORD   prints one kernel's table; measured are only rows whose name
                                        contains the word

A kernel without a table gets one, which begins as that of the next narrower kernel; that of a
kernel which this CPU lacks stays. Bars are written by people, and lowered here only. A row that
reaches 0.9 of its bar on this CPU (of the highest, where no bar names this CPU) is left as it is;
any other gets a bar that names this CPU: what it reached at its worst point, rounded down. So is
the bar of its 99th percentile, which never claims more than the figure itself: where it would, the
peer's was late by chance.
"""

import json
import math
import os
import subprocess
import sys
import tomllib
from datetime import date
from typing import Any

import about
import gates
import shapes
from verdicts import Measured

from pysframe import engine

NEAR = 0.9
ROUNDS = 8  # at most
NEWS = 0.01  # what a round must find to be followed by another
HEAD = """\
# The latency budget: see gates.py. Last recorded by record.py on {date}: {machine}.
#
# rows     a whole SFrame call, so many times faster than cryptography's bare AESGCM call on the
#          same bytes, at each size and in suites 4 and 5. p99: over blocks of 64 frames, so many
#          times sooner than the same peer's
# kernels  the C kernel, so many times faster than the peer's best at the same instruction set;
#          seal and open, batches of 64; GCM under one key, HMAC under 64
# shapes   ours against something timed in the same turns, or an amount of memory
# ticks    500 frames of 500 streams, all built inside the call, so many times faster than
#          cryptography with the SFrame header, nonce and look-up in Python
# around   building and reading a batch, headers, key flow: shares of one bare AESGCM.encrypt of 160
#          bytes; and the import
# floors   the whole operation on 160 bytes, so many times as long as a bare AEAD through a like
#          binding
# trial    the point that trial.py slows in its whole runs
# bar      a claim about each CPU it names (about.py). Its gate lies at `share` of it, of a ceiling
#          above it. A CPU that is not named must hold the lowest of the gates
share = 0.75
"""


def recorded(kernel: str, tier: dict[str, Any], words: list[str]) -> None:
    """Fills the rows of a tier."""
    for kind in gates.POINTS:
        for row in tier[kind]:
            if not gates.is_wanted(row, "", words):
                continue
            if reason := gates.why_not(row, len(os.sched_getaffinity(0))):
                sys.exit(f"{gates.name_of(row)} cannot be recorded here: {reason}")
            most = "shape" in row and shapes.SHAPES[row["shape"]].most
            found = [reached(begin()) for _, begin in gates.POINTS[kind](kernel, row)]
            if not all(m.sure for m in found):
                sys.exit(f"{gates.name_of(row)}: the peer never had its cores")
            lower(row["bar"], [m.figure for m in found], most)
            if kind == "rows":
                lower(row.setdefault("p99", {}), [min(m.late, m.figure) for m in found])
            said = ", ".join(f"{m.figure:.3g}" for m in found)
            print(f"  {kernel} {gates.name_of(row)}: {said}", file=sys.stderr, flush=True)


def reached(contest: Any) -> Measured:
    """After so many rounds that it is sure and one more finds nothing better."""
    found: Measured = contest.go_on(1)
    for _ in range(ROUNDS):
        before, found = found, contest.go_on(2)
        figures = ((before.figure, found.figure), (before.late, found.late))
        if found.sure and all(abs(a - b) <= NEWS * b for a, b in figures):
            break
    return found


def lower(bars: dict[str, float], figures: list[float], most: bool = False) -> None:
    worst = (max if most else min)(figures)
    bar = bars.get(about.microarchitecture()) or (min if most else max)(bars.values(), default=0)
    if not bar or (bar / worst if most else worst / bar) < NEAR:
        bars[about.microarchitecture()] = -down(-worst) if most else down(worst)


def down(figure: float) -> float:
    """To two digits, or three from 1 to 2."""
    step = 10 ** (math.floor(math.log10(abs(figure))) - 1) / (2 if 1 <= abs(figure) < 2 else 1)
    return round(math.floor(figure / step) * step, 6)


# ---- the file ----


def toml(tier: dict[str, Any], kernel: str) -> str:
    parts = [f"\n[{kernel}]", f"trial = {_value(tier['trial'])}"]
    for kind in gates.POINTS:
        lines = (", ".join(f"{k} = {_value(v)}" for k, v in row.items()) for row in tier[kind])
        parts += [f"{kind} = [", *(f"  {{ {line} }}," for line in lines), "]"]
    return "\n".join(parts) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{k} = {v}' for k, v in value.items())} }}"
    return json.dumps(value)


def main() -> int:
    if not about.microarchitecture():
        sys.exit(f"about.py has no name for the kind of this CPU: {about.cpu()}")
    budget = tomllib.loads(gates.BUDGETS.read_text())
    if len(sys.argv) > 1:
        kernel, *words = sys.argv[1:]
        tier = gates.tier(budget, kernel)
        recorded(kernel, tier, words)
        print(toml(tier, kernel), end="")
        return 0
    parts = [HEAD.format(date=date.today().isoformat(), machine=about.name())]
    ready = gates.kernels()
    for kernel in dict.fromkeys([*reversed(engine.ladder()), *budget]):
        if kernel in ready:
            environment = os.environ | {"PYSFRAME_KERNEL": kernel}
            command = [sys.executable, __file__, kernel]
            parts.append(subprocess.check_output(command, env=environment, text=True))
        elif isinstance(rows := budget.get(kernel), dict):  # of a wider CPU
            parts.append(toml(rows, kernel))
    gates.BUDGETS.write_text("".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
