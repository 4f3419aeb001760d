"""Writes vectors/sealed_keys.json from docs/sealed-keys.md, without pysframe.keyservice.

Run: .venv/bin/python tools/sealed_key_vectors.py. Seals are random, so that each run writes other
figures; then vectors/README.md needs the new checksum.
"""

import hashlib
import hmac
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import sealed_keys_oracle as o  # noqa: E402

NOW = 1_800_000_000
TENANT, ROOM, KID = "acme", "standup", "2027-01"
URL, NONCE = "wss://keys.example/v1/rooms/standup", o.b64(bytes(range(32)))
MEMBERS = [  # name, role, kem, alg
    ("alice", "publisher", "X-Wing", "Ed25519"),
    ("bob@example.com", "subscriber", "X25519", "ES256"),
    ("agent:1", "agent", "X-Wing", "Ed25519"),
    ("carol", "auditor", "X-Wing", "ES256"),
]


def secret(*names):
    """32 bytes that anybody can compute again."""
    return hashlib.sha256("/".join(names).encode()).digest()


class Member:
    def __init__(self, index, name, role, kem, alg, now=NOW, renewal=""):
        self.index, self.name, self.role, self.kem = index, name, role, kem
        self.signing = o.Signing(alg, secret("signing", name))
        self.seed = secret("opening" + renewal, name)
        self.public = o.pair(kem, self.seed)[1]
        given = o.claims(TENANT, ROOM, name, role, self.signing.thumbprint, now)
        self.claims = {**given, "jti": given["jti"] + renewal}
        self.credential = o.credential(TENANT_KEY, KID, self.claims)
        who = (TENANT, ROOM, name, kem, self.public, now)
        self.hello = o.hello(self.signing, self.credential, *who)

    def figures(self):
        return {
            "name": self.name,
            "role": self.role,
            "index": self.index,
            "signing_key": self.signing.secret.hex(),
            "alg": self.signing.alg,
            "thumbprint": self.signing.thumbprint,
            "kem": self.kem,
            "opening_seed": self.seed.hex(),
            "public_key": self.public.hex(),
            "credential": self.credential,
            "proof": o.proof(self.signing, self.credential, NONCE, URL, NOW),
            "hello": self.hello,
        }


TENANT_KEY = o.Signing("Ed25519", secret("tenant", TENANT))
OTHER_TENANT = o.Signing("Ed25519", secret("tenant", "umbrella"))
OLD_TENANT_KEY = o.Signing("ES256", secret("tenant", TENANT, "old"))
ALICE, BOB, AGENT, CAROL = (Member(i, *row) for i, row in enumerate(MEMBERS))
ALL = [ALICE, BOB, AGENT, CAROL]
BOB_AGAIN = Member(1, *MEMBERS[1], now=NOW + 60, renewal="-renewed")


def jwks():
    keys = ((KID, TENANT_KEY), ("2026-10", OLD_TENANT_KEY))
    return {"keys": [{**k.jwk, "kid": kid, "alg": k.alg, "use": "sig"} for kid, k in keys]}


def rosters():
    """Four joins, bob's renewal, alice's leave."""
    states = [ALL[:n] for n in range(5)]
    states += [[ALICE, BOB_AGAIN, AGENT, CAROL], [BOB_AGAIN, AGENT, CAROL]]
    for revision, members in enumerate(states):
        rows = [(m.index, m.name, m.hello) for m in members]
        found = o.roster_hash(TENANT, ROOM, revision, rows)
        names = {m.name: m.hello for m in members}
        yield {"revision": revision, "hellos": names, "hash": found.hex()}


HASHES = {row["revision"]: bytes.fromhex(row["hash"]) for row in rosters()}


def header(sender, base_key, **more):
    fields = {
        "v": 1, "tenant": TENANT, "room": ROOM, "sender": sender.name, "index": sender.index,
        "generation": 0, "step": 0, "suite": 4, "envelope": 1, "revision": 4,
        "roster": o.b64(HASHES[4]), "commitment": o.b64(o.commitment(base_key)),
    }  # fmt: skip
    signing = more.pop("signing", sender.signing)
    return o.key_header(signing, {**fields, **more})


