"""What a key service does with what members send: who gets a seat, and what goes into the log.

    rooms = Rooms(store, {"acme": tenant_keys})
    membership = rooms.admitted(room, credential, proof, nonce=nonce, url=url, now=now)
    await rooms.enter(room, credential, hello)   a seat, or the one that this hello has
    answer = await rooms.post(room, membership, text, now)
    await rooms.see_off(room, name)

Rules of this file:
  1. The service is trusted with nothing but order and delivery. What it checks keeps strangers and
     floods out; every member checks all of it again.
  2. The log alone says who is there. What is remembered beside it can be read from it again.
  3. A seat belongs to one hello. Another session of the same member gets a seat of its own, for its
     keys count from 0 again, and an index never comes back.
  4. No clock, no network: the store is asked, and that is all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .credentials import Membership, TenantKeys, check_proof
from .entries import After, Have, Joined, Left, Need, Renewed
from .errors import Refusal, Refused
from .introductions import Member, introduced
from .limits import SKEW
from .protocol import SealedKey, refuse
from .roster import Seat, refuse_too_many
from .sender_keys import claimed_header
from .store import Conflict, Kind, RoomId, Row, Stale, Store, StoreError
from .wire import body_of, read_post, write_body

_TRIES = 32  # of a change, when others change the roster at the same time
_AT_ONCE = 256  # rows
_NO_SEAT = "this session of the member has no seat in the room"


@dataclass(slots=True)
class _Room:
    """What has been read of one room's log. A member of None has a seat, and no key of the tenant's
    vouches for it any more."""

    seq: int = 0
    revision: int = 0
    members: dict[str, Member | None] = field(default_factory=dict)

    def has(self, who: Membership) -> bool:
        """Whether the member's seat is that of this credential: another session may have it."""
        seated = self.members.get(who.member)
        return seated is not None and seated.membership.digest == who.digest

    def refuse_too_many(self, member: Member) -> None:
        others = [m for name, m in self.members.items() if m is not None and name != member.name]
        refuse_too_many(tuple(Seat(0, one) for one in (*others, member)))


