"""The keys of others that one member holds, by sender: when the one before is dropped.

Rule: the key before goes 10 s after the first frame under the new one, so that frames on their way
still open; all keys of a member who has left, or may not send any more, go at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from ..source.events import Drop
from .own_keys import Pace
from .protocol import KeyHeader

GENERATION_SHIFT, GENERATION_BITS = 8, 20  # in a KID: index, generation, ratchet step
INDEX_SHIFT = GENERATION_SHIFT + GENERATION_BITS


@dataclass(slots=True)
class _Sender:
    name: str
    generations: list[int] = field(default_factory=list)  # fields of RFC 9605 5.1, in order


class HeardKeys:
    """Which generations of which sender are held.

    >>> heard = HeardKeys(Pace())
    >>> heard.left(3), heard.next_due()
    ([], inf)
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._senders: dict[int, _Sender] = {}  # by index
        self._ending: dict[int, float] = {}  # generation field -> when it goes

    def is_new(self, header: KeyHeader) -> bool:
        """Notes a key that was opened. False where its steps follow from one that is held."""
        sender = self._senders.setdefault(header.index, _Sender(header.sender))
        if header.generation_field in sender.generations:
            return False
        sender.generations.append(header.generation_field)
        return True

    def flowing(self, kid: int, now: float) -> None:
        """A frame has opened under this KID."""
        generation, sender = kid >> GENERATION_SHIFT, self._senders.get(kid >> INDEX_SHIFT)
        if sender is not None and generation in sender.generations:
            for old in sender.generations[: sender.generations.index(generation)]:
                self._ending.setdefault(old, now + self._pace.keep)

    def left(self, index: int) -> list[Drop]:
        """What to drop of a member who has left, or may not send any more."""
        sender = self._senders.pop(index, _Sender(""))
        return [self._drop(sender.name, generation) for generation in sender.generations]

    def due(self, now: float) -> list[Drop]:
        """What to drop by now."""
        return [
            self._drop(self._forgotten(generation), generation)
            for generation, at in list(self._ending.items())
            if at <= now
        ]

    def next_due(self) -> float:
        """When due() will have something to say; inf for never."""
        return min(self._ending.values(), default=inf)

    def _forgotten(self, generation: int) -> str:
        sender = self._senders[generation >> GENERATION_BITS]
        sender.generations.remove(generation)
        return sender.name

    def _drop(self, name: str, generation: int) -> Drop:
        self._ending.pop(generation, None)
        return Drop(name, generation << GENERATION_SHIFT)
