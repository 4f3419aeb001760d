"""Who is in the room, as one member sees it, and the hash by which two members compare it.

Rules of this file:
  1. A roster never changes; each join, renewal and leave makes the next one.
  2. The hash covers every member's hello, and through it the key that is sealed to and the
     tenant's credential. Two members with one hash seal to the same keys.
  3. An index is given to one member once in the life of a room, so that no two share a KID.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .._values import showable
from .errors import Refusal
from .introductions import Member
from .limits import LAST_INDEX, LAST_REVISION, MOST_MEMBERS, MOST_SEALS
from .protocol import number, refuse

_LABEL = b"pysframe roster v1\0"


@showable
@dataclass(frozen=True, slots=True)
class Seat:
    """A member and the index that the room has given to it."""

    index: int
    member: Member


@showable
@dataclass(frozen=True, slots=True)
class Roster:
    """The members of a room at one revision.

    >>> Roster("acme", "standup").hash.hex()[:16]
    '32428e1e8eb104fe'
    """

    tenant: str
    room: str
    revision: int = 0
    seats: tuple[Seat, ...] = ()  # by index
    next_index: int = 0  # all below have been given out
    hash: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", _hash(self))

    def seat(self, name: str) -> Seat | None:
        """The seat of this member, or None."""
        return next((seat for seat in self if seat.member.name == name), None)

    def __iter__(self) -> Iterator[Seat]:
        return iter(self.seats)

    def __len__(self) -> int:
        return len(self.seats)

    @property
    def classical(self) -> tuple[str, ...]:
        """Those whose seals are not post-quantum; never silently: show them."""
        return tuple(seat.member.name for seat in self if seat.member.is_classical)

    def joined(self, member: Member, index: int, revision: int) -> Roster:
        """With a new member. Raises Refused: ROSTER, CREDENTIAL, or LIMIT where a room is full."""
        self._refuse_foreign(member)
        if self.seat(member.name) is not None:
            refuse("somebody of this name is in the room already", Refusal.ROSTER)
        if number(index, "index", LAST_INDEX) < self.next_index:
            refuse("an index is given to one member once", Refusal.ROSTER)
        seats = (*self.seats, Seat(index, member))
        refuse_too_many(seats)
        return self._next(revision, seats, index + 1)

    def renewed(self, member: Member, revision: int) -> Roster:
        """With a newer hello of a member. Raises Refused: ROSTER, CREDENTIAL, REPLAYED."""
        self._refuse_foreign(member)
        seat = self.seat(member.name)
        if seat is None:
            refuse("a member who is not in the room cannot renew", Refusal.ROSTER)
        if member.made <= seat.member.made:
            refuse("this hello is no newer than the one that is known", Refusal.REPLAYED)
        seats = tuple(replace(s, member=member) if s is seat else s for s in self)
        refuse_too_many(seats)
        return self._next(revision, seats, self.next_index)

    def left(self, name: str, revision: int) -> Roster:
        """Without this member. Raises Refused ROSTER."""
        if self.seat(name) is None:
            refuse("a member who is not in the room cannot leave", Refusal.ROSTER)
        seats = tuple(seat for seat in self if seat.member.name != name)
        return self._next(revision, seats, self.next_index)

    def unchanged(self, revision: int) -> Roster:
        """After a change that is refused: its revision is taken all the same. Raises Refused."""
        return self._next(revision, self.seats, self.next_index)

    def _next(self, revision: int, seats: tuple[Seat, ...], next_index: int) -> Roster:
        if revision != self.revision + 1 or revision > LAST_REVISION:
            words = f"revision {revision} cannot follow {self.revision}; they come one by one"
            refuse(words, Refusal.ROSTER)
        return Roster(self.tenant, self.room, revision, seats, next_index)

    def _refuse_foreign(self, member: Member) -> None:
        if (member.membership.tenant, member.membership.room) != (self.tenant, self.room):
            refuse("a member of another room or tenant", Refusal.CREDENTIAL)


def refuse_too_many(seats: tuple[Seat, ...]) -> None:
    """Raises Refused LIMIT, which says what to do. Members and services judge alike."""
    if len(seats) > MOST_MEMBERS:
        words = f"a room has at most {MOST_MEMBERS} members; open another one"
        refuse(words, Refusal.LIMIT)
    hearing = sum(seat.member.role.hears for seat in seats)
    sending = sum(seat.member.role.sends for seat in seats)
    if sending * max(hearing - 1, 0) > MOST_SEALS:
        refuse(
            f"{sending} senders and {hearing} hearers need more than {MOST_SEALS} seals at each "
            "change; make fewer of them publishers: subscribers need no key of their own",
            Refusal.LIMIT,
        )


def _hash(roster: Roster) -> bytes:
    parts = [_LABEL, _text(roster.tenant), _text(roster.room)]
    parts += [roster.revision.to_bytes(8, "big"), len(roster).to_bytes(4, "big")]
    for seat in roster:
        parts += [seat.index.to_bytes(8, "big"), _text(seat.member.name), seat.member.hello]
    return hashlib.sha256(b"".join(parts)).digest()


def _text(name: str) -> bytes:
    return bytes([len(name)]) + name.encode("ascii")
