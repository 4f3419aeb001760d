"""Decides which KIDs belong to which MLS epoch: RFC 9605 5.2.

Rules of this file:
  1. It decides over KIDs and epochs only. It holds no key and derives none.
  2. A KID shows only the low E bits of its epoch, so two epochs with equal low bits are never
     live at the same time.
"""

from typing import NamedTuple

from ..engine import KeyKind, Reach
from ..errors import MisuseError
from ..limits import LAST_KID, LIMIT_ROSTER, READY_MEMBERS
from .layouts import MLSLayout
from .plan import Changes, Derive

RETIRED = 16  # epochs remembered as past


class Epoch(NamedTuple):
    """One epoch, and which members' keys can be derived."""

    number: int
    reach: Reach


class Epochs:
    """The epochs of one group. Not thread-safe by itself.

    >>> epochs = Epochs(MLSLayout(E=4, S=6))
    >>> [hex(key.kid) for key in epochs.add(1, senders=3).derive]
    ['0x1', '0x11', '0x21']
    >>> epochs.resolve(0x421)
    Derive(kid=1057, number=1, steps=0, kind=<KeyKind.ASKED: 2>)
    >>> epochs.resolve(0x31), epochs.resolve(0x22)
    (None, None)
    >>> epochs.add(17).forget
    (1,)
    """

    __slots__ = ("_by_low_bits", "_retired", "layout")

    def __init__(self, layout: MLSLayout) -> None:
        self.layout = layout
        self._by_low_bits: dict[int, Epoch] = {}
        self._retired: tuple[int, ...] = ()

    def add(self, epoch: int, senders: int | None = None) -> Changes:
        """Adds an epoch; the known members of context 0 get their keys now.

        An epoch that is present gets a new roster. Raises MisuseError for an epoch older than the
        one with the same low bits, and for a roster that S bits cannot number.
        """
        low = self._low(epoch)
        there = self._by_low_bits.get(low)
        if there and epoch < there.number:
            raise MisuseError(
                f"epoch {epoch} came after epoch {there.number}, which has the same {self.layout.E}"
                " low bits; epochs only grow"
            )
        members = self._members(epoch, senders)
        reach = self._reach(epoch, senders)
        self._by_low_bits[low] = Epoch(epoch, reach)
        changes = Changes(derive=members, reach=(reach,))
        if not there or there.number == epoch:
            return changes
        # RFC 9605 5.2 MUST: drop the epoch that shares these low E bits.
        self._retired = (*self._retired, there.number)[-RETIRED:]
        return changes._replace(forget=(there.number,))

    def group(self, number: int) -> tuple[int, int]:
        """The low E bits of a KID name its epoch."""
        return (1 << self.layout.E) - 1, self._low(number)

    def covers(self, number: int, kid: int) -> bool:
        """Whether the low bits of this KID are those of this epoch."""
        return self.layout.unpack(kid).epoch == self._low(number)

    def resolve(self, kid: int) -> Derive | None:
        """How to derive the key of an unknown KID; None when no epoch has such a member."""
        epoch = self._by_low_bits.get(self._low(kid))
        if epoch is None:
            return None
        _, group, numbers, shift, _, total, few = epoch.reach
        index = kid >> shift & numbers
        if index >= total:
            return None
        is_few = index < few and kid == index << shift | group
        return Derive(kid, epoch.number, 0, KeyKind.AHEAD if is_few else KeyKind.ASKED)

    def confirm(self, kids: list[int]) -> Changes:
        """A member was heard, which moves nothing: MLS alone adds and removes epochs."""
        return Changes()

    def remove(self, number: int) -> Changes:
        """Forgets an epoch, which must be present."""
        del self._by_low_bits[self._low(number)]
        self._retired = (*self._retired, number)[-RETIRED:]
        return Changes(forget=(number,))

    def is_stale(self, kid: int) -> bool:
        """Whether this KID is of a forgotten epoch and of no present one."""
        low = self.layout.unpack(kid).epoch
        return low not in self._by_low_bits and any(self._low(n) == low for n in self._retired)

    def _low(self, epoch: int) -> int:
        return epoch % (1 << self.layout.E)

    def _reach(self, epoch: int, senders: int | None) -> Reach:
        """The few: members in context 0 that a roster names, or the first ones without a roster."""
        limit = 1 << self.layout.S
        few = min(limit, READY_MEMBERS) if senders is None else min(senders, LIMIT_ROSTER)
        # With S = 64 the last index is out of reach: a 64-bit total cannot count it.
        total = min(limit if senders is None else senders, LAST_KID)
        mask, group = self.group(epoch)
        return Reach(mask, group, limit - 1, self.layout.E, 0, total, few)

    def _members(self, epoch: int, senders: int | None) -> tuple[Derive, ...]:
        limit = 1 << self.layout.S
        if senders is not None and not 0 <= senders <= limit:
            raise MisuseError(f"senders is {senders}; with S={self.layout.S} it must be 0..{limit}")
        self.layout.pack(epoch, 0)
        members = range(min(senders or 0, READY_MEMBERS))
        return tuple(Derive(self.layout.pack(epoch, index), epoch) for index in members)
