"""What Sender and Receiver have in common: limits, checks, and one lock for what is rare.

Rule: the lock is never held during disk I/O, and no frame whose key and counter are there takes it.
"""

import os
import threading
from operator import index
from typing import NoReturn, Self

from .errors import MisuseError
from .suites import CipherSuite

DEFAULT_MAX_FRAME = 16 << 20  # bytes
LIMIT_MAX_FRAME = 0x7FFF_FFFF  # bytes
LIMIT_WINDOW = 1 << 20  # frames
LAST_CTR = (1 << 64) - 1
LAST_KID = (1 << 64) - 1

# One for all objects: what it guards (keys derived, leases handed over) takes microseconds.
rare = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child never finds it taken, nor a change half made
    os.register_at_fork(
        before=rare.acquire, after_in_parent=rare.release, after_in_child=rare.release
    )


def checked(name: str, value: int, first: int, last: int) -> int:
    """value as an int; MisuseError outside first..last, TypeError when it is no integer."""
    number = index(value)
    if not first <= number <= last:
        limit = "2^64-1" if last == LAST_CTR else last
        raise MisuseError(f"{name} is {number}; it must be {first}..{limit}")
    return number


def allowed_suite(suite: CipherSuite | int, allow_short_tags: bool) -> CipherSuite:
    """The suite, unless its tags are 4 bytes and the caller has not said that this is meant."""
    suite = CipherSuite(suite)
    if suite.has_short_tag and not allow_short_tags:
        raise MisuseError(
            f"{suite.name} has 4-byte tags: one forgery succeeds in 2^32 tries (RFC 9605 7.5); "
            "pass allow_short_tags=True if that is meant"
        )
    return suite


class Removed:
    """A class attribute of the past: reading its name raises an AttributeError in words.

    It is an AttributeError so that hasattr() and inspect.getmembers() see what is no longer there.
    """

    __slots__ = ("_instead", "_name")

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type | None = None) -> NoReturn:
        raise AttributeError(f"{self._name} is no longer there; instead: {self._instead}")


class Closing:
    """What `with` does with anything that has a close()."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()  # type: ignore[attr-defined]  # the engine's, further along the MRO
