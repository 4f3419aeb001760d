"""RoomMember: one member of one room, from the log's entries in to key events and messages out.

    member = RoomMember(keys=tenant_keys, room="standup", suite=suite, session=session)
    outcome = member.received(entry, now)      an entry of the room's log, in order
    outcome = member.tick(now)                 at member.next_due, and whenever else
    outcome = member.report(flows, now)        about once a second: what key_flow() says
    outcome.events                             for whoever holds keys: pysframe.source.KeyEvent
    outcome.posts                              for the service

Rules of this file:
  1. Whoever the tenant did not let in gets no seat, whatever the service says; and it is told.
  2. A roster depends on the log alone, never on this member's clock; time decides about seals.
  3. An entry that is refused changes no key, and the member goes on with the next.
  4. No I/O, no clock, no thread: a caller that has several uses a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .._values import showable
from ..engine import KeyFlow
from ..source.events import Drop, InstallSenderKey, KeyEvent, Trouble, TroubleKind, Use
from ..source.events import Roster as RosterEvent
from ..stats import KeyState
from ..suites import CipherSuite
from .credentials import TenantKeys, is_valid
from .entries import After, Change, Entry, Have, Joined, Left, Need, Post, Renewed
from .errors import Refused
from .heard_keys import GENERATION_SHIFT, INDEX_SHIFT, HeardKeys
from .introductions import Member, Session, introduced
from .limits import SKEW
from .own_keys import Begin, End, Give, OwnKey, OwnKeys, Pace, Step
from .protocol import SealedKey
from .roster import Roster, Seat
from .sender_keys import KeyNumbers, RosterHashes, open_key, seal_key


@showable
@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from what happened, each list in its order."""

    events: tuple[KeyEvent, ...] = ()
    posts: tuple[Post, ...] = ()


@dataclass(slots=True)
class _Out:
    events: list[KeyEvent] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)

    def trouble(self, words: str, sender: str = "") -> None:
        self.events.append(Trouble(TroubleKind.REFUSED, sender, words))

    def done(self) -> Outcome:
        return Outcome(tuple(self.events), tuple(self.posts))


