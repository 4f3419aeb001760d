"""The modules of bench/ under test: what the tests of the latency budget share."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

BENCH = Path(__file__).parent.parent / "bench"
BUDGETS = tomllib.loads((BENCH / "budgets.toml").read_text())
TIERS = [name for name, rows in BUDGETS.items() if isinstance(rows, dict)]
SHAPED = ("ticks", "around", "floors")


def matched(gates, kind):
    """The shapes of a kind that are contests of contenders, each with its matches."""
    for name, shape in gates.shapes.KINDS[kind].items():
        if name != "import pysframe":
            yield name, shape, shape.begin()


def run_gates(*words, **environment):
    return subprocess.run(
        [sys.executable, BENCH / "gates.py", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
