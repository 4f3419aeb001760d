"""What refused frames say about who sent them, and shares of frames that are judged slowly.

Media in the clear can be read as SFrame headers: H.264 as KID 0, Opus as KID 4, 5 or 7. A sender's
CTRs go up from frame to frame (RFC 9605 4.4.1); those of such headers stand still or jump about.
The thresholds in limits.py separate real media of many codecs from SFrame over bad networks:
tests/test_clear_media.py.
"""

from ...limits import (
    ANY_FRAMES,
    GOOD_FRAMES,
    GUESS_ONE_IN,
    ODD_SHARE,
    PACE_FRAMES,
    PLAIN_FRAMES,
    PLAIN_SHARE,
    SENT_SHARE,
    SLOW_S,
    SLOWEST_S,
    WINDOW_FRAMES,
    WINDOW_S,
)


class Pace:
    """Whether one KID's refused frames are a sender's, judged by how their CTRs follow."""

    __slots__ = ("_advanced", "_frames", "is_odd", "is_sent")

    def __init__(self) -> None:
        self._frames = self._advanced = 0.0  # recent ones: see() halves older counts
        self.is_sent = self.is_odd = False  # a sender's; not SFrame; both False: not known yet

    def see(self, frames: int, advanced: int) -> None:
        """Adds frames refused since the last call; advanced: those that followed earlier ones."""
        if not frames:
            return
        self._frames, self._advanced = self._frames + frames, self._advanced + advanced
        if self._frames >= PLAIN_FRAMES:
            self._judge(self._advanced / self._frames)
        if self._frames > PACE_FRAMES:
            self._advanced *= PACE_FRAMES / 2 / self._frames
            self._frames = PACE_FRAMES / 2

    @property
    def looks_sent(self) -> bool:
        """is_sent, or a guess while that is not known."""
        guess = self._advanced > self._frames / GUESS_ONE_IN
        return self.is_sent or (not self.is_odd and guess)

    def _judge(self, share: float) -> None:
        enough = self._frames >= ANY_FRAMES
        if share >= (SENT_SHARE if enough else PLAIN_SHARE):
            self.is_sent, self.is_odd = True, False
        elif share <= ODD_SHARE:
            self.is_sent, self.is_odd = False, True
        elif enough and not self.is_odd:
            self.is_sent, self.is_odd = self.looks_sent, not self.looks_sent


class BadShare:
    """Whether too many of a stream's frames are bad: told at once, taken back after a while."""

    __slots__ = ("_bad", "_began", "_frames", "_least", "_limit", "is_high")

    def __init__(self, limit: float, least: int, now: float) -> None:
        self._limit, self._least = limit, least  # bad frames: their share, and the fewest
        self.is_high = False
        self.restart(now, False)

    def restart(self, now: float, is_high: bool) -> None:
        """Forgets the frames so far and sets the verdict."""
        self.is_high = is_high
        self._bad = self._frames = 0
        self._began = now

    def see(self, good: int, bad: int, now: float) -> bool:
        """Adds frames since the last call; the verdict is withdrawn below half the limit."""
        self._bad, self._frames = self._bad + bad, self._frames + good + bad
        if self._bad >= self._least and self._bad > self._limit * self._frames:
            self.restart(now, True)
        elif self._is_over(now):
            self.restart(now, self.is_high and self._bad > self._limit / 2 * self._frames)
        return self.is_high

    def _is_over(self, now: float) -> bool:
        seconds = now - self._began
        if self._frames >= WINDOW_FRAMES:
            return seconds >= WINDOW_S
        return seconds >= (SLOW_S if self._frames - self._bad >= GOOD_FRAMES else SLOWEST_S)
