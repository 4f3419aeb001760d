"""Sender: chooses the key and the counters. The engine reserves a counter and seals.

Rules of this file:
  1. A key and a counter meet at most once (RFC 9605 7.4 MUST). A Sender is therefore either told
     which counter comes next, 0 for a fresh key, or leases its counters from a store on disk.
  2. No code in this file runs for a frame, except at the end of a lease and for one warning.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from ._buffers import ReadableBuffer, byte_view
from ._common import Closing, Removed, policy_lock
from ._tracebacks import without_locals
from .engine import Secret, SenderBase, policy
from .errors import CounterExhausted, LeaseEnded, MisuseError, SenderRetired
from .limits import DEFAULT_MAX_FRAME, KEY_BUDGET, LAST_CTR, LAST_KID, LIMIT_MAX_FRAME, checked
from .suites import CipherSuite, allowed_suite

if TYPE_CHECKING:
    import pysframe
else:  # whatever the package is called. It loads what a type hint names when that is resolved.
    pysframe = sys.modules[__package__]


@policy
class Sender(Closing, SenderBase):
    """Seals frames under one key and KID: RFC 9605 4.4.3.

    suite: a CipherSuite or its number. kid: 0..2^64-1. base_key: 16 bytes or more, for this
    sender alone, such as suite.generate_base_key() makes. Exactly one of
      next_ctr  0 for a key that was never used; to resume a key, the counter where it stopped;
      counters  a CounterStore, which remembers.
    layout: a SenderKeyLayout, for senders that ratchet() (RFC 9605 5.1); kid is that of the step
    which base_key belongs to. max_frame: bytes a frame may have, clear bytes included. Suites with
    4-byte tags need allow_short_tags=True.

    Raises DuplicateSender when this process has, or had, a sender for this base_key and KID with
    a counter past next_ctr, and MisuseError for anything else that is wrong. Thread-safe. After a
    fork it refuses in the child: two processes would use the same counters. It cannot be copied
    or pickled. close(), or leaving `with`, wipes the key.

    Half-way to the 2^36 AES blocks that one key may seal, the logger "pysframe" warns once.

    >>> import pysframe
    >>> suite = pysframe.CipherSuite.AES_128_GCM_SHA256_128
    >>> with pysframe.Sender(suite, kid=7, base_key=bytes(range(16)), next_ctr=0) as sender:
    ...     ciphertext = sender.protect(b"a frame")
    ...     sender.next_ctr, len(ciphertext)
    (1, 24)
    """

    __slots__ = ()
    _fields = (
        "suite", "_layout", "_secret", "_frame_limit", "_first", "_last", "_waiting", "_counters",
        "_claim",
    )  # fmt: skip
    suite: CipherSuite
    _layout: pysframe.SenderKeyLayout | None
    _secret: Secret | None  # for the next step; None without a layout, and once retired
    _frame_limit: int
    _first: int  # the first counter of this Sender
    _last: int  # the last counter leased to the engine
    _waiting: list[tuple[int, int]]  # leases not yet passed on to the engine
    _counters: pysframe.CounterStore | None
    _claim: pysframe.counters.Claim | None  # on the key, in the store

    if not TYPE_CHECKING:  # to a type checker these names do not exist
        generate = Removed(
            "base_key = suite.generate_base_key(), then "
            "Sender(suite, kid=..., base_key=base_key, next_ctr=0)"
        )
        base_key = Removed("keep what suite.generate_base_key() returned, or what you passed in")

    @without_locals
    def __init__(
        self,
        suite: CipherSuite | int,
        *,
        kid: int,
        base_key: ReadableBuffer,
        next_ctr: int | None = None,
        counters: pysframe.CounterStore | None = None,
        layout: pysframe.SenderKeyLayout | None = None,
        max_frame: int = DEFAULT_MAX_FRAME,
        allow_short_tags: bool = False,
    ) -> None:
        if (next_ctr is None) == (counters is None):
            raise MisuseError(
                "give either next_ctr (0 for a key that was never used) or counters=CounterStore("
                "path): a counter used twice under one key gives both frames away"
            )
        suite = allowed_suite(suite, allow_short_tags)
        kid = checked("kid", kid, 0, LAST_KID)
        max_frame = checked("max_frame", max_frame, 0, LIMIT_MAX_FRAME)
        if layout is not None:
            from .keys.layouts import SenderKeyLayout, checked_layout

            checked_layout(layout, SenderKeyLayout)
        base_key = byte_view(base_key, "base_key")
        secret = self._Secret(suite, base_key)
        if counters is None:
            first = checked("next_ctr", next_ctr or 0, 0, LAST_CTR)
            self._begin(suite, kid, secret, (first, LAST_CTR), layout, max_frame)
        else:
            from .counters import fingerprint

            claim, lease = counters.begin(fingerprint(suite, kid, base_key))
            try:
                self._begin(suite, kid, secret, lease, layout, max_frame)
            except BaseException:
                claim.release()
                raise
            self._counters, self._claim = counters, claim
            self._raise_blocks(claim.first_block)
            self._lease_blocks(claim.last_block)
            counters.attach(self, claim)
        self._warn_if_past_half()

    def _begin(
        self,
        suite: CipherSuite,
        kid: int,
        secret: Secret,
        lease: tuple[int, int],
        layout: pysframe.SenderKeyLayout | None,
        max_frame: int,
    ) -> None:
        self._open(suite, kid, secret, *lease, max_frame)  # first: it refuses a second time
        self.suite, self._layout, self._frame_limit = suite, layout, max_frame
        self._first, self._last = lease
        self._waiting = []
        self._secret = self._counters = self._claim = None
        if layout is None:
            secret.close()
        else:
            self._secret = secret

    @property
    def next_ctr(self) -> int:
        """The counter of the next frame.

        Raises CounterExhausted when there is none, LeaseEnded when its store must renew() first,
        and SenderRetired.
        """
        try:
            return super().next_ctr
        except CounterExhausted:
            if self._last == LAST_CTR or not self._lease_ended():
                raise
            return super().next_ctr

    @without_locals
    def ratchet(self, *, next_ctr: int | None = None) -> Self:
        """The Sender of the next ratchet step (RFC 9605 5.1); this one is retired.

        Whoever joins now is given ratchet_base_key(suite, base_key), and can open nothing older.
        next_ctr: the new key's first counter. It may be left out when this key began at 0; a
        resumed key may have been ratcheted in its earlier life, so there it must be given.

        Raises MisuseError without a layout; with a CounterStore, which knows keys by their bytes:
        make the next step's Sender with counters= from ratchet_base_key(); and in a forked child.

        >>> from pysframe import CipherSuite, Sender, SenderKeyLayout
        >>> key, layout = CipherSuite(4).generate_base_key(), SenderKeyLayout(4)
        >>> sender = Sender(4, kid=0x20, base_key=key, next_ctr=0, layout=layout)
        >>> hex(sender.ratchet().kid)
        '0x21'
        """
        with policy_lock:
            layout, secret, ctr = self._check_ratchet(next_ctr)
            generation, step = layout.unpack(self.kid)
            kid = layout.pack(generation, step + 1)
            following = type(self).__new__(type(self))
            lease = (ctr, LAST_CTR)
            following._begin(self.suite, kid, secret.ratchet(), lease, layout, self._frame_limit)
            following._warn_if_past_half()
            self._retire(f"ratcheted on to KID {kid:#x}")
            self._forget()
        return following

    def _check_ratchet(self, next_ctr: int | None) -> tuple[pysframe.SenderKeyLayout, Secret, int]:
        self._refuse_retired()
        if self._layout is None or self._secret is None or self._layout.R == 0:
            raise MisuseError(
                f"KID {self.kid:#x} has no bits for a ratchet step; make the Sender with "
                "layout=SenderKeyLayout(R), R > 0"
            )
        if self._counters is not None:
            raise MisuseError(
                "a CounterStore knows keys by their bytes: close this Sender, and make one with "
                "the same counters=, the next step's kid and ratchet_base_key(suite, base_key)"
            )
        if next_ctr is None and self._first > 0:
            raise MisuseError(
                f"this key was resumed at counter {self._first}: say next_ctr= of its next step, "
                "0 if that was never used"
            )
        return self._layout, self._secret, checked("next_ctr", next_ctr or 0, 0, LAST_CTR)

    def _refuse_retired(self) -> None:
        """Raises SenderRetired, also in a forked child. A key without counters may be ratcheted."""
        with suppress(CounterExhausted):
            _ = super().next_ctr

    # ---- leases ----

    def _lease_ended(self) -> bool:
        """Called by the engine when its counters are used up; True when there are more."""
        with policy_lock:
            with suppress(CounterExhausted):
                return super().next_ctr >= 0  # another thread has extended the lease
            if not self._waiting:
                raise LeaseEnded(
                    f"the leased counters of KID {self.kid:#x} are used up; call renew() on its "
                    "CounterStore, and often enough from now on"
                )
            self._extend_to(*self._waiting.pop(0))
        return True

    def _counters_left(self) -> int:
        with policy_lock:
            waiting = sum(last + 1 - first for first, last in self._waiting)
            try:
                return waiting + self._last + 1 - super().next_ctr
            except CounterExhausted:
                return waiting
            except SenderRetired:
                return LAST_CTR  # a retired sender needs no counters

    def _grant(self, first: int, last: int) -> None:
        with policy_lock:
            if first == self._last + 1:
                self._extend_to(first, last)
            else:
                self._waiting.append((first, last))

    def _extend_to(self, first: int, last: int) -> None:
        self._extend(first, last)
        self._last = last

    # ---- events and end ----

    def _rekey_due(self) -> None:
        """Called by the engine, once: half of the key's 2^36 AES blocks are used."""
        import logging  # here, because an application may never need it

        logging.getLogger("pysframe").warning(
            "KID %#x has sealed 2^35 AES blocks; give it a fresh key before 2^36, where it refuses",
            self.kid,
        )

    def _warn_if_past_half(self) -> None:
        """The engine warns when the meter crosses half; a key resumed beyond it never does."""
        if 2 * self.blocks >= KEY_BUDGET:
            self._rekey_due()

    def close(self) -> None:
        """Wipes the key; idempotent. Later calls raise SenderRetired."""
        super().close()
        with policy_lock:
            self._forget()

    def _forget(self) -> None:
        secret, self._secret = self._secret, None
        if secret is not None:
            secret.close()
        if self._claim is not None:
            self._claim.release(self.blocks)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in ("generate", "base_key")]

    def __repr__(self) -> str:
        try:
            return f"<Sender kid={self.kid:#x} {self.suite.name}>"
        except (AttributeError, MisuseError):  # __init__ raised, or never ran
            return "<Sender, never opened>"
