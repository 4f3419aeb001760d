"""Calls in a model: a service, members, delays, loss, joins, leaves, renewals and frames.

The model says of each frame who must open it, who may, and who must not, ever:

    must      who has been given the key of its generation; until they see its sender leave, or
              10 s after the first frame that they heard under the next one
    may       whoever its sender could still see in the room, or saw leave under half a second ago
              and not before it began to use the generation
    must not  everybody else, with all that they were ever sent: a joiner what came before, a leaver
              what came after

A call is a list of scenes: scenes.py.
"""

from math import inf

from keyservice.rooms import NOW, SUITE, Tenant
from keyservice.scenes import ROLES

import pysframe
from pysframe.keyservice import Kem, OpeningKey, Refused, SealedKey, Session, SigningKey
from pysframe.keyservice.entries import After, Entry, Joined, Left, Need, Renewed
from pysframe.keyservice.introductions import hello_digest
from pysframe.keyservice.member import RoomMember
from pysframe.keyservice.own_keys import Pace
from pysframe.keyservice.protocol import KeyHeader, from_base64url
from pysframe.keyservice.seals import seal_info
from pysframe.source import InstallSenderKey, Keyring

PACE = Pace()
SOON = PACE.have + 2 * PACE.batch + 0.01  # until somebody who has gone is deaf


