"""Membership credentials: the tenant says who may be in a room, as what, and with which key.

Rules of this file:
  1. Whoever verifies brings the tenant's public keys along, from the application. None of them
     comes from the service, from a URL, or from the credential itself.
  2. A kid is compared with those of the keys and used for nothing else.
  3. A credential lives 15 minutes at most, whatever it says: so long may a member who has been
     revoked go on.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..._values import showable
from ...errors import MisuseError
from ..errors import Refusal
from ..limits import LAST_REVISION, MOST_LIFE, MOST_TOKEN, SKEW
from ..protocol import from_base64url, name, number, read_object, refuse, to_base64url, write
from ._jws import ED25519, EDDSA, PublicKey, Signer, Unverified, signed, unverified

TYP = "sframe-member+jwt"
WHAT = "the credential"
_REQUIRED = {"iss", "sub", "room", "role", "iat", "nbf", "exp", "jti", "cnf"}


class Role(StrEnum):
    """What a member may do. Seals go to those who may hear, and to nobody else."""

    PUBLISHER = "publisher"  # sends and hears
    SUBSCRIBER = "subscriber"  # hears
    AGENT = "agent"  # a program that sends and hears; shown as one
    AUDITOR = "auditor"  # sees who is there, and neither sends nor hears

    @property
    def sends(self) -> bool:
        return self in (Role.PUBLISHER, Role.AGENT)

    @property
    def hears(self) -> bool:
        return self is not Role.AUDITOR


@showable
@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a verified credential says. Times are seconds since 1970.

    thumbprint: of the key that the member signs with (RFC 7638). digest: SHA-256 of the credential.
    """

    tenant: str
    room: str
    member: str
    role: Role
    thumbprint: str
    issued: int
    expires: int
    identifier: str
    digest: bytes


class TenantIssuer:
    """Makes credentials with the tenant's key. It belongs where the tenant decides who may join.

    >>> from pysframe.keyservice.credentials import SigningKey
    >>> tenant, alice = SigningKey.generate(), SigningKey.generate()
    >>> issuer = TenantIssuer("acme", tenant, kid="2026-11")
    >>> token = issuer.issue("alice", "standup", Role.PUBLISHER, alice.public, now=1_800_000_000)
    >>> keys = TenantKeys("acme", issuer.jwks)
    >>> keys.verify(token, room="standup", now=1_800_000_100).role
    <Role.PUBLISHER: 'publisher'>
    """

    def __init__(self, tenant: str, signer: Signer, *, kid: str) -> None:
        """kid: the name of the key among the tenant's. Raises Refused for a bad name."""
        self.tenant, self.kid = name(tenant, "tenant"), name(kid, "kid")
        self._signer = signer

    @property
    def jwks(self) -> dict[str, Any]:
        """The public key as a JWK set, for the application to give to its members."""
        public = self._signer.public
        return {"keys": [{**public.jwk, "kid": self.kid, "alg": public.alg, "use": "sig"}]}

    def issue(
        self, member: str, room: str, role: Role, key: PublicKey, *, now: float, life: int = 600
    ) -> str:
        """A credential for this member's key, valid from now on for life seconds.

        Raises MisuseError for a life over 15 minutes, and whatever the signer raises.
        """
        if not 0 < life <= MOST_LIFE:
            raise MisuseError(f"life is {life}; it must be 1..{MOST_LIFE} seconds")
        issued = int(now)
        claims = {
            "iss": self.tenant,
            "sub": name(member, "member"),
            "room": name(room, "room"),
            "role": Role(role).value,
            "iat": issued,
            "nbf": issued,
            "exp": issued + life,
            "jti": to_base64url(secrets.token_bytes(16)),
            "cnf": {"jkt": key.thumbprint},
        }
        return signed(self._signer, TYP, write(claims), kid=self.kid)