class RoomMember:
    """One member's view of one room. now: seconds since 1970, and never less than before."""

    def __init__(
        self,
        *,
        keys: TenantKeys,
        room: str,
        suite: CipherSuite,
        session: Session,
        hybrid_only: bool = False,
        pace: Pace | None = None,
        fresh: Callable[[], bytes] | None = None,
    ) -> None:
        """suite: of this member's own frames. hybrid_only: seal to nobody without a post-quantum
        key. fresh: makes base_keys; suite.generate_base_key unless a test needs another."""
        self._keys, self._suite, self._hybrid_only = keys, suite, hybrid_only
        self._pace = pace or Pace()
        self._sessions = {session.digest: session}
        self.name = session.membership.member
        self.roster = Roster(keys.tenant, room)
        self.seq = 0  # of the last entry that was read
        self._past, self._numbers = RosterHashes(), KeyNumbers()
        self._past.add(self.roster)
        self._old_sessions: list[tuple[float, bytes]] = []  # when they end
        self._own = OwnKeys(suite, fresh or suite.generate_base_key, self._pace)
        self._heard = HeardKeys(self._pace)
        self._asked: dict[int, float] = {}  # index -> when its key was asked for
        self._answered: dict[int, float] = {}  # index -> when it was given keys again
        self._warned: set[int] = set()
        self._gone = False
        self._now = 0.0
        self._index = 0  # where this member sits; known when it sends

    @property
    def next_due(self) -> float:
        """When tick() has something to do, if nothing happens before; inf for never."""
        seat = self._seat
        if seat is None:
            return float("inf")
        times = [self._heard.next_due(), *(at for at, _ in self._old_sessions)]
        if seat.member.role.sends:
            lives = [other.member.membership for other in self.roster]
            turns = [t for m in lives for t in (m.issued - SKEW, m.expires + SKEW)]
            times += [turn for turn in turns if turn > self._now]
            times.append(self._own.next_due(self._hearing(self._now, _Out())))
        return min(times)

    # ---- what happens ----

    def received(self, entry: Entry, now: float) -> Outcome:
        """The next entry of the log. One that was read before is ignored; a gap is asked for."""
        out = _Out()
        if self._gone:
            return Outcome()
        if entry.seq > self.seq + 1:
            return Outcome(posts=(After(self.seq),))
        if entry.seq == self.seq + 1:
            self.seq = entry.seq
            self._read(entry, now, out)
        return self._turn(now, out)

    def tick(self, now: float) -> Outcome:
        """Time has passed."""
        return self._turn(now, _Out())

    def report(self, flows: Mapping[str, Mapping[int | None, KeyFlow]], now: float) -> Outcome:
        """What key_flow() says by sender: old keys end, and missing ones are asked for again."""
        out = _Out()
        for of_sender in flows.values():
            for kid, flow in of_sender.items():
                if kid is not None and flow.opened:
                    self._heard.flowing(kid, now)
                if kid is not None and flow.state is KeyState.MISSING_KEY:
                    self._ask(kid >> INDEX_SHIFT, now, out)
        return self._turn(now, out)

    def renew(self, session: Session, now: float) -> Outcome:
        """A new credential, before the old one ends; it counts when the log says so."""
        self._sessions[session.digest] = session
        out = _Out(posts=[Renewed(0, session.credential, session.hello)])
        return self._turn(now, out)

    # ---- the log ----

    def _read(self, entry: Entry, now: float, out: _Out) -> None:
        body = entry.body
        try:
            if isinstance(body, SealedKey):
                self._take(body, now, out)
            elif isinstance(body, Have):
                self._confirmed(body)
            elif isinstance(body, Need):
                self._needed(body, now, out)
            else:
                self._change(body, now, out)
        except Refused as refusal:
            out.trouble(f"entry {entry.seq} of the room's log is refused: {refusal}")

    def _change(self, change: Change, now: float, out: _Out) -> None:
        before = self.roster
        try:
            self.roster = self._changed(change)
        except Refused:
            self.roster = before.unchanged(change.revision)
            raise
        finally:
            self._past.add(self.roster)
        members = tuple(seat.member.name for seat in self.roster)
        out.events.append(RosterEvent(self.roster.revision, self.roster.hash, members))
        for seat in before:
            self._compare(seat, self.roster.seat(seat.member.name), now, out)

    def _changed(self, change: Change) -> Roster:
        if isinstance(change, Left):
            return self.roster.left(change.member, change.revision)
        member = self._introduced(change)
        if isinstance(change, Renewed):
            return self.roster.renewed(member, change.revision)
        return self.roster.joined(member, change.index, change.revision)

    def _introduced(self, change: Joined | Renewed) -> Member:
        room = self.roster.room
        return introduced(self._keys, change.credential, change.hello, room=room)

    def _compare(self, before: Seat, after: Seat | None, now: float, out: _Out) -> None:
        mine = before.member.hello in self._sessions
        if after is None or not after.member.role.sends:
            out.events += self._heard.left(before.index)  # what it still sends is not heard
        if after is None:
            self._numbers.forget(before.index)
            self._asked.pop(before.index, None)
            self._answered.pop(before.index, None)
            self._warned.discard(before.index)
            if mine:
                self._leave(out)
        elif mine and after.member.hello not in self._sessions:
            self._leave(out)  # another session has taken its place
        elif mine and after.member.hello != before.member.hello:
            self._old_sessions.append((now + self._pace.keep, before.member.hello))
            self._own.want_another()

    def _leave(self, out: _Out) -> None:
        """The log says that this member has gone: it forgets everything, and seals nothing."""
        self._gone = True
        self._follow(self._own.stop(), self._now, out)
        for seat in self.roster:
            out.events += self._heard.left(seat.index)
        self._sessions.clear()
        words = "this member has left the room, or was sent away"
        out.events.append(Trouble(TroubleKind.SOURCE_ENDED, "", words))

    # ---- keys of others ----

    def _take(self, message: SealedKey, now: float, out: _Out) -> None:
        if self._seat is None or self.name not in message.seals:
            return  # for others, or for an earlier session
        opened = open_key(
            message,
            me=self.name,
            openings={hello: session.opening for hello, session in self._sessions.items()},
            roster=self.roster,
            past=self._past,
            numbers=self._numbers,
            now=now,
        )
        if opened is None:
            return
        header = opened.header
        if self._heard.is_new(header):
            out.events.append(opened.event())
        out.posts.append(Have(self.name, header.sender, header.generation, header.step))

    def _ask(self, index: int, now: float, out: _Out) -> None:
        """For the key of whoever sits at this index, now and then."""
        seat = next((seat for seat in self.roster if seat.index == index), None)
        if seat is None or seat is self._seat or not seat.member.role.sends:
            return
        if now >= self._asked.get(index, -1.0):
            self._asked[index] = now + self._pace.need
            out.posts.append(Need(self.name, seat.member.name))

    # ---- keys of one's own ----

    def _confirmed(self, have: Have) -> None:
        seat = self.roster.seat(have.member)
        if have.sender == self.name and seat is not None:
            self._own.have(seat.index, (have.generation, have.step))

    def _needed(self, need: Need, now: float, out: _Out) -> None:
        seat = self.roster.seat(need.member)
        if need.sender != self.name or seat is None or now < self._answered.get(seat.index, -1.0):
            return
        if seat.index in self._hearing(now, out):
            self._answered[seat.index] = now + self._pace.need
            self._follow(self._own.again(seat.index), now, out)

    def _turn(self, now: float, out: _Out) -> Outcome:
        """Whatever is due by now."""
        self._now = now
        out.events += self._heard.due(now)
        for at, hello in self._old_sessions:
            if at <= now:
                self._sessions.pop(hello, None)
        self._old_sessions = [(at, hello) for at, hello in self._old_sessions if at > now]
        seat = self._seat
        if seat is not None and seat.member.role.sends:
            self._index = seat.index
            self._follow(self._own.due(self._hearing(now, out), now), now, out)
        else:
            self._follow(self._own.stop(), now, out)
        return out.done()

    def _follow(self, steps: list[Step], now: float, out: _Out) -> None:
        for step in steps:
            if isinstance(step, Give):
                out.posts += self._sealed(step, now)
            elif isinstance(step, Begin):
                out.events += [self._mine(step.key), Use(self.name, self._kid(step.key))]
            elif isinstance(step, End):
                out.events.append(Drop(self.name, self._kid(step.key)))
            else:
                words = "this member has used up its generations of keys; leave, and join again"
                out.events.append(Trouble(TroubleKind.CANNOT_SEAL, self.name, words))

    def _sealed(self, give: Give, now: float) -> tuple[SealedKey, ...]:
        names = [seat.member.name for seat in self.roster if seat.index in give.to]
        seat = self._seat
        assert seat is not None  # or nothing would be due
        return seal_key(
            give.key.base_key,
            signer=self._sessions[seat.member.hello].signer,
            sender=self.name,
            roster=self.roster,
            generation=give.key.generation,
            step=give.key.step,
            suite=self._suite,
            now=now,
            to=names,
        )

    def _mine(self, key: OwnKey) -> InstallSenderKey:
        return InstallSenderKey(
            sender=self.name,
            suite=self._suite,
            generation=self._kid(key) >> GENERATION_SHIFT,
            step=key.step,
            base_key=key.base_key,
            mine=True,
            start=0,  # rule: each of its keys is made in this process
        )

    def _kid(self, key: OwnKey) -> int:
        return self._index << INDEX_SHIFT | key.generation << GENERATION_SHIFT | key.step

    # ---- who is there ----

    @property
    def _seat(self) -> Seat | None:
        """This member's own. Somebody of this name may have been there before: another session."""
        seat = self.roster.seat(self.name)
        return seat if seat is not None and seat.member.hello in self._sessions else None

    def _hearing(self, now: float, out: _Out) -> frozenset[int]:
        """Everybody else who may hear now, by index."""
        found = set()
        for seat in self.roster:
            member = seat.member
            if member.name == self.name or not member.role.hears:
                continue
            if self._hybrid_only and member.is_classical:
                self._warn(seat, out)
            elif is_valid(member.membership, now):
                found.add(seat.index)
        return frozenset(found)

    def _warn(self, seat: Seat, out: _Out) -> None:
        if seat.index not in self._warned:
            self._warned.add(seat.index)
            words = (
                "has no post-quantum key, and this room requires one: it hears nothing from here"
            )
            out.trouble(f"{seat.member.name} {words}", seat.member.name)
