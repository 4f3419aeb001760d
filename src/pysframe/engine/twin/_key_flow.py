"""Key flow, counted and judged in Python: engine/_key_flow.pxi does the same in C.

Rules of this file:
  1. Pure: counters and monotonic seconds come in, states come out. Nothing here drops a frame.
  2. A single failure trips nothing. A state gets worse at its threshold at once, and better after
     a bounded time of mostly good frames.
  3. Memory is bounded, whatever headers claim: the engine tracks 16 unknown KIDs, and REMEMBERED
     removed ones are kept here.
  4. The order of frames between two polls is not known; what cannot be told trips nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ..._values import made_already
from ...flow import KeyFlow as Face
from ...flow import flow_fields
from ...limits import (
    CLEAR_SHARE,
    CONSECUTIVE,
    FLOWING_AFTER,
    QUIET_S,
    REMEMBERED,
    SILENT_S,
    UNKNOWN_FRAMES,
    UNKNOWN_S,
    WRONG_LEAST,
    WRONG_SHARE,
)
from ...stats import KeyState, KeyStats, ReceiverStats, StrangerStats
from ._pace import BadShare, Pace

if TYPE_CHECKING:
    from ._cores import ReceiverCore


class KeyFlow(Face):
    __doc__ = Face.__doc__

    __slots__ = Face.__match_args__

    state: KeyState
    kid: int | None
    opened: int
    rejected: dict[str, int]
    last_ctr: int
    silent_for_s: float

    def __init__(
        self,
        state: KeyState,
        kid: int | None,
        opened: int,
        rejected: dict[str, int],
        last_ctr: int,
        silent_for_s: float,
    ) -> None:
        fields = flow_fields(state, kid, opened, rejected, last_ctr, silent_for_s)
        if hasattr(self, "state"):
            raise made_already(self)
        for name, value in zip(self.__slots__, fields, strict=True):
            object.__setattr__(self, name, value)


class KeyFlowMonitor:
    """Turns a receiver's counters into states, poll by poll. Not thread-safe by itself."""

    __slots__ = ("_before", "_clear", "_clock", "_known", "_now", "_removed", "_strangers")

    def __init__(self) -> None:
        self._before = -math.inf  # the poll before this one
        self._now = self._clock = 0.0  # the caller's clock, and one that never goes back
        self._known: dict[int, Known] = {}
        self._removed: dict[int, None] = {}  # KIDs that flowed and are gone, oldest first
        self._strangers: dict[int, Stranger] = {}
        self._clear = Clear()

    def poll(
        self, now: float, receiver: ReceiverCore, is_stale: Callable[[int], bool]
    ) -> dict[int | None, KeyFlow]:
        """The state of every KID; now: finite monotonic seconds.

        is_stale says of an unknown KID that it belongs to the past. Keys derived ahead are left
        out until a frame comes under them. KIDs ascend, those with a key before the others.
        """
        return self.poll_stats(now, receiver._stats(), is_stale)

    def poll_stats(
        self, now: float, stats: ReceiverStats, is_stale: Callable[[int], bool]
    ) -> dict[int | None, KeyFlow]:
        """The same from a ReceiverStats."""
        clock = self._advance(now)
        kids = {key.kid for key in stats.keys}
        self._forget_removed(kids)
        tally = Tally()
        flows = self._with_key(clock, stats.keys, tally)
        flows.update(self._without_key(clock, stats.strangers, kids, is_stale))
        if self._clear.see(stats, self._strangers.values(), tally, clock):
            self._leave_out_inventions(flows, kids)
            flows[None] = self._not_sframe(stats)
        self._before = clock
        return flows

    def _advance(self, now: float) -> float:
        """Seconds since the first poll; where the caller's clock goes back, no time has passed."""
        if math.isfinite(self._before):
            self._clock += max(0.0, now - self._now)
        self._now = now
        return self._clock

    def _forget_removed(self, kids: set[int]) -> None:
        for kid in sorted(self._known.keys() - kids):
            if self._known.pop(kid).opened:
                self._removed[kid] = None
        self._removed = {kid: None for kid in self._removed if kid not in kids}
        for kid in list(self._removed)[:-REMEMBERED]:
            del self._removed[kid]

    def _with_key(
        self, now: float, keys: list[KeyStats], tally: Tally
    ) -> dict[int | None, KeyFlow]:
        flows: dict[int | None, KeyFlow] = {}
        for key in sorted(keys):
            if key.provisional and not key.auth_failed:
                continue
            known = self._known.setdefault(key.kid, Known(now))
            flow = known.see(key, now, tally)
            if not (key.provisional and known.pace.is_odd):
                flows[key.kid] = flow
        return flows

    def _without_key(
        self,
        now: float,
        strangers: dict[int, StrangerStats],
        kids: set[int],
        is_stale: Callable[[int], bool],
    ) -> dict[int | None, KeyFlow]:
        before, ascending = self._strangers, sorted(strangers)
        self._strangers = {kid: before.get(kid) or Stranger(now, self._before) for kid in ascending}
        flows: dict[int | None, KeyFlow] = {}
        for kid, stranger in self._strangers.items():
            state = stranger.see(strangers[kid], now)
            if kid in kids or state is None:
                continue
            if state is KeyState.MISSING_KEY and (kid in self._removed or is_stale(kid)):
                state = KeyState.STALE_KEY
            reasons = {"unknown key": stranger.frames}
            flows[kid] = KeyFlow(state, kid, 0, reasons, 0, now - stranger.since)
        return flows

    def _leave_out_inventions(self, flows: dict[int | None, KeyFlow], kids: set[int]) -> None:
        """Media in the clear, read as headers, may name a different KID in each frame."""
        for kid, stranger in self._strangers.items():
            if kid not in kids and not stranger.pace.looks_sent:
                flows.pop(kid, None)

    def _not_sframe(self, stats: ReceiverStats) -> KeyFlow:
        odd = [k for k in stats.keys if k.kid in self._known and self._known[k.kid].pace.is_odd]
        reasons = {
            "malformed": stats.malformed,
            "unknown key": stats.unknown,
            "authentication": sum(key.auth_failed for key in odd),
            "replayed": sum(key.replayed for key in odd),
            "too old": sum(key.too_old for key in odd),
        }
        return KeyFlow(KeyState.NOT_SFRAME, None, 0, reasons, 0, 0.0)


