"""A service's rules: who gets a seat, what goes into the log, and that it cannot listen."""

import asyncio
from pathlib import Path
from tempfile import mkdtemp

import pytest
from keyservice.rooms import NOW, SUITE, Tenant
from keyservice.stores import OneFile, run

import pysframe
from pysframe.keyservice import (
    Kem,
    OpeningKey,
    Refusal,
    Refused,
    Roster,
    SealedKey,
    Session,
    SigningKey,
    TenantKeys,
    introduced,
    seal_key,
)
from pysframe.keyservice.credentials import new_nonce, prove
from pysframe.keyservice.entries import After, Have, Left, Need, Renewed
from pysframe.keyservice.member import RoomMember
from pysframe.keyservice.protocol import to_base64url
from pysframe.keyservice.rooms import Rooms
from pysframe.keyservice.store import Kind, RoomId, RoomState, Stale, StoreError
from pysframe.keyservice.wire import read_entry, write_entry, write_post
from pysframe.source import Keyring

ROOM = RoomId("acme", "standup")
URL = "wss://keys.example/v1/acme/standup"


class World:
    """A tenant, a store and a service on it."""

    def __init__(self, place):
        self.place, self.tenant, self.now = place, Tenant(), float(NOW)

    def session(self, name, role="publisher", *, tenant=None, **more):
        tenant, signing = tenant or self.tenant, SigningKey.generate()
        token = tenant.issuer.issue(name, "standup", role, signing.public, now=self.now, **more)
        opening = OpeningKey.generate(Kem.X25519)
        return Session(tenant.keys, "standup", token, signing, opening, self.now)

    def renewed(self, session):
        """The same member's next credential and hello."""
        who, signer = session.membership, session.signer
        token = self.tenant.issuer.issue(
            who.member, "standup", who.role, signer.public, now=self.now
        )
        opening = OpeningKey.generate(Kem.X25519)
        return Session(self.tenant.keys, "standup", token, signer, opening, self.now)

    def key_of(self, *sessions):
        """A key message of the first of them to the others."""
        keys, roster = self.tenant.keys, Roster("acme", "standup")
        for index, each in enumerate(sessions):
            member = introduced(keys, each.credential, each.hello, room="standup")
            roster = roster.joined(member, index, index + 1)
        sender = sessions[0].membership.member
        number = {"generation": 0, "step": 0, "suite": SUITE, "now": NOW}
        whose = {"signer": sessions[0].signer, "sender": sender, "roster": roster}
        (message,) = seal_key(bytes(16), **whose, **number)
        return message

    def run(self, test, services=1):
        """test(rooms, store) with so many of each."""

        async def whole(*stores):
            rooms = [Rooms(store, {"acme": self.tenant.keys}) for store in stores]
            return await test(*(part for pair in zip(rooms, stores, strict=True) for part in pair))

        return run(self.place, whole, services)

    async def enter(self, rooms, *names, **more):
        sessions = [self.session(name, **more) for name in names]
        for session in sessions:
            await rooms.enter(ROOM, session.credential, session.hello)
        return sessions

    async def post(self, rooms, session, post):
        return await rooms.post(ROOM, session.membership, write_post(post), self.now)


@pytest.fixture
def world(quick_disk):
    return World(OneFile(Path(mkdtemp(dir=quick_disk))))


async def refused(asked, reason):
    with pytest.raises(Refused) as caught:
        await asked
    assert caught.value.reason is reason


async def kinds(store):
    return [(row.kind.value, row.member) for row in await store.after(ROOM, 0)]


# ---- who is admitted ----


def test_who_has_the_key_of_a_credential_is_admitted(world):
    async def test(rooms, _):
        alice, nonce = world.session("alice"), new_nonce()
        proof = prove(alice.signer, alice.credential, nonce=nonce, url=URL, now=NOW)
        known = {"nonce": nonce, "url": URL, "now": NOW}
        assert rooms.admitted(ROOM, alice.credential, proof, **known) == alice.membership
        thief = prove(SigningKey.generate(), alice.credential, nonce=nonce, url=URL, now=NOW)
        for changed, reason in (
            ({"proof": thief}, Refusal.PROOF),
            ({"nonce": new_nonce()}, Refusal.PROOF),
            ({"url": URL + "2"}, Refusal.PROOF),
            ({"now": NOW + 631}, Refusal.EXPIRED),
            ({"room": RoomId("acme", "boardroom")}, Refusal.CREDENTIAL),
            ({"room": RoomId("umbrella", "standup")}, Refusal.CREDENTIAL),
            (
                {"credential": world.session("alice", tenant=Tenant()).credential},
                Refusal.CREDENTIAL,
            ),
        ):
            given = {"room": ROOM, "credential": alice.credential, "proof": proof, **known}
            with pytest.raises(Refused) as caught:
                rooms.admitted(**{**given, **changed})
            assert caught.value.reason is reason

    world.run(test)


