"""CounterStore: counters leased on disk before they are used.

Rules of this file:
  1. RFC 9605 9.1: a counter is on stable storage as used before a frame is sealed with it. A
     lease is written, synced and renamed into place before the Sender learns of it, so a crash
     loses the rest of a lease and never repeats a counter.
  2. No sync inside protect: leases are renewed ahead, by renew(), from where waiting is allowed.
  3. Every change happens under a lock on a file beside the store, so two threads or processes on
     one store get disjoint leases.
  4. A file that cannot be trusted is left as it is, and no counter is guessed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from ._common import LAST_CTR, checked, rare
from .errors import CounterExhausted, MisuseError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

FORMAT = "pysframe-counters/1"


class CounterStoreError(MisuseError):
    """The file is damaged, or no counter store; it was left as it is and no counter given out."""


class LeaseEnded(CounterExhausted):
    """A Sender's leased counters are used up: call renew() on its CounterStore, and try again."""


class Leased(Protocol):
    """What a store sees of a Sender."""

    def _counters_left(self) -> int:
        """Counters leased and not used; more than any lease when it will never need more."""

    def _grant(self, first: int, last: int) -> None:
        """Takes a lease over."""


class CounterStore:
    """Remembers on disk how far each key's counters have gone, for Senders that restart.

    path: a file, made when missing, in a directory that exists; path + ".lock" lies beside it.
    lease: counters written off at a time; at 50 frames a second the default lasts more than five
    hours, and a crash wastes at most that many of 2^64. Keys are in the file as one-way
    fingerprints, some 60 bytes for each that was ever used.

    Call renew() regularly from where a disk sync may wait (a few milliseconds). Thread-safe; a
    forked child and other processes may share the store. Deleting the file, or putting back an
    older copy, makes counters repeat: do it only when all its keys have been replaced.
    RFC 9605 9.1.

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
        self._path = Path(path).resolve()  # a link would be replaced by the file it names
        self._size = checked("lease", lease, 1, LAST_CTR)
        self._senders: WeakKeyDictionary[Leased, str] = WeakKeyDictionary()

    def renew(self) -> int:
        """Leases more for every live Sender that has less than half a lease left.

        Returns for how many, with one disk sync for all; without one when there are none. Raises
        OSError when the disk refuses and CounterStoreError when the file is damaged: then no
        Sender got anything, and each goes on to the end of its lease.
        """
        with rare:
            senders = list(self._senders.items())
        low = [(sender, name) for sender, name in senders if self._is_low(sender)]
        leases = self._take([name for _, name in low])
        for (sender, _), lease in zip(low, leases, strict=True):
            if lease is not None:
                sender._grant(*lease)
            else:
                self._detach(sender)  # its key has no more to give
        return len(low) - leases.count(None)

    def lease(self, name: str) -> tuple[int, int]:
        """The first and last counter of a new lease for the key of this fingerprint().

        It is on disk when this returns. Raises CounterExhausted when the key has none left.
        """
        (lease,) = self._take([name])
        if lease is None:
            raise CounterExhausted("the store has given out every counter of this key; replace it")
        return lease

    def attach(self, sender: Leased, name: str) -> None:
        """Lets renew() care for this sender, as long as it lives."""
        with rare:
            self._senders[sender] = name

    def _detach(self, sender: Leased) -> None:
        with rare:
            self._senders.pop(sender, None)

    def __repr__(self) -> str:
        return f"<CounterStore {str(self._path)!r}>"

    def _is_low(self, sender: Leased) -> bool:
        return sender._counters_left() * 2 < self._size

    # ---- the file ----

    def _take(self, names: Sequence[str]) -> list[tuple[int, int] | None]:
        """A new lease for each fingerprint; None where no counter is left."""
        if not names:
            return []
        with self._locked():
            table = self._read()
            leases = [self._take_one(table, name) for name in names]
            self._write(table)
        return leases

    def _take_one(self, table: dict[str, int], name: str) -> tuple[int, int] | None:
        first = table.get(name, 0)
        if first > LAST_CTR:
            return None
        last = min(first + self._size - 1, LAST_CTR)
        table[name] = last + 1
        return first, last

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl  # not on Windows, where only this part is missing

        # Opened anew each time: a lock belongs to the opening, so threads exclude each other.
        # A file object: whatever happens, it is closed when it is let go, and the lock is free.
        with open(self._open_lock(), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)  # a child forked meanwhile has the opening, too

    def _open_lock(self) -> int:
        return os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)

    def _read(self) -> dict[str, int]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return _table(json.loads(text))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CounterStoreError(
                f"{self._path} is damaged, or no counter store ({error!r}); put the newest intact "
                "copy back, or use fresh keys and another path: a guess could use a counter twice"
            ) from None

    def _write(self, table: dict[str, int]) -> None:
        content = {"format": FORMAT, "next": table, "sha256": _digest(table)}
        fresh = f"{self._path}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "wb") as file:
            file.write(json.dumps(content, indent=1).encode())
            file.flush()
            os.fsync(fd)
        os.replace(fresh, self._path)
        self._sync_directory()

    def _sync_directory(self) -> None:
        """So that the rename, too, outlives a crash."""
        fd = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def fingerprint(suite: int, kid: int, base_key: ReadableBuffer) -> str:
    """Names a key in a store without telling it: base_key has 16 random bytes or more."""
    digest = hashlib.sha256(b"pysframe counter store 1")
    digest.update(int(suite).to_bytes(2, "big") + kid.to_bytes(8, "big"))
    digest.update(base_key)
    return digest.hexdigest()[:32]


def _table(content: Any) -> dict[str, int]:
    """The table of a file's content; ValueError, TypeError or KeyError says what is wrong."""
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}")
    table: dict[str, int] = content["next"]
    if content["sha256"] != _digest(table):
        raise ValueError("its content and its sha256 differ")
    return table


def _digest(table: dict[str, int]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
