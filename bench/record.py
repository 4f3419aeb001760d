"""Writes budgets.toml from BARS here and from what this machine reaches: `make bench-record`.

    python bench/record.py

Bars of vaes512, and of shapes on every kernel, are the project's aims. The calls and C kernels of
narrower tiers get bars from what they reached in this run, rounded down. Recorded from this run
for every kernel: the 99th percentile of each call over blocks of 64 frames, at its worst size and
suite; and `reached`, where a figure is short of its bar by more than a tenth. A row that has
caught up loses its `reached` by recording again.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import about
import c_peers
import gates
import shapes

ALL_CORES = os.sched_getaffinity(0)
SHORT = [40, 80, 120, 160]
AIMS: dict[str, list[dict[str, Any]]] = {
    "rows": [
        {"call": "protect", "sizes": [40, 80], "bar": 8.0},
        {"call": "protect", "sizes": [120, 160], "bar": 7.5},
        {"call": "protect", "sizes": [1200], "bar": 4.0},
        {"call": "unprotect", "sizes": SHORT, "bar": 7.0},
        {"call": "unprotect", "sizes": [1200], "bar": 4.0},
        {"call": "protect_many", "sizes": SHORT, "bar": 12.0},
        {"call": "unprotect_many.to_list", "sizes": SHORT, "bar": 9.0},
        {"call": "protect_batch", "sizes": [40, 80], "bar": 18.0},
        {"call": "protect_batch", "sizes": [160], "bar": 16.0},
        {"call": "unprotect_batch", "sizes": SHORT, "bar": 15.0},
        {"call": "protect_batch.out", "sizes": [1200], "bar": 6.0},
        {"call": "unprotect_batch.out", "sizes": [1200], "bar": 6.0},
        {"call": "protect_batch.out", "sizes": [4096], "bar": 2.5},
        {"call": "unprotect_batch.out", "sizes": [4096], "bar": 2.5},
    ],
    "kernels": [
        {"suite": 4, "peer": "ipsec", "sizes": [40], "bar": 2.2},
        {"suite": 4, "peer": "ipsec", "sizes": [80, 120, 160], "bar": 1.75},
        {"suite": 4, "peer": "ipsec", "sizes": [320], "bar": 1.4},
        {"suite": 4, "peer": "ipsec", "sizes": [640, 1200], "bar": 1.0},
        {"suite": 4, "peer": "ipsec", "sizes": [4096, 16384], "bar": 0.95},
        {"suite": 5, "peer": "ipsec", "sizes": [40, 160, 1200], "bar": 1.0},
        {"suite": 1, "peer": "ipsec", "sizes": [160], "bar": 1.0},
        {"suite": 6, "peer": "openssl", "sizes": [160, 1200], "bar": 1.3},
    ],
    "shapes": [
        {"shape": "mixed traffic", "bar": 1.3},
        {"shape": "10,000 keys", "bar": 1.8},
        {"shape": "page edges", "bar": 1.5},
        {"shape": "long header, metadata", "bar": 1.25},
        {"shape": "threads 1200 B x 1024", "bar": 1.6},
        {"shape": "threads 160 B x 1024", "bar": 1.3},
        {"shape": "threads 160 B x 64", "bar": 0.9},
        {"shape": "memory of a Sender", "bar": 2500},
        {"shape": "memory of a Receiver", "bar": 2500},
        {"shape": "Sender(...)", "bar": 3.0},
        {"shape": "Receiver.add_key", "bar": 3.0},
    ],
}
# Beside the peer's path of the same width.
NARROW = [
    {"suite": 4, "peer": "ipsec", "sizes": [40, 80, 160, 320, 640, 1200], "bar": 0.95},
    {"suite": 5, "peer": "ipsec", "sizes": [40, 160, 1200], "bar": 0.95},
    {"suite": 1, "peer": "ipsec", "sizes": [160], "bar": 1.0},
    {"suite": 6, "peer": "openssl", "sizes": [160, 1200], "bar": 1.3},
]
HEAD = """\
# The latency budget: see gates.py. Written by record.py on {date}: {machine}.
#
# rows     a whole SFrame call, so many times faster than cryptography's bare AESGCM call on the
#          same bytes, at each size and in suites 4 and 5. p99_ns: over blocks of 64 frames
# kernels  the C kernel, so many times faster than the peer's best at the same instruction set;
#          seal and open, batches of 64; GCM under one key, HMAC under 64
# shapes   ours against ours, or an amount
# bar      the aim; the gate lies at `share` of it (of a ceiling: above it)
# reached  only where the bar is missed by more than a tenth: the gate lies at `share` of this
share = 0.75
cpu = "{cpu}"  # p99_ns holds there
"""


def rows_of(kernel: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a kernel before anything is measured."""
    aims = AIMS if kernel == "vaes512" else AIMS | {"kernels": NARROW}
    tier = {kind: [dict(row) for row in rows] for kind, rows in aims.items()}
    for row in tier["kernels"]:
        if row["peer"] == "ipsec":
            row["peer"] = c_peers.IPSEC[kernel]
    return tier


