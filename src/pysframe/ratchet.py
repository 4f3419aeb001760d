"""Which ratchet steps a receiver may meet next: RFC 9605 5.1.

Rules of this file:
  1. Decisions over KIDs and steps only. It holds no key and derives none.
  2. A KID proposes, a verified tag decides: step_of() changes nothing, confirm() is called after
     authentication alone.

A sender's KID carries its step modulo 2^R, so a receiver sees a window of steps around the last
one that a tag has confirmed: BEHIND steps kept for frames overtaken on the way, and ahead of it
as many as may be derived. A forged KID can make at most max_steps keys be derived, once each.
"""

from dataclasses import dataclass

from .errors import MisuseError
from .kid import SenderKeyLayout

BEHIND = 2  # steps kept behind the confirmed one, and generations behind the newest
AHEAD = 2  # steps derived before any frame asks for them


@dataclass(frozen=True, slots=True)
class Move:
    """What a confirmed frame changes: steps to forget, and steps whose keys to derive now.

    All derive from the secret of the step confirmed before, which is then given up for that of
    the new one: whoever learns it later can open nothing older (forward secrecy).
    """

    forget: tuple[int, ...]
    derive: tuple[int, ...]


class Ratchet:
    """The steps of one generation, as far as KIDs tell.

    max_steps: how far ahead of the confirmed step a frame may be (a derivation costs about a
    microsecond a step). Not thread-safe by itself.

    >>> ratchet = Ratchet(SenderKeyLayout(4), generation=1, max_steps=8)
    >>> ratchet.step_of(0x15), ratchet.step_of(0x1c), ratchet.step_of(0x25)
    (5, None, None)
    >>> ratchet.hold(5)
    >>> ratchet.confirm(5)
    Move(forget=(0,), derive=(3, 4, 6, 7))
    """

    __slots__ = ("_ahead", "_behind", "_held", "generation", "layout", "step")

    def __init__(self, layout: SenderKeyLayout, generation: int, max_steps: int = 16) -> None:
        if max_steps < 0:
            raise MisuseError(f"max_steps is {max_steps}; it must not be negative")
        steps = 1 << layout.R
        self.layout, self.generation = layout, generation
        # Behind, confirmed and ahead must fit into 2^R values, or a KID would have two meanings.
        self._behind = min(BEHIND, (steps - 1) // 2)
        self._ahead = min(max_steps, steps - 1 - self._behind)
        self.step = 0
        self._held = {0}

    def kid_of(self, step: int) -> int:
        """The KID of a step counted from 0."""
        return self.layout.pack(self.generation, step)

    def step_of(self, kid: int) -> int | None:
        """The step this KID stands for, if it lies ahead and may be derived; else None."""
        generation, low = self.layout.unpack(kid)
        distance = (low - self.step) % (1 << self.layout.R)
        if generation != self.generation or not 0 < distance <= self._ahead:
            return None
        return self.step + distance

    def hold(self, step: int) -> None:
        """A key for this step was derived: it is to be forgotten in its time."""
        self._held.add(step)

    def confirm(self, step: int) -> Move:
        """A tag verified under this step. One behind the confirmed step changes nothing."""
        self.step = max(self.step, step)
        oldest = self.step - self._behind
        forget = tuple(sorted(s for s in self._held if s < oldest))
        self._held.difference_update(forget)
        return Move(forget, self.missing())

    def missing(self) -> tuple[int, ...]:
        """Steps around the confirmed one whose keys should be there before a frame asks."""
        first = max(self.step - self._behind, 0)
        last = self.step + min(AHEAD, self._ahead)
        return tuple(s for s in range(first, last + 1) if s not in self._held)

    @property
    def kids(self) -> tuple[int, ...]:
        """The KIDs of all steps for which a key is held."""
        return tuple(self.kid_of(step) for step in sorted(self._held))
