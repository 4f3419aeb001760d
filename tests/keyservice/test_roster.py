"""Rosters: who may follow whom, and what the hash tells apart."""

import pytest
from keyservice.rooms import NOW, Tenant

from pysframe.keyservice import Kem, Refusal, Refused, Roster, introduced
from pysframe.keyservice import roster as module

EMPTY = Roster("acme", "standup")


@pytest.fixture(scope="module")
def tenant():
    return Tenant()


@pytest.fixture(scope="module")
def alice(tenant):
    return tenant.party("alice")


@pytest.fixture(scope="module")
def bob(tenant):
    return tenant.party("bob", "subscriber", kem=Kem.X25519)


@pytest.fixture
def two(alice, bob):
    return EMPTY.joined(alice.member, 0, 1).joined(bob.member, 3, 2)


def refused(reason, call, *args):
    with pytest.raises(Refused) as caught:
        call(*args)
    assert caught.value.reason is reason, caught.value


def test_who_is_there(two):
    assert (len(two), two.revision, two.next_index) == (2, 2, 4)
    assert two.seat("bob").index == 3 and two.seat("carol") is None
    assert two.classical == ("bob",)


def test_revisions_come_one_by_one(two, tenant):
    carol = tenant.party("carol").member
    for revision in (0, 2, 4, -1):
        refused(Refusal.ROSTER, two.joined, carol, 4, revision)
        refused(Refusal.ROSTER, two.left, "bob", revision)


def test_an_index_never_comes_back(two, tenant):
    carol = tenant.party("carol").member
    for index in (0, 2, 3):
        refused(Refusal.ROSTER, two.joined, carol, index, 3)
    gone = two.left("bob", 3)
    refused(Refusal.ROSTER, gone.joined, carol, 3, 4)
    assert gone.joined(carol, 4, 4).seat("carol").index == 4
    refused(Refusal.MALFORMED, two.joined, carol, -1, 3)
    refused(Refusal.MALFORMED, two.joined, carol, 1 << 36, 3)


def test_a_name_is_there_once(two, tenant):
    refused(Refusal.ROSTER, two.joined, tenant.party("alice").member, 4, 3)
    refused(Refusal.ROSTER, two.left, "carol", 3)
    refused(Refusal.ROSTER, two.renewed, tenant.party("carol").member, 3)


def test_a_hello_is_not_replaced_by_an_older_one(two, tenant):
    again = tenant.party("bob", "subscriber")
    refused(Refusal.REPLAYED, two.renewed, again.member, 3)
    again.introduce(NOW + 1)
    newer = two.renewed(again.member, 3)
    assert newer.seat("bob").index == 3 and newer.classical == ()
    refused(Refusal.REPLAYED, newer.renewed, two.seat("bob").member, 4)


def test_members_of_other_rooms_and_tenants_are_refused(two):
    for stranger in (Tenant().party("eve", room="boardroom"), Tenant("umbrella").party("eve")):
        refused(Refusal.CREDENTIAL, two.joined, stranger.member, 4, 3)
        refused(Refusal.CREDENTIAL, two.renewed, stranger.member, 3)


def test_the_hash_tells_all_of_it_apart(two, tenant, alice, bob):
    """Whatever changes is seen: names, hellos, indices, revision, room, tenant."""
    again = tenant.party("bob", "subscriber", kem=Kem.X25519)
    others = [
        EMPTY.joined(alice.member, 0, 1),
        EMPTY.joined(alice.member, 1, 1).joined(bob.member, 3, 2),
        EMPTY.joined(alice.member, 0, 1).joined(again.member, 3, 2),
        EMPTY.joined(alice.member, 0, 1).joined(bob.member, 4, 2),
        Roster("acme", "standup", 3, two.seats),
        Roster("acme", "standuq", 2, two.seats),
        Roster("acne", "standup", 2, two.seats),
        Roster("acmes", "tandup", 2, two.seats),
    ]
    assert len({two.hash, *(other.hash for other in others)}) == 9
    assert EMPTY.joined(alice.member, 0, 1).joined(bob.member, 3, 2).hash == two.hash


def test_limits(monkeypatch, two, tenant):
    monkeypatch.setattr(module, "MOST_MEMBERS", 3)
    three = two.joined(tenant.party("carol", "auditor").member, 4, 3)
    refused(Refusal.LIMIT, three.joined, tenant.party("dave", "auditor").member, 5, 4)
    monkeypatch.setattr(module, "MOST_SEALS", 1)
    # One sender and two hearers: one seal. Two senders and three hearers: four.
    with pytest.raises(Refused, match=r"2 senders and 3 hearers .*subscribers need no key"):
        two.joined(tenant.party("carol").member, 4, 3)
    two.joined(tenant.party("carol", "auditor").member, 4, 3)


def test_a_member_is_verified_from_the_tenant_down(alice):
    with pytest.raises(Refused, match="does not fit"):
        introduced(Tenant().keys, alice.token, alice.hello, room="standup")
    with pytest.raises(Refused, match="another tenant or room"):
        introduced(alice.tenant.keys, alice.token, alice.hello, room="boardroom")
