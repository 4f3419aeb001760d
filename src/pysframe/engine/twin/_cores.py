"""The base classes of the policy: the engine's contract, over the states behind it.

Rule: a core has one attribute and no method beyond the contract, so that policy classes are free
      to choose their own names.

RFC 9605 4.4.1 MUST: a key is for sealing or for opening; the class that holds it says which.
"""

from operator import index
from sys import maxsize
from typing import ClassVar, Self

from ..._buffers import ReadableBuffer, WriteableBuffer, writable_view
from ..._tracebacks import without_locals
from ...errors import MisuseError, UnknownKey
from ...stats import ReceiverStats
from ...suites import CipherSuite
from .. import _aead
from .._types import KeyKind, Reach
from ._arrival import Arrival
from ._formats import SFRAME, Format
from ._guard import Unshareable
from ._keys import Secret
from ._receiver import Opened, ReceiverState
from ._sender import SenderState


class SenderCore(Unshareable):
    """reserve -> seal. Thread-safe; refuses in a forked child."""

    __slots__ = ("_twin",)

    _kernel: ClassVar[str | None] = None  # AEAD provider; None: the best one available
    _format: ClassVar[Format] = SFRAME
    _twin: SenderState | None

    @without_locals  # the arguments of __init__ pass through here first
    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._twin = None
        return self

    def protect(
        self, frame: "ReadableBuffer", metadata: "ReadableBuffer | None" = b"", *, clear: int = 0
    ) -> bytes:
        """clear bytes || header || ciphertext || tag of one frame (RFC 9605 4.4.3).

        The first `clear` bytes stay readable; they and metadata are authenticated. Raises
        SenderRetired, CounterExhausted, KeyExhausted, or MisuseError for sizes.
        """
        return _send(self, frame, metadata, clear, None)

    def protect_into(
        self,
        frame: "ReadableBuffer",
        out: "WriteableBuffer",
        metadata: "ReadableBuffer | None" = b"",
        *,
        clear: int = 0,
    ) -> int:
        """protect, written to the start of `out`; returns the bytes written.

        `out` overlaps neither frame nor metadata, unless the frame is sealed in place: then
        frame begins one header after the start of out. MisuseError otherwise, and when `out` is
        too small.
        """
        target = writable_view(out)
        sealed = _send(self, frame, metadata, clear, target)
        target[: len(sealed)] = sealed
        return len(sealed)

    def protected_size(self, n: int, /) -> int:
        """Bytes that a frame of n bytes takes if it is protected next."""
        if not 0 <= index(n) <= maxsize:
            raise MisuseError(f"n is {n}; it must be 0..{maxsize}")
        return sender_state(self).protected_size(index(n))

    @property
    def kid(self) -> int:
        """The KID in every header."""
        return sender_state(self).kid

    @property
    def next_ctr(self) -> int:
        """The counter of the next frame; CounterExhausted or SenderRetired when there is none."""
        return sender_state(self).next_ctr()

    @property
    def blocks(self) -> int:
        """AES blocks used so far, of 2^36; also after close()."""
        return sender_state(self).blocks

    def close(self) -> None:
        """Releases the key; later calls raise SenderRetired. Idempotent."""
        if self._twin:
            self._twin.retire()

    # ---- for the policy ----

    def _open(
        self, suite: int, kid: int, secret: Secret, first: int, last: int, max_frame: int
    ) -> None:
        """Gives this sender the counters first..last of its KID. Called once.

        Raises DuplicateSender when this process has, or had, a sender that may have used them.
        """
        if self._twin:
            raise MisuseError("this Sender was opened before")
        source = _aead.provider(self._kernel)
        self._twin = SenderState(
            CipherSuite(suite), kid, secret, first, last, max_frame, source, self._format
        )

    def _extend(self, first: int, last: int) -> None:
        """Leases first..last as well; they must lie beyond all counters leased before."""
        sender_state(self).extend(first, last)

    def _retire(self, reason: str) -> None:
        """close(), with the reason that SenderRetired will state."""
        sender_state(self).retire(reason)

    def _raise_blocks(self, blocks: int) -> None:
        """Raises the meter, never lowers it, to at most 2^36. For resumed keys."""
        sender_state(self).raise_blocks(blocks)

    def _lease_blocks(self, last: int) -> None:
        """Sets how far the meter may go: 2^36 initially and at most, and never below its value."""
        sender_state(self).lease_blocks(last)

    def _lease_ended(self) -> bool:
        """Policy hook: the leased counters are used up; True when there are more now."""
        return False

    def _rekey_due(self) -> None:
        """Policy hook: a frame has brought the key to half of its 2^36 AES blocks."""


