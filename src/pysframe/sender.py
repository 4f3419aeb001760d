"""Sender: which key and which counters. The engine reserves and seals.

Rules of this file:
  1. A key and a counter meet at most once (RFC 9605 4.4.3 MUST). So a Sender either has a fresh
     random key, or is told where its counters go on, or leases them from a store on disk.
  2. Nothing here runs for a frame, but for the rare end of a lease and one warning.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Self

from .engine import SenderBase, policy
from .errors import MisuseError
from .kid import SenderKeyLayout
from .receiver import DEFAULT_MAX_FRAME, allowed_suite
from .suites import CipherSuite

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from .counters import CounterStore

LAST_CTR = 2**64 - 1

_log = logging.getLogger("pysframe")


@policy
class Sender(SenderBase):
    """Seals frames under one key and KID: RFC 9605 4.4.3.

    base_key: 16 bytes or more, for this sender alone. Exactly one of next_ctr (0 for a key that
    was never used; who resumes a key must know where it stopped) and counters (a CounterStore,
    which remembers). max_frame: bytes a frame may have. layout: a SenderKeyLayout, for senders
    that ratchet() (RFC 9605 5.1); kid is then the KID of the step that base_key belongs to.
    Suites with 4-byte tags need allow_short_tags=True.

    Raises DuplicateSender when this process has, or had, a sender for this base_key and KID with
    a counter past next_ctr. Thread-safe. After a fork it refuses in the child: two processes would
    use the same counters. It cannot be copied or pickled. close() wipes the key.

    >>> import pysframe
    >>> suite = pysframe.CipherSuite.AES_128_GCM_SHA256_128
    >>> with pysframe.Sender(suite, kid=7, base_key=bytes(range(16)), next_ctr=0) as sender:
    ...     ciphertext = sender.protect(b"a frame")
    ...     sender.next_ctr, len(ciphertext)
    (1, 24)
    """

    __slots__ = ()
    _fields = ("suite", "_base_key", "_secret", "_layout", "_counters", "_max_frame")
    suite: CipherSuite

    def __init__(
        self,
        suite: CipherSuite | int,
        *,
        kid: int,
        base_key: ReadableBuffer,
        next_ctr: int | None = None,
        counters: CounterStore | None = None,
        layout: SenderKeyLayout | None = None,
        max_frame: int = DEFAULT_MAX_FRAME,
        allow_short_tags: bool = False,
    ) -> None:
        if (next_ctr is None) == (counters is None):
            raise MisuseError(
                "give either next_ctr (0 for a key that was never used) or counters=CounterStore("
                "path): a counter used twice under one key gives both frames away"
            )
        check_kid(kid)
        self.suite = allowed_suite(suite, allow_short_tags)
        secret = self._Secret(self.suite, base_key)
        ctrs = counters.lease(self.suite, kid, base_key) if counters else (next_ctr or 0, LAST_CTR)
        self._begin(secret, kid, ctrs, layout, max_frame)
        self._counters = counters.attach(self, base_key, ctrs[1]) if counters else None

    def _begin(
        self,
        secret: Any,
        kid: int,
        ctrs: tuple[int, int],
        layout: SenderKeyLayout | None,
        max_frame: int,
    ) -> None:
        first, last = ctrs
        if not 0 <= first <= LAST_CTR:
            raise MisuseError(f"next_ctr is {first}; it must be 0..2^64-1")
        self._open(self.suite, kid, secret, first, last, max_frame)
        self._base_key: bytes | None = None
        self._layout, self._max_frame = layout, max_frame
        self._secret = secret if layout else None
        if not layout:
            secret.close()

    @classmethod
    def generate(cls, suite: CipherSuite | int, *, kid: int, **options: Any) -> Self:
        """A Sender with a fresh random key, which `base_key` gives out once.

        options: layout, max_frame, allow_short_tags, as for Sender.

        >>> import pysframe
        >>> sender = pysframe.Sender.generate(4, kid=1)
        >>> len(sender.base_key)
        16
        """
        base_key = os.urandom(32 if CipherSuite(suite).Nh == 64 else 16)
        sender = cls(suite, kid=kid, base_key=base_key, next_ctr=0, **options)
        sender._base_key = base_key
        return sender

    @property
    def base_key(self) -> bytes:
        """The generated key, to distribute it: 16 or 32 bytes, readable once.

        Raises MisuseError at the second reading, and when the key was not generated here. The
        bytes are Python's: they cannot be wiped.
        """
        base_key, self._base_key = self._base_key, None
        if base_key is None:
            raise MisuseError("base_key can be read once, from a Sender made by generate()")
        return base_key

    def ratchet(self) -> Sender:
        """The Sender of the next ratchet step (RFC 9605 5.1); this one is retired.

        Who joins now and gets the new step's key can open nothing older. Counters start at 0 again,
        since the key is new. Raises MisuseError without a layout.
        """
        if self._layout is None or self._secret is None:
            raise MisuseError("only a Sender made with layout=SenderKeyLayout(R) has ratchet steps")
        generation, step = self._layout.unpack(self.kid)
        later: Sender = type(self).__new__(type(self))
        later.suite, later._counters = self.suite, None
        later._begin(
            self._secret.ratchet(),
            self._layout.pack(generation, step + 1),
            (0, LAST_CTR),
            self._layout,
            self._max_frame,
        )
        self._secret.close()
        self._retire("ratcheted on")
        return later

    # ---- what the engine asks and tells ----

    def _lease_ended(self) -> bool:
        """The store wrote no new lease in time; the engine then raises CounterExhausted."""
        return False

    def _rekey_due(self) -> None:
        """Half of the key's 2^36 AES blocks are used: told once."""
        _log.warning(
            "KID %#x has sealed 2^35 AES blocks; give it a fresh key before 2^36, where it refuses",
            self.kid,
        )

    # ---- end ----

    def close(self) -> None:
        """Wipes the key; idempotent. Later calls raise SenderRetired."""
        super().close()
        self._base_key = None
        if self._secret is not None:
            self._secret.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Sender {self.suite.name} kid={self.kid:#x}>"


def check_kid(kid: int) -> None:
    """Raises MisuseError for a KID that 8 bytes cannot hold."""
    if not 0 <= kid < 1 << 64:
        raise MisuseError(f"kid is {kid}; it must be 0..2^64-1")