@showable
class TenantKeys:
    """The public keys of one tenant, which the application has from the tenant itself."""

    def __init__(self, tenant: str, jwks: Mapping[str, Any], *, accept_eddsa: bool = False) -> None:
        """jwks: a JWK set of Ed25519 and P-256 public keys, each with a kid.

        accept_eddsa: also take credentials that name Ed25519 by its older name, EdDSA. Raises
        Refused for anything that is not such a set: a key that is not understood might be one
        that was meant to count.
        """
        self.tenant = name(tenant, "tenant")
        self._also = (EDDSA,) if accept_eddsa else ()
        self._keys: dict[str, PublicKey] = {}
        keys = jwks.get("keys")
        if type(keys) is not list or not keys:
            refuse("a JWK set must have a list of keys")
        for jwk in keys:
            self._add(jwk)

    def verify(self, token: object, *, room: str, now: float) -> Membership:
        """What the credential says, if the tenant's key signed it for this room and now.

        Raises Refused: CREDENTIAL, EXPIRED, ROLE, MALFORMED or LIMIT.
        """
        found = self.verify_at_any_time(token, room=room)
        refuse_expired(found, now)
        return found

    def verify_at_any_time(self, token: object, *, room: str) -> Membership:
        """Likewise, but for whoever judges its time later: rosters, which no clock may part."""
        given = unverified(token, typ=TYP, fields={"kid": str}, most=MOST_TOKEN, what=WHAT)
        key = self._keys.get(given.header["kid"])
        if key is None:
            refuse(f"{WHAT} is signed by a key that is not the tenant's", Refusal.CREDENTIAL)
        also = self._also if key.alg == ED25519 else ()
        payload = given.verified(key, reason=Refusal.CREDENTIAL, also=also)
        found = _membership(given, read_object(payload, WHAT))
        if (found.tenant, found.room) != (self.tenant, room):
            refuse(f"{WHAT} is for another tenant or room", Refusal.CREDENTIAL)
        return found

    def _add(self, jwk: object) -> None:
        if type(jwk) is not dict or not isinstance(jwk.get("kid"), str):
            refuse("each key of a JWK set must have a kid")
        key, kid = PublicKey.from_jwk(jwk, "a key of the JWK set"), jwk["kid"]
        if kid in self._keys:
            refuse("two keys of the JWK set have one kid")
        names = (key.alg, EDDSA) if key.alg == ED25519 else (key.alg,)
        if jwk.get("use", "sig") != "sig" or jwk.get("alg", key.alg) not in names:
            refuse("a key of the JWK set is for another use or algorithm")
        self._keys[kid] = key

    def __repr__(self) -> str:
        return f"<TenantKeys of {self.tenant}: {', '.join(self._keys)}>"


def refuse_expired(membership: Membership, now: float) -> None:
    """Raises Refused EXPIRED outside the credential's life, with half a minute for the clocks."""
    if now < membership.issued - SKEW:
        refuse(f"{WHAT} is not valid yet; check the clocks", Refusal.EXPIRED)
    if not is_valid(membership, now):
        refuse(f"{WHAT} has expired; get a new one", Refusal.EXPIRED)


def is_valid(membership: Membership, now: float) -> bool:
    """Whether refuse_expired() lets it pass."""
    return membership.issued - SKEW <= now < membership.expires + SKEW


def digest_of(token: str) -> bytes:
    """SHA-256 of the credential's text: what proofs and hellos call `ath`."""
    return hashlib.sha256(token.encode()).digest()


def _membership(given: Unverified, claims: dict[str, Any]) -> Membership:
    # RFC 7519 4: claims that are not understood are ignored.
    if missing := sorted(_REQUIRED - claims.keys()):
        refuse(f"{WHAT} lacks {missing[0]!r}")
    issued, starts, expires = (number(claims[n], n, LAST_REVISION) for n in ("iat", "nbf", "exp"))
    if not 0 < expires - starts <= MOST_LIFE or starts < issued:
        words = f"{WHAT} must be valid for at most {MOST_LIFE} seconds, from when it was issued on"
        refuse(words, Refusal.CREDENTIAL)
    confirmation = claims["cnf"]
    if type(confirmation) is not dict or confirmation.keys() != {"jkt"}:
        refuse(f"cnf of {WHAT} must name a key by its thumbprint, jkt")
    if claims["role"] not in list(Role):
        refuse(f"{WHAT} names a role that is unknown here", Refusal.ROLE)
    return Membership(
        tenant=name(claims["iss"], "iss"),
        room=name(claims["room"], "room"),
        member=name(claims["sub"], "sub"),
        role=Role(claims["role"]),
        thumbprint=to_base64url(from_base64url(confirmation["jkt"], "jkt", 32)),
        issued=starts,
        expires=expires,
        identifier=name(claims["jti"], "jti"),
        digest=digest_of(given.text),
    )