class ReceiverCore(Unshareable):
    """parse -> resolve -> open -> commit. Thread-safe; goes on in a forked child."""

    __slots__ = ("_twin",)

    _kernel: ClassVar[str | None] = None  # AEAD provider; None: the best one available
    _format: ClassVar[Format] = SFRAME
    _twin: ReceiverState | None

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._twin = None
        return self

    def unprotect(
        self,
        ciphertext: "ReadableBuffer",
        metadata: "ReadableBuffer | None" = b"",
        *,
        clear: int = 0,
    ) -> bytes:
        """The frame in this ciphertext, clear bytes first (RFC 9605 4.4.4).

        Raises FrameRejected (MalformedFrame, UnknownKey, ReplayedFrame or FrameTooOld,
        AuthenticationFailed, in this order), after which nothing has changed.
        """
        return _receive(self, receiver_state(self).arrival(ciphertext, metadata, clear), None)

    def unprotect_into(
        self,
        ciphertext: "ReadableBuffer",
        out: "WriteableBuffer",
        metadata: "ReadableBuffer | None" = b"",
        *,
        clear: int = 0,
    ) -> int:
        """unprotect, written to the start of `out`; returns the bytes written.

        `out` overlaps neither ciphertext nor metadata, unless the frame is opened in place: then
        out begins one header after the start of ciphertext. A rejected frame leaves zeros in it.
        """
        target = writable_view(out)
        arrival = receiver_state(self).arrival(ciphertext, metadata, clear)
        return len(_receive(self, arrival, target))

    def close(self) -> None:
        """Releases all keys; later calls raise MisuseError. Idempotent."""
        if self._twin:
            self._twin.close()

    # ---- for the policy ----

    def _open(self, suite: int, replay_window: int, max_frame: int, strict: bool) -> None:
        """replay_window in frames, 0..2^20 (0: no checks); max_frame in bytes. Called once."""
        if self._twin:
            raise MisuseError("this Receiver was opened before")
        source = _aead.provider(self._kernel)
        self._twin = ReceiverState(
            CipherSuite(suite), replay_window, max_frame, strict, source, self._format
        )

    def _add(self, kid: int, secret: Secret, kind: KeyKind) -> None:
        """Adds a key: GIVEN, derived AHEAD, or ASKED for by a header that may be forged.

        Adding the same key again can only change its kind, to an earlier one. MisuseError when
        another key lives under this KID. The oldest of more than 128 ASKED keys makes room.
        """
        receiver_state(self).add(kid, secret, kind)

    def _remove(self, kid: int) -> bool:
        """Forgets a key; False when there is none."""
        return receiver_state(self).remove(kid)

    def _kind(self, kid: int) -> KeyKind | None:
        """GIVEN, AHEAD or ASKED; None when there is no key for this KID."""
        return receiver_state(self).kind(kid)

    def _reach(self, reach: Reach) -> None:
        """Says which keys the policy can derive; replaces what was said of the same group.

        All reaches of a receiver have one mask, numbers and shift.
        """
        receiver_state(self).reach(reach)

    def _forget(self, mask: int, group: int) -> None:
        """Forgets what could be derived of a group, and every key under its KIDs."""
        receiver_state(self).forget(mask, group)

    def _watch(self, on: bool) -> None:
        """Switches the calls to _resolve and _confirmed on or off."""
        receiver_state(self).watched = on

    def _stats(self) -> ReceiverStats:
        """The counts, by name."""
        return receiver_state(self).stats()

    def _resolve(self, kid: int) -> bool:
        """Policy hook: a frame names an unknown KID; True when its key was added just now."""
        return False

    def _confirmed(self, kids: list[int]) -> None:
        """Policy hook: under these provisional keys a tag has verified; they are real now."""


# ---- behind a core; also for batches ----


def sender_state(core: SenderCore) -> SenderState:
    """The state of an opened sender."""
    if core._twin is None:
        raise MisuseError("this Sender was never opened")
    return core._twin


def receiver_state(core: ReceiverCore) -> ReceiverState:
    """The state of an opened receiver."""
    if core._twin is None:
        raise MisuseError("this Receiver was never opened")
    return core._twin


def knows_now(core: ReceiverCore, kid: int | None, ctr: int | None) -> bool:
    """Whether a KID that was unknown has a key by now, after asking the policy if necessary."""
    assert kid is not None and ctr is not None  # an unknown KID was read from a header
    state = receiver_state(core)
    return state.knows(kid) or (state.may_derive(kid, ctr) and core._resolve(kid))


def give_up(core: ReceiverCore, kid: int | None, ctr: int | None) -> None:
    """Counts a frame under an unknown KID; earlier, its key might still have been derived."""
    assert kid is not None and ctr is not None
    receiver_state(core).give_up(kid, ctr)


def tell(core: ReceiverCore) -> None:
    """Reports to the policy which keys have become real."""
    confirmed = receiver_state(core).take_confirmed()
    if confirmed:
        core._confirmed(confirmed)


def _send(
    core: SenderCore,
    frame: "ReadableBuffer",
    metadata: "ReadableBuffer | None",
    clear: int,
    out: memoryview | None,
) -> bytes:
    state = sender_state(core)
    departure = state.departure(frame, metadata, clear)
    reserved = state.reserve(departure, out, core._lease_ended)
    sealed = reserved.seal(departure)
    if reserved.rekey_due:
        core._rekey_due()
    return sealed


def _receive(core: ReceiverCore, given: Arrival, out: memoryview | None) -> bytes:
    try:
        opened = _open_or_derive(core, given, out)
    except UnknownKey as error:
        give_up(core, error.kid, error.ctr)
        raise
    tell(core)
    return opened.frame


def _open_or_derive(core: ReceiverCore, given: Arrival, out: memoryview | None) -> Opened:
    state = receiver_state(core)
    try:
        return state.attempt(given, out)
    except UnknownKey as error:
        if not knows_now(core, error.kid, error.ctr):
            raise
    return state.attempt(given, out)
