"""Which keys this process seals with: a claim on each, that others see and that dies with it.

Rules of this file:
  1. A claim is a lock on one byte of the store's file, whose place follows from the key. Two keys
     meet in one place once in 2^60 times.
  2. It lives as long as its Sender, or until that is closed, and no longer than its process. A
     forked child has none of its parent's.
"""

import os
from contextlib import suppress
from pathlib import Path

from .._common import policy_lock
from ..errors import DuplicateSender
from ._blocks import give_back_later
from ._locks import Opening
from ._words import CounterStoreError


class Claim:
    """That this process, and no other, seals with a key; its leases come to it."""

    __slots__ = ("_at", "_claims", "first_block", "last", "last_block", "name")
    last: int  # counter that is leased
    first_block: int  # of the key's meter, where the leases of this claim begin
    last_block: int  # and where they end

    def __init__(self, claims: "Claims", name: bytes) -> None:
        self._claims: Claims | None = None  # until it is ours
        self._at, self.name = 1 + int.from_bytes(name[:8]) // 16, name
        claims.take(self._at)
        self._claims = claims

    @property
    def released(self) -> bool:
        return self._claims is None

    def release(self, used: int | None = None) -> None:
        """Others may seal with the key from now on; idempotent.

        used: where the meter of the Sender, closed by now, has stopped. What is left of its lease
        is given back when the store is written next, or at the end of the process.
        """
        claims, self._claims = self._claims, None
        if claims is not None:
            if used is not None and claims.are_ours:
                give_back_later(claims.path, self.name, self.last_block - used)
            claims.drop(self._at)

    def __del__(self) -> None:
        self.release()


class Claims:
    """All claims of one CounterStore, from the opening of its file to that of another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opening = Opening(path)
        self._pid = os.getpid()
        self._counts: dict[int, int] = {}  # claims that share a place

    def are_on(self, identity: tuple[int, int]) -> bool:
        """Whether they are this process's, and on that file."""
        return self.are_ours and self._opening.identity == identity

    def check(self, path: Path) -> None:
        """CounterStoreError when the path leads to another file by now, while there are claims."""
        if not self._counts or not self.are_ours:
            return
        with suppress(FileNotFoundError):
            status = os.stat(path)
            if self.are_on((status.st_dev, status.st_ino)):
                return
        raise CounterStoreError(
            f"{path} was deleted or replaced while Senders lease counters from it: put the file "
            "back that it was, or close them and use fresh keys"
        )

    def take(self, at: int) -> None:
        """DuplicateSender when another process has this place."""
        with policy_lock:
            if at not in self._counts and not self._opening.try_lock(at):
                raise DuplicateSender(
                    f"another process, or another CounterStore of this one, has a Sender for this "
                    f"base_key and KID through {self._opening.path}, and receivers would hear only "
                    "one of the two; close that one, or give each sender a KID or key of its own"
                )
            self._counts[at] = self._counts.get(at, 0) + 1

    def drop(self, at: int) -> None:
        """Lets a place go; nothing in a forked child."""
        with policy_lock:
            self._counts[at] -= 1
            if not self._counts[at]:
                del self._counts[at]
                if self.are_ours:
                    self._opening.unlock(at)

    @property
    def are_ours(self) -> bool:
        """False in a forked child, also where Python has not seen the fork."""
        return self._pid == os.getpid() and not self._opening.closed
