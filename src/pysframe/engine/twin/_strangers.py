"""Counts frames under unknown KIDs, in bounded memory.

Rule: whatever an attacker sends, this holds sixteen KIDs and their counts.
"""

from ...stats import StrangerStats
from ._trail import Trail

TRACKED = 16  # KIDs
STAYS, GONE = 128, 1024  # unknown frames for which a KID keeps its place; after which it is stale


class Stranger:
    """The counts of one unknown KID."""

    __slots__ = ("frames", "latest", "trail")

    def __init__(self) -> None:
        self.frames = self.latest = 0
        self.trail = Trail()


class Strangers:
    """The unknown KIDs of one receiver; guarded by the receiver's lock."""

    __slots__ = ("frames", "kids")

    def __init__(self) -> None:
        self.frames = 0
        self.kids: dict[int, Stranger] = {}  # by KID, in order of arrival

    def note(self, kid: int, ctr: int) -> None:
        """Counts a frame under an unknown KID.

        The KID with the fewest frames makes room, but not at once: in a call of more than sixteen
        members each would otherwise evict the next one before its next frame.
        """
        self.frames += 1
        if kid not in self.kids and not self._make_room():
            return
        stranger = self.kids.setdefault(kid, Stranger())
        stranger.frames += 1
        stranger.latest = self.frames
        stranger.trail.follow(ctr)

    def _make_room(self) -> bool:
        if len(self.kids) < TRACKED:
            return True
        least = min(self.kids, key=self._worth)
        if self._worth(least) and self.frames - self.kids[least].latest < STAYS:
            return False
        del self.kids[least]
        return True

    def _worth(self, kid: int) -> int:
        stranger = self.kids[kid]
        return stranger.frames if self.frames - stranger.latest < GONE else 0

    def stats(self) -> dict[int, StrangerStats]:
        """The counts by KID."""
        return {kid: StrangerStats(s.frames, s.trail.advanced) for kid, s in self.kids.items()}