class Tally:
    """Frames under known KIDs since the poll before: those of senders, and the others."""

    __slots__ = ("good", "odd")

    def __init__(self) -> None:
        self.good = self.odd = 0


class Known:
    """What the polls saw of one KID that has a key."""

    __slots__ = (
        "_advanced", "_failed", "_refused", "failed_in_a_row", "last_opened", "opened",
        "opened_in_a_row", "pace", "share", "state", "undecided",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self.state = KeyState.WAITING
        self.last_opened = now  # the poll that saw it, or the first poll
        self.opened = self._failed = self._refused = self._advanced = 0  # the engine's counts
        self.failed_in_a_row = 0  # since the last frame opened
        self.undecided = 0  # failures of which is not known yet whether a sender's frames failed
        self.opened_in_a_row = 0  # since it last was wrong or stalled
        self.share = BadShare(WRONG_SHARE, WRONG_LEAST, now)
        self.pace = Pace()

    def see(self, key: KeyStats, now: float, tally: Tally) -> KeyFlow:
        """Adds what was counted since the last call, and judges."""
        refused = key.auth_failed + key.replayed + key.too_old
        if key.opened < self.opened or refused < self._refused:  # removed and added again
            self.__init__(now)  # type: ignore[misc]
        opened, failed = key.opened - self.opened, key.auth_failed - self._failed
        self.pace.see(refused - self._refused, key.advanced - self._advanced)
        if not self.pace.looks_sent:
            tally.odd += refused - self._refused
        self.opened, self._failed, self._refused = key.opened, key.auth_failed, refused
        self._advanced = key.advanced
        if self.pace.is_odd:
            failed = 0
        tally.good += opened + failed
        if opened:
            self.last_opened = now
        self.state = self._judge(opened, failed, key.closed, now)
        reasons = {
            "authentication": key.auth_failed,
            "replayed": key.replayed,
            "too old": key.too_old,
        }
        silent = now - self.last_opened
        return KeyFlow(self.state, key.kid, key.opened, reasons, key.last_ctr, silent)

    def _judge(self, opened: int, failed: int, closed: bool, now: float) -> KeyState:
        self.opened_in_a_row += opened
        if self._is_wrong(opened, failed, closed, now):
            if self.state is not KeyState.WRONG_KEY:
                self.opened_in_a_row = 0
            return KeyState.WRONG_KEY
        if self.opened and now - self.last_opened >= SILENT_S:
            self.opened_in_a_row = 0
            return KeyState.STALLED
        if self.opened_in_a_row >= FLOWING_AFTER:
            return KeyState.FLOWING
        return KeyState.WAITING if self.state is KeyState.WRONG_KEY else self.state

    def _is_wrong(self, opened: int, failed: int, closed: bool, now: float) -> bool:
        if self.pace.is_odd:
            self.failed_in_a_row = self.undecided = 0
            self.share.restart(now, False)
        self.failed_in_a_row = 0 if opened else self.failed_in_a_row + failed
        self.undecided += failed
        if self.pace.is_sent:
            failed, self.undecided = self.undecided, 0
            self.share.see(opened, failed, now)
        else:
            self.share.see(opened, 0, now)
        if closed or (self.failed_in_a_row >= CONSECUTIVE and self.pace.is_sent):
            self.share.restart(now, True)
            self.opened_in_a_row = 0
        return self.share.is_high


class Stranger:
    """What the polls saw of one KID that has no key."""

    __slots__ = ("_advanced", "came", "frames", "fresh", "last", "pace", "since")

    def __init__(self, now: float, before: float) -> None:
        self.since = self.last = now
        self.came = before  # the last poll that did not see it, or -inf: it came after that
        self.frames = self._advanced = 0  # the engine's counts
        self.fresh = 0  # frames since the poll before
        self.pace = Pace()

    def see(self, stats: StrangerStats, now: float) -> KeyState | None:
        """WAITING or MISSING_KEY; None when its frames have stopped, or are no sender's."""
        if stats.frames < self.frames:  # the engine has forgotten this KID and met it anew
            self.frames = self._advanced = 0
        self.fresh = stats.frames - self.frames
        self.pace.see(self.fresh, stats.advanced - self._advanced)
        self.frames, self._advanced = stats
        if self.fresh:
            self.last = now
        if self.pace.is_odd or now - self.last >= SILENT_S:
            return None
        lasting = now - self.came >= UNKNOWN_S
        enough = self.frames >= UNKNOWN_FRAMES and lasting and self.pace.is_sent
        return KeyState.MISSING_KEY if enough else KeyState.WAITING


class Clear:
    """Whether frames without a header that an SFrame sender would write are too many."""

    __slots__ = ("_good", "_last_odd", "_malformed", "_share", "_unknown")

    def __init__(self) -> None:
        self._malformed = self._unknown = 0  # the engine's counts
        self._last_odd = -math.inf  # a poll that saw odd frames
        self._good = 0  # frames since then
        self._share = BadShare(CLEAR_SHARE, CONSECUTIVE, 0.0)

    def see(
        self, stats: ReceiverStats, strangers: Collection[Stranger], tally: Tally, now: float
    ) -> bool:
        """Adds what was counted since the last call, and judges."""
        unknown = stats.unknown - self._unknown
        sent = self._sent(unknown, strangers)
        odd = tally.odd + stats.malformed - self._malformed + unknown - sent
        good = tally.good + sent
        self._malformed, self._unknown = stats.malformed, stats.unknown
        self._last_odd = now if odd else self._last_odd
        self._good = 0 if odd else self._good + good
        is_clear = self._share.see(good, odd, now)
        silent = SILENT_S if self._good < FLOWING_AFTER else QUIET_S
        if is_clear and now - self._last_odd >= silent:
            self._share.restart(now, False)
        return self._share.is_high

    def _sent(self, unknown: int, strangers: Collection[Stranger]) -> int:
        """How many of these frames senders sent. Tracked KIDs are a sample of the others."""
        like = [stranger for stranger in strangers if stranger.pace.looks_sent]
        tracked = sum(stranger.fresh for stranger in strangers)
        others = max(0, unknown - tracked) * len(like) // max(1, len(strangers))
        return min(unknown, others + sum(stranger.fresh for stranger in like))
