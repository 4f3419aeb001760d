"""The senders this process has, and has had.

Rule: a (base_key, KID) has one live sender, and a later one never starts below a counter that an
      earlier one may have used (RFC 9605 7.4 MUST: no second frame under a key and nonce), nor
      with a lower meter of AES blocks.

A process has one registry, whatever was imported or bound, and however often: `sys` holds it, out
of reach of whoever purges sys.modules. It is this one until the native engine is loaded and takes
everything over; from then on senders of the twin are in the C core's table as well.

Keys are named by a fingerprint under a secret of this process, so the table reveals nothing. It
never forgets: a key costs some 250 bytes here, and 32 to 64 in the C core.
"""

import sys
from hmac import digest
from os import urandom
from typing import Protocol

from ...limits import LAST_CTR
from ._guard import new_lock


class Senders(Protocol):
    """The interface of a registry: this one, and that of the native engine."""

    secret: bytes

    def open(self, name: bytes, next_ctr: int) -> int | None:
        """Claims a fingerprint, and returns the AES blocks that its key has used so far.

        None when it has a sender, or had one that may have used next_ctr; MemoryError when there
        is no memory to record it.
        """

    def close(self, name: bytes, next_ctr: int, spent: bool, blocks: int) -> None:
        """Returns a claim. next_ctr: the first unused counter; spent: even that one was used."""


class Claim:
    """The record of one fingerprint; only `alive` is set before its first sender has closed."""

    __slots__ = ("alive", "blocks", "next_ctr", "spent")
    alive: bool
    blocks: int
    next_ctr: int
    spent: bool

    def __init__(self) -> None:
        self.alive = True


class SenderRegistry:
    """A table in Python. Thread-safe."""

    def __init__(self) -> None:
        self.secret = urandom(32)
        self._lock = new_lock()
        self._claims: dict[bytes, Claim] = {}
        self._heir: Senders | None = None

    def open(self, name: bytes, next_ctr: int) -> int | None:
        """See Senders."""
        with self._lock:
            if self._heir is not None:
                return self._heir.open(name, next_ctr)
            claim = self._claims.get(name)
            if claim is None:
                self._claims[name] = Claim()  # when memory is exhausted, the dict is unchanged
                return 0
            # RFC 9605 4.4.1 MUST NOT: one base_key and KID, two senders.
            if claim.alive or next_ctr < claim.next_ctr + claim.spent:
                return None
            claim.alive = True
            return claim.blocks

    def close(self, name: bytes, next_ctr: int, spent: bool, blocks: int) -> None:
        """See Senders. Allocates nothing."""
        with self._lock:
            if self._heir is not None:
                return self._heir.close(name, next_ctr, spent, blocks)
            claim = self._claims.get(name)
            if claim is None or not claim.alive:
                return None
            # `alive` comes last: an exception before it, such as Ctrl-C, leaves a claim that nobody
            # can take, and never loses a used counter.
            claim.next_ctr, claim.spent, claim.blocks = next_ctr, spent, blocks
            claim.alive = False
            return None

    def hand_over(self, heir: Senders) -> None:
        """Copies every claim to another registry, which answers from then on."""
        with self._lock:
            for name, claim in self._claims.items():
                heir.open(name, LAST_CTR)  # None: used up, or already copied
                if not claim.alive:
                    heir.close(name, claim.next_ctr, claim.spent, claim.blocks)
            self._heir, self._claims = heir, {}


SENDERS: Senders = vars(sys).setdefault("_pysframe_senders", SenderRegistry())


def fingerprint(sframe_key: bytes, sframe_salt: bytes) -> bytes:
    """16 bytes that are equal for equal keys and without meaning outside this process."""
    return digest(SENDERS.secret, sframe_key + sframe_salt, "sha256")[:16]
