"""One member in a room: lies of the service, rotations and their times, and what is said of it."""

from dataclasses import replace

import pytest
from keyservice.rooms import NOW, SUITE, Tenant

from pysframe.keyservice import Kem, OpeningKey, SealedKey, Session, SigningKey, own_keys
from pysframe.keyservice.entries import After, Entry, Have, Joined, Left, Need, Renewed
from pysframe.keyservice.member import RoomMember
from pysframe.keyservice.protocol import KeyHeader, from_base64url
from pysframe.source import Drop, InstallSenderKey, Roster, Trouble, TroubleKind, Use


class Room:
    """An honest service that hands everything on at once, unless a test has it lie."""

    def __init__(self):
        self.tenant, self.now = Tenant(), float(NOW)
        self.log, self.revision, self.index = [], 0, 0
        self.members, self.events, self.posts = {}, {}, []

    def session(self, name, role, kem=Kem.X25519, tenant=None):
        tenant = tenant or self.tenant
        signing = SigningKey.generate()
        token = tenant.issuer.issue(name, "standup", role, signing.public, now=self.now)
        opening = OpeningKey.generate(kem)
        return Session(tenant.keys, "standup", token, signing, opening, self.now)

    def come(self, name, role="publisher", kem=Kem.X25519, **more):
        session = self.session(name, role, kem)
        self.members[name] = RoomMember(
            keys=self.tenant.keys, room="standup", suite=SUITE, session=session, **more
        )
        self.events[name] = []
        for entry in self.log:
            self.hand(name, entry)
        self.append(self.joined(session))
        return self.members[name]

    def joined(self, session):
        self.revision, self.index = self.revision + 1, self.index + 1
        return Joined(self.revision, self.index - 1, session.credential, session.hello)

    def left(self, name):
        self.revision += 1
        return Left(self.revision, name)

    def append(self, body, to=None):
        if isinstance(body, Renewed) and not body.revision:
            self.revision += 1
            body = replace(body, revision=self.revision)
        self.log.append(Entry(len(self.log) + 1, body))
        for name in to or list(self.members):
            self.hand(name, self.log[-1])

    def hand(self, name, entry):
        self.follow(name, self.members[name].received(entry, self.now))

    def follow(self, name, outcome):
        self.events[name] += outcome.events
        self.posts += outcome.posts

    def relay(self):
        """All messages, in order, and what they lead to."""
        sent = []
        while self.posts:
            post = self.posts.pop(0)
            sent.append(post)
            self.append(post)
        return sent

    def wait(self, seconds):
        end = self.now + seconds
        for _ in range(10_000):
            due = min(member.next_due for member in self.members.values())
            self.now = min(max(due, self.now), end)
            for name, member in self.members.items():
                self.follow(name, member.tick(self.now))
            if self.now >= end:
                return
        raise AssertionError("clocks ring and ring")

    def settle(self, seconds=1.0):
        for _ in range(6):
            self.relay()
            self.wait(seconds / 6)

    def said(self, name):
        """The troubles that this member has told of."""
        return [event.words for event in self.events[name] if isinstance(event, Trouble)]

    def keys(self, name, of):
        found = [e for e in self.events[name] if isinstance(e, InstallSenderKey)]
        return [(key.generation & 0xFFFFF, key.step) for key in found if key.sender == of]


@pytest.fixture
def room():
    """alice and bob, who hear each other."""
    room = Room()
    room.come("alice")
    room.come("bob")
    room.settle()
    assert room.keys("bob", "alice") and room.keys("alice", "bob") == [(0, 0)]
    for name in ("alice", "bob"):
        assert room.said(name) == []
        room.events[name].clear()
    return room


def headers(posts):
    texts = [post.header.split(".")[1] for post in posts if isinstance(post, SealedKey)]
    return [KeyHeader.parse(from_base64url(text, "it")) for text in texts]


def header_of(post):
    return headers([post])[0]


# ---- when keys change ----


def test_a_member_alone_seals_at_once():
    room = Room()
    room.come("alice")
    kinds = [type(event) for event in room.events["alice"]]
    assert kinds == [Roster, InstallSenderKey, Use] and room.posts == []


def test_who_joins_is_sealed_a_step_and_nobody_waits(room):
    room.wait(1)
    room.come("carol", "subscriber")
    sealed = [post for post in room.posts if isinstance(post, SealedKey)]
    assert [[*post.seals] for post in sealed] == [["carol"], ["carol"]]
    for header in headers(sealed):
        before = room.keys(header.sender, header.sender)
        assert header.step == before[-1][1] > 0
    # Both seal under the new step already.
    assert [type(e) for e in room.events["alice"][-2:]] == [InstallSenderKey, Use]


