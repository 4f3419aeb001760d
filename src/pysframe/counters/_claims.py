"""Claims on the keys that this process seals with: visible to others, and gone with the process.

Rules of this file:
  1. A claim is a lock on one byte of the store's file, at an offset that follows from the key. Two
     keys share an offset once in 2^60 times.
  2. It lives until its Sender is closed or collected, and no longer than its process. A forked
     child inherits none of its parent's claims.
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
    """States that this process alone seals with a key; receives its leases."""

    __slots__ = ("_at", "_claims", "first_block", "last", "last_block", "name")
    last: int  # the last counter leased
    first_block: int  # where the leases of this claim begin on the key's meter
    last_block: int  # and where they end

    def __init__(self, claims: "Claims", name: bytes) -> None:
        self._claims: Claims | None = None  # until this process holds the lock
        self._at, self.name = 1 + int.from_bytes(name[:8]) // 16, name
        claims.take(self._at)
        self._claims = claims

    @property
    def released(self) -> bool:
        return self._claims is None

    def release(self, used: int | None = None) -> None:
        """Allows others to seal with the key from now on; idempotent.

        used: the final meter of the Sender, which has been closed. The rest of its lease is
        returned when the store is next written, or at the end of the process.
        """
        claims, self._claims = self._claims, None
        if claims is not None:
            if used is not None and claims.are_ours:
                give_back_later(claims.path, self.name, self.last_block - used)
            claims.drop(self._at)

    def __del__(self) -> None:
        if hasattr(self, "_claims"):  # not where __init__ never ran
            self.release()


class Claims:
    """All claims of one CounterStore on one opening of its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opening = Opening(path)
        self._pid = os.getpid()
        self._counts: dict[int, int] = {}  # claims that share an offset

    def are_on(self, identity: tuple[int, int]) -> bool:
        """Whether they belong to this process and are on that file."""
        return self.are_ours and self._opening.identity == identity

    def check(self, path: Path) -> None:
        """CounterStoreError when claims exist and the path leads to another file by now."""
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
        """Locks this offset; DuplicateSender when another process holds it."""
        with policy_lock:
            if at not in self._counts and not self._opening.try_lock(at):
                raise DuplicateSender(
                    f"another process, or another CounterStore of this one, has a Sender for this "
                    f"base_key and KID through {self._opening.path}, and receivers would hear only "
                    "one of the two; close that one, or give each sender a KID or key of its own"
                )
            self._counts[at] = self._counts.get(at, 0) + 1

    def drop(self, at: int) -> None:
        """Unlocks this offset; does nothing in a forked child."""
        with policy_lock:
            self._counts[at] -= 1
            if not self._counts[at]:
                del self._counts[at]
                if self.are_ours:
                    self._opening.unlock(at)

    @property
    def are_ours(self) -> bool:
        """False in a forked child, also when Python has not noticed the fork."""
        return self._pid == os.getpid() and not self._opening.closed
