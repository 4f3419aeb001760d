"""Frames under KIDs that nobody knows: counted, bounded, and rarely worth a derivation.

Rule: whatever a forger sends, this holds sixteen KIDs and three numbers.
"""

TRACKED = 16  # KIDs
ALLOWANCE = 64  # attempts to derive an unknown key that may come at once
FRAMES_PER_ALLOWANCE = 256  # frames of any kind that earn one more


class Strangers:
    """The unknown KIDs of one receiver; its owner's lock guards it."""

    __slots__ = ("_allowance", "_seen", "frames", "kids")

    def __init__(self) -> None:
        self.frames = 0
        self.kids: dict[int, int] = {}  # recently unknown KID -> frames
        self._allowance = ALLOWANCE
        self._seen = 0

    def note(self, kid: int) -> None:
        """Counts a frame under an unknown KID; the KID with the fewest frames makes room."""
        self.frames += 1
        if kid not in self.kids and len(self.kids) == TRACKED:
            del self.kids[min(self.kids, key=lambda known: self.kids[known])]
        self.kids[kid] = self.kids.get(kid, 0) + 1

    def count_frame(self) -> None:
        """Counts a frame of any kind: enough of them earn an attempt at deriving a key."""
        self._seen += 1
        if self._seen % FRAMES_PER_ALLOWANCE == 0:
            self._allowance = min(self._allowance + 1, ALLOWANCE)

    def may_derive(self) -> bool:
        """Whether one more attempt may be spent on an unknown key."""
        if not self._allowance:
            return False
        self._allowance -= 1
        return True