def seal(text, base_key, member, hello=None):
    info = o.info(text, hello or member.hello)
    return o.hpke_seal(member.kem, member.public, info, base_key)


def key(name, sender, to, base_key, **more):
    text = header(sender, base_key, **more)
    number = {"generation": 0, "step": 0, **more}
    kid = sender.index << 28 | number["generation"] << 8 | number["step"]
    return {
        "name": name,
        "base_key": base_key.hex(),
        "commitment": o.commitment(base_key).hex(),
        "kid": hex(kid),
        "info": {m.name: o.info(text, m.hello).hex() for m in to},
        "message": o.message(text, {m.name: seal(text, base_key, m) for m in to}),
    }


def keys():
    first, long = secret("base_key", "1")[:16], secret("base_key", "2")
    yield key("of a publisher, to all who hear", ALICE, [BOB, AGENT], first)
    yield key("one ratchet step on, to one who joined", ALICE, [AGENT], long, step=1)
    yield key("the last numbers there are", AGENT, [ALICE, BOB], secret("base_key", "3") * 2,
              generation=(1 << 20) - 1, step=64, suite=5)  # fmt: skip


# ---- what is refused ----


def credentials():
    good = ALICE.claims
    plain = {"typ": "sframe-member+jwt", "kid": KID}
    make = lambda header=plain, key=TENANT_KEY, **more: o.credential(  # noqa: E731
        key, KID, {**good, **more}, header
    )
    yield "alg none", "malformed", with_signature(make({**plain, "alg": "none"}), b"")
    yield "alg none with a signature", "credential", make({**plain, "alg": "none"})
    yield "HS256 with the public key as its secret", "malformed", hs256(plain, good)
    yield "alg of the tenant's other key", "credential", make({**plain, "alg": "ES256"})
    yield "EdDSA, where nobody has accepted it", "credential", make({**plain, "alg": "EdDSA"})
    yield "another tenant's key", "credential", make(key=OTHER_TENANT)
    yield "a kid that nobody has", "credential", make({**plain, "kid": "2027-02"})
    yield "a kid that is a path", "credential", make({**plain, "kid": "../../../../dev/null"})
    yield "another of the tenant's kids", "credential", make({**plain, "kid": "2026-10"})
    yield "no kid", "malformed", make({"typ": plain["typ"]})
    yield "its key in the header", "malformed", make({**plain, "jwk": TENANT_KEY.jwk})
    yield (
        "an address for keys in the header",
        "malformed",
        make({**plain, "jku": "https://x.example"}),
    )
    yield "crit in the header", "malformed", make({**plain, "crit": ["exp"]})
    yield "typ JWT", "malformed", make({**plain, "typ": "JWT"})
    yield "another room", "credential", make(room="boardroom")
    yield "another tenant's name", "credential", make(iss="umbrella")
    yield (
        "expired by the clocks' half minute",
        "expired",
        make(exp=NOW - 30, nbf=NOW - 630, iat=NOW - 630),
    )
    yield "not valid for more than half a minute", "expired", make(iat=NOW + 31, nbf=NOW + 31)
    yield "valid for too long", "credential", make(exp=NOW + 901)
    yield "over before it begins", "credential", make(exp=NOW)
    yield "valid before it was issued", "credential", make(nbf=NOW - 1)
    yield "a time with a point", "malformed", make(exp=NOW + 600.0)
    yield "a role that there is not", "role", make(role="owner")
    yield "no key to go with", "malformed", make(cnf={})
    yield "a name that looks like another", "malformed", make(sub="аlice")  # noqa: RUF001
    yield "a claim twice", "malformed", o.credential(TENANT_KEY, KID, doubled(good))
    yield "signature of another text", "credential", ALICE.credential[:-86] + BOB.credential[-86:]
    yield "base64 with bits to spare", "malformed", spare_bits(ALICE.credential)
    yield "base64 with padding", "malformed", ALICE.credential + "=="
    yield "a line break at its end", "malformed", ALICE.credential + "\n"
    yield "longer than 4,096 characters", "limit", make(more="x" * 4096)
    yield "two parts", "malformed", ALICE.credential.rpartition(".")[0]


