"""Every error in one tree: the caller's mistakes, and the network's.

    SFrameError
     +-- MisuseError                a mistake of the caller; also a ValueError
     |    +-- CounterExhausted      no counter is left for this key
     |    |    +-- LeaseEnded       none is leased: the CounterStore's renew() gives more
     |    +-- KeyExhausted          the key has reached its budget
     |    +-- SenderRetired         closed, ratcheted on, or carried through a fork
     |    +-- DuplicateSender       a second sender for one (base_key, KID)
     +-- FrameRejected              a bad frame: drop it and go on
          +-- MalformedFrame        no SFrame header, or too short for one
          +-- UnknownKey            no key for this KID: the only one worth a retry
          +-- AuthenticationFailed  the tag does not verify
          +-- ReplayedFrame         this counter was accepted before
          +-- FrameTooOld           this counter lies behind the replay window

A scalar call raises; a batch writes the matching FrameStatus into its status column. No message
contains a byte of a key or of a frame. Wrong Python types raise a plain TypeError.
"""

from enum import IntEnum
from typing import ClassVar


class SFrameError(Exception):
    """Base class of every SFrame error."""


class MisuseError(SFrameError, ValueError):
    """The call was wrong: nothing was sealed, opened or written."""


class CounterExhausted(MisuseError):
    """No counter is left for this key; a new key is needed (RFC 9605 7.4)."""


class LeaseEnded(CounterExhausted):
    """A Sender's lease is used up: call renew() on its CounterStore, and try again."""


class KeyExhausted(MisuseError):
    """The key has sealed 2^36 AES blocks; a new key is needed."""


class SenderRetired(MisuseError):
    """This sender was closed, ratcheted on, or made before a fork."""


class DuplicateSender(MisuseError):
    """A sender for this (base_key, KID) lives, or lived and went further (RFC 9605 4.4.1)."""


class FrameStatus(IntEnum):
    """The outcome of one row of a batch: OK, or one member for each FrameRejected class."""

    OK = 0
    MALFORMED = 1
    UNKNOWN_KEY = 2
    AUTHENTICATION_FAILED = 3
    REPLAYED = 4
    TOO_OLD = 5

    @property
    def word(self) -> str:
        """The errorType that a browser's SFrame transform reports for this ("" for OK).

        `replay` is our own: W3C webrtc-encoded-transform has no such word.
        """
        return ("", "syntax", "keyID", "authentication", "replay", "replay")[self]


class FrameRejected(SFrameError):
    """The frame must be dropped (RFC 9605 4.4.4 MUST); no state changed.

    `kid` and `ctr` are what the header claims, or None when it could not be read.
    """

    status: ClassVar[FrameStatus]

    def __init__(self, message: str, kid: int | None = None, ctr: int | None = None) -> None:
        super().__init__(message)
        self.kid = kid
        self.ctr = ctr

    def __reduce__(self) -> tuple[type["FrameRejected"], tuple[str, int | None, int | None]]:
        return type(self), (str(self), self.kid, self.ctr)


class MalformedFrame(FrameRejected):
    """Not an SFrame ciphertext."""

    status = FrameStatus.MALFORMED


class UnknownKey(FrameRejected):
    """No key is known for this KID; the frame may be kept and tried again (RFC 9605 4.4.4 MAY)."""

    status = FrameStatus.UNKNOWN_KEY


class AuthenticationFailed(FrameRejected):
    """The frame was altered in transit, or sealed with another key or other metadata."""

    status = FrameStatus.AUTHENTICATION_FAILED


class ReplayedFrame(FrameRejected):
    """A frame with this KID and counter has been accepted already."""

    status = FrameStatus.REPLAYED


class FrameTooOld(FrameRejected):
    """The counter lies behind the replay window: too late to tell a replay from a delay."""

    status = FrameStatus.TOO_OLD


_REJECTIONS: dict[FrameStatus, tuple[type[FrameRejected], str]] = {
    FrameStatus.MALFORMED: (
        MalformedFrame,
        "not an SFrame ciphertext: {detail}; drop it (media in clear looks like this)",
    ),
    FrameStatus.UNKNOWN_KEY: (
        UnknownKey,
        "KID {kid} is unknown{detail}; add its key, then try this frame again",
    ),
    FrameStatus.AUTHENTICATION_FAILED: (
        AuthenticationFailed,
        "the tag of KID {kid}, CTR {ctr} does not fit{detail}; "
        "check that both sides have the same key, metadata and clear",
    ),
    FrameStatus.REPLAYED: (
        ReplayedFrame,
        "KID {kid}, CTR {ctr} was accepted before{detail}; drop the frame",
    ),
    FrameStatus.TOO_OLD: (
        FrameTooOld,
        "KID {kid}, CTR {ctr} lies behind the replay window{detail}; "
        "drop the frame, or make the Receiver with a larger replay_window",
    ),
}