class Person:
    """Somebody with a name: the member of the moment, and all that was ever sent to them."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.openings = {}  # of every session there was, by hello
        self.signing = SigningKey.generate()
        self.member = None  # None: not in the room

    def session(self):
        issuer, room = self.world.tenant.issuer, "standup"
        token = issuer.issue(
            self.name, room, ROLES[self.name], self.signing.public, now=self.world.now, life=600
        )
        opening = OpeningKey.generate(Kem.X25519)  # quicker; which one makes no difference here
        session = Session(
            self.world.tenant.keys, room, token, self.signing, opening, self.world.now
        )
        self.openings[hello_digest(session.hello)] = opening
        return session

    def come(self):
        session = self.session()
        self.member = RoomMember(
            keys=self.world.tenant.keys, room="standup", suite=SUITE, session=session
        )
        self.keyring, self.outbox = Keyring(), []
        self.given = {}  # generation field -> the step that was given, of others
        self.heard = {}  # generation field -> the newest step that a frame opened under
        self.over = {}  # generation field -> until when it must be kept
        self.saw_leave = {}  # name -> when
        self.began = {}  # generation field -> who had been seen to leave before it was used
        return session

    def follow(self, outcome):
        for event in outcome.events:
            self.keyring.apply(event)
            if isinstance(event, InstallSenderKey) and event.mine:
                self.began.setdefault(event.generation, set(self.saw_leave))
            elif isinstance(event, InstallSenderKey):
                self.given.setdefault(event.generation, event.step)
        self.outbox += outcome.posts

    def read(self):
        """The next entry of the log, if there is one."""
        log = self.world.log
        if self.member is None or self.member.seq >= len(log):
            return False
        before = {seat.member.name: seat.index for seat in self.member.roster}
        outcome = self.member.received(log[self.member.seq], self.world.now)
        now_there = {seat.member.name: seat.index for seat in self.member.roster}
        for name in before.keys() - now_there.keys():
            self.saw_leave[name] = self.world.now
            self.forget(before[name])
        for name in now_there.keys() - before.keys():
            self.saw_leave.pop(name, None)
            for gone in self.began.values():
                gone.discard(name)
        self.follow(outcome)
        return True

    def forget(self, index):
        self.given = {field: step for field, step in self.given.items() if field >> 20 != index}

    def sees(self, name):
        """Whether this member believes now that the other one is there and may hear."""
        seat = self.member.roster.seat(name)
        held = seat is not None and seat.member.membership.expires + 30 + SOON > self.world.now
        gone = self.saw_leave.get(name)
        return held or (gone is not None and self.world.now < gone + SOON)

    def must_hear(self, frame):
        """Receivers keep two ratchet steps behind the newest, and one generation: RFC 9605 5.1."""
        newest = max((f for f in self.heard if f >> 20 == frame.field >> 20), default=0)
        later = [field for field in self.given if frame.field < field <= newest]
        overtaken = len(later) > 1 or self.heard.get(frame.field, 0) > frame.step + 2
        has_it = self.given.get(frame.field, inf) <= frame.step
        return has_it and not overtaken and self.world.now < self.over.get(frame.field, inf)

    def hears(self, frame):
        try:
            self.keyring.scope(frame.sender).receiver.unprotect(frame.data)
        except pysframe.FrameRejected:
            return False
        self.heard[frame.field] = max(frame.step, self.heard.get(frame.field, 0))
        for field in self.given:
            if field >> 20 == frame.field >> 20 and field < frame.field:
                self.over.setdefault(field, self.world.now + PACE.keep)
        return True

    def knows(self, frame):
        """Whether anything that was ever sent to this person opens the frame."""
        return any(
            field == frame.field
            and step <= frame.step
            and stepped(base_key, frame.step - step) == frame.base_key
            for field, step, base_key in self.world.unsealed(self)
        )


def stepped(base_key, steps):
    return pysframe.ratchet_base_key(SUITE, base_key, steps) if steps else base_key


class Frame:
    """One frame, with the key that the model knows and nobody else."""

    def __init__(self, sender, world):
        key = sender.member._own.current
        self.sender = sender.name
        index = sender.member.roster.seat(sender.name).index
        self.field, self.step = index << 20 | key.generation, key.step
        self.base_key = key.base_key
        self.data = sender.keyring.sealing.protect(b"a frame")
        everybody = ROLES.keys() - {sender.name}
        gone = sender.began[self.field]
        self.must_not = {name for name in everybody if name in gone or not sender.sees(name)}


class Calls:
    """One room and its service."""

    def __init__(self):
        self.now, self.tenant = float(NOW), Tenant()
        self.log, self.revision, self.next_index = [], 0, 0
        self.people = {name: Person(self, name) for name in ROLES}
        self.frames, self.late, self._unsealed = [], [], {}

    def play(self, scenes):
        """A whole call. Raises AssertionError where it is not as the model says."""
        self.come("alice")
        self.come("agent")
        try:
            for scene in scenes:
                self.happens(scene)
            self.settle()
            for frame in self.frames:
                self.check(frame)
        finally:
            for person in self.present():
                person.keyring.close()

    def happens(self, scene):
        getattr(self, scene.act)(scene.name)
        getattr(self, scene.network)()
        self.wait(scene.seconds)
        late, self.late = self.late, []
        if scene.speech != "none":
            self.all_speak(late=scene.speech == "late")
        for frame, person, member in late:
            if person.member is member:
                self.arrives(frame, person)

    # ---- the service ----

    def append(self, body):
        self.log.append(Entry(len(self.log) + 1, body))

    def next_revision(self):
        self.revision += 1
        return self.revision

    def takes(self, post):
        """What the service does with a message."""
        if isinstance(post, Renewed):
            self.append(Renewed(self.next_revision(), post.credential, post.hello))
        elif not isinstance(post, After):
            self.append(post)

    def sees_off(self, name):
        self.append(Left(self.next_revision(), name))

    def unsealed(self, person):
        """(generation field, step, base_key) of all seals that this person could ever open."""
        read, found = self._unsealed.get(person.name, (0, []))
        for entry in self.log[read:]:
            if isinstance(entry.body, SealedKey) and person.name in entry.body.seals:
                payload = from_base64url(entry.body.header.split(".")[1], "a payload")
                header = KeyHeader.parse(payload)
                keys = opened(entry.body, person)
                found += [(header.generation_field, header.step, key) for key in keys]
        self._unsealed[person.name] = len(self.log), found
        return found

    def present(self):
        return [person for person in self.people.values() if person.member is not None]

    # ---- acts ----

    def come(self, name):
        """Who is there goes first."""
        if self.people[name].member is not None:
            self.go(name)
        session = self.people[name].come()
        index, self.next_index = self.next_index, self.next_index + 1
        self.append(Joined(self.next_revision(), index, session.credential, session.hello))

    def go(self, name):
        """Who is not there comes first, and is seen by all."""
        person = self.people[name]
        if person.member is None:
            self.come(name)
            self.prompt()
        self.sees_off(name)
        person.keyring.close()
        person.member = None

    def rotate(self, name):
        person = self.there(name)
        person.member._own.want_another()
        person.follow(person.member.tick(self.now))

    def renew(self, name):
        person = self.there(name)
        person.follow(person.member.renew(person.session(), self.now))

    def need(self, name):
        """Asks for everybody's keys, needed or not."""
        self.there(name)
        for sender in ROLES:
            self.takes(Need(name, sender))

    def stutter(self, name):
        """The service hands on an entry too early, and one that was read before."""
        person = self.there(name)
        member, roster = person.member, person.member.roster
        for seq in (member.seq, member.seq + 2):
            if 0 < seq <= len(self.log):
                outcome = member.received(self.log[seq - 1], self.now)
                person.follow(outcome)
                assert seq <= member.seq or outcome.posts == (After(member.seq),)
        assert member.roster is roster

    def idle(self, _):
        """Nobody does anything."""

    def there(self, name):
        person = self.people[name]
        if person.member is None:
            self.come(name)
        return person

    # ---- networks ----

    def prompt(self):
        """All that is on its way arrives."""
        while self.posted() or self.read():
            pass

    def posted(self):
        """What members have to say reaches the service."""
        posts = [post for person in self.present() for post in person.outbox]
        self.lose()
        for post in posts:
            self.takes(post)
        return bool(posts)

    def lose(self):
        for person in self.present():
            person.outbox = []

    def read(self):
        """Everybody reads all that there is."""
        read = [person.read() for person in self.present() for _ in self.log]
        return any(read)

    def lost(self):
        self.read()
        self.lose()

    def still(self):
        """Nothing arrives."""

    # ---- time and frames ----

    def wait(self, seconds):
        """Time passes; every member's clock rings when it is due."""
        end = self.now + seconds
        for _ in range(10_000):
            due = min((person.member.next_due for person in self.present()), default=end)
            self.now = min(max(due, self.now), end)
            for person in self.present():
                person.follow(person.member.tick(self.now))
            if self.now >= end:
                return
        raise AssertionError("clocks ring and ring")

    def all_speak(self, late):
        for sender in self.present():
            if sender.keyring.sealing is not None:
                self.speak(sender, late)

    def speak(self, sender, late):
        frame = Frame(sender, self)
        self.frames.append(frame)
        for person in self.present():
            if person is not sender and late:
                self.late.append((frame, person, person.member))
            elif person is not sender:
                self.arrives(frame, person)

    def arrives(self, frame, person):
        """At an honest member, who reports what it hears."""
        must, heard = person.must_hear(frame), person.hears(frame)
        assert heard or not must, f"{person.name} has the key and cannot hear {frame.sender}"
        assert not heard or person.name not in frame.must_not
        person.follow(person.member.report(person.keyring.flows(self.now), self.now))
        return heard

    # ---- what must hold ----

    def check(self, frame):
        for name in frame.must_not:
            assert not self.people[name].knows(frame), f"{name} can hear {frame.sender}"

    def settle(self):
        """When nothing is lost any more, everybody who may hear hears everybody who may send, and
        nobody else does."""
        for _ in range(6):
            self.quiet()
            self.renew_what_ends()
            self.quiet()
            if all([self.hears_all(person) for person in self.present()]):
                return self.nobody_else_hears()
        raise AssertionError("somebody never hears again")

    def nobody_else_hears(self):
        for sender in self.present():
            if sender.keyring.sealing is not None:
                frame = Frame(sender, self)
                frame.must_not = {p.name for p in self.people.values() if p.member is None}
                self.check(frame)

    def renew_what_ends(self):
        """Only that: a renewal brings new keys, and would heal what is to heal by itself."""
        for person in self.present():
            seat = person.member.roster.seat(person.name)
            if seat is not None and seat.member.membership.expires < self.now + 60:
                person.follow(person.member.renew(person.session(), self.now))

    def quiet(self):
        for _ in range(8):
            self.prompt()
            self.wait(0.3)

    def hears_all(self, person):
        """Twelve frames of each sender: as many as it takes to see that a key is missing."""
        names = {seat.member.name for seat in person.member.roster}
        if names != {other.name for other in self.present()}:
            return False  # not everybody is seen to be there, or somebody is who is not
        senders = [other for other in self.present() if ROLES[other.name] != "subscriber"]
        return all([self.hears_one(person, s) for s in senders if s is not person])

    def hears_one(self, person, sender):
        last = False
        for _ in range(12 if sender.keyring.sealing else 0):
            self.now += 0.05
            last = self.arrives(Frame(sender, self), person)
        return last


def opened(message, person):
    for hello, opening in person.openings.items():
        try:
            yield opening.open(message.seals[person.name], seal_info(message.header, hello))
        except Refused:
            continue
