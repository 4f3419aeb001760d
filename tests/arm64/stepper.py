"""A program under qemu, one instruction at a time: qemu writes down where each one lies.

Only the library's own functions are written down, and those of the program that are asked for: not
the C library's, nor what a program does to get ready. The program's symbol table says where they
are, since it is linked in this order: its own files, csrc/, the C library.
"""

import os
import re
import subprocess
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from arm64.emulated import QEMU
from security.deep.builds import run

AT = re.compile(rb"\[[0-9a-f]+/([0-9a-f]+)/")


def functions(program: Path) -> list[tuple[int, int, str]]:
    """(start, end, name) of each function, by address."""
    lines = [line.split() for line in run("aarch64-linux-gnu-nm", "-S", program).splitlines()]
    found = (line for line in lines if len(line) == 4 and line[2] in "tT")
    return sorted((int(at, 16), int(at, 16) + int(size, 16), name) for at, size, _, name in found)


def ranges(program: Path, also: Sequence[str]) -> str:
    """qemu's -dfilter: from the first function of csrc/ to its last, and others by name."""
    known = functions(program)
    library = [row for row in known if row[2].startswith("sfr_")]
    parts = [(library[0][0], library[-1][1])]
    parts += [(start, end) for start, end, name in known if name in also]
    return ",".join(f"{start:#x}+{end - start:#x}" for start, end in parts)


def steps(
    cpu: str, program: Path, arguments: Sequence[object], folder: Path, also: Sequence[str] = ()
) -> array:
    """The addresses of all instructions of a run, in their order."""
    pipe = folder / "steps"
    os.mkfifo(pipe)
    where = ["-singlestep", "-d", "exec,nochain", "-dfilter", ranges(program, also), "-D", pipe]
    with subprocess.Popen([QEMU, "-cpu", cpu, *where, program, *map(str, arguments)]) as process:
        with pipe.open("rb") as log:
            found = array("Q", addresses(log))
        assert process.wait() == 0
    pipe.unlink()
    return found


def addresses(log) -> Iterator[int]:
    for line in log:
        if at := AT.search(line):
            yield int(at[1], 16)
