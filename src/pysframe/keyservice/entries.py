"""What a room's log holds: who came, renewed and left, keys, and what members say of keys.

The service puts all of it into one order, and every member reads it in that order.
"""

from __future__ import annotations

from dataclasses import dataclass

from .protocol import SealedKey


@dataclass(frozen=True, slots=True)
class Joined:
    """Somebody has come. revision, index: given by the service."""

    revision: int
    index: int
    credential: str
    hello: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """A member has a new credential and hello. revision: given by the service, 0 when posted."""

    revision: int
    credential: str
    hello: str


@dataclass(frozen=True, slots=True)
class Left:
    """A member has gone, or was sent away."""

    revision: int
    member: str


@dataclass(frozen=True, slots=True)
class Have:
    """A member has this key of a sender, who may use it.

    Nobody signs it: who makes one up has a sender use a key a moment too soon, and could as well
    have withheld the key.
    """

    member: str
    sender: str
    generation: int
    step: int


@dataclass(frozen=True, slots=True)
class Need:
    """A member has no key for a sender's frames and asks for it again."""

    member: str
    sender: str


@dataclass(frozen=True, slots=True)
class After:
    """Asks the service for what follows this number; it is no entry."""

    seq: int


Change = Joined | Renewed | Left
Body = Change | SealedKey | Have | Need
Post = Renewed | SealedKey | Have | Need | After


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of the log, from 1 on without a gap."""

    seq: int
    body: Body
