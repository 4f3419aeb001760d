"""What the policy classes share: one lock, `with`, and names of the past.

Rule: the lock is never held during disk I/O, and no frame whose key and counter are present takes
      it.
"""

import os
from _thread import RLock
from typing import NoReturn, Self

# One lock for all objects suffices: what it guards (deriving a key, handing over a lease) takes
# microseconds and happens rarely.
policy_lock = RLock()
if hasattr(os, "register_at_fork"):  # a child finds it free, and no change half made
    os.register_at_fork(
        before=policy_lock.acquire,
        after_in_parent=policy_lock.release,
        after_in_child=policy_lock.release,
    )


class Removed:
    """A class attribute that is gone: reading it raises an AttributeError that names its successor.

    An AttributeError, so that hasattr() and inspect.getmembers() see that nothing is there.
    """

    __slots__ = ("_instead", "_name")

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type | None = None) -> NoReturn:
        raise AttributeError(f"{self._name} is no longer there; instead: {self._instead}")


class Closing:
    """Makes `with` call close()."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()  # type: ignore[attr-defined]  # the engine's, further along the MRO
