"""The AEADs a Python service could call instead, each as seal(nonce, frame, aad) and open.

All get a key object and nonces that are ready; none counts, parses a header, looks a key up or
keeps a replay window, which ours does in the same figure. A peer that is not installed fails the
benchmark: the pinned set is the `bench` extra.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from typing import Any

KEY_SIZES = {4: 16, 5: 32}
MOST_SRTP = 1400  # bytes of a frame that fit into one packet

Pair = tuple[Callable[..., Any], Callable[..., Any]]


def _random_nonces(workload: Any) -> list[Any]:
    return [workload.rng.randbytes(12) for _ in range(workload.count)]


_packets = count()


def _numbers(workload: Any) -> list[Any]:
    """Packet numbers that never come twice."""
    return [next(_packets) for _ in range(workload.count)]


@dataclass(frozen=True)
class Peer:
    """make(key) -> (seal, open), each called as (nonce, bytes, AAD), and with a buffer for its
    result as a fourth argument where `into` is set.

    suites: those whose AEAD it has. blocks: so many blocks a run, where it is slow. caveat: what
    its figure includes or lacks.
    """

    name: str
    package: str
    make: Callable[[bytes], Pair]
    suites: tuple[int, ...] = (4, 5)
    nonces: Callable[[Any], list[Any]] = _random_nonces
    into: bool = False
    blocks: int = 8
    most: int = 1 << 24
    caveat: str = ""

    @property
    def title(self) -> str:
        return f"{self.name} {version(self.package)}"

    def takes(self, suite: int, size: int) -> bool:
        return suite in self.suites and size <= self.most


def cryptography() -> Peer:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def make(key: bytes) -> Pair:
        aead = AESGCM(key)
        return aead.encrypt, aead.decrypt

    return Peer("cryptography", "cryptography", make)


def cryptography_into() -> Peer:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def make(key: bytes) -> Pair:
        aead = AESGCM(key)
        return aead.encrypt_into, aead.decrypt_into

    caveat = "encrypt_into, decrypt_into: into buffers that are there"
    return Peer("cryptography into", "cryptography", make, into=True, caveat=caveat)


def pycryptodome() -> Peer:
    from Crypto.Cipher import AES

    def make(key: bytes) -> Pair:
        def seal(nonce: bytes, frame: bytes, aad: bytes) -> bytes:
            cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
            cipher.update(aad)
            return b"".join(cipher.encrypt_and_digest(frame))

        def unseal(nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
            cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
            cipher.update(aad)
            return cipher.decrypt_and_verify(ciphertext[:-16], ciphertext[-16:])

        return seal, unseal

    caveat = "a new cipher object for each frame: it has no other way to set a nonce"
    return Peer("pycryptodome", "pycryptodome", make, blocks=1, caveat=caveat)


def qh3() -> Peer:
    from qh3 import _hazmat

    def make(key: bytes) -> Pair:
        kind = _hazmat.AeadAes128Gcm if len(key) == 16 else _hazmat.AeadAes256Gcm
        aead = kind(key, bytes(12))
        return aead.encrypt, aead.decrypt

    return Peer("qh3", "qh3", make, nonces=_numbers, caveat="internal to a QUIC library")


def pynacl() -> Peer:
    from nacl import bindings

    def make(key: bytes) -> Pair:
        encrypt = bindings.crypto_aead_aes256gcm_encrypt
        decrypt = bindings.crypto_aead_aes256gcm_decrypt
        return (
            lambda nonce, frame, aad: encrypt(frame, aad, nonce, key),
            lambda nonce, ciphertext, aad: decrypt(ciphertext, aad, nonce, key),
        )

    return Peer("PyNaCl", "pynacl", make, (5,), blocks=2, caveat="expands the key in every call")


def pylibsrtp() -> Peer:
    from pylibsrtp import Policy, Session

    def session(key: bytes, direction: int) -> Any:
        gcm = {16: Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 32: Policy.SRTP_PROFILE_AEAD_AES_256_GCM}
        return Session(Policy(key + bytes(12), direction, srtp_profile=gcm[len(key)]))

    def make(key: bytes) -> Pair:
        sender = session(key, Policy.SSRC_ANY_OUTBOUND)
        receiver = session(key, Policy.SSRC_ANY_INBOUND)

        def seal(number: int, frame: bytes, aad: bytes) -> bytes:
            header = b"\x80\x60" + (number & 0xFFFF).to_bytes(2, "big") + bytes(8)
            return sender.protect(header + frame)

        return seal, lambda number, packet, aad: receiver.unprotect(packet)[12:]

    caveat = "SRTP, with replay window, the making and cutting of the RTP packet included"
    return Peer(
        "pylibsrtp", "pylibsrtp", make, nonces=_numbers, blocks=2, most=MOST_SRTP, caveat=caveat
    )


ALL = (cryptography, cryptography_into, qh3, pylibsrtp, pynacl, pycryptodome)
