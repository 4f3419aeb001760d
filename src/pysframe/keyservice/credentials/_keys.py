"""SigningKey: a private key for signatures in this process's memory.

Rules of this file:
  1. It shows in no repr and cannot be pickled or copied.
  2. Python owned its bytes or OpenSSL does: it cannot be wiped, only forgotten.
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ..._tracebacks import without_locals
from ..._values import showable
from ...errors import MisuseError
from ..protocol import to_base64url
from ._jws import ED25519, ES256, PublicKey


@showable
class SigningKey:
    """A Signer whose key is in memory: a member's for a session, a tenant's in small set-ups.

    >>> key = SigningKey.generate()
    >>> key.public.alg, len(key.sign(b"data"))
    ('Ed25519', 64)
    """

    __slots__ = ("_private", "public")

    public: PublicKey

    @without_locals
    def __init__(self, private: Ed25519PrivateKey | EllipticCurvePrivateKey) -> None:
        """private: a key of `cryptography`, Ed25519 or P-256. Raises MisuseError for another."""
        if isinstance(private, Ed25519PrivateKey):
            self.public = PublicKey(ED25519, to_base64url(private.public_key().public_bytes_raw()))
        elif isinstance(private.curve, SECP256R1):
            point = private.public_key().public_numbers()
            x, y = (to_base64url(part.to_bytes(32, "big")) for part in (point.x, point.y))
            self.public = PublicKey(ES256, x, y)
        else:
            raise MisuseError(f"a key on {private.curve.name} cannot sign here; use P-256")
        self._private = private

    @classmethod
    def generate(cls, alg: str = ED25519) -> SigningKey:
        """A fresh key. alg: "Ed25519", or "ES256" where peers lack the first."""
        if alg == ED25519:
            return cls(Ed25519PrivateKey.generate())
        if alg == ES256:
            return cls(generate_private_key(SECP256R1()))
        raise MisuseError(f"alg must be {ED25519} or {ES256}")

    def sign(self, data: bytes) -> bytes:
        """The signature as JWS has it: RFC 8037 3.1, or r || s of RFC 7518 3.4."""
        if isinstance(self._private, Ed25519PrivateKey):
            return self._private.sign(data)
        r, s = decode_dss_signature(self._private.sign(data, ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def __repr__(self) -> str:
        return f"<SigningKey {self.public.alg} {self.public.thumbprint}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey holds a key; it cannot be pickled or copied")
