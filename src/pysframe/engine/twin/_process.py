"""Detects forks: a number that differs in a forked child.

Like that of the C core, it lies in a page that Linux wipes at every fork, however that is made.
Without such a page (gVisor, Linux before 4.14) a timer detects forks, and without either, os.fork()
and the process id do. The process id alone does not suffice: ids are reused, and every namespace
has a process 1.
"""

import ctypes
import mmap
import os
import sys
import time
from contextlib import suppress
from itertools import count
from secrets import randbits

from ._guard import new_lock

MADV_WIPEONFORK = 18

_lock = new_lock()
_numbers = count(1)  # smaller ones are taken, in this process or its ancestors


def _wiped_page() -> memoryview:
    """A page that reads 0 in a forked child; OSError where the system has none."""
    if sys.platform != "linux" or not hasattr(mmap.mmap, "madvise"):
        raise OSError
    if sys.implementation.name == "pypy":  # has an internal error where madvise should raise
        raise OSError
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(-1)
    except OSError:  # a real kernel; qemu-user accepts any advice and ignores it
        page.madvise(MADV_WIPEONFORK)
        return memoryview(page)[:8].cast("Q")
    raise OSError


class WipedPage:
    """Detects every fork. A check takes about 40 ns."""

    __slots__ = ("_words",)

    def __init__(self) -> None:
        self._words = _wiped_page()

    def generation(self) -> int:
        """The number of this process: 1 or more, and different in each of its descendants."""
        return self._words[0] or self._renew()

    def _renew(self) -> int:
        with _lock:
            if self._words[0] == 0:
                self._words[0] = next(_numbers)
            return self._words[0]


class Marked:
    """A process with a mark that its children lack. os.fork() is noticed as well."""

    __slots__ = ("_generation",)

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def generation(self) -> int:
        """The number of this process: 1 or more, and different in each of its descendants."""
        if not self._is_ours():
            self._renew()
        return self._generation

    def _renew(self) -> None:
        with _lock:
            self._mark()
            self._generation = next(_numbers)

    def _is_ours(self) -> bool:
        raise NotImplementedError

    def _mark(self) -> None:
        raise NotImplementedError


class SilentTimer(Marked):
    """Detects every fork: a child inherits no timers, and the interval tells ours from others. The
    timer never fires. A check takes a microsecond; OSError where the system has no timers."""

    __slots__ = ("_get", "_id", "_interval", "_libc")

    def __init__(self) -> None:
        try:
            self._libc = ctypes.PyDLL(None)
            self._get = self._libc.timer_gettime
        except (AttributeError, TypeError):  # not in this libc; not on this system
            raise OSError from None
        super().__init__()

    def _is_ours(self) -> bool:
        found = TimerSpec()
        return self._get(self._id, found) == 0 and tuple(found[:2]) == self._interval

    def _mark(self) -> None:
        interval = (1 << 26, randbits(29))  # two years, to the random nanosecond
        quiet, timer = SigEvent(), ctypes.c_void_p()
        quiet[3] = SIGEV_NONE
        if self._libc.timer_create(time.CLOCK_MONOTONIC, quiet, ctypes.byref(timer)):
            raise OSError
        if self._libc.timer_settime(timer, 0, TimerSpec(*interval, *interval), None):
            raise OSError
        self._id, self._interval = timer, interval
        if not self._is_ours():
            raise OSError


class ProcessId(Marked):
    """Detects os.fork(), and any other fork whose child has a new process id."""

    __slots__ = ("_pid",)

    def _is_ours(self) -> bool:
        return self._pid == os.getpid()

    def _mark(self) -> None:
        self._pid = os.getpid()


SIGEV_NONE = 1
SigEvent = ctypes.c_int * 16  # a value of 8 bytes, the signal, the kind, and room to 64
TimerSpec = ctypes.c_long * 4  # interval and value, each in seconds and nanoseconds


def _best() -> "WipedPage | SilentTimer | ProcessId":
    for way in (WipedPage, SilentTimer):
        with suppress(OSError):
            return way()
    return ProcessId()


PROCESS = _best()
generation = PROCESS.generation
