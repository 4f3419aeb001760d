"""Hellos: how a member makes the key known to which others seal.

A hello is signed with the key that the tenant's credential names. So whoever relays it, the seals
go to somebody the tenant has let in, and to nobody else.

Rules of this file:
  1. Every member checks every other member's credential and hello; nobody does it for them.
  2. A hello is bound to one credential, and both to one room. With a new credential comes a new
     hello with a new key pair.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._values import showable
from .credentials import (
    Membership,
    PublicKey,
    Role,
    Signer,
    TenantKeys,
    confirmed,
    digest_of,
    signed,
    unverified,
)
from .errors import Refusal
from .limits import LAST_REVISION, MOST_HELLO
from .protocol import VERSION, from_base64url, name, number, read, refuse, to_base64url, write
from .seals import Kem, OpeningKey, SealingKey

TYP = "sframe-hello+jwt"
WHAT = "the hello"
_FIELDS = {
    "v": int,
    "tenant": str,
    "room": str,
    "member": str,
    "kem": str,
    "key": str,
    "ath": str,
    "iat": int,
}


@showable
@dataclass(frozen=True, slots=True)
class Member:
    """A member as the others have verified it.

    signs: the key it signs with. opens: the key that others seal to. hello: SHA-256 of the hello's
    text. made: when the hello was made, seconds since 1970.
    """

    membership: Membership
    signs: PublicKey
    opens: SealingKey
    hello: bytes
    made: int

    @property
    def name(self) -> str:
        return self.membership.member

    @property
    def role(self) -> Role:
        return self.membership.role

    @property
    def is_classical(self) -> bool:
        """Whether seals to this member can be opened by who has a quantum computer."""
        return self.opens.kem is not Kem.HYBRID


def say_hello(signer: Signer, membership: Membership, key: SealingKey, *, now: float) -> str:
    """The hello of the member whose credential this is, signed with the key it names.

    Raises Refused PROOF for a signer with another key.
    """
    if signer.public.thumbprint != membership.thumbprint:
        refuse("the credential is for another key than the signer's", Refusal.PROOF)
    payload = {
        "v": VERSION,
        "tenant": membership.tenant,
        "room": membership.room,
        "member": membership.member,
        "kem": key.kem.value,
        "key": to_base64url(key.raw),
        "ath": to_base64url(membership.digest),
        "iat": int(now),
    }
    return signed(signer, TYP, write(payload), jwk=signer.public.jwk)


def introduced(keys: TenantKeys, token: object, hello: object, *, room: str) -> Member:
    """The member of this credential and hello, verified from the tenant's key down.

    Time is not judged here, since two members whose clocks differ would then see two rosters:
    seal_key() and open_key() judge it, each time.

    Raises Refused: CREDENTIAL for a credential that the tenant did not sign for this room, and for
    a hello that goes with another one; PROOF for the key of somebody else; SIGNATURE, ROLE,
    MALFORMED, VERSION, LIMIT.
    """
    membership = keys.verify_at_any_time(token, room=room)
    given = unverified(hello, typ=TYP, fields={"jwk": dict}, most=MOST_HELLO, what=WHAT)
    signs = confirmed(given.header["jwk"], membership, WHAT)
    fields = read(given.verified(signs, reason=Refusal.SIGNATURE), WHAT, _FIELDS)
    whose = tuple(name(fields[field], field) for field in ("tenant", "room", "member"))
    if whose != (membership.tenant, membership.room, membership.member):
        refuse(
            f"{WHAT} names another member, room or tenant than its credential", Refusal.CREDENTIAL
        )
    if from_base64url(fields["ath"], "ath", 32) != membership.digest:
        refuse(f"{WHAT} goes with another credential", Refusal.CREDENTIAL)
    made = number(fields["iat"], "iat", LAST_REVISION)
    return Member(membership, signs, _opens(fields), hello_digest(given.text), made)


def hello_digest(hello: str) -> bytes:
    """SHA-256 of the hello's text: what seals and rosters know it by."""
    return digest_of(hello)


@showable
class Session:
    """A member's own credential and hello, and the private keys that go with them."""

    __slots__ = ("credential", "digest", "hello", "membership", "opening", "signer")

    def __init__(
        self, keys: TenantKeys, room: str, credential: str, signer: Signer, opening: OpeningKey,
        now: float,
    ) -> None:  # fmt: skip
        """now: seconds since 1970. Raises Refused, if others would refuse the credential."""
        self.membership = keys.verify(credential, room=room, now=now)
        self.credential, self.signer, self.opening = credential, signer, opening
        self.hello = say_hello(signer, self.membership, opening.public, now=now)
        self.digest = hello_digest(self.hello)

    def __repr__(self) -> str:
        return f"<Session of {self.membership.member} in {self.membership.room}>"


def _opens(fields: dict[str, str]) -> SealingKey:
    if fields["kem"] not in list(Kem):
        refuse("kem is unknown here; it must be X-Wing or X25519", Refusal.VERSION)
    key = SealingKey(Kem(fields["kem"]), from_base64url(fields["key"], "key"))
    key.public()
    return key
