"""What the store of rooms' logs does, whichever database it is.

Rules of every store:
  1. What it has acknowledged stays: it is on the disk before anybody is told that it happened.
  2. A roster's revision moves by compare-and-set: of many who try at once, one wins.
  3. A room has one log, numbered from 1 on without a gap. Readers ask for what follows a number;
     being told that there is something new is never more than a hint.
  4. Every question names the tenant. Tenants share nothing.
  5. Bodies are opaque bytes. The store reads none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class RoomId:
    """A tenant's room. Every query has both: tenants share nothing."""

    tenant: str
    room: str


class Kind(StrEnum):
    """What an entry is. The first three change the roster."""

    JOINED = "joined"
    RENEWED = "renewed"
    LEFT = "left"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a room's log. member, index: who joined, renewed or left; "" and 0 otherwise."""

    seq: int
    kind: Kind
    revision: int
    member: str
    index: int
    body: bytes


@dataclass(frozen=True, slots=True)
class RoomState:
    """Where a room stands. A room that nobody has been in is at 0 everywhere."""

    seq: int = 0
    revision: int = 0
    next_index: int = 0


class StoreError(Exception):
    """The store did not do what was asked, and nothing has changed."""


class Stale(StoreError):
    """The roster has moved on; state is where it is now."""

    def __init__(self, state: RoomState) -> None:
        super().__init__(
            f"the roster is at revision {state.revision} by now; read on, and try again"
        )
        self.state = state


class Conflict(StoreError):
    """Whoever joins is there already, or whoever renews or leaves is not."""


class Store(Protocol):
    """What every store does, and one suite of tests holds all of them to."""

    async def append(self, room: RoomId, body: bytes) -> Row:
        """Adds a message; on the disk when this returns."""

    async def change(
        self, room: RoomId, kind: Kind, member: str, body: bytes, *, expected: int
    ) -> Row:
        """Adds a change of the roster, if its revision is the expected one; else Stale."""

    async def after(self, room: RoomId, seq: int, limit: int = 256) -> Sequence[Row]:
        """The entries that follow this number, in order."""

    async def state(self, room: RoomId) -> RoomState:
        """Where the room stands."""

    async def close(self) -> None:
        """Ends the store; idempotent. What was acknowledged stays."""
