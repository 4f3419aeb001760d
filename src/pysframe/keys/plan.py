"""The answers of the rules in ratchet.py and epochs.py: which keys to derive and which to drop.

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
    """What to do, in this order. Steps to derive are counted before the secrets advance."""

    forget: tuple[int, ...] = ()  # numbers: close the secret, drop all keys under its KIDs
    drop: tuple[int, ...] = ()  # KIDs
    derive: tuple[Derive, ...] = ()
    advance: tuple[tuple[int, int], ...] = ()  # (number, steps): the older secret is closed
    reach: tuple[Reach, ...] = ()  # what can be derived from now on, when a frame asks for it


class Rules(Protocol):
    """The decisions for one layout of KIDs. They hold no key; the caller holds a lock."""

    @property
    def layout(self) -> SenderKeyLayout | MLSLayout: ...

    def group(self, number: int) -> tuple[int, int]:
        """(mask, group): this generation or epoch has the KIDs with kid & mask == group."""

    def covers(self, number: int, kid: int) -> bool:
        """Whether this KID can belong to this generation or epoch alone."""

    def resolve(self, kid: int) -> Derive | None:
        """How to get the key of an unknown KID; None when it follows from nothing known."""

    def confirm(self, kids: list[int]) -> Changes:
        """Tags have verified under these derived keys."""

    def remove(self, number: int) -> Changes:
        """Forgets a generation or epoch."""

    def is_stale(self, kid: int) -> bool:
        """Whether an unknown KID is of the past: the sender is behind, not the receiver."""