# ---- seats ----


def test_a_hello_keeps_its_seat_and_another_one_gets_another(world):
    async def test(rooms, store):
        (alice,) = await world.enter(rooms, "alice")
        await rooms.enter(ROOM, alice.credential, alice.hello)
        (again,) = await world.enter(rooms, "alice")
        rows = await store.after(ROOM, 0)
        assert await kinds(store) == [("joined", "alice"), ("left", "alice"), ("joined", "alice")]
        assert [row.index for row in rows] == [0, 0, 1]
        rooms.forget(ROOM)  # and reads it again
        assert await rooms.hello_of(ROOM, "alice") == again.digest
        await rooms.see_off(ROOM, "alice", alice.digest)  # of a session that is over
        assert len(await store.after(ROOM, 0)) == 3
        await rooms.see_off(ROOM, "alice", again.digest)
        await rooms.see_off(ROOM, "alice", again.digest)
        assert (await kinds(store))[3:] == [("left", "alice")]

    world.run(test)


def test_a_session_that_was_replaced_posts_nothing_and_takes_no_seat_back(world):
    """As of a page that was loaded again, whose old connection closes politely a moment later."""

    async def test(rooms, store):
        (old,) = await world.enter(rooms, "alice")
        (new,) = await world.enter(rooms, "alice")
        before = await kinds(store)
        await world.post(rooms, old, Left(0, "alice"))
        await refused(world.post(rooms, old, Need("alice", "bob")), Refusal.STRANGER)
        world.now += 60
        newer = world.renewed(old)
        post = Renewed(0, newer.credential, newer.hello)
        await refused(world.post(rooms, old, post), Refusal.STRANGER)
        assert await kinds(store) == before
        await world.post(rooms, new, Left(0, "alice"))
        assert (await kinds(store))[3:] == [("left", "alice")]

    world.run(test)


def test_a_hello_that_does_not_fit_gets_no_seat(world):
    async def test(rooms, store):
        alice, bob = world.session("alice"), world.session("bob")
        ghost = world.session("ghost", tenant=Tenant())
        await refused(rooms.enter(ROOM, alice.credential, bob.hello), Refusal.PROOF)
        await refused(rooms.enter(ROOM, ghost.credential, ghost.hello), Refusal.CREDENTIAL)
        await refused(rooms.enter(ROOM, alice.credential, ""), Refusal.MALFORMED)
        assert await kinds(store) == []

    world.run(test)


def test_two_services_on_one_store_agree_who_is_there(world):
    async def test(rooms, store, elsewhere, _):
        sessions = [world.session(f"m{n}", "subscriber") for n in range(12)]
        both = [rooms, elsewhere]
        await asyncio.gather(
            *(both[n % 2].enter(ROOM, s.credential, s.hello) for n, s in enumerate(sessions))
        )
        rows = await store.after(ROOM, 0)
        assert [row.revision for row in rows] == list(range(1, 13))
        assert sorted(row.index for row in rows) == list(range(12))
        for service in both:
            found = {await service.hello_of(ROOM, f"m{n}") for n in range(12)}
            assert found == {session.digest for session in sessions}

    world.run(test, services=2)


def test_who_never_wins_is_told(world, monkeypatch):
    async def test(rooms, store):
        async def too_late(*_, **__):
            raise Stale(RoomState(9, 9, 9))

        alice, bob = await world.enter(rooms, "alice"), world.session("bob")
        monkeypatch.setattr(store, "change", too_late)
        with pytest.raises(StoreError, match="too fast; try again"):
            await rooms.enter(ROOM, bob.credential, bob.hello)
        with pytest.raises(StoreError, match="too fast; try again"):
            await rooms.see_off(ROOM, alice[0].membership.member)

    world.run(test)


def test_a_full_room_says_what_to_do(world, monkeypatch):
    monkeypatch.setattr("pysframe.keyservice.roster.MOST_SEALS", 2)

    async def test(rooms, store):
        await world.enter(rooms, "alice", "bob")
        carol = world.session("carol")
        with pytest.raises(Refused, match="make fewer of them publishers"):
            await rooms.enter(ROOM, carol.credential, carol.hello)
        assert len(await store.after(ROOM, 0)) == 2

    world.run(test)


def test_who_has_expired_is_seen_off(world):
    async def test(rooms, store):
        await world.enter(rooms, "alice", life=100)
        await world.enter(rooms, "bob", life=600)
        assert await rooms.expired(ROOM, NOW + 129) == []
        assert await rooms.expired(ROOM, NOW + 130) == ["alice"]
        assert (await kinds(store))[2:] == [("left", "alice")]

    world.run(test)


