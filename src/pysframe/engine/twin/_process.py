"""The process as fork sees it: a number that is another one in a forked child.

It lies in a page that Linux wipes at a fork, however that is made; so does the C core's. Where
there is no such page (gVisor, Linux before 4.14) a timer tells, and where there is neither,
os.fork() and the process id. That one alone would not do: it is given again, and is 1 in every
namespace.
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
_numbers = count(1)  # those before were given, in this process or its ancestors


def _wiped_page() -> memoryview:
    """A page that reads 0 in a forked child; OSError where there is none."""
    if sys.platform != "linux" or not hasattr(mmap.mmap, "madvise"):
        raise OSError
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(-1)
    except OSError:  # a real kernel; qemu-user says "done" to any advice, and does nothing
        page.madvise(MADV_WIPEONFORK)
        return memoryview(page)[:8].cast("Q")
    raise OSError


class WipedPage:
    """Sees every fork. A look takes some 40 ns."""

    __slots__ = ("_words",)

    def __init__(self) -> None:
        self._words = _wiped_page()

    def generation(self) -> int:
        """The number of this process: 1 or more, and another one in each of its descendants."""
        return self._words[0] or self._renew()

    def _renew(self) -> int:
        with _lock:
            if self._words[0] == 0:
                self._words[0] = next(_numbers)
            return self._words[0]


class Marked:
    """A process that has a mark of its own, which a child has not. os.fork() tells as well."""

    __slots__ = ("_generation",)

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def generation(self) -> int:
        """The number of this process: 1 or more, and another one in each of its descendants."""
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
    """Sees every fork: a child has none of its parent's timers, and the interval tells ours from
    others. It never rings. A look takes a microsecond; OSError where there is none."""

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
    """Sees forks by os.fork(), and others where the child's process id is not its ancestor's."""

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
