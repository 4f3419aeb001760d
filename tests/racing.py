"""Threads that race: all start together, take turns as often as Python can, and hide no error.

Rule: their work is counted in turns, never in seconds, in which one machine does a thousand turns
      and another none. What must be seen is waited for, and the wait ends when it is there.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import TypeVar

PATIENCE = 60.0  # seconds in which the slowest machine shows what there is to see

_Result = TypeVar("_Result")


@contextmanager
def switching_often() -> Iterator[None]:
    """Threads take turns as often as Python can, so that a race has its chance."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_threads(*works: Callable[[], _Result]) -> list[_Result]:
    """What each work returned, or the first error of one; all start together."""
    barrier = threading.Barrier(len(works))

    def started(work: Callable[[], _Result]) -> _Result:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        running = [pool.submit(started, work) for work in works]
        return [future.result() for future in running]


def race(
    first: Callable[[], object],
    *others: Callable[[], object],
    turns: int,
    until: Callable[[], bool] = lambda: True,
) -> None:
    """Makes each call again and again, in a thread of its own, until first() was called `turns`
    times and until() holds. Without until() it gives up after a minute: the caller asserts it."""
    stop, end = threading.Event(), time.monotonic() + PATIENCE

    def lead() -> None:
        for made in count(1):
            first()
            if stop.is_set() or (made >= turns and (until() or time.monotonic() > end)):
                return

    def follow(call: Callable[[], object]) -> None:
        while not stop.is_set():
            call()

    def ending(work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            stop.set()

    works = [lead, *(lambda call=call: follow(call) for call in others)]
    in_threads(*(lambda work=work: ending(work) for work in works))
