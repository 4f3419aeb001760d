"""The CTRs of a KID's refused frames. They decide how reports name the frames, and nothing else.

A sender's CTRs go up in small steps; when media in the clear is read as headers, they stand still
or jump about. Two senders may share a KID, and a sender may restart, so several runs are followed.
"""

RUNS = 4
STEP = 32  # CTRs that loss or dropped layers may skip
LATE = 256  # how far behind its top a run reaches: the range of one byte
STUCK = 16  # late frames in a row after which the run continues from the latest one
_WORD = (1 << 32) - 1


class Trail:
    """The refused frames of one KID. advanced: those whose CTR follows an earlier one."""

    __slots__ = ("_late", "_tops", "advanced")

    def __init__(self) -> None:
        self.advanced = 0
        self._tops: list[int] = []  # low bits of each run's highest CTR, latest run first
        self._late = 0  # frames in a row behind the top of their run

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
