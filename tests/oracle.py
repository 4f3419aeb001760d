"""A second, slow SFrame, written from the text of RFC 9605: what the engines are compared with.

Rule: an engine is never judged by the library that it stands on. AES comes from `cryptography`,
or from pycryptodome where `cryptography` is under test; hashes always come from pycryptodome,
since the twin takes its own from hashlib.
"""

from functools import lru_cache

from Crypto.Cipher import AES
from Crypto.Hash import HMAC, SHA256, SHA512
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pysframe import CipherSuite


def library_for(engine) -> str:
    return "pycryptodome" if engine.kernel == "cryptography" else "cryptography"


class Oracle:
    """One (base_key, KID) of one suite."""

    def __init__(self, suite: int, base_key: bytes, kid: int, library: str) -> None:
        self.suite, self.kid, self.library = CipherSuite(suite), kid, library
        self.secret, self.key, self.salt = schedule(self.suite, base_key, kid)

    def seal(self, ctr: int, frame: bytes, metadata: bytes = b"", clear: int = 0) -> bytes:
        """clear bytes || header || ciphertext || tag."""
        header = encode_header(self.kid, ctr)
        aad = header + frame[:clear] + metadata
        sealed = aead_seal(self.suite, self.key, self.nonce(ctr), aad, frame[clear:], self.library)
        return frame[:clear] + header + sealed

    def nonce(self, ctr: int) -> bytes:
        padded = bytes(4) + ctr.to_bytes(8)
        return bytes(a ^ b for a, b in zip(self.salt, padded, strict=True))


# ---- RFC 9605 4.3 ----


def encode_header(kid: int, ctr: int) -> bytes:
    def field(value: int) -> tuple[int, bytes]:
        if value <= 7:
            return value, b""
        size = 1
        while value >> 8 * size:
            size += 1
        return 8 + size - 1, value.to_bytes(size)

    (k, kid_bytes), (c, ctr_bytes) = field(kid), field(ctr)
    return bytes([k << 4 | c]) + kid_bytes + ctr_bytes


# ---- RFC 9605 4.4.2 and 5.1, draft-ietf-avtcore-rtp-sframe ----


def mac(suite: CipherSuite, key: bytes, *parts: bytes) -> bytes:
    made = HMAC.new(key, digestmod=SHA256 if suite.Nh == 32 else SHA512)
    for part in parts:
        made.update(part)
    return made.digest()


def expand(suite: CipherSuite, prk: bytes, info: bytes, size: int) -> bytes:
    blocks = [b""]
    while len(b"".join(blocks)) < size:
        blocks.append(mac(suite, prk, blocks[-1], info, bytes([len(blocks)])))
    return b"".join(blocks)[:size]


@lru_cache(maxsize=4096)
def schedule(suite: CipherSuite, base_key: bytes, kid: int) -> tuple[bytes, bytes, bytes]:
    """(sframe_secret, sframe_key, sframe_salt)"""
    secret = mac(suite, b"", base_key)
    context = kid.to_bytes(8) + int(suite).to_bytes(2)
    key = expand(suite, secret, b"SFrame 1.0 Secret key " + context, suite.Nk)
    salt = expand(suite, secret, b"SFrame 1.0 Secret salt " + context, suite.Nn)
    return secret, key, salt


def ratchet(suite: CipherSuite, base_key: bytes) -> bytes:
    return expand(suite, mac(suite, b"", base_key), b"SFrame 1.0 Ratchet", suite.Nh)


# ---- RFC 9605 4.5 ----


def aead_seal(
    suite: CipherSuite, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes, library: str
) -> bytes:
    if suite.is_gcm:
        return gcm_seal(key, nonce, aad, plaintext, library)
    sealed = ctr_xor(key[: suite.Nka], nonce + bytes(4), plaintext, library)
    sizes = b"".join(size.to_bytes(8) for size in (len(aad), len(sealed), suite.Nt))
    tag = mac(suite, key[suite.Nka :], sizes, nonce, aad, sealed)
    return sealed + tag[: suite.Nt]


def gcm_seal(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes, library: str) -> bytes:
    if library == "cryptography":
        return AESGCM(key).encrypt(nonce, plaintext, aad)
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
    cipher.update(aad)
    return b"".join(cipher.encrypt_and_digest(plaintext))


def ctr_xor(key: bytes, block: bytes, data: bytes, library: str) -> bytes:
    if library == "cryptography":
        return Cipher(algorithms.AES(key), modes.CTR(block)).encryptor().update(data)
    cipher = AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=block)
    return cipher.encrypt(data)
