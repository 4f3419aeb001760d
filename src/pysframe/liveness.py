"""Is the key flowing? States from differences of counters, so that silence is never a mystery.

Rules of this file:
  1. Pure: counters and monotonic seconds come in, states come out. Nothing here drops a frame.
  2. A single failure trips nothing. A state gets worse at once at its threshold, and better only
     after some good frames.
  3. Memory is bounded, whatever headers claim: the engine tracks 16 unknown KIDs, and REMEMBERED
     removed ones are kept here.
  4. Between two polls the order of frames is not known; what cannot be told trips nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from .engine import KeyStats

CONSECUTIVE = 10  # failures without a frame opened between them: 200 ms of audio
RATIO, RATIO_FRAMES = 0.05, 100  # a failing share that no loss explains, over this many frames
UNKNOWN_FRAMES, UNKNOWN_S = 10, 0.2
FLOWING_AFTER = 5  # frames opened
CLEAN_AFTER = 100  # frames opened without a failure, to leave WRONG_KEY
SILENT_S = 2.0
ONE_OFF = 2  # frames: a KID seen no oftener looks like media in clear
REMEMBERED = 64

Stats = tuple[int, int, Mapping[int, int], list[KeyStats]]


class KeyState(Enum):
    """What one KID's key does for its receiver."""

    WAITING = "waiting"  # no frame yet, or too few to tell
    FLOWING = "flowing"
    MISSING_KEY = "missing key"  # frames arrive, their key does not
    WRONG_KEY = "wrong key"  # tags fail: another key, other metadata, or tampering
    STALE_KEY = "stale key"  # frames under a key that was removed here: the sender is behind
    STALLED = "stalled"  # it flowed, and no frame has opened for two seconds
    NOT_SFRAME = "not SFrame"  # media in clear, or another format


@dataclass(frozen=True, slots=True)
class KeyFlow:
    """One KID's state, and the counters that say why: what Receiver.key_flow() returns.

    kid: None for frames that are not SFrame. opened: frames. rejected: frames by reason, out of
    "authentication", "replayed", "too old", "unknown key", "malformed". last_ctr: of the newest
    frame opened, 0 before the first. silent_for_s: seconds since a poll saw a frame open, or
    since a poll first saw the KID.

    >>> import pysframe
    >>> receiver = pysframe.Receiver(4)
    >>> receiver.add_key(7, bytes(range(16)))
    >>> receiver.key_flow(now=100.0)[7].state
    <KeyState.WAITING: 'waiting'>
    """

    state: KeyState
    kid: int | None
    opened: int
    rejected: dict[str, int]
    last_ctr: int
    silent_for_s: float


def _never(kid: int) -> bool:
    return False


class Monitor:
    """Turns a receiver's counters into states, poll by poll. Not thread-safe by itself."""

    __slots__ = ("_clear", "_known", "_polled", "_removed", "_strangers")

    def __init__(self) -> None:
        self._polled = False
        self._known: dict[int, Known] = {}
        self._removed: dict[int, None] = {}  # KIDs that flowed and are gone, oldest first
        self._strangers: dict[int, Stranger] = {}
        self._clear = Clear()

    def poll(
        self, now: float, stats: Stats, is_stale: Callable[[int], bool] = _never
    ) -> dict[int | None, KeyFlow]:
        """The state of every KID; now: monotonic seconds, stats: a receiver's _stats().

        is_stale says of an unknown KID that it belongs to the past. Keys derived ahead are left
        out until a frame comes under them.
        """
        malformed, unknown, strangers, keys = stats
        kids = {key.kid for key in keys}
        self._forget_removed(kids)
        shown = [key for key in keys if not key.provisional or key.auth_failed]
        flows: dict[int | None, KeyFlow] = {
            key.kid: self._known.setdefault(key.kid, Known(now)).see(key, now) for key in shown
        }
        flows.update(self._unknown(now, strangers, kids, is_stale))
        good = sum(known.news for known in self._known.values())
        recurring = sum(s.news for s in self._strangers.values() if s.frames > ONE_OFF)
        if self._clear.see(malformed, unknown, recurring, good, now):
            reasons = {"malformed": malformed, "unknown key": unknown}
            flows[None] = KeyFlow(KeyState.NOT_SFRAME, None, 0, reasons, 0, 0.0)
        self._polled = True
        return flows

    def _forget_removed(self, kids: set[int]) -> None:
        for kid in [kid for kid in self._known if kid not in kids]:
            if self._known.pop(kid).opened:
                self._removed[kid] = None
        self._removed = {kid: None for kid in self._removed if kid not in kids}
        for kid in list(self._removed)[:-REMEMBERED]:
            del self._removed[kid]

    def _unknown(
        self, now: float, frames: Mapping[int, int], kids: set[int], is_stale: Callable[[int], bool]
    ) -> dict[int | None, KeyFlow]:
        before, old = self._strangers, not self._polled
        self._strangers = {kid: before.get(kid) or Stranger(now, old) for kid in frames}
        flows: dict[int | None, KeyFlow] = {}
        for kid, stranger in self._strangers.items():
            state = stranger.see(frames[kid], now)
            if kid in kids or state is None:
                continue
            if state is KeyState.MISSING_KEY and (kid in self._removed or is_stale(kid)):
                state = KeyState.STALE_KEY
            reasons = {"unknown key": stranger.frames}
            flows[kid] = KeyFlow(state, kid, 0, reasons, 0, now - stranger.since)
        return flows