def rejection(
    status: int, kid: int | None = None, ctr: int | None = None, detail: str = ""
) -> FrameRejected:
    """The exception for a FrameStatus other than OK.

    `detail` adds what is known beyond the status; for MALFORMED it is the whole reason.
    """
    error, text = _REJECTIONS[FrameStatus(status)]
    if error is MalformedFrame:
        detail = detail or "it has no well-formed header, or is too short or too long"
    elif detail:
        detail = f" ({detail})"
    return error(text.format(kid=_hex(kid), ctr=ctr, detail=detail), kid, ctr)


class MisuseCode(IntEnum):
    """Why a call was refused: the SFR_E_ codes of csrc/sfr.h."""

    RETIRED = -1
    FORKED = -2
    CTR_EXHAUSTED = -3
    KEY_EXHAUSTED = -4
    LEASE_ENDED = -5
    DUPLICATE = -6
    TOO_LARGE = -7
    OVERLAP = -8
    ROOM = -9
    ARGUMENT = -10
    CONFLICT = -12
    BLOCKS_ENDED = -13


_MISUSES: dict[MisuseCode, tuple[type[MisuseError], str]] = {
    MisuseCode.RETIRED: (
        SenderRetired,
        "the sender of KID {kid} is retired ({reason}); make a new Sender",
    ),
    MisuseCode.FORKED: (
        SenderRetired,
        "the sender of KID {kid} was made before a fork, and its counters belong to the parent; "
        "make a Sender with a fresh key in the child",
    ),
    MisuseCode.CTR_EXHAUSTED: (
        CounterExhausted,
        "the sender of KID {kid} has used its last counter; make a Sender with a fresh key",
    ),
    MisuseCode.KEY_EXHAUSTED: (
        KeyExhausted,
        "this frame would take the key of KID {kid} past 2^36 AES blocks; "
        "make a Sender with a fresh key",
    ),
    MisuseCode.LEASE_ENDED: (
        CounterExhausted,
        "the leased counters of KID {kid} are used up; renew the lease of its CounterStore",
    ),
    MisuseCode.BLOCKS_ENDED: (
        LeaseEnded,
        "this frame would take KID {kid} past the AES blocks that are leased to it; "
        "renew the lease of its CounterStore, and often enough from now on",
    ),
    MisuseCode.DUPLICATE: (
        DuplicateSender,
        "this process has, or had, a sender for this base_key and KID {kid} with a counter past "
        "this one; use that sender, its next_ctr, or a fresh key",
    ),
    MisuseCode.TOO_LARGE: (
        MisuseError,
        "a frame of {size} bytes is over the limit of {limit}; "
        "split it, or raise max_frame on both sides",
    ),
    MisuseCode.OVERLAP: (
        MisuseError,
        "out overlaps the input; it must lie apart from it, "
        "or exactly so that the payload bytes coincide",
    ),
    MisuseCode.ROOM: (MisuseError, "out has {limit} bytes and {size} are needed"),
    MisuseCode.ARGUMENT: (MisuseError, "{reason}"),
    MisuseCode.CONFLICT: (
        MisuseError,
        "another key is in use under KID {kid}; remove_key({kid}) first, or use another KID",
    ),
}


def misuse(
    code: int,
    *,
    kid: int | None = None,
    size: int | None = None,
    limit: int | None = None,
    reason: str = "closed",
    row: int | None = None,
) -> MisuseError:
    """The exception for one of the SFR_E_ codes; `row` names the row of a batch.

    size and limit are in bytes: what was asked for, and what is available.
    """
    error, text = _MISUSES[MisuseCode(code)]
    message = text.format(kid=_hex(kid), size=size, limit=limit, reason=reason)
    return error(message if row is None else f"row {row}: {message}")


def _hex(number: int | None) -> str:
    return "?" if number is None else f"{number:#x}"
