"""What an independent library makes of frames of all lengths, and the public vectors, in one file.

answers.c reads it, where Python would be slow or is not there.
"""

import random
import struct
from pathlib import Path

from oracle import aead_seal
from test_vectors_public import wycheproof_gcm

from pysframe import CipherSuite

GCM = {128: CipherSuite(4), 256: CipherSuite(5)}
LONG = (1000, 1500, 1791, 1792, 2047, 2048, 2049, 4128, 5000)
AADS = (1, 9, 15, 16, 17, 31, 40, 100)


def record(
    suite: CipherSuite, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes, sealed: bytes
):
    sizes = int(suite), len(key), len(aad), len(plaintext), len(sealed) - len(plaintext)
    return struct.pack("<5I", *sizes) + key + nonce + aad + plaintext + sealed


def made(suite: CipherSuite, rng: random.Random, size: int, aad_size: int) -> bytes:
    key, nonce, aad, plaintext = (rng.randbytes(n) for n in (suite.Nk, 12, aad_size, size))
    sealed = aead_seal(suite, key, nonce, aad, plaintext, "cryptography")
    return record(suite, key, nonce, aad, plaintext, sealed)


def lengths(suite: CipherSuite, most: int) -> list[int]:
    """Every one up to `most` for one tag length of each family; else some."""
    every = 1 if suite in (4, 5, 1, 6) else 13
    return [*range(0, most, every), *LONG]


def vectors() -> list[bytes]:
    """Wycheproof's for AES-GCM that are right and shaped as SFrame's."""
    octets = bytes.fromhex
    return [
        record(
            GCM[8 * len(octets(test["key"]))], octets(test["key"]), octets(test["iv"]),
            octets(test["aad"]), octets(test["msg"]), octets(test["ct"]) + octets(test["tag"]),
        )
        for test in wycheproof_gcm()
        if test["result"] == "valid"
    ]  # fmt: skip


def write(path: Path, rng: random.Random, most: int) -> int:
    """The number of records."""
    records = vectors()
    assert len(records) > 60
    for suite in CipherSuite:
        records += [made(suite, rng, size, rng.choice(AADS)) for size in lengths(suite, most)]
    rng.shuffle(records)  # so that the rows of a batch are of all suites and sizes
    path.write_bytes(struct.pack("<I", len(records)) + b"".join(records))
    return len(records)
