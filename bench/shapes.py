"""Ours against ours: that no shape of traffic falls off a cliff. And what an object costs.

Every figure is a ratio to something timed in the same turns, or an amount of memory. See gates.py.
"""

import random
from bisect import bisect
from dataclasses import replace
from functools import partial
from typing import Any

import around
import edges
import floors
import memory
import objects
import ticks
from contests import SUITES, Amount, Shape, Worst, in_suites
from frames import mixed
from interleave import BLOCK, Contender, Match
from threads import ThreadsContest
from verdicts import Contest
from workloads import Batches, Workload, blocks_of, flat, require

import pysframe

# ---- mixed lengths, many keys ----


class Sized(Workload):
    """A workload of given frame sizes instead of one."""

    def __init__(self, suite: int, sizes: list[int]) -> None:
        super().__init__(suite, 0)
        self.count = len(sizes) // BLOCK * BLOCK
        self.frames = [self.rng.randbytes(size) for size in sizes[: self.count]]


MIXED = mixed(1024, random.Random(7))
GRID = sorted({20, 48, 64, 80, 96, 112, 128, 160, *range(256, max(MIXED) + 512, 512)})


def mixed_traffic(suite: int, keys: int = 1000) -> list[Contender]:
    """Audio 3 : video 1 in batches of 64, and batches of one length each.

    None of them is warm: the longest frames do not fit into the caches that the mixed ones do.
    """
    sizes = {"mixed": MIXED} | {str(size): [size] * BLOCK * 4 for size in GRID}
    return [
        replace(Batches(Sized(suite, listed), keys).protect_batch(), name=name, warm=False)
        for name, listed in sizes.items()
    ]


def of_uniform(match: Match) -> float:
    """Mixed frames against the same frames in batches of their own length."""
    costs = [match.best[str(size)] for size in GRID]
    expected = sum(_between(costs, size) for size in MIXED) / len(MIXED)
    return match.best["mixed"] / expected


def _between(costs: list[float], size: int) -> float:
    right = min(max(bisect(GRID, size), 1), len(GRID) - 1)
    low, high = GRID[right - 1], GRID[right]
    return costs[right - 1] + (costs[right] - costs[right - 1]) * (size - low) / (high - low)


KEYS = 10_000
SENDER_BYTES = 2048  # about, which is what a pass over all keys reads out of


def many_keys(suite: int) -> list[Contender]:
    """Columnar, 160 bytes: each pass a fresh permutation of all keys, against 64 keys.

    Both protect the same number of frames a pass, into fresh memory, so that the keys are all the
    difference.
    """
    count = KEYS // BLOCK * BLOCK
    held = {"few": BLOCK, "many": KEYS}
    passes = {n: Batches(_pass_of(suite, count), keys).protect_batch() for n, keys in held.items()}
    ours = [replace(one, name=name) for name, one in passes.items()]
    return [*ours, memory.chain(KEYS * SENDER_BYTES)]


def of_memory(match: Match) -> float:
    """10,000 keys against 64, and one wait for memory a row.

    A row of a key that is not in the nearest caches must wait for it once, whatever that costs
    here and now; its other lines, and those of the rows after it, are fetched meanwhile.
    """
    return match.best["many"] / (match.best["few"] + match.best["chain"])


def _pass_of(suite: int, count: int) -> Workload:
    workload = Workload(suite, 160)
    workload.frames = [workload.frames[i % workload.count] for i in range(count)]
    workload.count = count
    return workload


# ---- one call ----


def long_header_and_metadata(suite: int) -> list[Contender]:
    """A 17-byte header and 20 bytes of metadata against a short header and none; 160 bytes."""
    plain = replace(Workload(suite, 160).protect(), name="plain")
    return [plain, _with_metadata(Workload(suite, 160))]


def _with_metadata(w: Workload) -> Contender:
    key, kid, metadata = w.rng.randbytes(16), 1 << 63, w.rng.randbytes(20)
    sender = pysframe.Sender(w.suite, kid=kid, base_key=key, next_ctr=1 << 63)
    receiver = pysframe.Receiver(w.suite)
    receiver.add_key(kid, key)
    blocks = blocks_of(w.frames)

    def run(blocks: list[Any]) -> list[Any]:
        protect = sender.protect
        return [[protect(frame, metadata) for frame in block] for (block,) in blocks]

    def check(_: Any, out: list[Any]) -> None:
        require([receiver.unprotect(c, metadata) for c in flat(out)] == w.frames, "metadata")

    return Contender("long", w.count, lambda: blocks, run, check)


# ---- contests ----


def at_edges() -> Contest:
    matches = [match for suite in SUITES for match in edges.matches(suite)]
    return Worst(matches, 11, lambda match: match.times("edge", "middle"))


def made(name: str) -> Contest:
    match = Match(objects.MAKING[name])
    return Worst([match], 15, lambda match: match.times("cryptography", "ours"), min)


# ---- the list that budgets.toml names ----


def _threads(size: int, rows: int, lets_go: bool) -> Shape:
    return Shape("x peer's", False, partial(ThreadsContest, size, rows, lets_go), cores=2)


OF_TRAFFIC = {
    "mixed traffic": Shape("x uniform", True, partial(in_suites, mixed_traffic, 11, of_uniform)),
    "10,000 keys": Shape("x 64 + wait", True, partial(in_suites, many_keys, 15, of_memory)),
    "page edges": Shape("x mid-page", True, at_edges),
    "long header, metadata": Shape(
        "x plain",
        True,
        partial(
            in_suites, long_header_and_metadata, 41, lambda match: match.times("long", "plain")
        ),
    ),
    "threads 1200 B x 1024": _threads(1200, 1024, True),
    "threads 160 B x 1024": _threads(160, 1024, True),
    "threads 160 B x 64": _threads(160, 64, False),
    "memory of a Sender": Shape(
        "bytes", True, lambda: Amount(lambda: objects.bytes_each("sender"))
    ),
    "memory of a Receiver": Shape(
        "bytes", True, lambda: Amount(lambda: objects.bytes_each("receiver"))
    ),
    "Sender(...)": Shape("x faster", False, partial(made, "Sender(...)")),
    "Receiver.add_key": Shape("x faster", False, partial(made, "Receiver.add_key")),
}

# The tables of budgets.toml that name shapes.
KINDS: dict[str, dict[str, Shape]] = {
    "shapes": OF_TRAFFIC,
    "ticks": ticks.SHAPES,
    "around": around.SHAPES,
    "floors": floors.SHAPES,
}
SHAPES = {name: shape for shapes in KINDS.values() for name, shape in shapes.items()}