class Known:
    """What the polls saw of one KID that has a key."""

    __slots__ = ("bad", "clean", "failed", "good", "last", "news", "opened", "row", "run", "state")

    def __init__(self, now: float) -> None:
        self.state = KeyState.WAITING
        self.last = now  # a poll that saw a frame open, or the first one
        self.opened = self.failed = 0  # the engine's counts
        self.news = 0  # frames since the poll before
        self.row = 0  # failures since the last frame opened
        self.clean = 0  # frames opened since the last failure
        self.run = 0  # frames opened since it last was wrong or stalled
        self.good = self.bad = 0  # since the failing share was last judged

    def see(self, key: KeyStats, now: float) -> KeyFlow:
        if key.opened < self.opened or key.auth_failed < self.failed:  # removed and added again
            self.__init__(now)  # type: ignore[misc]
        opened, failed = key.opened - self.opened, key.auth_failed - self.failed
        self.opened, self.failed = key.opened, key.auth_failed
        self.news = opened + failed
        if opened:
            self.last = now
        self.state = self._judge(opened, failed, key.closed, now)
        reasons = {
            "authentication": key.auth_failed,
            "replayed": key.replayed,
            "too old": key.too_old,
        }
        return KeyFlow(self.state, key.kid, key.opened, reasons, key.last_ctr, now - self.last)

    def _judge(self, opened: int, failed: int, closed: bool, now: float) -> KeyState:
        self.row = 0 if opened else self.row + failed
        self.clean = 0 if failed else self.clean + opened
        self.run += opened
        if self.row >= CONSECUTIVE or self._fails_often(opened, failed) or closed:
            self.clean = self.run = 0
            return KeyState.WRONG_KEY
        if self.state is KeyState.WRONG_KEY and self.clean < CLEAN_AFTER:
            return KeyState.WRONG_KEY
        if self.opened and now - self.last >= SILENT_S:
            self.run = 0
            return KeyState.STALLED
        return KeyState.FLOWING if self.run >= FLOWING_AFTER else self.state

    def _fails_often(self, opened: int, failed: int) -> bool:
        self.good, self.bad = self.good + opened, self.bad + failed
        frames, bad = self.good + self.bad, self.bad
        if frames < RATIO_FRAMES:
            return False
        self.good = self.bad = 0
        return bad > RATIO * frames


class Stranger:
    """What the polls saw of one KID that has no key."""

    __slots__ = ("frames", "last", "news", "old", "since")

    def __init__(self, now: float, old: bool) -> None:
        self.since = self.last = now
        self.old = old  # came before the first poll, maybe long before
        self.frames = self.news = 0

    def see(self, frames: int, now: float) -> KeyState | None:
        """WAITING or MISSING_KEY; None when its frames have stopped."""
        # The engine may have forgotten this KID and met it anew.
        self.news = frames - self.frames if frames >= self.frames else frames
        self.frames = frames
        if self.news:
            self.last = now
        if now - self.last >= SILENT_S:
            return None
        lasting = self.old or now - self.since >= UNKNOWN_S
        enough = frames >= UNKNOWN_FRAMES and lasting
        return KeyState.MISSING_KEY if enough else KeyState.WAITING


class Clear:
    """Whether what arrives is SFrame at all: malformed frames, and KIDs that come once."""

    __slots__ = ("_all", "_began", "_good", "_is_clear", "_last", "_odd", "_totals")

    def __init__(self) -> None:
        self._totals = (0, 0)  # malformed and unknown, as the engine counts them
        self._began = self._last = float("-inf")
        self._odd = self._all = self._good = 0
        self._is_clear = False

    def see(self, malformed: int, unknown: int, recurring: int, good: int, now: float) -> bool:
        """recurring: of the unknown frames since the last poll; good: frames whose KID is known."""
        before = sum(self._totals)
        self._totals = malformed, unknown
        odd = max(0, malformed + unknown - before - recurring)
        if now - self._began >= SILENT_S:
            self._began, self._odd, self._all = now, 0, 0
        self._odd, self._all = self._odd + odd, self._all + odd + recurring + good
        self._last = now if odd else self._last
        self._good = 0 if odd else self._good + good
        if self._odd >= CONSECUTIVE and self._odd > RATIO * self._all:
            self._is_clear, self._odd, self._all = True, 0, 0
        elif self._good >= FLOWING_AFTER or now - self._last >= SILENT_S:
            self._is_clear = False
        return self._is_clear
