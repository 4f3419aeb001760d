"""CounterStore: counters leased on disk before they are used.

Rules of this package:
  1. RFC 9605 9.1: a counter is on stable storage as used before a frame is sealed with it. A
     lease is written and synced before the Sender learns of it, so a crash loses the rest of a
     lease and never repeats a counter.
  2. No sync inside protect: renew() extends leases in advance, from where waiting is allowed.
  3. Every change happens under a lock on the file, so two threads or processes on one store get
     disjoint leases. A key that a live process seals with is refused to every other process.
  4. A file that cannot be trusted is left unchanged, and no counter is guessed.

The store is a single file in a format of its own, written in place. docs/counter-store.md lists the
attacks that were tried on it and on SQLite, and why SQLite was not chosen.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from .._common import policy_lock
from .._tracebacks import without_locals
from ..errors import CounterExhausted, MisuseError
from ..limits import KEY_BUDGET, LAST_CTR, checked
from ._blocks import charge, give_back, lease_of
from ._claims import Claim, Claims
from ._file import Table, sync_directory
from ._line import is_inside
from ._locks import Opening
from ._making import resolved
from ._turn import turn
from ._words import CounterStoreError

__all__ = ["Claim", "CounterStore", "CounterStoreError", "fingerprint"]

MAX_TIMEOUT = 86400.0  # seconds


class Leased(Protocol):
    """What a store sees of a Sender."""

    def _counters_left(self) -> int:
        """Counters leased and not yet used; more than any lease when it needs no more."""

    def _grant(self, first: int, last: int) -> None:
        """Accepts a lease."""

    @property
    def blocks(self) -> int:
        """AES blocks that its key has used, including those of earlier lives."""

    def _lease_blocks(self, last: int) -> None:
        """Sets how far the meter may go."""


class CounterStore:
    """Remembers on disk how far each key's counters have gone, for Senders that restart.

    path: a file, created when missing, in an existing directory. Nothing else is needed: the file
    may be all that is mounted into a container. lease: counters reserved at a time; at 50 frames a
    second the default lasts more than five hours, and a crash wastes at most that many of 2^64.
    Each counter comes with 16 of the 2^36 AES blocks that a key may seal, each lease with at least
    2^22: 256 MiB by default, or 18 minutes of video at 2 Mbit/s. Close Senders so that unused
    blocks are returned; ending without close() costs a key at most two leases of blocks.
    timeout: seconds to wait for a process that holds the lock on the file. Processes that want it
    take turns, and so do the threads of one, which wait on as long as there are turns. The file
    names keys by one-way fingerprints, and takes some 80 bytes for each key ever used.

    Call renew() regularly, from where a disk sync may block for a few milliseconds. Thread-safe. A
    store can be pickled, and a forked child and other processes may share the file, each with its
    own keys: a Sender for the same base_key and KID in a second process is a DuplicateSender until
    the first process has closed its Sender or has ended in any way. Every other problem is a
    CounterStoreError, whose cause is the OSError, if there is one. Deleting the file, or restoring
    an older copy, makes counters repeat: do it only when all its keys have been replaced.
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

    _path = Path()  # for repr(), also of one that was never made

    def __init__(
        self, path: str | os.PathLike[str], *, lease: int = 1 << 20, timeout: float = 3.0
    ) -> None:
        self._path = Path(path)  # for repr(), whatever follows
        self._path = resolved(path)  # now, since the working directory may change
        self._size = checked("lease", lease, 1, LAST_CTR)
        self._blocks = lease_of(self._size)
        self._timeout = _seconds(timeout)
        self._senders: WeakKeyDictionary[Leased, Claim] = WeakKeyDictionary()
        self._claims: Claims | None = None
        self._synced = (0, 0)  # the file whose directory has been synced
        self._asked = False  # renew() was called where it could not run

    def renew(self) -> int:
        """Extends the lease of every live Sender that has less than half a lease left.

        This covers counters and the AES blocks that come with them.

        Returns the number of Senders, for all of which the file is written once, or not at all when
        there are none. Raises CounterStoreError when the disk fails or the file is damaged: then no
        Sender received anything, and each can go on to the end of its lease. Called from a signal
        handler that has interrupted this store, it returns 0, and the interrupted call renews when
        it ends.
        """
        if is_inside(self._path):
            self._asked = True
            return 0
        with policy_lock:
            senders = list(self._senders.items())
        low = [(sender, claim) for sender, claim in senders if self._is_low(sender, claim)]
        leases = self._renew([claim for _, claim in low])
        for (sender, claim), lease in zip(low, leases, strict=True):
            sender._lease_blocks(claim.last_block)
            if lease is not None:
                sender._grant(*lease)
            else:
                self._detach(sender)  # its key has no counters left
        return len(low) - leases.count(None)

    def lease(self, name: str) -> tuple[int, int]:
        """The first and last counter of a new lease for the key of this fingerprint().

        The lease is on disk when this returns. Raises CounterExhausted when the key has none left.
        No AES blocks are leased with it: the caller has to count those.
        """
        key = _bytes(name)
        with self._turn() as (_, table):
            lease = _some(self._take(table, key))
            table.write()
        return lease

    def begin(self, name: str) -> tuple[Claim, tuple[int, int]]:
        """lease() for a Sender of this process, claimed against every other process.

        Raises DuplicateSender when another process has claimed the key, and KeyExhausted when 2^36
        AES blocks are charged to it.
        """
        key = _bytes(name)
        with self._turn() as (file, table):
            claim = Claim(self._claims_on(file), key)
            try:
                give_back(self._path, table)
                first, last = _some(self._take(table, key))
                following, charged = table.get(key)
                leased = charge(charged, self._blocks)
                table.put(key, following, leased)
                table.write()
            except BaseException:
                claim.release()
                raise
        claim.last, claim.first_block, claim.last_block = last, charged, leased
        return claim, (first, last)

    def attach(self, sender: Leased, claim: Claim) -> None:
        """From now on renew() extends this sender's lease, as long as it lives."""
        with policy_lock:
            self._senders[sender] = claim

    def _detach(self, sender: Leased) -> None:
        with policy_lock:
            self._senders.pop(sender, None)

    def __repr__(self) -> str:
        return f"<CounterStore {str(self._path)!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        again = partial(type(self), lease=self._size, timeout=self._timeout)
        return again, (str(self._path),)

    def _is_low(self, sender: Leased, claim: Claim) -> bool:
        if claim.released:
            return False
        blocks = claim.last_block - sender.blocks
        few_blocks = blocks * 2 < self._blocks and claim.last_block < KEY_BUDGET
        return few_blocks or sender._counters_left() * 2 < self._size

    # ---- the file ----

    @contextmanager
    def _turn(self) -> Iterator[tuple[Opening, Table]]:
        if is_inside(self._path):
            raise CounterStoreError(
                f"{self._path} is in use by what this signal handler has interrupted; make Senders "
                "elsewhere, for example in a task that the handler wakes (renew() may be called)"
            )
        if self._claims is not None:
            self._claims.check(self._path)
        with turn(self._path, self._timeout) as (file, table):
            if self._claims is not None:
                self._claims.check(file.path)
            if self._synced != file.identity:
                sync_directory(file.path)
                self._synced = file.identity
            yield file, table
        if self._asked:
            self._asked = False
            with suppress(CounterStoreError):  # the next call of renew() reports it
                self.renew()

    def _claims_on(self, file: Opening) -> Claims:
        if self._claims is None or not self._claims.are_on(file.identity):
            self._claims = Claims(self._path)
        self._claims.check(file.path)
        return self._claims

    def _renew(self, claims: Sequence[Claim]) -> list[tuple[int, int] | None]:
        """A new lease for each claim; None where no counter is left."""
        if not claims:
            return []
        with self._turn() as (_, table):
            give_back(self._path, table)
            leases = [self._take(table, claim.name, claim.last) for claim in claims]
            both = zip(claims, leases, strict=True)
            added = [self._add_blocks(table, claim, lease) for claim, lease in both]
            table.write()
        for claim, lease, blocks in zip(claims, leases, added, strict=True):
            claim.last = lease[1] if lease else claim.last
            claim.last_block += blocks
        return leases

    def _add_blocks(self, table: Table, claim: Claim, lease: tuple[int, int] | None) -> int:
        """The blocks of one lease; all that are left when no other lease will follow."""
        following, charged = table.get(claim.name)
        blocks = self._blocks if lease else KEY_BUDGET
        leased = min(charged + blocks, KEY_BUDGET)
        table.put(claim.name, following, leased)
        return leased - charged

    def _take(self, table: Table, name: bytes, beyond: int = -1) -> tuple[int, int] | None:
        first, blocks = table.get(name)
        if first <= beyond:
            raise CounterStoreError(
                f"{self._path} is an older copy than the one in use before: it would give counters "
                "out again; put the newest copy back, or use fresh keys"
            )
        if first > LAST_CTR:
            return None
        last = min(first + self._size - 1, LAST_CTR)
        table.put(name, last + 1, blocks)
        return first, last


def _some(lease: tuple[int, int] | None) -> tuple[int, int]:
    if lease is None:
        raise CounterExhausted("the store has given out every counter of this key; replace it")
    return lease


def _bytes(name: str) -> bytes:
    with suppress(ValueError):
        if len(key := bytes.fromhex(name)) == 16:
            return key
    raise MisuseError(f"{name!r} is no fingerprint(): that has 32 hexadecimal digits")


def _seconds(timeout: float) -> float:
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
    if not 0 <= timeout <= MAX_TIMEOUT:
        raise MisuseError(f"timeout is {timeout}; it must be 0..{MAX_TIMEOUT:g} seconds")
    return float(timeout)


@without_locals
def fingerprint(suite: int, kid: int, base_key: bytes | bytearray | memoryview) -> str:
    """Names a key in a store without revealing it: base_key has 16 random bytes or more."""
    digest = hashlib.sha256(b"pysframe counter store 1")
    digest.update(int(suite).to_bytes(2, "big") + kid.to_bytes(8, "big"))
    digest.update(base_key)
    return digest.hexdigest()[:32]
