"""AES from the `cryptography` package (OpenSSL): the provider to prefer."""

import cryptography
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = cryptography.__version__


class GCM:
    """AES-GCM under one key; thread-safe."""

    __slots__ = ("_cipher",)

    def __init__(self, key: memoryview) -> None:
        self._cipher = AESGCM(key)

    def seal(self, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        return self._cipher.encrypt(nonce, plaintext, aad)

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes | None:
        try:
            return self._cipher.decrypt(nonce, sealed, aad)
        except InvalidTag:
            return None


class CTR:
    """AES-CTR under one key; thread-safe."""

    __slots__ = ("_key",)

    def __init__(self, key: memoryview) -> None:
        self._key = algorithms.AES(key)

    def xor(self, nonce: bytes, data: bytes) -> bytes:
        return Cipher(self._key, modes.CTR(nonce + bytes(4))).encryptor().update(data)
