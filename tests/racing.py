"""Threads that race: all start together, take turns as often as Python can, and hide no error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

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


def again_and_again(call: Callable[[], object], seconds: float = 0.3) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        call()
