"""What every object of the twin shares: it is locked, and it cannot be duplicated.

Rules of this file:
  1. A copy of a sender would repeat its counters, and a copy of a receiver would open a frame
     twice, so neither can be copied, pickled or sent to another process.
  2. A forked child finds every lock free: the threads that held them stayed in the parent.
"""

import os
import threading
from typing import Any, NoReturn
from weakref import WeakKeyDictionary


class Unshareable:
    """Refuses copy, deepcopy and pickle with a TypeError."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied; make another one")


def new_lock() -> "threading.RLock":
    """A lock that is free in a forked child, unless the forking thread holds it.

    Use it in a `with` statement. It is reentrant because a finalizer that takes it may run wherever
    the holder allocates. Taking and dropping it runs no Python code, which could fail when memory
    is exhausted and leave the lock held forever.
    """
    lock = threading.RLock()
    # Not a set: a set that CPython has no memory to grow fills up, and a look-up in it never ends.
    _locks[lock] = None
    return lock


_locks: "WeakKeyDictionary[Any, None]" = WeakKeyDictionary()


def _free_locks() -> None:
    for lock in list(_locks):
        if not lock._is_owned():
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)
