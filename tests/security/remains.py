"""What a key is in memory, and where it is found: in a process, in a file, in what a call left.

Rule 1: a pattern is looked for only if it is unlikely to come about by chance.
Rule 2: whoever claims that a pattern is nowhere first shows that the same scan finds it.
"""

import ctypes
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from c_core.core import load
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from oracle import schedule
from security.natively import native

from pysframe import CipherSuite

SCANNED = 8  # scanner.h
REGISTERS, STACK, ROWS = 2048, 32768, 4096
KID = 0x1234


@cache
def scanner() -> ctypes.CDLL:
    library = native("scanner")
    for name in ("state_of_key", "midstates_of"):
        getattr(library, name).restype = ctypes.POINTER(ctypes.c_ubyte)
    return library


# ---- patterns ----


def likely_by_chance(part: bytes) -> bool:
    return len(set(part)) < 6


def pieces(name: str, secret: bytes) -> dict[str, bytes]:
    """Name -> pattern, one for each block of 16 bytes; and each as a byte swap leaves it."""
    blocks = {f"{name}+{at}": secret[at : at + 16] for at in range(0, len(secret), 16)}
    blocks |= {f"{n}, reversed": block[::-1] for n, block in blocks.items()}
    cut = {n: block[:SCANNED] for n, block in blocks.items() if len(block) >= SCANNED}
    return {n: part for n, part in cut.items() if not likely_by_chance(part)}


def given(base_key: bytes) -> dict[str, bytes]:
    return pieces("base_key", base_key)


def kept(kernel: str, suite: CipherSuite, base_key: bytes) -> dict[str, bytes]:
    """All that a Secret, a Sender and a Receiver keep: midstates, round keys, powers of H, salt."""
    _, sframe_key, salt = schedule(suite, base_key, KID)
    state = key_state(kernel, suite, sframe_key)
    found = pieces("midstates", midstates(suite, base_key)) | pieces("state", state)
    return found | {"salt": salt[4:]}  # a key holds four bytes of it apart


def passing(suite: CipherSuite, base_key: bytes) -> dict[str, bytes]:
    """What exists during a derivation only. For AES, the key is round key 0: it is kept, too."""
    secret, sframe_key, _ = schedule(suite, base_key, KID)
    return pieces("sframe_secret", secret) | pieces("MAC key", sframe_key[suite.Nka or 32 :])


def hash_sums(
    suite: CipherSuite, sframe_key: bytes, nonce: bytes, aad: bytes, ciphertext: bytes
) -> dict[str, bytes]:
    """What GHASH goes through, and the mask of the tag: whoever has one of them can compute H."""
    if not suite.is_gcm:
        return {}
    aes = Cipher(algorithms.AES(sframe_key), modes.ECB()).encryptor()
    h, y, found = int.from_bytes(aes.update(bytes(16))), 0, {}
    found["mask"] = aes.update(nonce + b"\0\0\0\1")
    lengths = (8 * len(aad)).to_bytes(8) + (8 * len(ciphertext)).to_bytes(8)
    for number, block in enumerate([*in_blocks(aad), *in_blocks(ciphertext), lengths]):
        y ^= int.from_bytes(block)
        found[f"sum {number}, not yet times H"] = y.to_bytes(16)
        y = times(y, h)
        found[f"sum {number}"] = y.to_bytes(16)
    del found["sum 0, not yet times H"]  # the AAD's first block itself
    return {f"{n} {k}": v for n, block in found.items() for k, v in pieces(n, block).items()}


WIDEST = 80  # powers of H in the state of vaes512, the highest first


def products(kernel: str, suite: CipherSuite, state: bytes, ciphertext: bytes) -> dict[str, bytes]:
    """What vaes512's multiplications give before they are added up: whoever has one of them, and
    the ciphertext, can divide. For frames that it has powers for."""
    blocks = in_blocks(ciphertext)
    if kernel != "vaes512" or not suite.is_gcm or len(blocks) + 2 > WIDEST:
        return {}
    found = {}
    for number, block in enumerate(blocks, WIDEST - 1 - len(blocks)):
        x, h = int.from_bytes(block), int.from_bytes(state[16 * number :][:16], "little")
        for i in (0, 64):
            for j in (0, 64):
                product = carryless(x >> i & 2**64 - 1, h >> j & 2**64 - 1)
                found[f"H^{WIDEST - number}, {i}, {j}"] = product.to_bytes(16, "little")
    return {f"{n} {k}": v for n, block in found.items() for k, v in pieces(n, block).items()}


def carryless(x: int, y: int) -> int:
    product = 0
    for bit in range(y.bit_length()):
        if y >> bit & 1:
            product ^= x << bit
    return product


def in_blocks(data: bytes) -> list[bytes]:
    return [data[at : at + 16].ljust(16, b"\0") for at in range(0, len(data), 16)]


def times(x: int, h: int) -> int:
    """SP 800-38D 6.3: the product of two blocks."""
    z = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            z ^= h
        h = h >> 1 ^ (0xE1 << 120 if h & 1 else 0)
    return z


def raw_key(kernel: str, suite: CipherSuite, sframe_key: bytes):
    """(owner, address) of a key below the key schedule."""
    ffi, lib = load()
    owner = ffi.gc(lib.raw_key(kernel.encode(), suite, sframe_key), lib.raw_key_free)
    return owner, ctypes.c_void_p(int(ffi.cast("uintptr_t", owner)))


def key_state(kernel: str, suite: CipherSuite, sframe_key: bytes) -> bytes:
    size = ctypes.c_size_t()
    owner, address = raw_key(kernel, suite, sframe_key)
    state = scanner().state_of_key(address, ctypes.byref(size))
    content = bytes(state[: size.value])
    del owner
    return content


def midstates(suite: CipherSuite, base_key: bytes) -> bytes:
    ffi, lib = load()
    secret = lib.sfr_secret_new(lib.sfr_suite_find(suite), base_key, len(base_key))
    size = ctypes.c_size_t()
    address = ctypes.c_void_p(int(ffi.cast("uintptr_t", secret)))
    content = bytes(scanner().midstates_of(address, ctypes.byref(size))[: size.value])
    lib.sfr_secret_free(secret)
    return content


# ---- looking ----


def hits(memory: bytes, patterns: dict[str, bytes]) -> dict[str, int]:
    """Pattern -> how often; those that are nowhere are left out."""
    counts = (ctypes.c_uint32 * len(patterns))()
    joined = b"".join(patterns.values())
    size, count = ctypes.c_size_t(len(memory)), ctypes.c_size_t(len(patterns))
    scanner().scan(memory, size, joined, count, counts)
    return {name: n for name, n in zip(patterns, counts, strict=True) if n}


def writable_mappings(pid: int) -> Iterator[tuple[str, bytes]]:
    """(name, content) of all that a process has written or could have: heap, stacks, key pages."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in lines:
            start, end, rights, name = re.match(
                r"(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)", line
            ).groups()
            if rights.startswith("rw"):
                memory.seek(int(start, 16))
                yield name or f"anonymous {start}", memory.read(int(end, 16) - int(start, 16))


def hits_in_process(pid: int, patterns: dict[str, bytes]) -> dict[str, int]:
    total: dict[str, int] = {}
    for _, content in writable_mappings(pid):
        for name, count in hits(content, patterns).items():
            total[name] = total.get(name, 0) + count
    return total
