"""The figures of vectors/sealed_keys.json, which were made without the code under test."""

import hashlib
import json

import pytest
import sealed_keys_oracle as oracle
from figures import load, octets

from pysframe.keyservice import (
    Kem,
    KeyNumbers,
    OpeningKey,
    Refused,
    Roster,
    RosterHashes,
    SealedKey,
    SigningKey,
    TenantIssuer,
    TenantKeys,
    introduced,
    open_key,
    seal_key,
)
from pysframe.keyservice.credentials import check_proof
from pysframe.keyservice.seals import commitment_to, seal_info
from pysframe.source.scope import SENDER_KEYS

FIGURES = load("sealed_keys")
NOW, ROOM = FIGURES["now"], FIGURES["room"]
MEMBERS = {row["name"]: row for row in FIGURES["members"]}
REFUSED = FIGURES["refused"]
KEYS = TenantKeys(FIGURES["tenant"], FIGURES["jwks"])


def member(row):
    return introduced(KEYS, row["credential"], row["hello"], room=ROOM)


def rosters():
    """The rosters of the file, by revision, made by joins, a renewal and a leave."""
    roster = Roster(FIGURES["tenant"], ROOM)
    yield roster
    for row in MEMBERS.values():
        roster = roster.joined(member(row), row["index"], roster.revision + 1)
        yield roster
    roster = roster.renewed(member(FIGURES["renewed"]), 5)
    yield roster
    yield roster.left("alice", 6)


@pytest.fixture(scope="module")
def room():
    """(the roster of revision 4, the hashes up to it)"""
    past, seen = RosterHashes(), list(rosters())[:5]
    for roster in seen:
        past.add(roster)
    return seen[-1], past


def opened(message, to, room, numbers=None):
    row, (roster, past) = MEMBERS[to], room
    pair = OpeningKey(Kem(row["kem"]), octets(row["opening_seed"]))
    return open_key(
        SealedKey.parse(json.dumps(message).encode()),
        me=to,
        openings={hashlib.sha256(row["hello"].encode()).digest(): pair},
        roster=roster,
        past=past,
        numbers=numbers or KeyNumbers(),
        now=NOW,
    )


def test_the_set_is_complete():
    sizes = {kind: len(rows) for kind, rows in REFUSED.items()}
    assert sizes == {"credentials": 32, "proofs": 10, "hellos": 14, "messages": 34}
    assert (len(MEMBERS), len(FIGURES["rosters"]), len(FIGURES["keys"])) == (4, 7, 3)


@pytest.mark.parametrize("name", MEMBERS)
def test_members(name):
    row = MEMBERS[name]
    found = member(row)
    assert (found.name, found.role, found.opens.kem) == (name, row["role"], row["kem"])
    assert found.opens.raw == octets(row["public_key"])
    assert OpeningKey(Kem(row["kem"]), octets(row["opening_seed"])).public == found.opens
    assert found.membership.thumbprint == found.signs.thumbprint == row["thumbprint"]
    assert found.is_classical == (row["kem"] == "X25519")


@pytest.mark.parametrize("name", MEMBERS)
def test_proofs(name):
    row = MEMBERS[name]
    membership = KEYS.verify(row["credential"], room=ROOM, now=NOW)
    where = {"nonce": FIGURES["nonce"], "url": FIGURES["url"]}
    assert check_proof(row["proof"], membership, **where).thumbprint == row["thumbprint"]


def test_rosters():
    for roster, row in zip(rosters(), FIGURES["rosters"], strict=True):
        assert (roster.revision, roster.hash) == (row["revision"], octets(row["hash"]))
        assert [seat.member.name for seat in roster] == [*row["hellos"]]


@pytest.mark.parametrize("key", FIGURES["keys"], ids=lambda key: key["name"])
def test_keys(key, room):
    base_key = octets(key["base_key"])
    for to in key["message"]["seals"]:
        found = opened(key["message"], to, room)
        assert found is not None and found.base_key == base_key
        event = found.event()
        assert SENDER_KEYS.pack(event.generation, event.step) == int(key["kid"], 16)
        assert (event.base_key, event.mine, event.envelope) == (base_key, False, 1)
        assert found.header.commitment == commitment_to(base_key) == octets(key["commitment"])
        hello = next(seat.member.hello for seat in room[0] if seat.member.name == to)
        assert seal_info(key["message"]["header"], hello) == octets(key["info"][to])


