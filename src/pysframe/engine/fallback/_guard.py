"""What every object of the twin has in common: it is locked, and there is one of it.

Rules of this file:
  1. A copy of a sender would use its counters twice, a copy of a receiver would open a frame
     twice: neither can be copied, pickled, or sent to another process.
  2. A forked child finds every lock free: whoever held one stayed in the parent.
"""

import os
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn
from weakref import WeakSet


class Unshareable:
    """Refuses copy, deepcopy and pickle with a TypeError."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied; make another one")


class Lock:
    """A lock that is free again in a forked child; used with `with`.

    Reentrant, because a finalizer that takes it may run wherever its holder allocates.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(RuntimeError):  # a child, forked by a signal handler in the middle: it is new
            self._lock.release()


_locks: "WeakSet[Lock]" = WeakSet()


def _free_locks() -> None:
    for lock in _locks:
        lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)
