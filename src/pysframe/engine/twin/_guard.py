"""What every object of the twin has in common: it is locked, and there is one of it.

Rules of this file:
  1. A copy of a sender would use its counters twice, a copy of a receiver would open a frame
     twice: neither can be copied, pickled, or sent to another process.
  2. A forked child finds every lock free: whoever held one stayed in the parent.
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
    """A lock that is free in a forked child, unless the thread that forked holds it.

    Used with `with`. Reentrant, because a finalizer that takes it may run wherever its holder
    allocates. No Python code runs when it is taken and dropped: where memory is out, that could
    fail in between, and the lock be held for ever.
    """
    lock = threading.RLock()
    # No set: CPython's fills up where there is no memory to grow, and then looks for ever.
    _locks[lock] = None
    return lock


_locks: "WeakKeyDictionary[Any, None]" = WeakKeyDictionary()


def _free_locks() -> None:
    for lock in list(_locks):
        if not lock._is_owned():
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)
