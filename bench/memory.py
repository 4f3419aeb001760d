"""What memory costs here and now: a pointer chain, timed as a contender.

Thousands of keys do not fit into the nearest caches; what fetching one costs then depends on the
machine, and on who else uses its last cache and its memory. A chain that lies in as much memory
waits for the same things.
"""

import ctypes
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from interleave import Contender
from workloads import require

SOURCE = Path(__file__).parent / "c" / "chain.c"
BUILD = Path(__file__).parent.parent / "build" / "bench"
LINE = 64  # bytes


@cache
def library() -> ctypes.CDLL:
    """chain.c, compiled and loaded."""
    BUILD.mkdir(parents=True, exist_ok=True)
    made = BUILD / "chain.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", made, SOURCE], check=True)
    loaded = ctypes.CDLL(str(made))
    loaded.chain_new.restype = loaded.chain_walk.restype = ctypes.c_void_p
    loaded.chain_new.argtypes = [ctypes.c_size_t]
    loaded.chain_walk.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return loaded


@cache
def _chain(size: int) -> int:
    start = library().chain_new(size // LINE)
    require(bool(start), f"{size} bytes for a pointer chain")
    return int(start)


def chain(size: int, steps: int = 10_000) -> Contender:
    """One operation waits for one line out of `size` bytes; a run goes on where the last stood."""
    start, walk = _chain(size), library().chain_walk
    at = [start]

    def run(_: list[Any]) -> list[Any]:
        at[0] = walk(at[0], steps)
        return at

    def check(_: Any, found: list[Any]) -> None:
        require(start <= found[0] < start + size, "a pointer chain")

    return Contender("chain", steps, list, run, check)
