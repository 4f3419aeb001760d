"""What the report consists of: a list of parts, each measured in seconds and kept as JSON.

A contender races cryptography, and nobody else with it: in a crowd everybody finds the caches and
the wide vector units as the one before left them, which is no way to call a library.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import agents
import browser
import c_peers
import gates
import peers
import scale
import ticks
from calls import OURS
from interleave import Contender, Timing, by_block, p99, race
from shapes import SHAPES
from workloads import PeerCalls, Workload

SIZES = (40, 80, 160, 320, 640, 1200, 4096, 16384)
SUITES = (4, 5)
HALVES = {
    "seal": ("protect", "protect_many", "protect_batch", "protect_batch.out"),
    "open": ("unprotect", "unprotect_many.to_list", "unprotect_batch", "unprotect_batch.out"),
}
C_SUITES = (4, 5, 1, 6)
REPETITIONS = 31

Part = Callable[[], Any]


def parts(kernels: list[str]) -> dict[str, Part]:
    """Every part of the report by its name, which is also where it goes in the JSON."""
    found: dict[str, Part] = {}
    for suite in SUITES:
        for half in HALVES:
            for size in SIZES:
                found[f"calls/{suite}/{half}/{size}"] = partial(calls, suite, half, size)
    for kernel in kernels:
        found[f"tiers/{kernel}"] = partial(tier, kernel)
    for suite in C_SUITES:
        for half in HALVES:
            found[f"kernels/{suite}/{half}"] = partial(c_kernels, suite, half, kernels)
    for name in SHAPES:
        found[f"shapes/{name}"] = partial(shape, name)
    found["ticks"] = tick_times
    found["agents"] = agents.figures
    found["browser"] = browser.figures
    found["scale"] = scale.curve
    return found


# ---- calls from Python ----


def calls(suite: int, half: str, size: int) -> dict[str, Any]:
    """{name: {"best", "median", "p99"}} in ns per frame."""
    found = ours(suite, half, size)
    for make in peers.ALL[1:]:
        peer = make()
        if peer.takes(suite, size):
            found |= duel(peer_calls(peer, suite, half, size), suite, half, size)
    return found


def ours(suite: int, half: str, size: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in HALVES[half]:
        contender = replace(OURS[row](Workload(suite, size)), name=f"pysframe {row}")
        found |= duel(contender, suite, half, size)
    return found


def duel(contender: Contender, suite: int, half: str, size: int) -> dict[str, Any]:
    bar = peer_calls(peers.cryptography(), suite, half, size)
    timings = race([contender, bar], REPETITIONS)
    return {c.name: summary(c, timings[c.name]) for c in (bar, contender)}


def peer_calls(peer: peers.Peer, suite: int, half: str, size: int) -> Contender:
    made = PeerCalls(Workload(suite, size), peer)
    return made.sealing() if half == "seal" else made.opening()


def summary(contender: Contender, timing: Timing) -> dict[str, float]:
    return {
        "best": timing.best,
        "median": timing.median,
        "p99": p99(by_block(contender, 100)),
    }


def tier(kernel: str) -> Any:
    """Our calls in suite 4 on one kernel, in a process of its own."""
    program = "import json, measure; print(json.dumps(measure.tier_here()))"
    environment = os.environ | {"PYSFRAME_KERNEL": kernel}
    command = [sys.executable, "-c", program]
    return json.loads(
        subprocess.check_output(command, cwd=Path(__file__).parent, env=environment, text=True)
    )


def tier_here() -> dict[str, Any]:
    sizes = (40, 80, 160, 1200, 4096)
    return {half: {str(size): ours(4, half, size) for size in sizes} for half in HALVES}


# ---- without Python, shapes ----


def c_kernels(suite: int, half: str, kernels: list[str]) -> list[dict[str, Any]]:
    engines = ["openssl", *gates.peers_in_c(kernels), *kernels]
    return c_peers.run(suite, half == "open", list(SIZES[:-1]), engines, reps=15)


def tick_times() -> dict[str, dict[str, float]]:
    """Median ns per frame of each way through a tick, in suite 4, and of the peer's same way."""
    made = {name: race(make(4), REPETITIONS, warm=True) for name, make in ticks.MADE.items()}
    made["columns sealed"] = race(ticks.columns_sealed(4)[:1], REPETITIONS, warm=True)
    return {name: {who: t.median for who, t in times.items()} for name, times in made.items()}


def shape(name: str) -> dict[str, Any]:
    measurable = not name.startswith("threads") or len(os.sched_getaffinity(0)) > 1
    figure = SHAPES[name].measure() if measurable else None
    return {"figure": figure, "unit": SHAPES[name].unit}
