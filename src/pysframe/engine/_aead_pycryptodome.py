"""AES from pycryptodome: the provider that is always there, a declared dependency.

It has no way to give a GCM object another nonce, so every frame pays for a new object.
"""

import Crypto
from Crypto.Cipher import AES

VERSION: str = Crypto.__version__

TAG_SIZE = 16


class GCM:
    """AES-GCM under one key; thread-safe."""

    __slots__ = ("_key",)

    def __init__(self, key: memoryview) -> None:
        self._key = key

    def seal(self, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce)
        cipher.update(aad)
        return b"".join(cipher.encrypt_and_digest(plaintext))

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes | None:
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce)
        cipher.update(aad)
        try:
            return bytes(cipher.decrypt_and_verify(sealed[:-TAG_SIZE], sealed[-TAG_SIZE:]))
        except ValueError:
            return None


class CTR:
    """AES-CTR under one key; thread-safe."""

    __slots__ = ("_key",)

    def __init__(self, key: memoryview) -> None:
        self._key = key

    def xor(self, nonce: bytes, data: bytes) -> bytes:
        return bytes(AES.new(self._key, AES.MODE_CTR, nonce=nonce, initial_value=0).encrypt(data))
