"""Sender: reserve -> seal.

Rules of this file:
  1. A counter is taken under the lock, before the frame is touched, and never given back: a
     frame that then fails leaves a gap, and gaps are legal (RFC 9605 9.1).
  2. Everything that can refuse (closed, forked, lease, key budget, sizes) refuses before a
     counter is taken.
"""

import os
from operator import index
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ..._buffers import byte_view
from ...errors import MisuseCode, MisuseError, misuse
from ...header import MAX_VALUE, encode_header, header_size
from ...suites import MAX_HEADER, CipherSuite
from .. import _aead
from ._guard import Lock, Unshareable
from ._keys import FrameKey, Secret
from ._memory import distance, metadata_view, overlap, writable_view
from ._registry import SENDERS

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

# q + s <= 2^36 blocks keeps GCM's advantage below 2^-57: draft-irtf-cfrg-aead-limits.
KEY_BUDGET = 1 << 36
LIMIT_MAX_FRAME = 0x7FFF_FFFF  # bytes


class Departure(NamedTuple):
    """A frame to be sealed, as its caller gave it."""

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
    """A counter that belongs to one frame, and the key it is sealed with."""

    kid: int
    ctr: int
    key: FrameKey

    def size_of(self, departure: Departure) -> int:
        """Bytes of what `seal` returns."""
        return departure.size + header_size(self.kid, self.ctr) + self.key.tag_size

    def seal(self, departure: Departure) -> bytes:
        """clear || header || ciphertext || tag, of the frame as it is at this moment."""
        frame = bytes(departure.frame)
        clear, payload = frame[: departure.clear], frame[departure.clear :]
        header = encode_header(self.kid, self.ctr)
        # RFC 9605 4.4.3: aad = header || metadata; clear bytes are the head of the metadata.
        aad = b"".join((header, clear, departure.metadata))
        return b"".join((clear, header, self.key.seal(self.ctr, aad, payload)))


