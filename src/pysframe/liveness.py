"""Is the key flowing? States from differences of counters, so that silence is never a mystery.

Rules of this file:
  1. Pure: counters and monotonic seconds come in, states come out. Nothing here drops a frame.
  2. A single failure trips nothing; a state gets worse at its threshold and better after RECOVERY
     frames. A failure never disables a key.
  3. Memory is bounded, whatever headers claim: the receiver tracks 16 unknown KIDs, and REMEMBERED
     retired ones are kept here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from .engine import KeyStats

CONSECUTIVE = 10  # failures without a frame opened between them: 200 ms of audio
RATIO, RATIO_FRAMES = 0.05, 100  # a failing share that no loss explains, over this many frames
UNKNOWN_FRAMES, UNKNOWN_S = 10, 0.2
RECOVERY = 5  # frames opened
SILENT_S = 2.0
ONE_OFF_KIDS = 8  # as many KIDs seen once or twice: what looks like headers is media in clear
REMEMBERED = 64

Stats = tuple[int, int, Mapping[int, int], list[KeyStats]]


class KeyState(Enum):
    """What one KID's key does for its receiver."""

    WAITING = "waiting"  # no frame yet, or too few to tell
    FLOWING = "flowing"
    MISSING_KEY = "missing key"  # frames arrive, their key does not
    WRONG_KEY = "wrong key"  # tags fail: another key, other metadata, or tampering
    STALE_KEY = "stale key"  # frames under a key that was removed here: the sender is behind
    STALLED = "stalled"  # it flowed, and no frame has come for two seconds
    NOT_SFRAME = "not SFrame"  # media in clear, or another format


@dataclass(frozen=True, slots=True)
class KeyFlow:
    """One KID's state, and the counters that say why.

    kid: None for frames without a readable KID. opened: frames. rejected: frames by reason.
    last_ctr: of the newest frame opened. silent_for_s: seconds since the last frame that opened,
    or since the KID was first seen.
    """

    state: KeyState
    kid: int | None
    opened: int
    rejected: dict[str, int]
    last_ctr: int
    silent_for_s: float


@dataclass(slots=True)
class _Track:
    """What the last poll saw of one KID."""

    since: float  # seconds, monotonic: the last frame opened, or the first sight
    opened: int = 0
    failed: int = 0
    failures_in_a_row: int = 0
    recent: tuple[int, int] = (0, 0)  # opened and failed since the share was last judged
    state: KeyState = KeyState.WAITING
    good: int = 0  # frames opened since the state was last bad


@dataclass(slots=True)
class Monitor:
    """Turns a receiver's counters into states, poll by poll. Not thread-safe by itself."""

    _tracks: dict[int, _Track] = field(default_factory=dict)
    _strangers: dict[int, tuple[float, int]] = field(default_factory=dict)
    _retired: dict[int, None] = field(default_factory=dict)
    _malformed: tuple[int, int] = (0, 0)  # at the last poll, and in a row

    def poll(self, now: float, stats: Stats) -> dict[int | None, KeyFlow]:
        """The state of every KID; now: monotonic seconds, stats: a receiver's _stats()."""
        malformed, _unknown, strangers, keys = stats
        known = {key.kid: key for key in keys if not key.provisional or key.auth_failed}
        self._retire(known)
        opened_before = sum(track.opened for track in self._tracks.values())
        flows: dict[int | None, KeyFlow] = {k: self._known(now, s) for k, s in known.items()}
        opened = sum(track.opened for track in self._tracks.values()) > opened_before
        self._note_strangers(now, strangers)
        flows |= {k: self._unknown(now, k) for k in self._strangers if k not in known}
        nothing = self._not_sframe(malformed, opened)
        return flows | ({None: nothing} if nothing else {})

    # ---- KIDs with a key ----

    def _known(self, now: float, key: KeyStats) -> KeyFlow:
        track = self._tracks.setdefault(key.kid, _Track(now))
        opened, failed = key.opened - track.opened, key.auth_failed - track.failed
        track.opened, track.failed = key.opened, key.auth_failed
        if opened:
            track.since = now
        track.state = _judge(track, opened, failed, now)
        rejected = {
            "authentication": key.auth_failed,
            "replayed": key.replayed,
            "too old": key.too_old,
        }
        return KeyFlow(track.state, key.kid, key.opened, rejected, key.last_ctr, now - track.since)

    def _retire(self, known: Mapping[int, KeyStats]) -> None:
        for kid in [kid for kid in self._tracks if kid not in known]:
            if self._tracks.pop(kid).opened:
                self._retired[kid] = None
        for kid in known:
            self._retired.pop(kid, None)
        for kid in list(self._retired)[:-REMEMBERED]:
            del self._retired[kid]

    # ---- KIDs without ----

    def _note_strangers(self, now: float, strangers: Mapping[int, int]) -> None:
        self._strangers = {
            kid: (self._strangers.get(kid, (now, 0))[0], frames)
            for kid, frames in strangers.items()
        }

    def _unknown(self, now: float, kid: int) -> KeyFlow:
        first, frames = self._strangers[kid]
        state = KeyState.WAITING
        if frames >= UNKNOWN_FRAMES and now - first >= UNKNOWN_S:
            state = KeyState.STALE_KEY if kid in self._retired else KeyState.MISSING_KEY
        return KeyFlow(state, kid, 0, {"unknown key": frames}, 0, now - first)

    # ---- no KID at all ----

    def _not_sframe(self, malformed: int, opened: bool) -> KeyFlow | None:
        before, in_a_row = self._malformed
        in_a_row = malformed - before if opened else in_a_row + malformed - before
        self._malformed = malformed, in_a_row
        one_off = sum(frames <= 2 for _, frames in self._strangers.values())
        if in_a_row < CONSECUTIVE and (one_off < ONE_OFF_KIDS or opened):
            return None
        return KeyFlow(KeyState.NOT_SFRAME, None, 0, {"malformed": malformed}, 0, 0.0)


def _judge(track: _Track, opened: int, failed: int, now: float) -> KeyState:
    """The state after `opened` and `failed` more frames; order within a poll is not known."""
    track.failures_in_a_row = failed if opened else track.failures_in_a_row + failed
    good, bad = track.recent[0] + opened, track.recent[1] + failed
    share = bad / (good + bad) if good + bad >= RATIO_FRAMES else 0.0
    track.recent = (0, 0) if good + bad >= RATIO_FRAMES else (good, bad)
    starved = not opened and track.failures_in_a_row >= CONSECUTIVE
    if starved or share > RATIO:
        track.good = 0
        return KeyState.WRONG_KEY
    track.good += opened
    if track.state is KeyState.WRONG_KEY and track.good < RECOVERY:
        return KeyState.WRONG_KEY
    if not track.opened:
        return KeyState.WAITING
    return KeyState.STALLED if now - track.since >= SILENT_S else KeyState.FLOWING
