"""The AEADs a Python service could call instead, each as seal(nonce, frame, aad) and open.

All get a key object and nonces that are ready; none counts, parses a header, looks a key up or
keeps a replay window, which ours does in the same figure. A peer that is not installed fails the
benchmark: the pinned set is the `bench` extra.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

KEY_SIZES = {4: 16, 5: 32}


def _random_nonces(workload: Any) -> list[Any]:
    return [workload.rng.randbytes(12) for _ in range(workload.count)]


def _numbers(workload: Any) -> list[Any]:
    return list(range(workload.count))


@dataclass(frozen=True)
class Peer:
    """make(key) -> (seal, open); open is None where a library seals only what it can check.

    suites: those whose AEAD it has. caveat: what its figure includes or lacks.
    """

    name: str
    package: str
    make: Callable[[bytes], tuple[Callable[..., Any], Callable[..., Any] | None]]
    suites: tuple[int, ...] = (4, 5)
    nonces: Callable[[Any], list[Any]] = _random_nonces
    caveat: str = ""

    @property
    def title(self) -> str:
        return f"{self.name} {version(self.package)}"


def cryptography() -> Peer:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def make(key: bytes) -> tuple[Callable[..., Any], Callable[..., Any]]:
        aead = AESGCM(key)
        return aead.encrypt, aead.decrypt

    return Peer("cryptography", "cryptography", make)


def cryptography_into() -> Peer:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def make(key: bytes) -> tuple[Callable[..., Any], None]:
        encrypt_into, room = AESGCM(key).encrypt_into, bytearray(1 << 17)
        views: dict[int, memoryview] = {}

        def seal(nonce: bytes, frame: bytes, aad: bytes) -> int:
            size = len(frame) + 16
            if size not in views:
                views[size] = memoryview(room)[:size]
            return encrypt_into(nonce, frame, aad, views[size])

        return seal, None

    return Peer(
        "cryptography encrypt_into",
        "cryptography",
        make,
        caveat="into one buffer that is there; checked by its length only",
    )


def pycryptodome() -> Peer:
    from Crypto.Cipher import AES

    def make(key: bytes) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def seal(nonce: bytes, frame: bytes, aad: bytes) -> bytes:
            cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
            cipher.update(aad)
            return b"".join(cipher.encrypt_and_digest(frame))

        def unseal(nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
            cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
            cipher.update(aad)
            return cipher.decrypt_and_verify(ciphertext[:-16], ciphertext[-16:])

        return seal, unseal

    return Peer("pycryptodome", "pycryptodome", make, caveat="a new cipher object for each frame")


def qh3() -> Peer:
    from qh3 import _hazmat

    def make(key: bytes) -> tuple[Callable[..., Any], Callable[..., Any]]:
        kind = _hazmat.AeadAes128Gcm if len(key) == 16 else _hazmat.AeadAes256Gcm
        aead = kind(key, bytes(12))
        return (
            lambda number, frame, aad: aead.encrypt(number, frame, aad),
            lambda number, ciphertext, aad: aead.decrypt(number, ciphertext, aad),
        )

    return Peer("qh3", "qh3", make, nonces=_numbers, caveat="internal to a QUIC library")


def pynacl() -> Peer:
    from nacl import bindings

    def make(key: bytes) -> tuple[Callable[..., Any], Callable[..., Any]]:
        encrypt = bindings.crypto_aead_aes256gcm_encrypt
        decrypt = bindings.crypto_aead_aes256gcm_decrypt
        return (
            lambda nonce, frame, aad: encrypt(frame, aad, nonce, key),
            lambda nonce, ciphertext, aad: decrypt(ciphertext, aad, nonce, key),
        )

    return Peer("PyNaCl", "pynacl", make, (5,), caveat="expands the key in every call")


def pylibsrtp() -> Peer:
    from pylibsrtp import Policy, Session

    def make(key: bytes) -> tuple[Callable[..., Any], None]:
        profile = (
            Policy.SRTP_PROFILE_AEAD_AES_128_GCM
            if len(key) == 16
            else Policy.SRTP_PROFILE_AEAD_AES_256_GCM
        )
        policy = Policy(key + bytes(12), Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        session = Session(policy)

        def seal(number: int, frame: bytes, aad: bytes) -> bytes:
            header = b"\x80\x60" + (number & 0xFFFF).to_bytes(2, "big") + bytes(8)
            return session.protect(header + frame)

        return seal, None

    return Peer(
        "pylibsrtp",
        "pylibsrtp",
        make,
        nonces=_ever_later,
        caveat="SRTP, the building of the RTP packet included; packets up to 1,500 bytes",
    )


_sent = 0


def _ever_later(workload: Any) -> list[Any]:
    """Sequence numbers that no SRTP session takes for replays."""
    global _sent
    first, _sent = _sent, _sent + workload.count
    return list(range(first, _sent))


ALL = (cryptography, cryptography_into, qh3, pylibsrtp, pynacl, pycryptodome)
