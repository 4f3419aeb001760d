"""Credentials and proofs: what the figures do not cover. Attacks by text are in test_vectors."""

import copy
import pickle

import pytest
from keyservice.rooms import NOW, CloudKey, Tenant

from pysframe import MisuseError
from pysframe.keyservice import PublicKey, Refusal, Refused, Role, SigningKey, TenantKeys
from pysframe.keyservice.credentials import check_proof, new_nonce, prove
from pysframe.keyservice.limits import MOST_HEADER, MOST_HELLO, MOST_NAME, MOST_PROOF, MOST_TOKEN

URL = "wss://keys.example/v1/rooms/standup"
ALGS = ["Ed25519", "ES256"]


def refused(reason, call, *args, **more):
    with pytest.raises(Refused) as caught:
        call(*args, **more)
    assert caught.value.reason is reason, caught.value
    return str(caught.value)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("member_alg", ALGS)
@pytest.mark.parametrize("tenant_alg", ALGS)
def test_what_a_tenant_says_is_what_a_member_reads(tenant_alg, member_alg, role):
    tenant, key = Tenant(alg=tenant_alg), SigningKey.generate(member_alg)
    token = tenant.issuer.issue("alice", "standup", role, key.public, now=NOW + 0.9, life=900)
    found = tenant.keys.verify(token, room="standup", now=NOW)
    assert (found.tenant, found.room, found.member, found.role) == (
        "acme",
        "standup",
        "alice",
        role,
    )
    assert (found.issued, found.expires) == (NOW, NOW + 900)
    assert found.thumbprint == key.public.thumbprint


@pytest.mark.parametrize(
    ("role", "sends", "hears"),
    [("publisher", 1, 1), ("subscriber", 0, 1), ("agent", 1, 1), ("auditor", 0, 0)],
)
def test_roles(role, sends, hears):
    assert (Role(role).sends, Role(role).hears) == (bool(sends), bool(hears))


@pytest.mark.parametrize(("second", "holds"), [(-31, 0), (-30, 1), (0, 1), (629, 1), (630, 0)])
def test_a_credential_holds_for_its_life_and_half_a_minute(second, holds):
    alice = Tenant().party("alice")
    verify = lambda: alice.tenant.keys.verify(alice.token, room="standup", now=NOW + second)  # noqa: E731
    if holds:
        assert verify().member == "alice"
    else:
        refused(Refusal.EXPIRED, verify)


@pytest.mark.parametrize("life", [0, -1, 901])
def test_no_credential_is_made_that_would_be_refused(life):
    tenant, key = Tenant(), SigningKey.generate()
    with pytest.raises(MisuseError, match=r"it must be 1\.\.900 seconds"):
        tenant.issuer.issue("alice", "standup", Role.AGENT, key.public, now=NOW, life=life)


def test_tenants_share_nothing():
    one, other = Tenant("acme"), Tenant("umbrella")
    alice = one.party("alice")
    refused(Refusal.CREDENTIAL, other.keys.verify, alice.token, room="standup", now=NOW)
    # A tenant that takes another's name with a key of its own under the same kid.
    refused(Refusal.CREDENTIAL, Tenant("acme").keys.verify, alice.token, room="standup", now=NOW)
    # One that shares a key by mistake is still told apart by name.
    keys = TenantKeys("umbrella", one.issuer.jwks)
    refused(Refusal.CREDENTIAL, keys.verify, alice.token, room="standup", now=NOW)


class OlderName:
    """A signer that calls Ed25519 by its older name in headers, as many still do."""

    def __init__(self, key):
        self.sign = key.sign
        self.public = PublicKey("EdDSA", key.public.x)


def test_the_older_name_of_ed25519_is_a_setting():
    key = SigningKey.generate()
    tenant = Tenant(signer=key)
    tenant.issuer._signer = OlderName(key)
    token = tenant.issuer.issue("alice", "standup", Role.AGENT, key.public, now=NOW)
    refused(Refusal.CREDENTIAL, tenant.keys.verify, token, room="standup", now=NOW)
    keys = TenantKeys("acme", {"keys": [{**key.public.jwk, "kid": "k1"}]}, accept_eddsa=True)
    assert keys.verify(token, room="standup", now=NOW).member == "alice"


