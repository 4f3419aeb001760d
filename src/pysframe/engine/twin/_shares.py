"""Decides for which unknown KIDs a key is derived, and which wait: csrc/frame/reach.c in Python.

Rules of this file:
  1. A KID outside every reach costs one look-up and spends nothing.
  2. The few of a reach never wait: their keys are derived once and kept.
  3. All other KIDs share an allowance: a burst, then one in 1..WAIT frames of each bucket, drawn
     anew each time. An attacker can tell neither which KIDs share a bucket nor which frame is
     served.
"""

import secrets

from .._types import Reach

ALLOWANCE = 64  # derivations that KIDs which share may get at once
FRAMES_PER_ALLOWANCE = 256  # frames opened that earn one more
WAIT = 192  # frames until a KID alone in its bucket is served
SHARES = 1024  # buckets
LAYOUT_BITS = (1 << 64) - 1


class Shares:
    """What one receiver may derive; guarded by the receiver's lock."""

    __slots__ = ("_allowance", "_failures", "_hash", "_opened", "_reaches", "_wait")

    def __init__(self) -> None:
        self._reaches: dict[int, Reach] = {}  # group ->
        self._allowance = ALLOWANCE
        self._opened = 0
        self._hash = secrets.randbits(64) | 1, secrets.randbits(64)
        self._wait: dict[int, int] = {}  # bucket -> frames until one is served
        self._failures: dict[int, int] = {}  # bucket of a fingerprint -> failures

    # ---- reaches ----

    def reach(self, reach: Reach) -> None:
        """Replaces the reach of the same group."""
        self._reaches[reach.group] = reach

    def forget(self, group: int) -> None:
        """From now on no key of this group can be derived."""
        self._reaches.pop(group, None)

    def may_derive(self, kid: int) -> bool:
        """Whether to derive the key of this unknown KID, which a frame has just named."""
        reach = self._reach_of(kid)
        if reach is None:
            return False
        number = ((kid >> reach.shift) - reach.first) & reach.numbers
        if number >= reach.total:
            return False
        if number < reach.few and not kid & ~(reach.mask | reach.numbers << reach.shift):
            return True
        if not self._allowance:
            return self._is_served(kid)
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

    def _is_served(self, kid: int) -> bool:
        multiplier, summand = self._hash
        share = ((multiplier * kid + summand) & LAYOUT_BITS) * SHARES >> 64
        left = self._wait.get(share) or 1 + secrets.randbelow(WAIT)
        self._wait[share] = left - 1
        return left == 1

    # ---- failures of keys with short tags ----

    def keep_failures(self, fingerprint: bytes, failures: int) -> None:
        """Keeps the count of an evicted key, so that it does not restart when derived again."""
        share = _share_of(fingerprint)
        self._failures[share] = max(failures, self._failures.get(share, 0))

    def failures_of(self, fingerprint: bytes) -> int:
        """The key's own failures, or more: keys share buckets, so that their number is bounded."""
        return self._failures.get(_share_of(fingerprint), 0)


def _share_of(fingerprint: bytes) -> int:
    return int.from_bytes(fingerprint[:8]) % SHARES