def test_who_was_vouched_for_by_a_key_that_is_gone_is_seen_off(world):
    async def test(rooms, store):
        await world.enter(rooms, "alice", "bob")
        world.tenant = Tenant()  # with another key
        after = Rooms(store, {"acme": TenantKeys("acme", world.tenant.issuer.jwks)})
        await world.enter(after, "alice")  # takes her seat, though it cannot be verified
        assert await after.expired(ROOM, NOW) == ["bob"]
        assert (await kinds(store))[2:] == [("left", "alice"), ("joined", "alice"), ("left", "bob")]

    world.run(test)


# ---- what members post ----


def test_a_member_speaks_for_itself_alone(world):
    async def test(rooms, store):
        alice, bob = await world.enter(rooms, "alice", "bob")
        (carol,) = await world.enter(rooms, "carol", role="subscriber")
        for post in (Have("bob", "alice", 0, 0), Need("bob", "alice"), Left(0, "bob")):
            await refused(world.post(rooms, alice, post), Refusal.PROOF)
        await refused(
            world.post(rooms, alice, Renewed(0, bob.credential, bob.hello)), Refusal.PROOF
        )
        stranger = world.session("eve")
        await refused(world.post(rooms, stranger, Need("eve", "alice")), Refusal.STRANGER)
        for text in (b"", b"{}", b"[]", b"\xff", b'{"v":1,"type":"joined"}'):
            await refused(rooms.post(ROOM, alice.membership, text, NOW), Refusal.MALFORMED)
        nothing = SealedKey("nothing", {})
        await refused(world.post(rooms, carol, nothing), Refusal.ROLE)
        await refused(world.post(rooms, alice, nothing), Refusal.MALFORMED)
        await refused(world.post(rooms, alice, world.key_of(bob, alice)), Refusal.PROOF)
        assert len(await store.after(ROOM, 0)) == 3
        assert await world.post(rooms, alice, After(1)) == After(1)
        assert await world.post(rooms, alice, Need("alice", "bob")) == alice.membership
        await world.post(rooms, alice, Left(0, "alice"))
        assert (await kinds(store))[3:] == [("message", ""), ("left", "alice")]

    world.run(test)


def test_a_renewal_is_newer_and_in_time(world):
    async def test(rooms, store):
        (alice,) = await world.enter(rooms, "alice")
        same = world.renewed(alice)
        await refused(
            world.post(rooms, alice, Renewed(0, same.credential, same.hello)), Refusal.REPLAYED
        )
        world.now += 60
        newer = world.renewed(alice)
        post = Renewed(0, newer.credential, newer.hello)
        assert await world.post(rooms, alice, post) == newer.membership
        world.now += 700
        await refused(world.post(rooms, alice, post), Refusal.EXPIRED)
        rows = await store.after(ROOM, 0)
        assert [(row.kind, row.index) for row in rows] == [(Kind.JOINED, 0), (Kind.RENEWED, 0)]

    world.run(test)


def test_members_hear_each_other_and_the_service_cannot(world):
    """Two members, all through the wire; nothing that the service holds is or opens their keys."""

    async def test(rooms, store):
        sessions = await world.enter(rooms, "alice", "bob")
        members = [
            RoomMember(keys=world.tenant.keys, room="standup", suite=SUITE, session=session)
            for session in sessions
        ]
        keyrings, keys = [Keyring(), Keyring()], set()

        async def follow(number, outcome):
            for event in outcome.events:
                keyrings[number].apply(event)
                keys.add(getattr(event, "base_key", None))
            for post in outcome.posts:
                await world.post(rooms, sessions[number], post)

        for _ in range(4):
            for number, member in enumerate(members):
                for row in await store.after(ROOM, member.seq):
                    text = write_entry(row.seq, row.revision, row.index, row.body)
                    await follow(number, member.received(read_entry(text), world.now))
                await follow(number, member.tick(world.now))
            world.now += 0.2  # joins in a tenth of a second share a ratchet step
        sealed = [keyring.sealing.protect(b"a frame") for keyring in keyrings]
        for number, name in enumerate(["bob", "alice"]):
            receiver = keyrings[number].scope(name).receiver
            assert receiver.unprotect(sealed[1 - number]) == b"a frame"
        keys.discard(None)
        held = world.place.path.read_bytes() + Path(f"{world.place.path}-wal").read_bytes()
        assert len(keys) == 3  # one of bob's, and two steps of alice's
        assert not any(key in held or to_base64url(key).encode() in held for key in keys)
        with pytest.raises(pysframe.FrameRejected):
            keyrings[0].scope("carol").receiver.unprotect(sealed[1])
        for keyring in keyrings:
            keyring.close()

    world.run(test)