def test_joins_within_a_tenth_of_a_second_share_a_step(room):
    room.wait(1)
    room.come("carol", "subscriber")
    steps = room.keys("alice", "alice")
    for name in ("dave", "erin", "frank"):
        room.come(name, "subscriber")
    assert room.keys("alice", "alice") == steps
    room.posts.clear()
    room.wait(0.1)
    assert len(room.keys("alice", "alice")) == len(steps) + 1
    sealed = [post for post in room.posts if post.seals.keys() == {"dave", "erin", "frank"}]
    assert len(sealed) == 2


def test_after_64_steps_comes_a_generation():
    keys, numbers = own_keys.OwnKeys(SUITE, SUITE.generate_base_key, own_keys.Pace()), []
    for second in range(67):
        steps = keys.due(set(range(second)), float(second))
        numbers += [step.key.number for step in steps if isinstance(step, own_keys.Begin)]
        given = [step for step in steps if isinstance(step, own_keys.Give)]
        assert [len(step.to) for step in given] == [65 if second == 65 else 1] * bool(second)
    assert numbers == [*((0, step) for step in range(65)), (1, 0)]


def test_a_leave_has_all_wait_for_have_and_no_longer(room):
    room.come("carol")
    room.settle()
    room.events["alice"].clear()
    room.append(room.left("carol"))
    generation = headers(room.posts)[0].generation
    assert room.keys("alice", "alice") == []  # given out, not used yet
    posts = room.relay()
    assert {(have.member, have.sender) for have in posts if isinstance(have, Have)} == {
        ("bob", "alice"),
        ("alice", "bob"),
    }
    assert room.keys("alice", "alice") == [(generation, 0)]


def test_without_have_a_generation_is_used_after_300_ms(room):
    room.come("carol")
    room.settle()
    room.events["alice"].clear()
    room.append(room.left("carol"))
    room.posts.clear()  # all is lost
    room.wait(0.29)
    assert room.keys("alice", "alice") == []
    room.wait(0.02)
    assert len(room.keys("alice", "alice")) == 1


def test_who_went_before_a_generation_was_used_makes_it_void(room):
    room.come("carol", "subscriber")
    room.come("dave", "subscriber")
    room.settle()
    room.events["alice"].clear()
    room.append(room.left("carol"))
    void = headers(room.posts)[0]
    room.wait(0.2)
    room.append(room.left("dave"))
    room.wait(1)
    numbers = room.keys("alice", "alice")
    assert void.number not in numbers and numbers == [(void.generation + 1, 0)]


def test_who_went_is_deaf_in_half_a_second_whoever_else_comes_and_goes(room):
    for name in ("carol", *"defghij"):
        room.come(name, "subscriber")
    room.settle()
    room.events["alice"].clear()
    room.append(room.left("carol"))
    started = room.now
    for name in "defghij":
        room.posts.clear()
        room.wait(0.07)
        room.append(room.left(name))
        if room.keys("alice", "alice"):
            break
    room.wait(max(0.0, started + 0.51 - room.now))
    assert room.keys("alice", "alice")


def test_five_minutes_make_a_generation_and_the_old_key_is_dropped(room):
    old = room.members["alice"]._kid(room.members["alice"]._own.current)
    room.wait(299)
    assert room.keys("alice", "alice") == []
    room.wait(1.1)
    room.settle()
    (number,) = room.keys("alice", "alice")
    assert number == room.keys("bob", "alice")[-1]
    assert Drop("alice", old) not in room.events["alice"]
    room.wait(10)
    assert Drop("alice", old) in room.events["alice"]


def test_a_renewal_brings_a_pair_of_keys_and_a_generation(room):
    alice = room.members["alice"]
    (old,) = alice._sessions.values()
    room.now += 5
    renewed = room.session("alice", "publisher")
    room.follow("alice", alice.renew(renewed, room.now))
    room.settle()
    assert room.said("bob") == room.said("alice") == []
    assert room.keys("bob", "alice") == [(1, 0)] and room.keys("bob", "bob") == []
    assert alice.roster.hash == room.members["bob"].roster.hash
    assert alice._sessions.keys() == {old.digest, renewed.digest}
    room.wait(10)
    assert alice._sessions.keys() == {renewed.digest}


