"""The replay window of one key: RFC 9605 9.3 MAY, modelled on RFC 3711 3.3.2.

Rule: `judge` changes nothing; `mark` is called only after a frame's tag has verified.
"""

from ...errors import FrameStatus


class ReplayWindow:
    """Which of the `size` newest counters have been opened; with size 0 every verdict is OK."""

    __slots__ = ("_mask", "_seen", "size", "top")

    def __init__(self, size: int) -> None:
        self.size = size
        self.top: int | None = None  # highest counter opened
        self._seen = 0  # bit i: top - i was opened
        self._mask = (1 << size) - 1

    def judge(self, ctr: int) -> FrameStatus:
        """OK, REPLAYED or TOO_OLD."""
        if not self.size or self.top is None or ctr > self.top:
            return FrameStatus.OK
        age = self.top - ctr
        if age >= self.size:
            return FrameStatus.TOO_OLD
        return FrameStatus.REPLAYED if self._seen >> age & 1 else FrameStatus.OK

    def mark(self, ctr: int) -> None:
        """Records a counter that `judge` found OK."""
        if self.top is None or ctr > self.top:
            steps = 0 if self.top is None else min(ctr - self.top, self.size)
            self._seen = self._seen << steps & self._mask
            self.top = ctr
        if self.size:
            self._seen |= 1 << (self.top - ctr)
