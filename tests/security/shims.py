"""Libraries to preload: an operating system that answers otherwise than this one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from isolated import SRC
from machine import tools

# What a kernel may say to madvise, and what a process can believe of it.
#   refuses  an old kernel, or a sandbox: no wiping on fork, said aloud
#   nods     qemu-user: "done" to any advice, even to advice -1, and nothing is wiped
#   lies     what no probe can see: -1 is refused, wiping promised, and not done
MADVISE = """
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int madvise(void *p, size_t size, int advice)
{
    enum { WIPEONFORK = 18 };
    int asked = advice == WIPEONFORK || advice == -1;
    if (asked && ANSWER == 'n') return 0;
    if (advice == WIPEONFORK && ANSWER == 'l') return 0;
    if (advice == WIPEONFORK) return errno = EINVAL, -1;
    return (int)syscall(SYS_madvise, p, size, advice);
}
"""


def madvise_that(answer: str, folder: Path) -> Path:
    """The shim of one answer, compiled: "refuses", "nods" or "lies"."""
    if not tools()["cc"]:
        pytest.skip("no C compiler")
    source, library = folder / f"{answer}.c", folder / f"{answer}.so"
    source.write_text(MADVISE)
    flags = ["-shared", "-fPIC", f"-DANSWER='{answer[0]}'"]
    subprocess.run(["cc", *flags, source, "-o", library], check=True)
    return library


def run_tests(library: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Some of our own tests in a fresh process with the library in front of libc."""
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(SRC)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--partial", *arguments]
    return subprocess.run(
        command, cwd=SRC.parent, env=environment, capture_output=True, text=True, timeout=110
    )
