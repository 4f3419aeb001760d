"""Sender: reserve -> seal.

Rules of this file:
  1. A counter is taken under the lock, before the frame is touched, and never given back: a
     frame that then fails leaves a gap, and gaps are legal (RFC 9605 9.1).
  2. Run every check (closed, forked, lease, key budget, sizes), then take a counter.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..._buffers import ReadableBuffer, byte_view
from ..._rows import clear_bytes
from ...errors import MisuseCode, misuse
from ...limits import KEY_BUDGET, LAST_CTR, LIMIT_MAX_FRAME, MAX_HEADER
from ...suites import CipherSuite
from .._aead import Provider
from ._formats import SFRAME, Format
from ._guard import new_lock
from ._keys import FrameKey, Secret
from ._memory import distance, metadata_view, overlap
from ._process import generation
from ._registry import SENDERS


class Departure(NamedTuple):
    """A frame to be sealed, as the caller gave it."""

    frame: memoryview
    metadata: memoryview
    clear: int

    @property
    def size(self) -> int:
        return self.frame.nbytes

    def blocks(self, header_bytes: int) -> int:
        """AES blocks: the payload's, the AAD's, and one for the tag."""
        aad = header_bytes + self.clear + self.metadata.nbytes
        return -(-(self.size - self.clear) // 16) + -(-aad // 16) + 1


class Reserved(NamedTuple):
    """A counter reserved for one frame, and the key to seal it with."""

    kid: int
    ctr: int
    key: FrameKey
    generation: int  # of the process that reserved it
    rekey_due: bool  # this frame brought the key to half its budget
    format: Format

    def size_of(self, departure: Departure) -> int:
        """Bytes of what `seal` returns."""
        return departure.size + self.format.size(self.kid, self.ctr) + self.key.tag_size

    def seal(self, departure: Departure) -> bytes:
        """The frame as it is now, protected: for SFrame clear || header || ciphertext || tag."""
        frame = bytes(departure.frame)
        clear, payload = frame[: departure.clear], frame[departure.clear :]
        mark = self.format.mark(self.kid, self.ctr)
        aad = self.format.aad(mark, clear, departure.metadata)
        sealed = clear + self.format.join(mark, self.key.seal(self.ctr, aad, payload, mark))
        if self.generation != generation():  # forked since: the counter belongs to the parent
            raise misuse(MisuseCode.FORKED, kid=self.kid)
        return sealed


class SenderState:
    """The counters and the key of one (base_key, KID). Thread-safe; refuses in a forked child.

    Counters first..last are its own; raises DuplicateSender when this process has, or had, a
    sender that may have used them.
    """

    __slots__ = (
        "_format", "_generation", "_key", "_last", "_last_block", "_lock", "_max_frame", "_next",
        "_next_lease", "_retired", "_spent", "blocks", "kid", "suite",
    )  # fmt: skip

    def __init__(
        self,
        suite: CipherSuite,
        kid: int,
        secret: Secret,
        first: int,
        last: int,
        max_frame: int,
        source: Provider,
        wire_format: Format = SFRAME,
    ) -> None:
        if not (0 <= first <= last <= LAST_CTR and 0 <= max_frame <= LIMIT_MAX_FRAME):
            reason = "next_ctr or max_frame is out of range"
            raise misuse(MisuseCode.ARGUMENT, reason=reason)
        self.suite = suite
        self.kid = kid
        self._format = wire_format
        self._next = first
        self._last = last
        self._max_frame = max_frame
        self._spent = False  # _next was used, too, and nothing comes after it
        self._next_lease: tuple[int, int] | None = None  # the lease after this one
        self._last_block = KEY_BUDGET  # where the AES blocks must stop
        self._lock = new_lock()
        self._generation = generation()
        key = FrameKey(secret.of_suite(suite), self.kid, source, wire_format)
        blocks = SENDERS.open(key.fingerprint, self._next)
        if blocks is None:
            raise misuse(MisuseCode.DUPLICATE, kid=self.kid)
        self.blocks = blocks  # AES blocks used so far, by earlier senders of this key, too
        self._key: FrameKey | None = key

    def departure(
        self, frame: "ReadableBuffer", metadata: "ReadableBuffer | None", clear: int
    ) -> Departure:
        """A frame to be sealed here, its sizes checked."""
        view = byte_view(frame, "frame")
        departure = Departure(view, metadata_view(metadata), clear_bytes(clear))
        if not 0 <= departure.clear <= departure.size:
            reason = f"clear is {clear} and the frame has {departure.size} bytes"
            raise misuse(MisuseCode.ARGUMENT, reason=reason)
        if departure.size > self._max_frame:
            raise misuse(MisuseCode.TOO_LARGE, size=departure.size, limit=self._max_frame)
        return departure

    def check(self, lease_ended: Callable[[], bool]) -> None:
        """Raises the reason why nothing can be sealed, before a batch takes any counter."""
        with self._lock:
            needs_lease = self._needs_lease()
        if not (needs_lease and lease_ended()):
            self.next_ctr()

    def protected_size(self, size: int, ahead: int = 0) -> int:
        """Bytes that a frame of this size takes when `ahead` others are protected first."""
        last = min(self._next + ahead, LAST_CTR)
        return size + self._format.size(self.kid, last) + self.suite.Nt

    def next_ctr(self) -> int:
        """The counter of the next frame; raises the reason when there is none."""
        with self._lock:
            self._usable_key()
            return self._next

    def reserve(
        self, departure: Departure, out: memoryview | None, lease_ended: Callable[[], bool]
    ) -> Reserved:
        """Takes a counter; calls lease_ended, without the lock, when none is left."""
        while True:
            with self._lock:
                if out is not None:
                    self._check_overlap(departure, out)
                if not self._needs_lease():
                    return self._take(departure, out)
            if not lease_ended():
                raise misuse(MisuseCode.LEASE_ENDED, kid=self.kid)

    def extend(self, first: int, last: int) -> None:
        """Leases first..last as well; they must lie beyond all counters leased before."""
        with self._lock:
            if self._next_lease or not self._last < first <= last <= LAST_CTR:
                reason = "the lease does not follow the one before"
                raise misuse(MisuseCode.ARGUMENT, reason=reason)
            if self._spent:
                self._next, self._last, self._spent = first, last, False
            elif first == self._last + 1:
                self._last = last
            else:
                self._next_lease = first, last

    def raise_blocks(self, blocks: int) -> None:
        """Raises the meter, never lowers it, to at most the budget."""
        with self._lock:
            self.blocks = max(self.blocks, min(blocks, KEY_BUDGET))
            self._last_block = max(self._last_block, self.blocks)

    def lease_blocks(self, last: int) -> None:
        """Sets how far the meter may go: at first and at most KEY_BUDGET, never below its value."""
        with self._lock:
            self._last_block = max(self.blocks, min(last, KEY_BUDGET))

    def retire(self, reason: str = "closed") -> None:
        """Releases the key; idempotent."""
        with self._lock:
            key, self._key = self._key, None
            if key is None:
                return
            self._retired = reason  # why there is no key
        # A forked child leaves the claim alone: the parent's sender may still live.
        if self._generation == generation():
            SENDERS.close(key.fingerprint, self._next, self._spent, self.blocks)

    def __del__(self) -> None:
        if hasattr(self, "_key"):
            self.retire()

    # ---- with the lock held ----

    def _take(self, departure: Departure, out: memoryview | None) -> Reserved:
        key = self._usable_key()
        size = self.protected_size(departure.size)
        if out is not None and size > out.nbytes:
            raise misuse(MisuseCode.ROOM, size=size, limit=out.nbytes)
        blocks = self.blocks + departure.blocks(self._format.size(self.kid, self._next))
        if blocks > KEY_BUDGET:
            raise misuse(MisuseCode.KEY_EXHAUSTED, kid=self.kid)
        if blocks > self._last_block:
            raise misuse(MisuseCode.BLOCKS_ENDED, kid=self.kid)
        rekey_due = 2 * self.blocks < KEY_BUDGET <= 2 * blocks
        self.blocks = blocks
        return Reserved(self.kid, self._take_ctr(), key, self._generation, rekey_due, self._format)

    def _take_ctr(self) -> int:
        # RFC 9605 4.3 MUST: a KID and a CTR together are for one frame.
        ctr = self._next
        if ctr != self._last:
            self._next += 1
        elif self._next_lease:
            (self._next, self._last), self._next_lease = self._next_lease, None
        else:
            self._spent = True
        return ctr

    def _usable_key(self) -> FrameKey:
        if self._generation != generation():
            raise misuse(MisuseCode.FORKED, kid=self.kid)
        if self._key is None:
            raise misuse(MisuseCode.RETIRED, kid=self.kid, reason=self._retired)
        if self._spent:
            ended = self._last == LAST_CTR
            code = MisuseCode.CTR_EXHAUSTED if ended else MisuseCode.LEASE_ENDED
            raise misuse(code, kid=self.kid)
        return self._key

    def _needs_lease(self) -> bool:
        alive = self._key is not None and self._generation == generation()
        return alive and self._spent and self._last != LAST_CTR

    def _check_overlap(self, departure: Departure, out: memoryview) -> None:
        written = out[: departure.size + MAX_HEADER + self.suite.Nt]
        if overlap(departure.metadata, written):
            raise misuse(MisuseCode.OVERLAP)
        if not overlap(departure.frame, written):
            return
        if distance(departure.frame, out) != self._format.front(self.kid, self._next):
            raise misuse(MisuseCode.OVERLAP)
