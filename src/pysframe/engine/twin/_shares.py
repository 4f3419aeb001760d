"""Decides for which unknown KIDs a key is derived, and which wait: csrc/frame/reach.c in Python.

Rules of this file:
  1. A KID outside every reach costs one look-up and spends nothing.
  2. The few of a reach never wait: their keys are derived once and kept.
  3. All other KIDs share an allowance: a burst, then every frame whose CTR has, modulo ROUND, the
     residue that a secret hash gives to its KID. Of any ROUND frames with consecutive counters
     exactly one is served, whatever others send. ROUND is prime, since a server may forward every
     second or fourth frame only.
  4. Whoever learned the residues could have every frame served. So one frame in PRICE is served at
     most, after a burst, and when that is used up the secret is drawn anew.
"""

import secrets

from .._types import Reach

ALLOWANCE = 64  # derivations that KIDs which share may get at once
FRAMES_PER_ALLOWANCE = 256  # frames opened that earn one more
ROUND = 97  # frames until any KID is served
PRICE = 64  # frames that pay for one served
FULL = 64 * PRICE  # what they can pay in advance
SHARES = 1024  # of the counts of failures
WORD = (1 << 64) - 1


class Shares:
    """What one receiver may derive; guarded by the receiver's lock."""

    __slots__ = ("_allowance", "_failures", "_opened", "_paid", "_reaches", "_secret")

    def __init__(self) -> None:
        self._reaches: dict[int, Reach] = {}  # group ->
        self._allowance = ALLOWANCE
        self._opened = 0
        self._secret = _drawn()
        self._paid = FULL  # frames that have come, less PRICE for each one served
        self._failures: dict[int, int] = {}  # bucket of a fingerprint -> failures

    # ---- reaches ----

    def reach(self, reach: Reach) -> None:
        """Replaces the reach of the same group."""
        self._reaches[reach.group] = reach

    def forget(self, group: int) -> None:
        """From now on no key of this group can be derived."""
        self._reaches.pop(group, None)

    def may_derive(self, kid: int, ctr: int) -> bool:
        """Whether to derive the key of this unknown KID, which a frame with this CTR has named."""
        reach = self._reach_of(kid)
        if reach is None:
            return False
        number = ((kid >> reach.shift) - reach.first) & reach.numbers
        if number >= reach.total:
            return False
        if number < reach.few and not kid & ~(reach.mask | reach.numbers << reach.shift):
            return True
        if not self._allowance:
            return self._is_served(kid, ctr)
        self._allowance -= 1
        return True

    def _reach_of(self, kid: int) -> Reach | None:
        for first in self._reaches.values():  # all have one mask
            return self._reaches.get(kid & first.mask)
        return None

    # ---- shares ----

    def count_opened(self) -> None:
        """Counts an opened frame: enough of them earn a derivation, which forged ones must not."""
        self._opened += 1
        if self._opened % FRAMES_PER_ALLOWANCE == 0:
            self._allowance = min(self._allowance + 1, ALLOWANCE)

    def _is_served(self, kid: int, ctr: int) -> bool:
        self._paid = min(self._paid + 1, FULL)
        if ctr % ROUND != self._residue_of(kid):
            return False
        if self._paid < PRICE:
            self._secret = _drawn()
            return False
        self._paid -= PRICE
        return True

    def _residue_of(self, kid: int) -> int:
        """Two rounds of keyed multiply-shift hashing, so that KIDs fall independently."""
        first, second, third, fourth = self._secret
        mixed = (kid ^ first) * (second | 1) & WORD
        mixed = ((mixed ^ mixed >> 32) + third) * (fourth | 1) & WORD
        return (mixed ^ mixed >> 32) % ROUND

    # ---- failures of keys with short tags ----

    def keep_failures(self, fingerprint: bytes, failures: int) -> None:
        """Keeps the count of an evicted key, so that it does not restart when derived again."""
        share = _share_of(fingerprint)
        self._failures[share] = max(failures, self._failures.get(share, 0))

    def failures_of(self, fingerprint: bytes) -> int:
        """The key's own failures, or more: keys share buckets, so that their number is bounded."""
        return self._failures.get(_share_of(fingerprint), 0)


def _drawn() -> tuple[int, int, int, int]:
    first, second, third, fourth = (secrets.randbits(64) for _ in range(4))
    return first, second, third, fourth


def _share_of(fingerprint: bytes) -> int:
    return int.from_bytes(fingerprint[:8]) % SHARES