class Rooms:
    """All rooms of a service. Any number of services may stand on one store."""

    def __init__(self, store: Store, tenants: Mapping[str, TenantKeys]) -> None:
        self._store, self._tenants = store, tenants
        self._rooms: dict[RoomId, _Room] = {}

    # ---- who comes ----

    def admitted(
        self, room: RoomId, credential: object, proof: object, *, nonce: str, url: str, now: float
    ) -> Membership:
        """What the credential says, if its tenant signed it and whoever shows it has its key.

        Raises Refused: CREDENTIAL, EXPIRED, PROOF, ROLE, MALFORMED, LIMIT.
        """
        membership = self._keys(room).verify(credential, room=room.room, now=now)
        check_proof(proof, membership, nonce=nonce, url=url)
        return membership

    async def enter(self, room: RoomId, credential: str, hello: str) -> None:
        """A seat for the member of this hello. Who has one by the same hello keeps it."""
        member = introduced(self._keys(room), credential, hello, room=room.room)
        for _ in range(_TRIES):
            known = await self._read(room)
            seated = known.members.get(member.name)
            if seated is not None and seated.hello == member.hello:
                return
            known.refuse_too_many(member)
            if member.name in known.members:
                await self._change(room, known, Left(0, member.name), member.name)
            elif await self._change(room, known, Joined(0, 0, credential, hello), member.name):
                return
        raise StoreError("the room's roster changes too fast; try again")

    async def see_off(self, room: RoomId, name: str, hello: bytes | None = None) -> None:
        """The member's seat is free, if it has one; with a hello, only if it is that one's."""
        for _ in range(_TRIES):
            known = await self._read(room)
            seated = known.members.get(name)
            if name not in known.members or (hello and seated and hello != seated.hello):
                return
            if await self._change(room, known, Left(0, name), name):
                return
        raise StoreError("the room's roster changes too fast; try again")

    async def expired(self, room: RoomId, now: float) -> list[str]:
        """Whose credential has ended; each is seen off."""
        known = await self._read(room)
        ended = [
            name
            for name, member in known.members.items()
            if member is None or member.membership.expires + SKEW <= now
        ]
        for name in ended:
            await self.see_off(room, name)
        return ended

    async def hello_of(self, room: RoomId, name: str) -> bytes | None:
        """The digest of the hello that has the member's seat."""
        member = (await self._read(room)).members.get(name)
        return member.hello if member else None

    def forget(self, room: RoomId) -> None:
        """Nobody is connected; the log still has it all."""
        self._rooms.pop(room, None)

    # ---- what members post ----

    async def post(
        self, room: RoomId, who: Membership, text: bytes, now: float
    ) -> Membership | After:
        """Puts it into the log. Returns what the member is by now, or its question.

        Raises Refused, of every kind, and StoreError; then nothing has changed.
        """
        post = read_post(text)
        if isinstance(post, After):
            return post
        if isinstance(post, Renewed):
            return await self._renew(room, who, post, now)
        if isinstance(post, Left):
            _refuse_others(post.member, who)
            known = await self._read(room)
            if known.has(who) and (seated := known.members[who.member]):
                await self.see_off(room, who.member, seated.hello)
            return who
        _refuse_what_is_not_its_own(post, who)
        if not (await self._read(room)).has(who):
            refuse(_NO_SEAT, Refusal.STRANGER)
        await self._store.append(room, write_body(post))
        return who

    async def _renew(self, room: RoomId, who: Membership, post: Renewed, now: float) -> Membership:
        renewed = self._keys(room).verify(post.credential, room=room.room, now=now)
        _refuse_others(renewed.member, who)
        member = introduced(self._keys(room), post.credential, post.hello, room=room.room)
        for _ in range(_TRIES):
            known = await self._read(room)
            seated = known.members.get(who.member)
            if seated is None or not known.has(who):
                refuse(_NO_SEAT, Refusal.STRANGER)
            if member.made <= seated.made:
                refuse("this hello is no newer than the one that is known", Refusal.REPLAYED)
            known.refuse_too_many(member)
            if await self._change(room, known, post, who.member):
                return renewed
        raise StoreError("the room's roster changes too fast; try again")

    # ---- the log ----

    def _keys(self, room: RoomId) -> TenantKeys:
        keys = self._tenants.get(room.tenant)
        if keys is None:
            refuse("this tenant is not known here", Refusal.CREDENTIAL)
        return keys

    async def _read(self, room: RoomId) -> _Room:
        """What the log says by now."""
        known = self._rooms.setdefault(room, _Room())
        while rows := await self._store.after(room, known.seq, _AT_ONCE):
            for row in rows:
                if row.seq == known.seq + 1:  # or somebody else has read it meanwhile
                    self._apply(room, known, row)
        return known

    def _apply(self, room: RoomId, known: _Room, row: Row) -> None:
        known.seq, known.revision = row.seq, row.revision
        if row.kind is Kind.MESSAGE:
            return
        body = body_of(row.body, row.revision, row.index)
        if isinstance(body, Left):
            known.members.pop(body.member, None)
        elif isinstance(body, Joined | Renewed):
            known.members[row.member] = self._introduced(room, body)

    def _introduced(self, room: RoomId, body: Joined | Renewed) -> Member | None:
        try:
            return introduced(self._keys(room), body.credential, body.hello, room=room.room)
        except Refused:  # its tenant has another key by now
            return None

    async def _change(
        self, room: RoomId, known: _Room, body: Joined | Renewed | Left, name: str
    ) -> bool:
        """Whether it is in the log now; False if the roster has moved on meanwhile."""
        kind = Kind(type(body).__name__.lower())
        try:
            await self._store.change(room, kind, name, write_body(body), expected=known.revision)
        except (Stale, Conflict):
            return False
        return True


def _refuse_what_is_not_its_own(post: SealedKey | Have | Need, who: Membership) -> None:
    if isinstance(post, SealedKey):
        if not who.role.sends:
            refuse("this member may only listen", Refusal.ROLE)
        _refuse_others(claimed_header(post.header).sender, who)
    else:
        _refuse_others(post.member, who)


def _refuse_others(name: str, who: Membership) -> None:
    if name != who.member:
        refuse("a member speaks for nobody else", Refusal.PROOF)
