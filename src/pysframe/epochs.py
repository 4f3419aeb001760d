"""Which KIDs belong to which MLS epoch: RFC 9605 5.2.

Rules of this file:
  1. Decisions over KIDs and epochs only. It holds no key and derives none.
  2. A KID shows only the low E bits of its epoch, so two epochs with equal low bits never live at
     the same time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .errors import MisuseError
from .kid import MLSLayout

AHEAD = 64  # members whose keys are derived before their first frame


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a group.

    senders: how many members there are, so that a KID with a larger sender index is refused at
    once; None when that is not known.
    """

    number: int
    layout: MLSLayout
    senders: int | None = None

    def __post_init__(self) -> None:
        self.layout.pack(self.number, 0)
        if self.senders is not None and not 0 < self.senders <= 1 << self.layout.S:
            raise MisuseError(
                f"senders is {self.senders}; S={self.layout.S} allows 1..{1 << self.layout.S}"
            )

    def owns(self, kid: int) -> bool:
        """Whether the low bits of this KID are this epoch's."""
        return self.layout.unpack(kid).epoch == self.number % (1 << self.layout.E)

    def admits(self, kid: int) -> bool:
        """Whether this KID is a member's of this epoch."""
        known = self.senders is None or self.layout.unpack(kid).sender_index < self.senders
        return known and self.owns(kid)

    def ahead(self) -> Iterator[int]:
        """The KIDs (of context 0) to derive now; none when the roster is not known."""
        for sender_index in range(min(self.senders or 0, AHEAD)):
            yield self.layout.pack(self.number, sender_index)


class Epochs:
    """The epochs a receiver holds. Not thread-safe by itself.

    >>> epochs = Epochs()
    >>> epochs.add(Epoch(1, MLSLayout(E=4, S=6), senders=8))
    >>> epochs.find(0x21).number, epochs.find(0x22), epochs.find(0x91)
    (1, None, None)
    >>> epochs.add(Epoch(17, MLSLayout(E=4, S=6)))
    Epoch(number=1, layout=MLSLayout(E=4, S=6), senders=8)
    """

    __slots__ = ("_by_low_bits", "_layout")

    def __init__(self) -> None:
        self._by_low_bits: dict[int, Epoch] = {}
        self._layout: MLSLayout | None = None

    def add(self, epoch: Epoch) -> Epoch | None:
        """Takes an epoch in and returns the one that must go for it.

        Raises MisuseError for another layout than the first epoch's: one KID would then have two
        meanings.
        """
        if self._layout not in (None, epoch.layout):
            raise MisuseError(f"this receiver's epochs have {self._layout}, not {epoch.layout}")
        self._layout = epoch.layout
        low = epoch.number % (1 << epoch.layout.E)
        # RFC 9605 5.2 MUST: drop the epoch that shares these low E bits.
        replaced = self._by_low_bits.get(low)
        self._by_low_bits[low] = epoch
        return replaced

    def remove(self, number: int) -> Epoch | None:
        """Forgets an epoch; None when it was not there."""
        for low, epoch in self._by_low_bits.items():
            if epoch.number == number:
                return self._by_low_bits.pop(low)
        return None

    def find(self, kid: int) -> Epoch | None:
        """The epoch that admits this KID, or None."""
        if self._layout is None:
            return None
        epoch = self._by_low_bits.get(self._layout.unpack(kid).epoch)
        return epoch if epoch and epoch.admits(kid) else None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The epochs held, in the order they came."""
        return tuple(epoch.number for epoch in self._by_low_bits.values())
