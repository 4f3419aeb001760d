"""CounterStore: counters leased on disk before they are used.

Rules of this file:
  1. RFC 9605 9.1: a counter is on stable storage as used before a frame is sealed with it. A lease
     is written, synced and renamed into place before the Sender learns of it, so a crash loses
     the rest of a lease and never repeats a counter.
  2. No sync inside protect: leases are renewed ahead, by renew(), from where waiting is allowed.
  3. Every change happens under a lock on a file beside the store, so that two processes on one
     store get disjoint leases.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .errors import CounterExhausted, MisuseError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from .sender import Sender

FORMAT = "pysframe-counters/1"
LIMIT = 1 << 64  # counters are 0..2^64-1


class CounterStoreError(MisuseError):
    """The store's file is not one; nothing was written and no counter given out."""


class CounterStore:
    """Remembers on disk how far each key's counters have gone, for Senders that restart.

    path: a file, made when missing; path + ".lock" lies beside it. lease: counters written off at
    a time; at 50 frames a second the default lasts more than five hours, and a crash wastes at
    most that many of 2^64. Keys appear in the file as one-way fingerprints only.

    Call renew() regularly from where a disk sync may wait (a few milliseconds): it leases more for
    every live Sender that has used half of its lease. Thread-safe; several processes may share
    one store. Raises OSError when the disk refuses, CounterStoreError when the file is damaged.

    >>> import pysframe, tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> store = pysframe.CounterStore(directory.name + "/counters", lease=100)
    >>> def start():
    ...     return pysframe.Sender(4, kid=1, base_key=b"sixteen bytes, 1", counters=store)
    >>> with start() as sender:
    ...     sender.next_ctr
    0
    >>> start().next_ctr
    100
    """

    def __init__(self, path: str | os.PathLike[str], *, lease: int = 1 << 20) -> None:
        if not 1 <= lease <= LIMIT:
            raise MisuseError(f"lease is {lease}; it must be 1..2^64")
        self._path = Path(path)
        self._size = lease
        self._lock = Lock()
        self._senders: WeakKeyDictionary[Sender, _Lease] = WeakKeyDictionary()

    def lease(self, suite: int, kid: int, base_key: ReadableBuffer) -> tuple[int, int]:
        """The first and last counter of a new lease for this key; on disk when it returns.

        Raises CounterExhausted when the key has no counter left.
        """
        return self._take(_fingerprint(suite, kid, base_key))

    def attach(self, sender: Sender, base_key: ReadableBuffer, last: int) -> CounterStore:
        """Renews this sender's leases from now on, as long as it lives. `last`: of its lease."""
        name = _fingerprint(sender.suite, sender.kid, base_key)
        with self._lock:
            self._senders[sender] = _Lease(name, last)
        return self

    def renew(self) -> int:
        """Leases more for each Sender that has used half; returns for how many. Cheap when none."""
        renewed = 0
        with self._lock:
            for sender, lease in list(self._senders.items()):
                if _left(sender, lease.last) * 2 < self._size:
                    renewed += self._renew(sender, lease)
        return renewed

    def _renew(self, sender: Sender, lease: _Lease) -> bool:
        try:
            first, last = self._take(lease.name)
            sender._extend(first, last)
        except CounterExhausted:
            return False
        lease.last = last
        return True

    # ---- the file ----

    def _take(self, name: str) -> tuple[int, int]:
        with self._locked():
            table = self._read()
            first = table.get(name, 0)
            if first >= LIMIT:
                raise CounterExhausted("the store has given out every counter of this key")
            last = min(first + self._size, LIMIT) - 1
            table[name] = last + 1
            self._write(table)
        return first, last

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _read(self) -> dict[str, int]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return _checked(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CounterStoreError(
                f"{self._path} is no counter store ({error}); restore it, or use fresh keys and "
                "another path: guessing a counter could use one twice"
            ) from None

    def _write(self, table: dict[str, int]) -> None:
        text = json.dumps({"format": FORMAT, "next": table}, indent=1).encode()
        fresh = f"{self._path}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.replace(fresh, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)  # the rename, too, must outlive a crash
        finally:
            os.close(directory)


class _Lease:
    __slots__ = ("last", "name")

    def __init__(self, name: str, last: int) -> None:
        self.name, self.last = name, last


def _left(sender: Sender, last: int) -> int:
    """Counters left of the leases up to `last`; a retired sender needs no more."""
    try:
        return last + 1 - sender.next_ctr
    except CounterExhausted:
        return 0
    except MisuseError:
        return LIMIT


def _fingerprint(suite: int, kid: int, base_key: ReadableBuffer) -> str:
    """Names a key without telling it: base_key has 16 random bytes or more."""
    digest = hashlib.sha256(b"pysframe counter store 1")
    digest.update(int(suite).to_bytes(2, "big") + kid.to_bytes(8, "big"))
    digest.update(base_key)
    return digest.hexdigest()[:32]


def _checked(content: Any) -> dict[str, int]:
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}")
    table: dict[str, int] = content["next"]
    for name, ctr in table.items():
        if type(ctr) is not int or not 0 <= ctr <= LIMIT:
            raise ValueError(f"the counter of {name} is {ctr!r}")
    return table
