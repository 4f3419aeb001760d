"""Ways to protect and unprotect a block of frames, timed in turns within one process.

Rules of this file:
  1. Whatever is timed is verified: a single frame that does not round-trip ends the run.
  2. Every frame is sealed under a new nonce and opened once, with replay protection on.
  3. The peers do less: a bare AEAD, without header, counter, key look-up or replay window, and with
     precomputed nonces.
  4. A few keys fit into a cache and many do not, so the number of streams that a core can carry is
     measured with many.
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from statistics import median, quantiles
from time import perf_counter_ns
from typing import Any, Protocol

from .. import CipherSuite, FrameBatch, Receiver, Sender, protect_batch, unprotect_batch
from .optional import trouble

BLOCK = 64  # frames per measurement: reading the clock costs as much as a frame
TURN = 4  # blocks in a row; the first warms up caches and vector units and is not counted
CROWD, CROWD_ROWS = 10_000, 500  # streams, and streams per batch
FIRST_KID = 300
MOST_OVERHEAD = 33  # bytes: header and tag
AAD = bytes(5)  # as long as an SFrame header

Frames = Sequence[bytes]


class Contestant(Protocol):
    """A contestant; seal() and open() are timed, prepare() and read() are not."""

    name: str
    block: int  # frames

    def prepare(self, frames: Frames) -> Any: ...
    def seal(self, prepared: Any) -> Any: ...
    def open(self, sealed: Any) -> Any: ...
    def read(self, opened: Any) -> Frames: ...


Stream = tuple[Sender, Receiver]


def streams(suite: CipherSuite, count: int) -> list[Stream]:
    made = []
    for kid in range(FIRST_KID, FIRST_KID + count):
        base_key, receiver = suite.generate_base_key(), Receiver(suite)
        receiver.add_key(kid, base_key)
        made.append((Sender(suite, kid=kid, base_key=base_key, next_ctr=0), receiver))
    return made


class Streams:
    """Streams with a key each, as on a server; a block is one frame of each."""

    block = BLOCK

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.senders = [sender for sender, _ in streams]
        self.receivers = [receiver for _, receiver in streams]


class Calls(Streams):
    """One call of protect or unprotect for each frame."""

    name = "calls"

    def prepare(self, frames: Frames) -> Frames:
        return frames

    def seal(self, frames: Frames) -> Frames:
        return [s.protect(frame) for s, frame in zip(self.senders, frames, strict=True)]

    def open(self, sealed: Frames) -> Frames:
        return [r.unprotect(one) for r, one in zip(self.receivers, sealed, strict=True)]

    def read(self, opened: Frames) -> Frames:
        return opened


class Batches(Streams):
    """One call of protect_batch or unprotect_batch for the whole block, into reused buffers."""

    name = "batch"

    _rooms = bytearray(), bytearray()

    def prepare(self, frames: Frames) -> FrameBatch:
        room = sum(map(len, frames)) + MOST_OVERHEAD * len(frames)
        if len(self._rooms[0]) != room:
            self._rooms = bytearray(room), bytearray(room)
        return FrameBatch.from_frames(frames)

    def seal(self, batch: FrameBatch) -> FrameBatch:
        return protect_batch(self.senders, batch, out=self._rooms[0])

    def open(self, sealed: FrameBatch) -> FrameBatch:
        return unprotect_batch(self.receivers, sealed, out=self._rooms[1])

    def read(self, opened: FrameBatch) -> Frames:
        return opened.to_list()


class Cryptography:
    """AESGCM of `cryptography` (OpenSSL), one key."""

    name, block = "cryptography", BLOCK

    def __init__(self, suite: CipherSuite) -> None:
        aead = import_module("cryptography.hazmat.primitives.ciphers.aead")
        self._aead = aead.AESGCM(os.urandom(suite.Nk))
        self._nonces: list[bytes] = []

    def prepare(self, frames: Frames) -> Frames:
        self._nonces = [os.urandom(12) for _ in frames]
        return frames

    def seal(self, frames: Frames) -> Frames:
        encrypt = self._aead.encrypt
        return [encrypt(n, f, AAD) for n, f in zip(self._nonces, frames, strict=True)]

    def open(self, sealed: Frames) -> Frames:
        decrypt = self._aead.decrypt
        return [decrypt(n, s, AAD) for n, s in zip(self._nonces, sealed, strict=True)]

    def read(self, opened: Frames) -> Frames:
        return opened


class PyCryptodome:
    """AES.MODE_GCM of pycryptodome, one key; slow, so its blocks are short."""

    name, block = "pycryptodome", BLOCK // 8

    def __init__(self, suite: CipherSuite) -> None:
        self._aes: Any = import_module("Crypto.Cipher.AES")
        self._key = os.urandom(suite.Nk)
        self._nonces: list[bytes] = []

    def prepare(self, frames: Frames) -> Frames:
        self._nonces = [os.urandom(12) for _ in frames]
        return frames

    def _cipher(self, nonce: bytes) -> Any:
        return self._aes.new(self._key, self._aes.MODE_GCM, nonce=nonce).update(AAD)

    def seal(self, frames: Frames) -> list[tuple[bytes, bytes]]:
        pairs = zip(self._nonces, frames, strict=True)
        return [self._cipher(nonce).encrypt_and_digest(frame) for nonce, frame in pairs]

    def open(self, sealed: list[tuple[bytes, bytes]]) -> Frames:
        pairs = zip(self._nonces, sealed, strict=True)
        return [self._cipher(nonce).decrypt_and_verify(*both) for nonce, both in pairs]

    def read(self, opened: Frames) -> Frames:
        return opened


# The class of each peer, by the module that it needs.
PEERS: dict[str, type[Cryptography] | type[PyCryptodome]] = {
    "cryptography.hazmat.primitives.ciphers.aead": Cryptography,
    "Crypto.Cipher.AES": PyCryptodome,
}


def contestants(suite: CipherSuite) -> list[Contestant]:
    """Our contestants, and the peers that can be imported (GCM suites only)."""
    some = streams(suite, BLOCK)
    ours: list[Contestant] = [Calls(some), Batches(some)]
    return ours + [peer(suite) for module, peer in _peers(suite).items() if not trouble(module)]


def absent(suite: CipherSuite) -> list[str]:
    """The peers that do not take part, with the reasons."""
    whys = {peer.name: trouble(module) for module, peer in _peers(suite).items()}
    return [f"{name} {why}" for name, why in whys.items() if why]


def _peers(suite: CipherSuite) -> dict[str, type[Cryptography] | type[PyCryptodome]]:
    return PEERS if suite.is_gcm else {}


@dataclass
class Timing:
    """Nanoseconds a frame, one figure for each block."""

    seal: list[float] = field(default_factory=list)
    open: list[float] = field(default_factory=list)


def p50_p99(ns: Sequence[float]) -> tuple[float, float]:
    return median(ns), (quantiles(ns, n=100, method="inclusive")[98] if len(ns) > 1 else ns[0])


class WrongAnswer(Exception):
    """A contestant returned something else than the original frame."""


def race(
    suite: CipherSuite, size: int, seconds: float, progress: Callable[[float], None]
) -> dict[str, Timing]:
    """Runs turns, each in a new random order; the first only warms up."""
    ways, order = contestants(suite), random.Random(size)
    timings = {way.name: Timing() for way in ways}
    started, rounds = perf_counter_ns(), 0
    while (spent := (perf_counter_ns() - started) / 1e9) < seconds or rounds < 3:
        frames = [os.urandom(size) for _ in range(BLOCK)]
        for way in order.sample(ways, len(ways)):
            blocks = [_one_block(way, frames[: way.block]) for _ in range(TURN)]
            for seal, opened in blocks[1:] if rounds else ():
                timings[way.name].seal.append(seal)
                timings[way.name].open.append(opened)
        rounds += 1
        progress(min(spent / seconds, 1.0))
    return timings


def crowd(
    suite: CipherSuite, size: int, seconds: float, progress: Callable[[float], None]
) -> dict[str, Timing]:
    """race() for CROWD streams with one frame each a round, in blocks of CROWD_ROWS."""
    timings: dict[str, Timing] = {}
    kinds: tuple[type[Calls] | type[Batches], ...] = (Calls, Batches)
    everybody = streams(suite, CROWD)
    random.shuffle(everybody)  # who speaks does not do so in the order in which keys lie in memory
    cuts = range(0, CROWD, CROWD_ROWS)
    for number, kind in enumerate(kinds):
        parts = [kind(everybody[at : at + CROWD_ROWS]) for at in cuts]
        timing = timings[kind.name] = Timing()
        started, rounds = perf_counter_ns(), 0
        while (perf_counter_ns() - started) / 1e9 < seconds / len(kinds) or rounds < 2:
            frames = [os.urandom(size) for _ in range(CROWD_ROWS)]
            for seal, opened in [_one_block(part, frames) for part in parts] if rounds else ():
                timing.seal.append(seal)
                timing.open.append(opened)
            rounds += 1
        progress((number + 1) / len(kinds))
    return timings


def _one_block(way: Contestant, frames: Frames) -> tuple[float, float]:
    prepared = way.prepare(frames)
    gc_was_on = gc.isenabled()
    gc.disable()
    try:
        start = perf_counter_ns()
        sealed = way.seal(prepared)
        middle = perf_counter_ns()
        opened = way.open(sealed)
        end = perf_counter_ns()
    finally:
        if gc_was_on:
            gc.enable()
    if list(way.read(opened)) != list(frames):
        raise WrongAnswer(f"{way.name} did not give back the frames it sealed")
    return (middle - start) / len(frames), (end - middle) / len(frames)
