"""The CTRs that a KID's refused frames came with: for names in reports, and nothing else.

A sender's go up in small steps; where media in clear is read as headers they stand still or jump
about. Two senders may share a KID, and a sender may start again, so there are several runs to go
on with.
"""

RUNS = 4
STEP = 32  # CTRs that loss or layers left out may skip
LATE = 256  # how far back a frame is of the same run: all that one byte can be
STUCK = 16  # late frames in a row, then the run goes on from where they are
_WORD = (1 << 32) - 1


class Trail:
    """What one KID's refused frames look like. advanced: those whose CTR went on from others."""

    __slots__ = ("_late", "_tops", "advanced")

    def __init__(self) -> None:
        self.advanced = 0
        self._tops: list[int] = []  # low bits of each run's highest CTR, the latest run first
        self._late = 0  # frames in a row that were behind their run

    def follow(self, ctr: int) -> None:
        """Notes a frame's CTR."""
        top = ctr & _WORD
        run = next((run for run in self._tops if -LATE <= _signed(top - run) <= STEP), None)
        if run is None:
            del self._tops[RUNS - 1 :]
            self._late = 0
        elif _signed(top - run) > 0:
            self._tops.remove(run)
            self._late = 0
            self.advanced += 1
        else:
            self._tops.remove(run)
            self._late = (self._late + 1) % STUCK
            top = run if self._late else top
        self._tops.insert(0, top)


def _signed(step: int) -> int:
    step &= _WORD
    return step - (_WORD + 1) if step > _WORD >> 1 else step
