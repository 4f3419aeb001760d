"""Frames under KIDs that nobody knows: counted, and bounded.

Rule: whatever a forger sends, this holds sixteen KIDs and their numbers.
"""

TRACKED = 16  # KIDs


class Strangers:
    """The unknown KIDs of one receiver; its owner's lock guards it."""

    __slots__ = ("frames", "kids")

    def __init__(self) -> None:
        self.frames = 0
        self.kids: dict[int, int] = {}  # recently unknown KID -> frames

    def note(self, kid: int) -> None:
        """Counts a frame under an unknown KID; the KID with the fewest frames makes room."""
        self.frames += 1
        if kid not in self.kids and len(self.kids) == TRACKED:
            del self.kids[min(self.kids, key=lambda known: self.kids[known])]
        self.kids[kid] = self.kids.get(kid, 0) + 1

    def take_back(self, kid: int) -> None:
        """A frame that was noted has found its key after all."""
        self.frames -= 1
        if kid in self.kids:
            self.kids[kid] -= 1
            if not self.kids[kid]:
                del self.kids[kid]
