"""JSON Web Signatures in compact form (RFC 7515), as few kinds of them as there can be.

Rules of this file:
  1. The key says which algorithm; a header that names another one is refused (RFC 8725 3.1).
  2. The typ says what was signed, so that no signature serves for anything else (RFC 8725 3.11).
  3. A header has exactly the fields that its kind has. Nothing in it is ever followed: no jku, no
     x5u, no crit, no path made of a kid.
  4. joserfc checks signatures; it is given texts that have only one reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from ..._values import showable
from ..errors import Refusal
from ..protocol import from_base64url, read, refuse, to_base64url, write

ED25519, ES256 = "Ed25519", "ES256"
EDDSA = "EdDSA"  # what RFC 9864 calls Ed25519 now
_FIELDS = {ED25519: ("kty", "crv", "x"), ES256: ("kty", "crv", "x", "y")}
_KINDS = {"OKP Ed25519": ED25519, "EC P-256": ES256}


class Signer(Protocol):
    """Whatever signs: a key in memory, a token (PKCS#11), a key management service.

    sign() returns a signature as JWS has it: 64 bytes, for ES256 r || s (RFC 7518 3.4). What it
    raises goes through unchanged: a disabled key ends the call.
    """

    @property
    def public(self) -> PublicKey: ...

    def sign(self, data: bytes) -> bytes: ...


@showable
@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key for signatures: Ed25519, or P-256 for ES256.

    x, y: as its JWK has them; y is "" for Ed25519. thumbprint: RFC 7638, SHA-256.
    """

    alg: str
    x: str
    y: str = ""

    @classmethod
    def from_jwk(cls, jwk: object, what: str) -> PublicKey:
        """Raises Refused MALFORMED for anything but a public key of the two kinds."""
        if type(jwk) is not dict:
            refuse(f"{what} must be a JWK, an object")
        kind = f"{jwk.get('kty')} {jwk.get('crv')}"
        if "d" in jwk or "k" in jwk:
            refuse(f"{what} has a secret in it; only public keys belong there")
        alg = _KINDS.get(kind)
        if alg is None:
            refuse(f"{what} must be an Ed25519 or a P-256 key")
        for field in _FIELDS[alg][2:]:
            from_base64url(jwk.get(field), f"{field} of {what}", 32)
        found = cls(alg, jwk["x"], jwk.get("y", "") if alg == ES256 else "")
        found._joserfc(what)  # a point that is not on the curve
        return found

    @property
    def jwk(self) -> dict[str, str]:
        """The required fields alone, in the order of RFC 7638."""
        if self.alg == ED25519:
            return {"crv": "Ed25519", "kty": "OKP", "x": self.x}
        return {"crv": "P-256", "kty": "EC", "x": self.x, "y": self.y}

    @property
    def thumbprint(self) -> str:
        return self._joserfc("the key").thumbprint()

    def _joserfc(self, what: str) -> OKPKey | ECKey:
        kind: type[OKPKey | ECKey] = OKPKey if self.alg == ED25519 else ECKey
        try:
            key = kind.import_key(dict(self.jwk))
            key.public_key  # noqa: B018  # the point is read only now
        except (JoseError, ValueError, UnsupportedAlgorithm):
            refuse(f"{what} is no point of its curve")
        return key


@showable
@dataclass(frozen=True, slots=True)
class Unverified:
    """A signed text, taken apart. Nothing in it may be believed before verified()."""

    text: str
    header: dict[str, Any]
    payload: bytes
    what: str

    def verified(self, key: PublicKey, *, reason: Refusal, also: tuple[str, ...] = ()) -> bytes:
        """The payload. Raises Refused with this reason unless the key made the signature.

        also: older names of the key's algorithm that are accepted.
        """
        if self.header["alg"] not in (key.alg, *also):
            refuse(f"{self.what} names another algorithm than its key has", reason)
        signed_text, _, signature = self.text.rpartition(".")
        algorithm = jws.JWSRegistry(algorithms=[key.alg]).get_alg(key.alg)
        given = from_base64url(signature, "a signature")
        if not algorithm.verify(signed_text.encode(), given, key._joserfc(self.what)):
            refuse(f"the signature of {self.what} does not fit", reason)
        return self.payload


def unverified(
    text: object, *, typ: str, fields: dict[str, type], most: int, what: str
) -> Unverified:
    """A compact JWS of this typ, whose header has exactly alg, typ and these fields."""
    if not isinstance(text, str):
        refuse(f"{what} must be text")
    if len(text) > most:
        refuse(f"{what} is longer than {most} characters", Refusal.LIMIT)
    parts = text.split(".")
    if len(parts) != 3:
        refuse(f"{what} is no JWS in compact form")
    head, payload, signature = (from_base64url(part, f"a part of {what}") for part in parts)
    header = read(head, f"the JOSE header of {what}", {"alg": str, "typ": str, **fields})
    if header["typ"] != typ:
        refuse(f"{what} is of another typ; {typ} is wanted")
    if len(signature) != 64:
        refuse(f"the signature of {what} must be 64 bytes")
    return Unverified(text, header, payload, what)


def signed(signer: Signer, typ: str, payload: bytes, **fields: Any) -> str:
    """The compact JWS of this payload."""
    header = write({"alg": signer.public.alg, "typ": typ, **fields})
    text = f"{to_base64url(header)}.{to_base64url(payload)}"
    return f"{text}.{to_base64url(signer.sign(text.encode()))}"
