"""Key messages between members: who can open what, what is refused, and that nothing leaks."""

import base64
import copy
import json
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyservice.rooms import NOW, SUITE, Party, Tenant, seated
from security.spellings import shown

import pysframe
from pysframe import CipherSuite
from pysframe.keyservice import Kem, Refusal, Refused, RosterHashes, SealedKey, SealingKey
from pysframe.keyservice import sender_keys as module
from pysframe.keyservice.seals import commitment_to
from pysframe.source import Keyring, Use
from pysframe.source.events import InstallSenderKey

KEY, OTHER = bytes(range(16)), bytes(range(1, 17))


@pytest.fixture
def room():
    """alice and the agent send, bob listens with a classical key, carol audits."""
    tenant = Tenant()
    return seated(
        tenant.party("alice"),
        tenant.party("bob", "subscriber", kem=Kem.X25519, alg="ES256"),
        tenant.party("agent", "agent"),
        tenant.party("carol", "auditor"),
    )


def refused(reason, call, *args, **more):
    with pytest.raises(Refused) as caught:
        call(*args, **more)
    assert caught.value.reason is reason, caught.value
    return str(caught.value)


def test_all_who_may_hear_get_the_key_and_nobody_else(room):
    alice, bob, agent, carol = room
    (message,) = alice.seal(KEY)
    assert [*message.seals] == ["bob", "agent"]
    assert bob.open(message).base_key == agent.open(message).base_key == KEY
    refused(Refusal.STRANGER, carol.open, message)
    refused(Refusal.STRANGER, alice.open, message)


def test_frames_flow_through_it(room, engine, monkeypatch):
    """From the message to a frame that opens; who was sealed a later step opens none before."""
    monkeypatch.setattr(pysframe, "Receiver", engine.Receiver)
    monkeypatch.setattr(pysframe, "Sender", engine.Sender)
    alice, bob, agent, _ = room
    base_key = SUITE.generate_base_key()
    (first,) = alice.seal(base_key, to=["bob"])
    later = pysframe.ratchet_base_key(SUITE, base_key)
    (second,) = alice.seal(later, step=1, to=["agent"])
    mine, his, its = Keyring(), Keyring(), Keyring()
    opened = bob.open(first)
    field = opened.event().generation
    sealing = InstallSenderKey(
        sender="alice",
        suite=SUITE,
        generation=field,
        step=0,
        base_key=base_key,
        mine=True,
        start=0,
    )
    mine.apply(sealing)
    mine.apply(Use("alice", field << 8))
    his.apply(opened.event())
    its.apply(agent.open(second).event())
    early = mine.sealing.protect(b"before")
    late = mine.sealing.ratchet().protect(b"after")
    assert his.scope("alice").receiver.unprotect(early) == b"before"
    assert his.scope("alice").receiver.unprotect(late) == b"after"
    assert its.scope("alice").receiver.unprotect(late) == b"after"
    with pytest.raises(pysframe.UnknownKey):
        its.scope("alice").receiver.unprotect(early)


def test_a_member_whose_credential_is_over_is_deaf_whatever_the_service_says(room):
    alice, bob, agent, _ = room
    agent.introduce(NOW + 300)
    roster = alice.roster.renewed(agent.member, 5)
    alice.introduce(NOW + 300)
    roster = roster.renewed(alice.member, 6)
    for party in (alice, bob, agent):
        party.sees(roster)
    (message,) = alice.seal(KEY, now=NOW + 629)
    assert [*message.seals] == ["bob", "agent"]
    (message,) = alice.seal(KEY, now=NOW + 630)
    assert [*message.seals] == ["agent"]
    refused(Refusal.EXPIRED, alice.seal, KEY, to=["bob"], now=NOW + 630)
    # Nor is anything taken from a sender whose credential is over.
    assert agent.open(message, now=NOW + 929).base_key == KEY
    agent.numbers.forget(0)
    refused(Refusal.EXPIRED, agent.open, message, now=NOW + 930)


def test_who_may_not_send_does_not(room):
    _, bob, _, carol = room
    for party in (bob, carol):
        refused(Refusal.ROLE, party.seal, KEY)
    stranger = Party(bob.tenant, "dave", "publisher", "standup")
    stranger.sees(bob.roster)
    refused(Refusal.STRANGER, stranger.seal, KEY)


