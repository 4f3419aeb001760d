"""Key messages: one signed header, one seal per member; made by a sender, opened by a member.

    seal_key     the messages that give a base_key to members
    open_key     the key in a message, checked from the signature to the commitment
    KeyNumbers   the newest key of each sender, so that nothing older or different is taken

Rules of this file:
  1. Sealed to members of the roster who may hear, and to nobody else.
  2. Nothing is believed before the signature, and no key is handed out before its commitment fits.
  3. A message that is refused changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from .._tracebacks import without_locals
from .._values import showable
from ..source.events import InstallSenderKey
from ..suites import CipherSuite
from .credentials import Signer, Unverified, is_valid, refuse_expired, signed, unverified
from .errors import Refusal, Refused
from .introductions import Member
from .limits import (
    LAST_GENERATION,
    LAST_STEP,
    MIN_KEY,
    MOST_HEADER,
    MOST_KEY,
    SEALS_IN_MESSAGE,
)
from .protocol import KeyHeader, SealedKey, number, refuse
from .protocol import suite as checked_suite
from .roster import Roster, Seat
from .seals import OpeningKey, check_commitment, commitment_to, seal_info

TYP = "sframe-key+jwt"
WHAT = "the key message"
_REMEMBERED = 64  # revisions whose hash a member still knows


@showable
@dataclass(frozen=True, slots=True)
class OpenedKey:
    """A key that its sender sealed to this member, and that its header commits to."""

    header: KeyHeader
    base_key: bytes = field(repr=False)

    def event(self) -> InstallSenderKey:
        """What a KeySource says of it."""
        header = self.header
        return InstallSenderKey(
            sender=header.sender,
            suite=header.suite,
            generation=header.generation_field,
            step=header.step,
            base_key=self.base_key,
            envelope=header.envelope,
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("an OpenedKey holds a key; it cannot be pickled or copied")


@without_locals
def seal_key(
    base_key: bytes,
    *,
    signer: Signer,
    sender: str,
    roster: Roster,
    generation: int,
    step: int,
    suite: CipherSuite,
    now: float,
    to: Iterable[str] | None = None,
    hybrid_only: bool = False,
) -> tuple[SealedKey, ...]:
    """The messages that give this base_key to these members, or to everybody else who may hear.

    generation: counts this sender's keys, from 0. step: how often the key was ratcheted. Each
    message has up to 256 seals. Members whose credential has expired are left out, whatever the
    service says of them. now: seconds since 1970. hybrid_only: refuse members without post-quantum
    keys; otherwise roster.classical names them, to be shown.

    Raises Refused: STRANGER for a name that is not in the roster, ROLE for one that may not hear or
    a sender who may not send, EXPIRED, CLASSICAL, LIMIT for a generation or step after the last.
    """
    seat = _sending(roster, sender)
    hearing = list(_hearing(roster, sender, to, now))
    if hybrid_only and any(member.is_classical for member in hearing):
        refuse("a member has no post-quantum key, and that is required here", Refusal.CLASSICAL)
    if not MIN_KEY <= len(base_key) <= MOST_KEY:
        refuse(f"a base_key has {MIN_KEY} to {MOST_KEY} bytes")
    if generation > LAST_GENERATION or step > LAST_STEP:
        refuse(
            "this number is beyond the last; begin a new generation, or join again", Refusal.LIMIT
        )
    header = KeyHeader(
        tenant=roster.tenant,
        room=roster.room,
        sender=sender,
        index=seat.index,
        generation=number(generation, "generation", LAST_GENERATION),
        step=number(step, "step", LAST_STEP),
        suite=checked_suite(int(suite)),
        revision=roster.revision,
        roster=roster.hash,
        commitment=commitment_to(base_key),
    )
    text = signed(signer, TYP, header.encode())
    seals = {m.name: m.opens.seal(base_key, seal_info(text, m.hello)) for m in hearing}
    return tuple(SealedKey(text, part) for part in _parts(seals))


@without_locals
def open_key(
    message: SealedKey,
    *,
    me: str,
    openings: Mapping[bytes, OpeningKey],
    roster: Roster,
    past: RosterHashes,
    numbers: KeyNumbers,
    now: float,
) -> OpenedKey | None:
    """The key in a message to this member, or None if it is the newest of its sender already.

    openings: this member's key pairs by the SHA-256 of their hellos: after a renewal for a while
    two. roster: who is in the room now. past: the hashes of this and earlier revisions. numbers:
    the newest key of each sender, which this one becomes. What is refused changes nothing.

    Raises Refused: MALFORMED, VERSION, LIMIT, STRANGER, SIGNATURE, EXPIRED, ROLE, ROSTER, REPLAYED,
    TWO_KEYS, SEAL, COMMITMENT. ROSTER for a revision that is yet to come (`past.newest`) is worth
    another try, when it has.
    """
    header = open_header(message.header, roster, past, now)
    if not numbers.is_new(header):
        return None
    seat = roster.seat(me)
    if seat is None or me not in message.seals:
        refuse(f"{WHAT} has no seal for this member", Refusal.STRANGER)
    if not seat.member.role.hears:
        refuse("this member may not hear", Refusal.ROLE)
    base_key = _opened(message, me, openings)
    check_commitment(base_key, header.commitment)
    numbers.took(header)
    return OpenedKey(header, base_key)


@without_locals
def _opened(message: SealedKey, me: str, openings: Mapping[bytes, OpeningKey]) -> bytes:
    """What is in the seal for this member, by the first of its key pairs that opens it."""
    for hello, opening in openings.items():
        with suppress(Refused):
            return opening.open(message.seals[me], seal_info(message.header, hello))
    refuse("the seal does not open with the key of this member", Refusal.SEAL)


def open_header(text: object, roster: Roster, past: RosterHashes, now: float) -> KeyHeader:
    """The header of a key message, if the member it names has signed it for this room."""
    given = _unverified(text)
    claimed = KeyHeader.parse(given.payload)  # whose signature to check; nothing more yet
    if (claimed.tenant, claimed.room) != (roster.tenant, roster.room):
        refuse(f"{WHAT} is for another room or tenant", Refusal.STRANGER)
    seat = roster.seat(claimed.sender)
    if seat is None:
        refuse(f"{WHAT} is from somebody who is not in the room", Refusal.STRANGER)
    given.verified(seat.member.signs, reason=Refusal.SIGNATURE)
    refuse_expired(seat.member.membership, now)
    if not seat.member.role.sends:
        refuse("a member sends a key who may only listen", Refusal.ROLE)
    if claimed.index != seat.index:
        refuse(f"{WHAT} names another index than its sender has", Refusal.ROSTER)
    past.check(claimed.revision, claimed.roster)
    return claimed


def claimed_header(text: object) -> KeyHeader:
    """What a header says, whoever has signed it: for a service, which hands it on."""
    return KeyHeader.parse(_unverified(text).payload)


def _unverified(text: object) -> Unverified:
    return unverified(text, typ=TYP, fields={}, most=MOST_HEADER, what=WHAT)


class RosterHashes:
    """The hashes of the last 64 revisions: a sender may be a little behind.

    A sender who is shown another roster than this member has another hash at the same revision.
    """

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes: dict[int, bytes] = {}

    def add(self, roster: Roster) -> None:
        """Called with each roster, in order."""
        self._hashes[roster.revision] = roster.hash
        self._hashes.pop(roster.revision - _REMEMBERED, None)

    @property
    def newest(self) -> int:
        """The revision of the newest roster, -1 before the first."""
        return max(self._hashes, default=-1)

    def check(self, revision: int, roster_hash: bytes) -> None:
        """Raises Refused ROSTER unless this member saw this roster at this revision."""
        known = self._hashes.get(revision)
        if known is None:
            when = "is yet to come" if revision > self.newest else "is long past"
            refuse(f"it was made for a roster, revision {revision}, that {when}", Refusal.ROSTER)
        if known != roster_hash:
            words = f"its sender saw other members at revision {revision} than were seen here"
            refuse(words, Refusal.ROSTER)


class KeyNumbers:
    """The newest key of each sender, by generation and step.

    A service that repeats an old message gets nowhere, and a sender who gives two members two keys
    under one number is found by each who sees both.
    """

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: dict[int, KeyHeader] = {}  # by index

    def is_new(self, header: KeyHeader) -> bool:
        """False for the very key that is known. Raises Refused: REPLAYED, TWO_KEYS."""
        known = self._newest.get(header.index)
        if known is None or header.number > known.number:
            return True
        if header.number < known.number:
            refuse("this key is older than the one that is known", Refusal.REPLAYED)
        if (header.commitment, header.suite) != (known.commitment, known.suite):
            refuse("its sender has given two keys one number", Refusal.TWO_KEYS)
        return False

    def took(self, header: KeyHeader) -> None:
        """After the key was opened and its commitment fitted."""
        self._newest[header.index] = header

    def forget(self, index: int) -> None:
        """When the member of this index has left: the index never comes back."""
        self._newest.pop(index, None)


def _sending(roster: Roster, sender: str) -> Seat:
    seat = roster.seat(sender)
    if seat is None:
        refuse("the sender is not in the roster", Refusal.STRANGER)
    if not seat.member.role.sends:
        refuse("the sender's role is to listen", Refusal.ROLE)
    return seat


def _hearing(roster: Roster, sender: str, to: Iterable[str] | None, now: float) -> Iterator[Member]:
    if to is None:
        others = (seat.member for seat in roster if seat.member.name != sender)
        yield from (m for m in others if m.role.hears and is_valid(m.membership, now))
        return
    for name in dict.fromkeys(to):
        seat = roster.seat(name)
        if seat is None or name == sender:
            refuse("one of the names to seal to is nobody else in the roster", Refusal.STRANGER)
        if not seat.member.role.hears:
            refuse("one of the members to seal to may not hear", Refusal.ROLE)
        refuse_expired(seat.member.membership, now)
        yield seat.member


def _parts(seals: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    items = list(seals.items())
    for first in range(0, len(items), SEALS_IN_MESSAGE):
        yield dict(items[first : first + SEALS_IN_MESSAGE])
