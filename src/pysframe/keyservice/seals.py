"""HPKE (RFC 9180): a key pair per session, a seal per member, and what a key commits to.

Rules of this file:
  1. Hybrid, X25519 with ML-KEM-768 (X-Wing), unless a member has nothing but X25519: recordings of
     today must not open when X25519 falls.
  2. A seal is bound to the signed header and to the recipient's hello: moved to another message or
     member, it does not open.
  3. Private keys and base_keys show in no repr, and cannot be pickled or copied. `cryptography`
     owns them: they can be forgotten, not wiped.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from .._tracebacks import without_locals
from .._values import showable
from .errors import Refusal
from .limits import MOST_KEY
from .protocol import refuse

_SEAL_LABEL = b"pysframe sealed key v1\0"
_COMMITMENT_LABEL = b"pysframe key commitment v1"
_TAG = 16


class Kem(StrEnum):
    """How a seal is made for a member; the names of docs/sealed-keys.md."""

    HYBRID = "X-Wing"  # HPKE KEM 0x647a
    X25519 = "X25519"  # HPKE KEM 0x0020

    @property
    def key_size(self) -> int:
        """Bytes of a public key."""
        return _MLKEM_KEY + 32 if self is Kem.HYBRID else 32

    @property
    def enc_size(self) -> int:
        """Bytes of the encapsulated key, with which a seal begins."""
        return _MLKEM_ENC + 32 if self is Kem.HYBRID else 32


_MLKEM_KEY, _MLKEM_ENC = 1184, 1088
_ANYBODY = X25519PrivateKey.from_private_bytes(bytes(32))  # which does not matter
_Public = hpke.MLKEM768X25519PublicKey | X25519PublicKey
_SUITES = {
    kem: hpke.Suite(number, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    for kem, number in ((Kem.HYBRID, hpke.KEM.MLKEM768_X25519), (Kem.X25519, hpke.KEM.X25519))
}


@showable
@dataclass(frozen=True, slots=True)
class SealingKey:
    """A member's public key, to which others seal. raw: as its hello has it."""

    kem: Kem
    raw: bytes

    def seal(self, base_key: bytes, info: bytes) -> bytes:
        """enc || ciphertext. Raises Refused MALFORMED for a key to which nothing can be sealed."""
        return _seal(self, base_key, info)

    def public(self) -> _Public:
        """The key as `cryptography` has it. Raises Refused MALFORMED for a key that is none."""
        if len(self.raw) != self.kem.key_size:
            refuse(f"a public key of {self.kem} must be {self.kem.key_size} bytes")
        try:
            curve = X25519PublicKey.from_public_bytes(self.raw[-32:])
            _ANYBODY.exchange(curve)  # a point of low order: nothing could be sealed to it
            if self.kem is Kem.X25519:
                return curve
            lattice = MLKEM768PublicKey.from_public_bytes(self.raw[:-32])
            return hpke.MLKEM768X25519PublicKey(lattice, curve)
        except ValueError:
            refuse(f"a public key of {self.kem} is malformed")


@showable
class OpeningKey:
    """The key pair of one session, replaced with each credential and then forgotten.

    >>> mine = OpeningKey.generate()
    >>> mine.open(mine.public.seal(bytes(16), b"info"), b"info") == bytes(16)
    True
    """

    __slots__ = ("_private", "public")

    public: SealingKey

    @without_locals
    def __init__(self, kem: Kem, seed: bytes) -> None:
        """seed: 32 bytes; draft-connolly-cfrg-xwing-kem 5.2, or the X25519 scalar."""
        if len(seed) != 32:
            refuse("the seed of a key pair must be 32 bytes")
        if kem is Kem.X25519:
            scalar = seed
        else:
            expanded = hashlib.shake_256(seed).digest(96)
            lattice, scalar = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), expanded[64:]
        curve = X25519PrivateKey.from_private_bytes(scalar)
        raw = curve.public_key().public_bytes_raw()
        self._private: hpke.MLKEM768X25519PrivateKey | X25519PrivateKey = curve
        if kem is Kem.HYBRID:
            self._private = hpke.MLKEM768X25519PrivateKey(lattice, curve)
            raw = lattice.public_key().public_bytes_raw() + raw
        self.public = SealingKey(kem, raw)

    @classmethod
    def generate(cls, kem: Kem = Kem.HYBRID) -> OpeningKey:
        """A fresh pair."""
        return cls(kem, secrets.token_bytes(32))

    @without_locals
    def open(self, seal: bytes, info: bytes) -> bytes:
        """The base_key. Raises Refused SEAL for anything that was not sealed to this, as this."""
        kem = self.public.kem
        if not kem.enc_size + _TAG < len(seal) <= kem.enc_size + _TAG + MOST_KEY:
            refuse(
                f"a seal of {kem} is {kem.enc_size + _TAG} bytes more than its key", Refusal.SEAL
            )
        try:
            return _SUITES[kem].decrypt(seal, self._private, info)
        except (InvalidTag, ValueError):  # ValueError: a low-order point
            refuse("the seal does not open with the key of this member", Refusal.SEAL)

    def __repr__(self) -> str:
        return f"<OpeningKey {self.public.kem}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an OpeningKey holds a key; it cannot be pickled or copied")


@without_locals
def _seal(to: SealingKey, base_key: bytes, info: bytes) -> bytes:
    try:
        return _SUITES[to.kem].encrypt(base_key, to.public(), info)
    except ValueError:
        refuse(f"nothing can be sealed to this public key of {to.kem}")


def seal_info(header: str, hello: bytes) -> bytes:
    """What a seal is bound to: the signed header, and the SHA-256 of the recipient's hello."""
    return _SEAL_LABEL + hashlib.sha256(header.encode()).digest() + hello


@without_locals
def commitment_to(base_key: bytes) -> bytes:
    """What a header says of its key: HKDF-SHA256 (RFC 5869), 32 bytes.

    HKDF takes the key as a message, so that no two keys, of any lengths, have one commitment.
    """
    secret = hmac.digest(_COMMITMENT_LABEL, base_key, "sha256")
    return hmac.digest(secret, b"\x01", "sha256")


@without_locals
def check_commitment(base_key: bytes, commitment: bytes) -> None:
    """Raises Refused COMMITMENT unless this is the key that was committed to."""
    if not hmac.compare_digest(commitment_to(base_key), commitment):
        refuse("the seal holds another key than the header commits to", Refusal.COMMITMENT)