def figures(kind: str, row: dict[str, Any], kernel: str) -> Iterator[tuple[float, float]]:
    """(figure, p99) of a row at each of its points, the best of gates.TRIES tries each."""
    cores = ALL_CORES if "threads" in row.get("shape", "") else {min(ALL_CORES)}
    os.sched_setaffinity(0, cores)
    if kind == "shapes":
        shape = shapes.SHAPES[row["shape"]]
        pick = min if shape.most else max
        yield pick(shape.measure() for _ in range(gates.TRIES)), 0.0
        return
    for where in points(kind, row):
        tries = [measured(kind, row, kernel, *where) for _ in range(gates.TRIES)]
        yield max(times for times, _ in tries), min(p99_ns for _, p99_ns in tries)


def points(kind: str, row: dict[str, Any]) -> Iterator[tuple[Any, int]]:
    firsts = (4, 5) if kind == "rows" else (False, True)
    yield from ((first, size) for first in firsts for size in row["sizes"])


def measured(
    kind: str, row: dict[str, Any], kernel: str, first: Any, size: int
) -> tuple[float, float]:
    if kind == "rows":
        times, _, p99_ns = gates.measure(row["call"], first, size)
        return times, p99_ns
    return c_peers.times_faster(row["suite"], first, size, kernel, row["peer"])[0], 0.0


def recorded(kernel: str) -> dict[str, list[dict[str, Any]]]:
    tier = rows_of(kernel)
    for kind, rows in tier.items():
        for row in rows:
            if reason := gates.why_not(row, len(ALL_CORES)):
                sys.exit(f"{gates.name_of(row)} cannot be recorded here: {reason}")
            print(f"  {kernel} {gates.name_of(row)}", file=sys.stderr, flush=True)
            found = list(figures(kind, row, kernel))
            fill(kind, row, found, kernel)
    return tier


def fill(kind: str, row: dict[str, Any], found: list[tuple[float, float]], kernel: str) -> None:
    most = kind == "shapes" and shapes.SHAPES[row["shape"]].most
    worst = (max if most else min)(figure for figure, _ in found)
    reached = -down(-worst) if most else down(worst)
    short = (row["bar"] / worst if most else worst / row["bar"]) < gates.NEAR
    if kernel != "vaes512" and kind == "rows":
        row["bar"] = reached
    elif short:
        row["reached"] = reached
    if kind == "rows":
        row["p99_ns"] = math.ceil(max(p99_ns for _, p99_ns in found))


def down(figure: float) -> float:
    """To two digits, or three from 1 to 2."""
    step = 10 ** (math.floor(math.log10(abs(figure))) - 1) / (2 if 1 <= abs(figure) < 2 else 1)
    return round(math.floor(figure / step) * step, 6)


def toml(tier: dict[str, list[dict[str, Any]]], kernel: str) -> str:
    parts = [f"\n[{kernel}]"]
    for kind, rows in tier.items():
        lines = (", ".join(f"{k} = {json.dumps(v)}" for k, v in row.items()) for row in rows)
        parts += [f"{kind} = [", *(f"  {{ {line} }}," for line in lines), "]"]
    return "\n".join(parts) + "\n"


def main() -> int:
    if len(sys.argv) > 1:
        print(toml(recorded(sys.argv[1]), sys.argv[1]), end="")
        return 0
    parts = [HEAD.format(date=date.today().isoformat(), machine=about.name(), cpu=about.cpu())]
    for kernel in gates.kernels(budgeted=False):
        environment = os.environ | {"PYSFRAME_KERNEL": kernel}
        command = [sys.executable, __file__, kernel]
        parts.append(subprocess.check_output(command, env=environment, text=True))
    Path(gates.BUDGETS).write_text("".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
