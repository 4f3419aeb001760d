"""What the rules of ratchet.py and epochs.py answer: which keys are to come and which to go.

Rule: numbers only. A `number` names a secret: a key generation (RFC 9605 5.1) or an epoch (5.2).
"""

from typing import NamedTuple, Protocol

from ..engine import KeyKind, Reach
from .layouts import MLSLayout, SenderKeyLayout


class Derive(NamedTuple):
    """One key to derive: the secret `number`, ratcheted `steps` times, under this KID."""

    kid: int
    number: int
    steps: int = 0
    kind: KeyKind = KeyKind.AHEAD


class Changes(NamedTuple):
    """What to do, in this order. Steps to derive count from the secrets before they advance."""

    forget: tuple[int, ...] = ()  # numbers: close the secret, drop all keys under its KIDs
    drop: tuple[int, ...] = ()  # KIDs
    derive: tuple[Derive, ...] = ()
    advance: tuple[tuple[int, int], ...] = ()  # (number, steps): the older secret is closed
    reach: tuple[Reach, ...] = ()  # what can be derived when a frame asks for it, from now on


class Rules(Protocol):
    """The decisions for one layout of KIDs. None holds a key; all are to be called under a lock."""

    @property
    def layout(self) -> SenderKeyLayout | MLSLayout: ...

    def group(self, number: int) -> tuple[int, int]:
        """(mask, group): this generation or epoch has the KIDs with kid & mask == group."""

    def covers(self, number: int, kid: int) -> bool:
        """Whether this KID can only be of this generation or epoch."""

    def resolve(self, kid: int) -> Derive | None:
        """How to get the key of an unknown KID; None when it follows from nothing known."""

    def confirm(self, kids: list[int]) -> Changes:
        """Tags have verified under these derived keys."""

    def remove(self, number: int) -> Changes:
        """A generation or epoch is to go."""

    def is_stale(self, kid: int) -> bool:
        """Whether an unknown KID is of the past: its sender is behind, not we."""
