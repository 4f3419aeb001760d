"""Libraries to preload: an operating system that answers otherwise than this one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from isolated import PATIENCE, SRC
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

# A process id that was given again, or that is the same in every namespace.
SAME_PID = "int getpid(void) { return 1; }\n"

# A sandbox that lets nobody have a timer. Both engines' ways: the twin asks libc, the C core the
# kernel, by the one wrapper of all system calls.
NO_TIMERS = """
#include <stdarg.h>

int timer_create(int clock, void *event, void *timer) { return -1; }

long syscall(long number, ...)
{
    long a[6], out;
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_timer_create) return errno = EPERM, -1;
    register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall" : "=a"(out)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return out < 0 && out > -4096 ? (errno = (int)-out, -1) : out;
}
"""


def madvise_that(answer: str, folder: Path, more: str = "") -> Path:
    """The shim of one answer, compiled: "refuses", "nods" or "lies"; and of `more`."""
    if not tools()["cc"]:
        pytest.skip("no C compiler")
    source, library = folder / f"{answer}.c", folder / f"{answer}.so"
    source.write_text(MADVISE + more)
    flags = ["-shared", "-fPIC", f"-DANSWER='{answer[0]}'"]
    subprocess.run(["cc", *flags, source, "-o", library], check=True)
    return library


def run_tests(library: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Some of our own tests in a fresh process with the library in front of libc."""
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(SRC)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--partial", *arguments]
    where = {"cwd": SRC.parent, "env": environment}
    return subprocess.run(command, **where, capture_output=True, text=True, timeout=PATIENCE)