@pytest.mark.parametrize("row", REFUSED["credentials"], ids=lambda row: row["why"])
def test_credentials_that_are_refused(row):
    with pytest.raises(Refused) as caught:
        KEYS.verify(row["credential"], room=ROOM, now=NOW)
    assert caught.value.reason == row["reason"]


@pytest.mark.parametrize("row", REFUSED["proofs"], ids=lambda row: row["why"])
def test_proofs_that_are_refused(row):
    membership = KEYS.verify(MEMBERS["alice"]["credential"], room=ROOM, now=NOW)
    with pytest.raises(Refused) as caught:
        check_proof(row["proof"], membership, nonce=FIGURES["nonce"], url=FIGURES["url"])
    assert caught.value.reason == row["reason"]


@pytest.mark.parametrize("row", REFUSED["hellos"], ids=lambda row: row["why"])
def test_hellos_that_are_refused(row):
    with pytest.raises(Refused) as caught:
        member(row)
    assert caught.value.reason == row["reason"]


@pytest.mark.parametrize("row", REFUSED["messages"], ids=lambda row: row["why"])
def test_messages_that_are_refused_change_nothing(row, room):
    numbers = KeyNumbers()
    with pytest.raises(Refused) as caught:
        opened(row["message"], row["to"], room, numbers)
    assert caught.value.reason == row["reason"]
    good = FIGURES["keys"][0]["message"]
    assert opened(good, row["to"], room, numbers) is not None


# ---- the other way: what the code makes, the oracle reads ----


@pytest.mark.parametrize("kem", list(Kem))
@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_oracle_opens_our_seals_and_we_open_its(kem, size, rng):
    seed, info, base_key = rng.randbytes(32), rng.randbytes(87), rng.randbytes(size)
    pair = OpeningKey(kem, seed)
    assert oracle.pair(kem, seed)[1] == pair.public.raw
    assert oracle.hpke_open(kem, seed, info, pair.public.seal(base_key, info)) == base_key
    assert pair.open(oracle.hpke_seal(kem, pair.public.raw, info, base_key), info) == base_key


def test_the_oracle_agrees_on_a_message_that_we_made(room, rng):
    roster, base_key = room[0], rng.randbytes(32)
    alice, agent = MEMBERS["alice"], MEMBERS["agent:1"]
    signing = oracle.Signing(alice["alg"], octets(alice["signing_key"]))
    (made,) = seal_key(
        base_key, signer=SigningKey(signing.key), sender="alice", roster=roster, generation=7,
        step=3, suite=4, now=NOW,
    )  # fmt: skip
    assert [*made.seals] == ["bob@example.com", "agent:1"]
    head, payload, signature = made.header.split(".")
    signing.key.public_key().verify(oracle.unb64(signature), f"{head}.{payload}".encode())
    assert json.loads(oracle.unb64(head)) == {"alg": "Ed25519", "typ": "sframe-key+jwt"}
    fields = json.loads(oracle.unb64(payload))
    assert fields["commitment"] == oracle.b64(oracle.commitment(base_key))
    assert fields["roster"] == oracle.b64(octets(FIGURES["rosters"][4]["hash"]))
    assert (fields["index"], fields["generation"], fields["step"]) == (0, 7, 3)
    info = oracle.info(made.header, agent["hello"])
    seed = octets(agent["opening_seed"])
    assert oracle.hpke_open("X-Wing", seed, info, made.seals["agent:1"]) == base_key


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_the_oracle_agrees_on_a_credential_that_we_made(alg, rng):
    signing = oracle.Signing(alg, rng.randbytes(32))
    issuer = TenantIssuer("acme", SigningKey(signing.key), kid="k")
    assert issuer.jwks["keys"][0]["x"] == signing.jwk["x"]
    token = issuer.issue("bob", "standup", "agent", SigningKey(signing.key).public, now=NOW)
    claims = json.loads(oracle.unb64(token.split(".")[1]))
    expected = oracle.claims("acme", "standup", "bob", "agent", signing.thumbprint, NOW)
    assert claims | {"jti": "bob-1"} == expected
    assert issuer.issue("bob", "standup", "agent", issuer._signer.public, now=NOW) != token
