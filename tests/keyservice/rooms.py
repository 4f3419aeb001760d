"""A tenant, a room and its members, as the tests of this folder have them."""

from pysframe.keyservice import (
    Kem,
    KeyNumbers,
    OpeningKey,
    Roster,
    RosterHashes,
    SigningKey,
    TenantIssuer,
    TenantKeys,
    introduced,
    open_key,
    say_hello,
    seal_key,
)
from pysframe.suites import CipherSuite

NOW = 1_800_000_000
SUITE = CipherSuite.AES_128_GCM_SHA256_128


class Tenant:
    """A tenant with its signing key and what it gives to its members."""

    def __init__(self, name="acme", alg="Ed25519", signer=None):
        self.issuer = TenantIssuer(name, signer or SigningKey.generate(alg), kid="k1")
        self.keys = TenantKeys(name, self.issuer.jwks)

    def party(self, name, role="publisher", room="standup", **more):
        return Party(self, name, role, room, **more)


class Party:
    """One member with its private keys, and what it has seen of the room."""

    def __init__(self, tenant, name, role, room, *, kem=Kem.HYBRID, alg="Ed25519", now=NOW):
        self.tenant, self.name, self.role, self.room = tenant, name, role, room
        self.signing = SigningKey.generate(alg)
        self.past, self.numbers = RosterHashes(), KeyNumbers()
        self.kem = kem
        self.introduce(now)

    def introduce(self, now):
        """A new credential, key pair and hello."""
        issuer, keys = self.tenant.issuer, self.tenant.keys
        self.opening = OpeningKey.generate(self.kem)
        self.token = issuer.issue(self.name, self.room, self.role, self.signing.public, now=now)
        membership = keys.verify(self.token, room=self.room, now=now)
        self.hello = say_hello(self.signing, membership, self.opening.public, now=now)
        self.member = introduced(keys, self.token, self.hello, room=self.room)

    def sees(self, roster):
        self.roster = roster
        self.past.add(roster)

    def seal(self, base_key, generation=0, step=0, *, suite=SUITE, now=NOW, **more):
        """The messages; more goes to seal_key."""
        number = {"generation": generation, "step": step, "suite": suite}
        whose = {"signer": self.signing, "sender": self.name, "roster": self.roster}
        return seal_key(base_key, **whose, **number, now=now, **more)

    def open(self, message, *, now=NOW):
        return open_key(
            message,
            me=self.name,
            openings={self.member.hello: self.opening},
            roster=self.roster,
            past=self.past,
            numbers=self.numbers,
            now=now,
        )


def seated(*parties):
    """All of them in one room, who have seen each other come."""
    tenant, room = parties[0].tenant.keys.tenant, parties[0].room
    roster = Roster(tenant, room)
    for index, party in enumerate(parties):
        roster = roster.joined(party.member, index, index + 1)
    for party in parties:
        party.sees(roster)
    return parties


class CloudKey:
    """A key management service: it signs as long as nobody has disabled the key."""

    def __init__(self, alg="ES256"):
        self._key, self.enabled, self.calls = SigningKey.generate(alg), True, 0

    @property
    def public(self):
        return self._key.public

    def sign(self, data):
        if not self.enabled:
            raise PermissionError("the key is disabled")
        self.calls += 1
        return self._key.sign(data)