@pytest.mark.parametrize(
    ("to", "reason"),
    [(["dave"], "stranger"), (["alice"], "stranger"), (["bob", "carol"], "role")],
)
def test_nobody_is_sealed_to_by_mistake(room, to, reason):
    refused(Refusal(reason), room[0].seal, KEY, to=to)


def test_post_quantum_protection_can_be_required(room):
    alice = room[0]
    refused(Refusal.CLASSICAL, alice.seal, KEY, hybrid_only=True)
    (message,) = alice.seal(KEY, to=["agent"], hybrid_only=True)
    assert [*message.seals] == ["agent"] and alice.roster.classical == ("bob",)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"generation": 1 << 20}, "limit"),
        ({"step": 65}, "limit"),
        ({"generation": -1}, "malformed"),
        ({"step": -1}, "malformed"),
        ({"suite": CipherSuite(3)}, "malformed"),
    ],
)
def test_numbers_that_there_are_not(room, more, reason):
    refused(Refusal(reason), room[0].seal, KEY, **more)


@pytest.mark.parametrize("size", [0, 15, 65])
def test_keys_that_are_none(room, size):
    refused(Refusal.MALFORMED, room[0].seal, bytes(size))


def test_many_seals_go_in_parts(room, monkeypatch):
    monkeypatch.setattr(module, "SEALS_IN_MESSAGE", 1)
    alice, bob, agent, _ = room
    one, two = alice.seal(KEY)
    assert one.header == two.header
    assert bob.open(one).base_key == agent.open(two).base_key == KEY
    agent.numbers.forget(0)
    refused(Refusal.STRANGER, agent.open, one)


# ---- numbers only rise ----


def test_an_older_key_is_a_replay_and_the_same_one_is_known(room):
    alice, bob, _, _ = room
    (first,), (second,) = alice.seal(KEY), alice.seal(OTHER, 1)
    assert bob.open(first) is not None and bob.open(first) is None
    assert bob.open(second) is not None
    refused(Refusal.REPLAYED, bob.open, first)
    (again,) = alice.seal(OTHER, 1)
    assert bob.open(again) is None


@pytest.mark.parametrize(
    ("before", "after"), [((0, 5), (1, 0)), ((0, 5), (0, 6)), ((2, 0), (3, 9))]
)
def test_generation_and_step_rise_together(room, before, after):
    alice, bob, _, _ = room
    (old,), (new,) = alice.seal(KEY, *before), alice.seal(OTHER, *after)
    assert bob.open(new) is not None
    refused(Refusal.REPLAYED, bob.open, old)


def test_two_keys_under_one_number_are_seen(room):
    alice, bob, _, _ = room
    bob.open(*alice.seal(KEY))
    assert "two keys" in refused(Refusal.TWO_KEYS, bob.open, *alice.seal(OTHER))
    refused(Refusal.TWO_KEYS, bob.open, *alice.seal(KEY, suite=CipherSuite(5)))


# ---- rosters that differ ----


def test_two_members_who_are_shown_different_rosters_refuse_each_other(room):
    """The service hides dave from bob, and shows him to alice."""
    alice, bob, _, _ = room
    dave, erin = alice.tenant.party("dave"), alice.tenant.party("erin")
    alice.sees(alice.roster.joined(dave.member, 4, 5))
    bob.sees(bob.roster.joined(erin.member, 4, 5))
    words = refused(Refusal.ROSTER, bob.open, *alice.seal(KEY))
    assert "saw other members at revision 5" in words


def test_a_sender_may_be_behind_and_may_be_ahead(room):
    alice, bob, _, _ = room
    dave = alice.tenant.party("dave")
    (early,) = alice.seal(KEY)
    bob.sees(bob.roster.joined(dave.member, 4, 5))
    assert bob.open(early) is not None
    alice.sees(alice.roster.joined(dave.member, 4, 5).left("dave", 6))
    assert "yet to come" in refused(Refusal.ROSTER, bob.open, *alice.seal(OTHER, 1))
    bob.sees(bob.roster.left("dave", 6))
    assert bob.open(*alice.seal(OTHER, 1)) is not None


