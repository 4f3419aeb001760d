"""The AEADs of the suites, over a provider of AES.

A provider is a module with VERSION and two classes, one object for each key:
    GCM(key)    seal(nonce, aad, plaintext) -> ciphertext || 16-byte tag; open(...) -> or None
    CTR(key)    xor(nonce, data), the counter block being nonce || 00000000
Nothing is returned of a ciphertext whose tag does not fit.
"""

import hmac
from functools import cache
from typing import Protocol, cast

from ..suites import CipherSuite
from . import _parts

# Best first: 0.5 us a short frame against 48 us.
PROVIDERS = {"cryptography": _parts.cryptography, "pycryptodome": _parts.pycryptodome}

# A key, a nonce and a block of zeros: AES-GCM (test case 2 of its authors) and AES itself.
GCM_OF_ZEROS = bytes.fromhex("0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf")
AES_OF_ZEROS = bytes.fromhex("66e94bd4ef8a2c3b884cfa59ca342b2e")


class Aead(Protocol):
    """One key of one suite; nonce is Nn bytes, the tag is the last Nt bytes of what is sealed."""

    def seal(self, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes: ...

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes | None: ...


class Stream(Protocol):
    """AES-CTR under one key."""

    def xor(self, nonce: bytes, data: bytes) -> bytes: ...


class Provider(Protocol):
    """What a provider's module offers."""

    VERSION: str

    def GCM(self, key: memoryview) -> Aead: ...

    def CTR(self, key: memoryview) -> Stream: ...


def survey() -> dict[str, str]:
    """Provider -> "" or why it cannot be used, best first."""
    return {name: _refusal(name) for name in PROVIDERS}


def provider(name: str | None = None) -> Provider:
    """The provider of this name, or the best one; ImportError when there is none."""
    if name is None:
        name = next((name for name in PROVIDERS if not _refusal(name)), "pycryptodome")
    return cast(Provider, PROVIDERS[name]())


@cache
def _refusal(name: str) -> str:
    return _parts.trouble(lambda: _check(provider(name)))


def _check(source: Provider) -> None:
    key, zeros = memoryview(bytes(16)), bytes(16)
    gcm, ctr = source.GCM(key), source.CTR(key)
    right = gcm.seal(zeros[:12], b"", zeros) == GCM_OF_ZEROS
    right &= gcm.open(zeros[:12], b"", GCM_OF_ZEROS) == zeros
    if not (right and ctr.xor(zeros[:12], zeros) == AES_OF_ZEROS):
        raise ImportError("it gives a wrong answer for a known one")


def new_aead(suite: CipherSuite, sframe_key: memoryview, source: Provider) -> Aead:
    """The suite's AEAD under sframe_key (Nk bytes)."""
    return source.GCM(sframe_key) if suite.is_gcm else CtrHmac(suite, sframe_key, source)


class CtrHmac:
    """AES-CTR with HMAC, encrypt-then-MAC: RFC 9605 4.5.1."""

    __slots__ = ("_mac", "_stream", "_tag_size")

    def __init__(self, suite: CipherSuite, sframe_key: memoryview, source: Provider) -> None:
        # RFC 9605 4.5.1: sframe_key is the AES key, then the MAC key.
        self._stream = source.CTR(sframe_key[: suite.Nka])
        self._mac = hmac.new(bytes(sframe_key[suite.Nka :]), digestmod=suite.hash_name)
        self._tag_size = suite.Nt

    def seal(self, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        ciphertext = self._stream.xor(nonce, plaintext)
        return ciphertext + self._tag(nonce, aad, ciphertext)

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes | None:
        ciphertext, tag = sealed[: -self._tag_size], sealed[-self._tag_size :]
        # RFC 9605 4.5.1: the tag is checked before anything is decrypted, in constant time.
        if not hmac.compare_digest(tag, self._tag(nonce, aad, ciphertext)):
            return None
        return self._stream.xor(nonce, ciphertext)

    def _tag(self, nonce: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        # RFC 9605 4.5.1: HMAC of the three sizes, the nonce, the AAD and the ciphertext, cut to Nt.
        mac = self._mac.copy()
        for size in (len(aad), len(ciphertext), self._tag_size):
            mac.update(size.to_bytes(8))
        mac.update(nonce + aad)
        mac.update(ciphertext)
        return mac.digest()[: self._tag_size]