def with_signature(text, signature):
    return f"{text.rpartition('.')[0]}.{o.b64(signature)}"


def hs256(plain, good):
    text = f"{o.b64(o.as_json({**plain, 'alg': 'HS256'}))}.{o.b64(o.as_json(good))}"
    public = o.unb64(TENANT_KEY.jwk["x"])
    return f"{text}.{o.b64(hmac.digest(public, text.encode(), 'sha256'))}"


def doubled(fields):
    return b'{"sub":"carol",' + json.dumps(fields).encode()[1:]


def spare_bits(text):
    """The last letter of an 86-letter signature has four bits that encode nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + letters[letters.index(text[-1]) ^ 1]


def proofs():
    signing, token = ALICE.signing, ALICE.credential
    make = lambda by=signing, **more: o.proof(by, token, NONCE, URL, NOW, **more)  # noqa: E731
    yield "made with another key: a stolen credential", "proof", make(BOB.signing)
    yield "another connection's nonce", "proof", make(nonce=o.b64(bytes(32)))
    yield "for another credential", "proof", make(ath=o.b64(o.sha256(BOB.credential.encode())))
    yield "for another address", "proof", make(htu="wss://keys.example/v1/rooms/boardroom")
    yield "for another method", "proof", make(htm="POST")
    yield (
        "no ath",
        "malformed",
        o.jws(signing, {"typ": "dpop+jwt", "jwk": signing.jwk}, {"jti": "p"}),
    )
    yield "a hello", "malformed", BOB.hello
    yield (
        "its key with a secret",
        "malformed",
        with_key({**signing.jwk, "d": o.b64(signing.secret)}),
    )
    yield "its key with a field more", "malformed", with_key({**signing.jwk, "kid": "1"})
    yield "signature of another key", "proof", make()[:-86] + ALICE.credential[-86:]


def with_key(jwk):
    fields = {"jti": "p", "htm": "GET", "htu": URL, "iat": NOW, "nonce": NONCE}
    fields["ath"] = o.b64(o.sha256(ALICE.credential.encode()))
    return o.jws(ALICE.signing, {"typ": "dpop+jwt", "jwk": jwk}, fields)


def hellos():
    signing, token = ALICE.signing, ALICE.credential

    def make(by=signing, token=token, key=ALICE.public, **more):
        return o.hello(by, token, TENANT, ROOM, "alice", "X-Wing", key, NOW, **more)

    yield "a ghost with a key of its own", "proof", make(BOB.signing)
    yield "a ghost who shows the member's key", "signature", swapped_signature(make())
    yield "with another credential", "credential", make(ath=o.b64(bytes(32)))
    yield "as another member", "credential", make(member="bob@example.com")
    yield "of another room", "credential", make(room="boardroom")
    yield "of another tenant", "credential", make(tenant="umbrella")
    yield "version 2", "version", make(v=2)
    yield "a kem that is unknown", "version", make(kem="X448")
    yield "a key that is too short", "malformed", make(key=ALICE.public[:-1])
    yield "an ML-KEM key beyond its modulus", "malformed", make(key=b"\xff" * 1184 + bytes(32))
    yield "an X25519 key of low order", "malformed", make(kem="X25519", key=bytes(32))
    yield (
        "a hybrid key whose X25519 half is",
        "malformed",
        make(key=ALICE.public[:1184] + bytes(32)),
    )
    yield "a field more", "malformed", make(more=1)
    yield "a time that is no whole number", "malformed", make(iat="now")


def swapped_signature(text):
    return with_signature(text, BOB.signing.sign(text.rpartition(".")[0].encode()))


def messages():
    """(why, reason, to whom, message)"""
    base_key = secret("base_key", "refused")

    def make(sender=ALICE, to=AGENT, hold=base_key, name=None, hello=None, **more):
        text = header(sender, base_key, **more)
        return o.message(text, {name or to.name: seal(text, hold, to, hello)})

    good = make()
    yield "signed by another member", "signature", make(signing=BOB.signing)
    yield "signed by another of the sender's texts", "signature", forged(good)
    yield "of another room", "stranger", make(room="boardroom")
    yield "of another tenant", "stranger", make(tenant="umbrella")
    yield "of somebody who is not there", "stranger", make(sender=Member(9, *DAVE))
    yield "of a member who may only listen", "role", make(sender=BOB)
    yield "of an auditor", "role", make(sender=CAROL)
    yield "with another member's index", "roster", make(index=1)
    yield "made for other members", "roster", make(roster=o.b64(HASHES[3]))
    yield "made for a roster to come", "roster", make(revision=5, roster=o.b64(HASHES[5]))
    yield "sealed to somebody else alone", "stranger", make(to=BOB)
    yield "with a seal for another member", "seal", make(to=BOB, name=AGENT.name)
    yield "with a seal for another hello", "seal", make(hello=BOB.hello)
    yield "with the seal of another header", "seal", {**good, "seals": make(step=1)["seals"]}
    yield "which holds another key", "commitment", make(hold=secret("another key"))
    yield "which holds the key and a zero", "commitment", make(hold=base_key + b"\0")
    yield "with a seal cut short", "seal", shorter(good)
    yield "with a seal of one bit less", "seal", flipped(good)
    yield "with a seal of zeros: a low-order point", "seal", zeros(good)
    yield "with a key of 65 bytes", "seal", make(hold=bytes(65))
    yield "with a suite whose tag is 4 bytes", "malformed", make(suite=3)
    yield "with a suite there is not", "malformed", make(suite=9)
    yield "with a step beyond the last", "malformed", make(step=65)
    yield "with a generation beyond the last", "malformed", make(generation=1 << 20)
    yield "with a step that is true", "malformed", make(step=True)
    yield "version 2 of the header", "version", make(v=2)
    yield "with an envelope that is unknown", "version", make(envelope=2)
    yield "with a field more in the header", "malformed", make(more=0)
    yield "version 2 of the message", "version", {**good, "v": 2}
    yield "a type that is unknown", "malformed", {**good, "type": "keys"}
    yield "a field more in the message", "malformed", {**good, "more": 1}
    yield "more than 256 seals", "limit", {**good, "seals": {f"m{n}": "" for n in range(257)}}
    yield "a header of 2,049 characters", "limit", {**good, "header": "e" * 2049}
    yield "a credential as its header", "malformed", {**good, "header": ALICE.credential}


DAVE = ("dave", "publisher", "X25519", "Ed25519")


def changed(message, change):
    seals = {name: o.b64(change(o.unb64(text))) for name, text in message["seals"].items()}
    return {**message, "seals": seals}


def shorter(message):
    return changed(message, lambda seal: seal[:-1])


def flipped(message):
    return changed(message, lambda seal: seal[:-1] + bytes([seal[-1] ^ 1]))


def zeros(message):
    return changed(message, lambda seal: bytes(len(seal)))


def forged(message):
    return {**message, "header": with_signature(message["header"], o.unb64(ALICE.hello[-86:]))}


def rows(cases, *names):
    return [dict(zip(("why", "reason", *names), case, strict=True)) for case in cases]


def main():
    hellos_made = [{**row, "credential": ALICE.credential} for row in rows(hellos(), "hello")]
    figures = {
        "about": "docs/sealed-keys.md; made by tools/sealed_key_vectors.py, not by the package",
        "version": 1,
        "now": NOW,
        "tenant": TENANT,
        "room": ROOM,
        "jwks": jwks(),
        "nonce": NONCE,
        "url": URL,
        "members": [member.figures() for member in ALL],
        "rosters": list(rosters()),
        "renewed": {"name": BOB.name, "now": NOW + 60, "credential": BOB_AGAIN.credential,
                    "hello": BOB_AGAIN.hello},
        "keys": list(keys()),
        "refused": {
            "credentials": rows(credentials(), "credential"),
            "proofs": rows(proofs(), "proof"),
            "hellos": hellos_made,
            "messages": [{**row, "to": AGENT.name} for row in rows(messages(), "message")],
        },
    }  # fmt: skip
    path = ROOT / "vectors/sealed_keys.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(path, hashlib.sha256(path.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