def test_until_its_renewal_is_known_a_member_signs_with_the_old_key(room):
    alice = room.members["alice"]
    room.now += 5
    room.follow("alice", alice.renew(room.session("alice", "publisher"), room.now))
    room.posts.clear()  # it is lost
    room.come("carol", "subscriber")
    room.settle()
    assert room.said("carol") == [] and room.keys("carol", "alice")


# ---- the service lies ----


def test_a_ghost_gets_no_seat_and_no_seal_and_is_told(room):
    """The service has a tenant of its own, of the same name."""
    room.wait(1)
    ghost = room.session("ghost", "publisher", tenant=Tenant())
    room.append(room.joined(ghost))
    room.relay()
    for name in ("alice", "bob"):
        assert [*room.members[name].roster] and room.members[name].roster.seat("ghost") is None
        (words,) = room.said(name)
        assert "does not fit" in words and "credential" in words
        assert room.keys(name, name) == []
    # The room goes on, and its members agree on who is there.
    room.come("carol")
    room.settle()
    assert len({member.roster.hash for member in room.members.values()}) == 1
    assert room.keys("carol", "alice") and room.keys("carol", "bob")


def test_a_member_of_another_room_is_a_ghost_too(room):
    other = Tenant.party(room.tenant, "eve", room="boardroom")
    room.append(Joined(3, 2, other.token, other.hello))
    assert "another tenant or room" in room.said("alice")[0]


def test_an_old_hello_replaces_no_newer_one(room):
    alice = room.members["alice"]
    (old,) = alice._sessions.values()
    room.now += 5
    room.follow("alice", alice.renew(room.session("alice", "publisher"), room.now))
    room.settle()
    room.revision += 1
    room.append(Renewed(room.revision, old.credential, old.hello), to=["bob"])
    assert "no newer" in room.said("bob")[-1]


def test_two_rosters_part_the_members_in_words(room):
    """carol is shown to alice alone, dave to bob alone."""
    room.wait(1)
    carol, dave = (room.session(name, "publisher") for name in ("carol", "dave"))
    room.revision += 1
    room.hand(
        "alice", Entry(len(room.log) + 1, Joined(room.revision, 2, carol.credential, carol.hello))
    )
    room.hand(
        "bob", Entry(len(room.log) + 1, Joined(room.revision, 2, dave.credential, dave.hello))
    )
    room.log.append(None)
    room.posts.clear()
    room.members["alice"]._own.want_another()
    room.wait(1)
    room.relay()
    assert any("saw other members" in words for words in room.said("bob"))


def test_a_leave_that_is_suppressed_ends_with_the_credential(room):
    room.come("carol", "subscriber")
    room.settle()
    ends = room.members["carol"].roster.seat("carol").member.membership.expires + 30
    renewed = {n: room.session(n, "publisher") for n in ("alice", "bob")}
    room.now = ends - 40.0
    for name in renewed:
        room.follow(name, room.members[name].renew(room.session(name, "publisher"), room.now))
    room.settle()
    room.events["alice"].clear()
    room.posts.clear()
    room.wait(ends - room.now + 0.5)
    sealed = [post for post in room.posts if isinstance(post, SealedKey)]
    assert sealed and all("carol" not in post.seals for post in sealed)
    assert room.keys("alice", "alice")


def test_swapped_seals_are_refused_in_words(room):
    room.come("carol", "subscriber")
    room.settle()
    room.members["alice"]._own.want_another()
    room.follow("alice", room.members["alice"].tick(room.now))
    (sealed,) = room.posts
    room.posts.clear()
    swapped = {"bob": sealed.seals["carol"], "carol": sealed.seals["bob"]}
    room.append(SealedKey(sealed.header, swapped))
    for name in ("bob", "carol"):
        assert "does not open" in room.said(name)[-1]
    room.append(sealed)  # and the right one counts still
    assert (
        room.keys("bob", "alice")[-1] == room.keys("carol", "alice")[-1] == header_of(sealed).number
    )


def test_repeated_and_missing_entries(room):
    alice = room.members["alice"]
    before = alice.roster
    for entry in room.log:
        assert alice.received(entry, room.now).events == ()
    outcome = alice.received(Entry(alice.seq + 2, room.left("bob")), room.now)
    assert outcome.posts == (After(alice.seq),) and alice.roster is before


