"""The C code inside the extension module that is installed: where its functions lie.

They are hidden, so no loader finds them; the module's symbol table still has their names.
"""

import ctypes
from functools import cache
from pathlib import Path

from security.deep.builds import run

from pysframe.engine import _native

MODULE = Path(_native.__file__)


@cache
def symbols() -> dict[str, int]:
    """Name -> offset in the module, of functions and data."""
    lines = [line.split() for line in run("nm", "--defined-only", MODULE).splitlines()]
    return {name: int(offset, 16) for offset, kind, name in lines if kind in "tTdDrRbB"}


@cache
def base() -> int:
    """Where the module was loaded."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return min(int(line.split("-")[0], 16) for line in lines if line.endswith(str(MODULE)))


def address(name: str) -> int:
    return base() + symbols()[name]


def addresses(*names: str) -> ctypes.Array:
    return (ctypes.c_void_p * len(names))(*map(address, names))


def name_of(at: int) -> str:
    """symbol+offset, for a person."""
    offset = at - base()
    below = {start: name for name, start in symbols().items() if start <= offset}
    if not below or offset > MODULE.stat().st_size:
        return hex(at)
    return f"{below[max(below)]}+{offset - max(below):#x}"
