"""Decides when a track is in trouble, and words it.

Rules of this file:
  1. No alarm rests on single frames. Lossy networks make a few that do not open, and aiortc hands
     on pictures that were cut short.
  2. A track's counts say that there is trouble, and the key flow says which: read as SFrame, media
     in the clear has a KID as well, and one frame cannot tell them apart.
  3. What was said holds until the key flow says something else: silence says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...engine import KeyFlow
from ...errors import FrameStatus
from ...limits import CONSECUTIVE, SILENT_S, UNKNOWN_S
from ...source import Keyring, Trouble, TroubleKind
from ...stats import KeyState
from ._receiving import Incoming
from ._sending import SealedTrack

FEW = 2  # frames, of a slow stream

_KINDS = {
    FrameStatus.UNKNOWN_KEY.word: TroubleKind.MISSING_KEY,
    FrameStatus.AUTHENTICATION_FAILED.word: TroubleKind.WRONG_KEY,
    FrameStatus.MALFORMED.word: TroubleKind.NOT_SFRAME,
}
_STATES = {
    TroubleKind.MISSING_KEY: (KeyState.MISSING_KEY, KeyState.STALE_KEY),
    TroubleKind.WRONG_KEY: (KeyState.WRONG_KEY,),
}
_WORDS = {
    TroubleKind.MISSING_KEY: "frames arrive under KID {kid}, and its key has not come",
    TroubleKind.STALE_KEY: "frames arrive under KID {kid}, whose key was dropped: the sender is "
    "behind",
    TroubleKind.WRONG_KEY: "frames arrive under KID {kid}, and its key does not open them: it is "
    "another key, or somebody alters them on the way",
    TroubleKind.NOT_SFRAME: "frames arrive that are not SFrame: media in the clear, another "
    "format, or another envelope",
}

_REASONS = {"unbound": ", since nobody has said whose track it is"}


def _is_long(frames: int, seconds: float) -> bool:
    """Whether this many frames in a row, over this long, count as a trouble."""
    return (frames >= CONSECUTIVE and seconds >= UNKNOWN_S) or (
        frames >= FEW and seconds >= SILENT_S
    )


def trouble_in(
    track: Incoming, now: float, keys: Keyring, before: Trouble | None = None
) -> Trouble | None:
    """Why nothing of a received track opens, or None. before: what was last said of it."""
    if not track.refused or not _is_long(track.refused, now - track.refused_since):
        return None
    kind = _KINDS.get(track.why)
    if kind is None:
        words = f"its frames are refused as {track.why!r}{_REASONS.get(track.why, '')}"
        return Trouble(TroubleKind.REFUSED, track.sender or "", _sentence(track, words))
    if kind in _STATES and track.scope is not None:
        said = before.kind if before and before.kind in _WORDS else None
        likely = kind if now - track.refused_since >= SILENT_S else None
        kind = _judged(kind, track.kid, track.scope.receiver.key_flow(now)) or said or likely
    if kind is None:
        return None
    if kind is TroubleKind.MISSING_KEY and keys.was_dropped(track.kid):
        kind = TroubleKind.STALE_KEY
    kid = "?" if track.kid is None else f"{track.kid:#x}"
    whose = track.sender or ("" if track.kid is None else keys.owner(track.kid))
    return Trouble(kind, whose, _sentence(track, _WORDS[kind].format(kid=kid)))


def _judged(
    kind: TroubleKind, kid: int | None, flows: Mapping[int | None, KeyFlow]
) -> TroubleKind | None:
    """What the receiver's key flow makes of a refusal; None while it tells nothing."""
    states = {flow.state for flow in flows.values()}
    theirs = flows[kid].state if kid in flows else None
    if theirs not in _STATES[kind] and KeyState.NOT_SFRAME in states:
        return TroubleKind.NOT_SFRAME
    # The states of other KIDs count: a sender who goes on to its next KID is still in trouble.
    return kind if states.intersection(_STATES[kind]) else None


def _sentence(track: Incoming, words: str) -> str:
    return f"{track.kind} of {track.sender or 'the room'}: {words}; nothing of it is decoded"


def trouble_out(track: SealedTrack, now: float) -> Trouble | None:
    """Why nothing of a track is sent, or None."""
    if not track.dropped or not _is_long(track.dropped, now - track.dropped_since):
        return None
    why = {
        "no key": "there is no key to seal with",
        "refused": "the key to seal with has reached its end, or its CounterStore gives no lease",
        "codec": "its packets are of another codec than the one negotiated",
    }.get(track.why, f"its frames are dropped as {track.why!r}")
    return Trouble(TroubleKind.CANNOT_SEAL, "", f"{track.kind} is not sent: {why}")