def test_who_is_sent_away_forgets_everything(room):
    room.append(room.left("bob"))
    kinds = [type(e) for e in room.events["bob"]]
    assert kinds.count(Drop) >= 1
    (trouble,) = [e for e in room.events["bob"] if isinstance(e, Trouble)]
    assert trouble.kind is TroubleKind.SOURCE_ENDED
    bob = room.members["bob"]
    assert bob._sessions == {} and bob.next_due == float("inf")


def test_who_is_sent_away_seals_nothing(room):
    kid = room.members["bob"]._kid(room.members["bob"]._own.current)
    room.append(room.left("bob"))
    assert Drop("bob", kid) in room.events["bob"]
    room.wait(1000)
    assert room.keys("bob", "bob") == []


def test_another_session_under_its_name_ends_a_member(room):
    room.now += 5
    elsewhere = room.session("bob", "publisher")
    kid = room.members["bob"]._kid(room.members["bob"]._own.current)
    room.append(Renewed(0, elsewhere.credential, elsewhere.hello))
    assert Drop("bob", kid) in room.events["bob"]
    assert "has left the room" in room.said("bob")[-1]
    assert room.said("alice") == []


def test_who_may_not_send_any_more_stops(room):
    alice = room.members["alice"]
    kid = alice._kid(alice._own.current)
    for seconds, role in ((5, "subscriber"), (10, "publisher")):
        room.now += seconds
        room.follow("alice", alice.renew(room.session("alice", role), room.now))
        room.settle()
    assert Drop("alice", kid) in room.events["alice"]
    assert room.keys("alice", "alice") == room.keys("bob", "alice") == [(1, 0)]


def test_who_may_not_send_any_more_is_not_heard(room):
    """Also where it goes on sealing: the others hold its key no longer."""
    alice = room.members["alice"]
    generation = alice._kid(alice._own.current) & ~0xFF
    room.now += 5
    session = room.session("alice", "subscriber")
    room.append(Renewed(0, session.credential, session.hello), to=["bob"])
    assert Drop("alice", generation) in room.events["bob"]


# ---- a member who has lost a key ----


def test_a_lost_key_is_asked_for_and_given_again(room):
    alice = room.members["alice"]
    room.follow("alice", alice.received(Entry(len(room.log) + 1, Need("bob", "alice")), room.now))
    room.log.append(room.log[-1])
    (sealed,) = room.posts
    assert [*sealed.seals] == ["bob"]
    # Not again for two seconds, and not to somebody who is not there.
    again = alice.received(Entry(len(room.log) + 1, Need("bob", "alice")), room.now + 1)
    stranger = alice.received(Entry(len(room.log) + 2, Need("eve", "alice")), room.now + 1)
    assert again.posts == stranger.posts == ()
    later = alice.received(Entry(len(room.log) + 3, Need("bob", "alice")), room.now + 2)
    assert len(later.posts) == 1


def test_a_later_step_of_a_key_that_is_held_is_no_other_key(room):
    """A Receiver derives the steps itself, and takes two keys of one generation for a mistake."""
    room.wait(1)
    room.come("carol", "subscriber")
    room.settle()
    before = room.keys("bob", "alice")
    room.append(Need("bob", "alice"))
    room.relay()
    assert room.keys("bob", "alice") == before and room.said("bob") == []


# ---- protection that is required ----


def test_where_hybrid_is_required_a_classical_member_hears_nothing_and_it_is_told():
    room = Room()
    room.come("alice", kem=Kem.HYBRID, hybrid_only=True)
    room.come("bob", kem=Kem.HYBRID)
    room.come("carol", kem=Kem.X25519)
    room.settle()
    assert room.keys("bob", "alice") and room.keys("carol", "alice") == []
    assert room.keys("carol", "bob")
    (words,) = room.said("alice")
    assert "carol has no post-quantum key" in words


# ---- the end of the numbers ----


def test_after_the_last_generation_nothing_is_sealed(room, monkeypatch):
    monkeypatch.setattr(own_keys, "LAST_GENERATION", 1)
    for name in ("carol", "dave"):
        room.come(name, "subscriber")
        room.settle()
        room.append(room.left(name))
        room.settle()
    last = room.events["alice"][-1]
    assert isinstance(last, Trouble) and last.kind is TroubleKind.CANNOT_SEAL
    assert room.keys("alice", "alice")[-1][0] == 1
    dropped = {event.kid for event in room.events["alice"] if isinstance(event, Drop)}
    last = room.keys("alice", "alice")[-1]
    assert last[0] << 8 | last[1] in dropped  # the one that was in use
    room.wait(1000)