class TestJwks:
    """What an application may be handed by mistake."""

    GOOD = Tenant().issuer.jwks["keys"][0]
    POINT = Tenant(alg="ES256").issuer.jwks["keys"][0]

    @pytest.mark.parametrize(
        ("jwks", "words"),
        [
            ({}, "list of keys"),
            ({"keys": []}, "list of keys"),
            ({"keys": {"k1": GOOD}}, "list of keys"),
            ({"keys": ["k1"]}, "must have a kid"),
            ({"keys": [{**GOOD, "kid": 1}]}, "must have a kid"),
            ({"keys": [GOOD, POINT]}, "one kid"),
            ({"keys": [{**GOOD, "d": GOOD["x"]}]}, "secret"),
            ({"keys": [{"kty": "oct", "k": GOOD["x"], "kid": "k1"}]}, "secret"),
            (
                {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "k1"}]},
                "Ed25519 or a P-256",
            ),
            ({"keys": [{**GOOD, "crv": "X25519"}]}, "Ed25519 or a P-256"),
            ({"keys": [{**GOOD, "kty": ["OKP"]}]}, "Ed25519 or a P-256"),
            ({"keys": [{**POINT, "crv": "P-384"}]}, "Ed25519 or a P-256"),
            ({"keys": [{**GOOD, "x": GOOD["x"][:-2]}]}, "base64url|32 bytes"),
            ({"keys": [{**GOOD, "x": None}]}, "base64url"),
            ({"keys": [{**POINT, "y": POINT["x"]}]}, "no point of its curve"),
            ({"keys": [{**GOOD, "use": "enc"}]}, "another use"),
            ({"keys": [{**GOOD, "alg": "ES256"}]}, "another use or algorithm"),
        ],
    )
    def test_is_refused(self, jwks, words):
        with pytest.raises(Refused, match=words):
            TenantKeys("acme", jwks)

    def test_what_is_optional_may_be_missing(self):
        bare = {name: self.GOOD[name] for name in ("kty", "crv", "x", "kid")}
        assert "k1" in repr(TenantKeys("acme", {"keys": [bare]}))
        TenantKeys("acme", {"keys": [{**self.GOOD, "alg": "EdDSA"}]})


# ---- a key that is elsewhere ----


@pytest.mark.parametrize("alg", ALGS)
def test_a_disabled_key_makes_no_member(alg):
    cloud = CloudKey(alg)
    tenant = Tenant(signer=cloud)
    alice = tenant.party("alice")
    assert cloud.calls == 1
    cloud.enabled = False
    with pytest.raises(PermissionError, match="disabled"):
        tenant.party("bob")
    # Who is in already stays until the credential ends, and no longer.
    assert tenant.keys.verify(alice.token, room="standup", now=NOW + 629).member == "alice"
    refused(Refusal.EXPIRED, tenant.keys.verify, alice.token, room="standup", now=NOW + 630)


# ---- proofs ----


@pytest.mark.parametrize("alg", ALGS)
def test_a_proof_is_for_one_connection(alg):
    alice = Tenant().party("alice", alg=alg)
    membership = alice.member.membership
    nonce, next_nonce = new_nonce(), new_nonce()
    assert nonce != next_nonce
    proof = prove(alice.signing, alice.token, nonce=nonce, url=URL, now=NOW)
    assert check_proof(proof, membership, nonce=nonce, url=URL) == alice.signing.public
    refused(Refusal.PROOF, check_proof, proof, membership, nonce=next_nonce, url=URL)


def test_a_stolen_credential_is_no_use_without_its_key():
    tenant = Tenant()
    alice, thief = tenant.party("alice"), tenant.party("mallory")
    nonce = new_nonce()
    proof = prove(thief.signing, alice.token, nonce=nonce, url=URL, now=NOW)
    words = refused(
        Refusal.PROOF, check_proof, proof, alice.member.membership, nonce=nonce, url=URL
    )
    assert "another key than the credential is for" in words


def test_the_longest_names_there_are_fit_all_texts():
    longest = "m" * MOST_NAME
    party = Tenant(longest).party(longest, room=longest, alg="ES256")
    proof = prove(party.signing, party.token, nonce=new_nonce(), url="wss://x/" + longest, now=NOW)
    assert (len(party.token) <= MOST_TOKEN, len(party.hello) <= MOST_HELLO) == (True, True)
    assert len(proof) <= MOST_PROOF and 2 * len(party.token) <= MOST_HEADER


# ---- nothing secret is shown ----


@pytest.mark.parametrize("alg", ALGS)
def test_a_signing_key_stays_where_it_is(alg):
    key = SigningKey.generate(alg)
    assert repr(key) == f"<SigningKey {alg} {key.public.thumbprint}>"
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            way(key)


def test_only_two_kinds_of_key_sign():
    from cryptography.hazmat.primitives.asymmetric import ec

    with pytest.raises(MisuseError, match="secp384r1"):
        SigningKey(ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(MisuseError, match="Ed25519 or ES256"):
        SigningKey.generate("RS256")


def test_a_refusal_survives_a_pickle():
    error = Refused(Refusal.SEAL, "the seal does not open")
    again = pickle.loads(pickle.dumps(error))
    assert (again.reason, str(again)) == (Refusal.SEAL, "the seal does not open (seal)")
