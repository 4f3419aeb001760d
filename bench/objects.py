"""What a Sender and a Receiver cost: bytes, and the time to make one, beside cryptography's.

Each Receiver has one key and its replay window, as one that reads one stream has. The peer makes
from the same base_key, by the same key schedule (RFC 9605 4.4.2), an AESGCM and a salt.
"""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from interleave import BLOCK, Contender
from peers import KEY_SIZES
from workloads import blocks_of, flat, require

import pysframe

COUNT = 4 * BLOCK  # objects of one run
SUITE, KID = 4, 7


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def bytes_each(kind: str, count: int = 10_000) -> float:
    """Growth of a fresh process over `count` objects: in a used one freed pages would hide it."""
    program = (
        f"import objects; make = objects.make_{kind}; kept = [make(-1 % 2**63)]; "
        f"before = objects.resident(); kept += [make(i) for i in range({count})]; "
        f"print((objects.resident() - before) / {count})"
    )
    here = Path(__file__).parent
    return float(subprocess.check_output([sys.executable, "-c", program], cwd=here, text=True))


def make_sender(i: int, suite: int = SUITE) -> pysframe.Sender:
    return pysframe.Sender(suite, kid=i, base_key=random.randbytes(16), next_ctr=0)


def make_receiver(i: int, suite: int = SUITE) -> pysframe.Receiver:
    receiver = pysframe.Receiver(suite)
    receiver.add_key(i, random.randbytes(16))
    return receiver


# ---- the time to make one ----


def senders() -> list[Contender]:
    def run(blocks: list[Any]) -> list[Any]:
        make = pysframe.Sender
        return [[make(SUITE, kid=KID, base_key=key, next_ctr=0) for key in b] for (b,) in blocks]

    def check(blocks: list[Any], made: list[Any]) -> None:
        for sender, key in zip(flat(made), flat([keys for (keys,) in blocks]), strict=True):
            require(_opened(sender.protect(b"frame"), *keys_of(key)) == b"frame", "a Sender")

    return [Contender("ours", COUNT, _keys, run, check), _peer()]


def added_keys() -> list[Contender]:
    def prepare() -> list[Any]:
        receivers = [pysframe.Receiver(SUITE) for _ in range(COUNT)]
        return blocks_of(receivers, flat([keys for (keys,) in _keys()]))

    def run(blocks: list[Any]) -> list[Any]:
        for receivers, keys in blocks:
            for receiver, key in zip(receivers, keys, strict=True):
                receiver.add_key(KID, key)
        return blocks

    def check(_: Any, blocks: list[Any]) -> None:
        for receivers, keys in blocks:
            for receiver, key in zip(receivers, keys, strict=True):
                sender = pysframe.Sender(SUITE, kid=KID, base_key=key, next_ctr=0)
                require(receiver.unprotect(sender.protect(b"frame")) == b"frame", "add_key")

    return [Contender("ours", COUNT, prepare, run, check), _peer()]


def _keys() -> list[Any]:
    return blocks_of([random.randbytes(16) for _ in range(COUNT)])


def _peer() -> Contender:
    def run(blocks: list[Any]) -> list[Any]:
        return [[keys_of(key) for key in keys] for (keys,) in blocks]

    def check(blocks: list[Any], made: list[Any]) -> None:
        for key, found in zip(flat([keys for (keys,) in blocks]), flat(made), strict=True):
            sender = pysframe.Sender(SUITE, kid=KID, base_key=key, next_ctr=0)
            require(_opened(sender.protect(b"frame"), *found) == b"frame", "cryptography")

    return Contender("cryptography", COUNT, _keys, run, check)


def labels(suite: int, kid: int) -> tuple[bytes, bytes]:
    context = kid.to_bytes(8, "big") + suite.to_bytes(2, "big")
    return b"SFrame 1.0 Secret key " + context, b"SFrame 1.0 Secret salt " + context


LABELS = labels(SUITE, KID)
HASHES = {4: SHA256(), 5: SHA512()}


def keys_of(
    base_key: bytes, suite: int = SUITE, names: tuple[bytes, bytes] = LABELS
) -> tuple[AESGCM, bytes]:
    secret = HKDF.extract(HASHES[suite], None, base_key)
    key_label, salt_label = names
    key = HKDFExpand(HASHES[suite], KEY_SIZES[suite], key_label).derive(secret)
    return AESGCM(key), HKDFExpand(HASHES[suite], 12, salt_label).derive(secret)


def _opened(ciphertext: bytes, aead: AESGCM, salt: bytes) -> bytes:
    header = pysframe.Header.parse(ciphertext)
    nonce = (int.from_bytes(salt, "big") ^ header.ctr).to_bytes(12, "big")
    return aead.decrypt(nonce, ciphertext[header.size :], ciphertext[: header.size])


MAKING: dict[str, Callable[[], list[Contender]]] = {
    "Sender(...)": senders,
    "Receiver.add_key": added_keys,
}