def test_hashes_are_kept_for_64_revisions(room):
    past, roster = RosterHashes(), room[0].roster
    assert past.newest == -1
    first = roster
    for revision in range(4, 4 + 64):
        past.add(roster)
        roster = type(roster)("acme", "standup", revision + 1, roster.seats)
    past.check(4, first.hash)
    past.add(roster)
    assert "long past" in refused(Refusal.ROSTER, past.check, 4, first.hash)
    past.check(68, roster.hash)


# ---- the spy and the liar: any change of any message ----


@pytest.fixture(scope="module")
def message_to_bob():
    tenant = Tenant()
    alice, bob = seated(tenant.party("alice"), tenant.party("bob", kem=Kem.X25519))
    return alice.seal(KEY)[0].to_json(), bob


@given(where=st.integers(0, 1 << 16), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused_in_words(message_to_bob, where, bit):
    text, bob = message_to_bob
    where %= len(text)
    changed = text[:where] + bytes([text[where] ^ 1 << bit]) + text[where + 1 :]
    bob.numbers.forget(0)
    with pytest.raises(Refused):
        bob.open(SealedKey.parse(changed))
    assert bob.open(SealedKey.parse(text)).base_key == KEY


@given(text=st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_garbage_is_malformed(text):
    with pytest.raises(Refused) as caught:
        SealedKey.parse(text)
    assert caught.value.reason is Refusal.MALFORMED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(["v", "type", "header", "seals"]), value=json_values)
def test_any_value_in_any_field_is_refused_or_opened_but_no_surprise(message_to_bob, field, value):
    text, bob = message_to_bob
    content = json.loads(text)
    if content[field] == value and type(content[field]) is type(value):
        return
    content[field] = value
    bob.numbers.forget(0)
    with pytest.raises(Refused):
        bob.open(SealedKey.parse(json.dumps(content).encode()))


@given(seal=st.binary(max_size=200))
def test_garbage_as_a_seal_never_opens(message_to_bob, seal):
    text, bob = message_to_bob
    message = SealedKey.parse(text)
    bob.numbers.forget(0)
    refused(Refusal.SEAL, bob.open, SealedKey(message.header, {"bob": seal}))


def test_nothing_can_be_sealed_to_a_low_order_point():
    for point in (bytes(32), bytes([1]) + bytes(31)):
        refused(Refusal.MALFORMED, SealingKey(Kem.X25519, point).seal, KEY, b"")


def test_deep_and_doubled_json_is_refused():
    texts = [b"[" * 100_000, b'{"v":1,"v":1}', b'{"v":NaN}', b"{}" + b" " * (1 << 20)]
    good = json.dumps({"v": 1, "type": "key", "header": "", "seals": {}})
    SealedKey.parse(good.encode())
    for text in (*texts, good.encode("utf-16"), good.encode("utf-8-sig"), b"\xff"):
        with pytest.raises(Refused):
            SealedKey.parse(text)


# ---- no key in what is said ----


def test_keys_show_nowhere(room, rng):
    alice, bob, agent, _ = room
    secret = rng.randbytes(32)
    (message,) = alice.seal(secret)
    (other,) = alice.seal(secret, 1)
    opened = bob.open(message)
    said = [
        repr(opened),
        repr(opened.event()),
        repr(bob.opening),
        repr(message),
        repr(alice.signing),
    ]
    for call in (
        lambda: alice.seal(secret, to=["nobody"]),
        lambda: alice.seal(secret + bytes(40)),
        lambda: agent.open(SealedKey(other.header, {"agent": other.seals["bob"]})),
        lambda: module.check_commitment(secret, bytes(32)),
    ):
        with pytest.raises(Refused) as caught:
            call()
        said.append(str(caught.value))
        trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        below = [frame for frame in trace.stack if "/keyservice/" in frame.filename]
        said += [str(frame.locals) for frame in below if "/tests/" not in frame.filename]
    assert not shown("\n".join(said), secret)
    for thing in (opened, bob.opening):
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                way(thing)


def test_a_key_that_is_shown_would_be_seen(rng):
    """The seeded fault."""
    secret = rng.randbytes(32)
    assert shown(base64.urlsafe_b64encode(secret).decode().rstrip("="), secret)


@given(st.binary(min_size=16, max_size=63))
def test_no_key_has_the_commitment_of_another_length(key):
    assert commitment_to(key) != commitment_to(key + b"\0")