class SenderCore(Unshareable):
    """The counters and the key of one (base_key, KID). Thread-safe; refuses in a forked child."""

    _kernel: ClassVar[str | None] = None  # AEAD provider; None: the best there is

    _lock: Lock
    _retired = "never opened"
    _key: FrameKey | None = None
    _kid = _next = _last = _blocks = _max_frame = _pid = 0
    _spent = False  # _next was used, too, and nothing comes after it
    _ahead: tuple[int, int] | None = None  # the lease after this one
    _suite = CipherSuite.AES_128_GCM_SHA256_128

    def __new__(cls, *args: object, **kwargs: object) -> "SenderCore":
        self = super().__new__(cls)
        self._lock = Lock()
        return self

    def _open(
        self, suite: int, kid: int, secret: Secret, first: int, last: int, max_frame: int
    ) -> None:
        """Counters first..last of this KID are this sender's. Called once.

        Raises DuplicateSender when this process has, or had, a sender that may have used them.
        """
        if self._key or self._pid:
            raise MisuseError("this sender was opened before")
        self._suite = CipherSuite(suite)
        self._kid = _checked("kid", kid, MAX_VALUE)
        self._last = _checked("last", last, MAX_VALUE)
        self._next = _checked("first", first, self._last)
        self._max_frame = _checked("max_frame", max_frame, LIMIT_MAX_FRAME)
        key = FrameKey(_of_suite(secret, self._suite), self._kid, _aead.provider(self._kernel))
        if not SENDERS.open(key.fingerprint, self._next):
            raise misuse(MisuseCode.DUPLICATE, kid=self._kid)
        self._pid = os.getpid()
        self._key = key

    # ---- the public verbs ----

    def protect(
        self, frame: "ReadableBuffer", metadata: "ReadableBuffer | None" = b"", *, clear: int = 0
    ) -> bytes:
        """clear bytes || header || ciphertext || tag of one frame (RFC 9605 4.4.3).

        The first `clear` bytes stay readable; they and metadata are authenticated. Raises
        SenderRetired, CounterExhausted, KeyExhausted, or MisuseError for sizes.
        """
        departure = self._departure(frame, metadata, clear)
        return self._reserve(departure).seal(departure)

    def protect_into(
        self,
        frame: "ReadableBuffer",
        out: "WriteableBuffer",
        metadata: "ReadableBuffer | None" = b"",
        *,
        clear: int = 0,
    ) -> int:
        """protect, written to the start of `out`; returns the bytes written.

        `out` lies apart from frame and metadata, or so that the payload stays where it is
        (frame begins a header's size behind out); MisuseError otherwise, and when it is small.
        """
        target = writable_view(out)
        departure = self._departure(frame, metadata, clear)
        sealed = self._reserve(departure, target).seal(departure)
        target[: len(sealed)] = sealed
        return len(sealed)

    def protected_size(self, n: int) -> int:
        """Bytes that a frame of n bytes takes if it is protected next."""
        return _checked("n", n, MAX_VALUE) + header_size(self._kid, self._next) + self._suite.Nt

    @property
    def kid(self) -> int:
        """The KID in every header."""
        return self._kid

    @property
    def next_ctr(self) -> int:
        """The counter of the next frame; CounterExhausted or SenderRetired when there is none."""
        with self._lock:
            self._refuse()
            return self._next

    @property
    def blocks(self) -> int:
        """AES blocks used so far, of 2^36."""
        return self._blocks

    def close(self) -> None:
        """Lets go of the key; what comes after raises SenderRetired. Idempotent."""
        self._retire("closed")

    def __del__(self) -> None:
        self._retire("closed")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} kid={self._kid:#x} {self._suite.name}>"

    # ---- what the policy uses ----

    def _retire(self, reason: str) -> None:
        with self._lock:
            key, self._key = self._key, None
            if key is None:
                return
            self._retired = reason
            unused = self._next + self._spent
        # In a forked child the claim stays: the parent's sender may live on.
        if self._pid == os.getpid():
            SENDERS.close(key.fingerprint, unused)

    def _extend(self, first: int, last: int) -> None:
        """Leases first..last as well; they must lie beyond all counters leased before."""
        _checked("last", last, MAX_VALUE)
        _checked("first", first, last)
        with self._lock:
            if first <= self._last or self._ahead:
                raise MisuseError(f"a lease from {first} does not follow the one to {self._last}")
            if self._spent:
                self._next, self._last, self._spent = first, last, False
            elif first == self._last + 1:
                self._last = last
            else:
                self._ahead = first, last

    def _lease_ended(self) -> bool:
        """Policy hook: called without the lock when the lease is used up; True: there is more."""
        return False

    def _set_blocks(self, blocks: int) -> None:
        """Raises the meter, never lowers it: for resumed keys and tests."""
        with self._lock:
            self._blocks = max(self._blocks, blocks)

    # ---- reserve ----

    def _departure(
        self, frame: "ReadableBuffer", metadata: "ReadableBuffer | None", clear: int
    ) -> Departure:
        view = byte_view(frame, "frame")
        departure = Departure(view, metadata_view(metadata), index(clear))
        if not 0 <= departure.clear <= departure.size:
            reason = f"clear is {clear}; it must be 0..{departure.size}, the size of the frame"
            raise misuse(MisuseCode.ARGUMENT, reason=reason)
        if departure.size > self._max_frame:
            raise misuse(MisuseCode.TOO_LARGE, size=departure.size, limit=self._max_frame)
        return departure

    def _check(self, departure: Departure) -> int:
        """Whether there is a counter; the bytes the frame takes if it is protected next.

        A lease that has ended is no reason to refuse: reserving asks for the next one.
        """
        with self._lock:
            if not self._needs_lease():
                self._refuse()
            return self.protected_size(departure.size)

    def _reserve(self, departure: Departure, out: memoryview | None = None) -> Reserved:
        while True:
            with self._lock:
                if out is not None:
                    self._check_overlap(departure, out)
                if not self._needs_lease():
                    return self._take(departure, out)
            if not self._lease_ended():
                raise misuse(MisuseCode.LEASE_ENDED, kid=self._kid)

    def _take(self, departure: Departure, out: memoryview | None) -> Reserved:
        key = self._refuse()
        header_bytes = header_size(self._kid, self._next)
        size = departure.size + header_bytes + self._suite.Nt
        if out is not None and size > out.nbytes:
            raise misuse(MisuseCode.ROOM, size=size, limit=out.nbytes)
        blocks = self._blocks + departure.blocks(header_bytes)
        if blocks > KEY_BUDGET:
            raise misuse(MisuseCode.KEY_EXHAUSTED, kid=self._kid)
        self._blocks = blocks
        ctr = self._next
        self._advance()
        return Reserved(self._kid, ctr, key)

    def _advance(self) -> None:
        if self._next != self._last:
            self._next += 1
        elif self._ahead:
            (self._next, self._last), self._ahead = self._ahead, None
        else:
            self._spent = True

    def _refuse(self) -> FrameKey:
        if self._pid and self._pid != os.getpid():
            raise misuse(MisuseCode.FORKED, kid=self._kid)
        if self._key is None:
            raise misuse(MisuseCode.RETIRED, kid=self._kid, reason=self._retired)
        if self._spent:
            ended = self._last == MAX_VALUE
            code = MisuseCode.CTR_EXHAUSTED if ended else MisuseCode.LEASE_ENDED
            raise misuse(code, kid=self._kid)
        return self._key

    def _needs_lease(self) -> bool:
        alive = self._key is not None and self._pid == os.getpid()
        return alive and self._spent and self._last != MAX_VALUE

    def _check_overlap(self, departure: Departure, out: memoryview) -> None:
        written = out[: departure.size + MAX_HEADER + self._suite.Nt]
        if overlap(departure.metadata, written):
            raise misuse(MisuseCode.OVERLAP)
        if not overlap(departure.frame, written):
            return
        if distance(departure.frame, out) != header_size(self._kid, self._next):
            raise misuse(MisuseCode.OVERLAP)


def _checked(name: str, value: int, limit: int) -> int:
    number = index(value)
    if not 0 <= number <= limit:
        raise MisuseError(f"{name} is {number}; it must be 0..{limit}")
    return number


def _of_suite(secret: Secret, suite: CipherSuite) -> Secret:
    if secret._suite != suite:
        raise MisuseError(f"the secret is of {secret._suite.name}, not of {suite.name}")
    return secret
