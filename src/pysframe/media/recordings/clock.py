"""Converts RTP timestamps to times within a recording."""

WRAP = 1 << 32
STRANGE = 30.0  # seconds by which RTP time and arrival may part before the stream began anew


class Clock:
    """The times of one stream, in ticks of its rate from the beginning of the recording.

    Times never go back. Where the RTP time leaps (a wrap is no leap), arrivals tell what it
    means: a stream that began anew, or a long pause.
    """

    def __init__(self, rate: int, began: float | None) -> None:
        self._rate, self._began = rate, began
        self._stamp = 0
        self._ticks: int | None = None
        self._at: float | None = None

    def ticks(self, timestamp: int, at: float | None) -> int:
        """The time of a frame."""
        if self._ticks is None:
            late = 0.0 if at is None or self._began is None else max(0.0, at - self._began)
            self._ticks = round(late * self._rate)
        else:
            passed = self._passed(timestamp, at)
            if -STRANGE * self._rate <= passed < 0:
                return self._ticks  # sent late; the clock was not set back
            self._ticks += max(0, passed)
        self._stamp, self._at = timestamp, at
        return self._ticks

    def _passed(self, timestamp: int, at: float | None) -> int:
        ticks = (timestamp - self._stamp) % WRAP
        if ticks >= WRAP // 2:
            ticks -= WRAP
        if at is None or self._at is None:
            return ticks
        arrived = at - self._at
        if abs(ticks / self._rate - arrived) > STRANGE:
            return round(arrived * self._rate)
        return ticks
