"""Small C helpers of these tests, compiled and loaded: where Python is too slow or not allowed in.

They are linked to the libsfr.so of tests/c_core, so they reach what the library has inside.
"""

import ctypes
from functools import cache
from pathlib import Path

from c_core.core import CSRC, HERE, built, kernel_or_skip
from security.deep.builds import cached, compiled, run

FOLDER = Path(__file__).parent
FLAGS = "-std=gnu11 -O2 -g -Wall -Wextra -Werror"

__all__ = ["kernel_or_skip", "native"]


@cache
def native(name: str) -> ctypes.CDLL:
    """tests/security/<name>.c as a library; its kernels are chosen."""
    core = built()
    part = compiled(FOLDER / f"{name}.c", "gcc", FLAGS, CSRC, HERE, FOLDER)
    link = f"-shared -L{core} -lsfr -Wl,-rpath,{core} -pthread"

    def build(made: Path) -> None:
        run("gcc", part, *link.split(), "-o", made / f"{name}.so")

    library = ctypes.CDLL(str(cached(name, (part, link), build) / f"{name}.so"))
    ctypes.CDLL(str(core / "libsfr.so")).sfr_init(None)
    return library
