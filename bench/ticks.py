"""What users do, a tick: one frame of each of 500 streams, from what arrives to what is handed on.

Batches, columns and lists are built inside the timed call. The peer is cryptography's AESGCM and
the least Python that is right for every KID and counter: it reads or writes the SFrame header,
makes the nonce and finds the key by its KID. It keeps no replay window and checks no limit.
"""

import random
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import objects
from contests import Shape, in_suites
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from interleave import Contender, Match
from peers import KEY_SIZES
from workloads import require

import pysframe

ROWS, SIZE = 500, 160
TURNS = 21

Keys = dict[int, tuple[AESGCM, int]]  # by KID: the key, the salt as a number


class Streams:
    """500 streams of one suite, each with a KID, a base_key and a frame of its own."""

    def __init__(self, suite: int) -> None:
        self.suite, self.rng = suite, random.Random()
        self.kids = self.rng.sample(range(8, 1 << 16), ROWS)
        self.base_keys = [self.rng.randbytes(KEY_SIZES[suite]) for _ in range(ROWS)]
        self.first = self.rng.randrange(1 << 24, 1 << 31)
        self.frames = [self.rng.randbytes(SIZE) for _ in range(ROWS)]

    def senders(self) -> list[pysframe.Sender]:
        make, first = pysframe.Sender, self.first
        pairs = zip(self.kids, self.base_keys, strict=True)
        return [make(self.suite, kid=kid, base_key=key, next_ctr=first) for kid, key in pairs]

    def receivers(self) -> list[pysframe.Receiver]:
        made = []
        for kid, key in zip(self.kids, self.base_keys, strict=True):
            made.append(pysframe.Receiver(self.suite))
            made[-1].add_key(kid, key)
        return made

    def keys(self) -> Keys:
        """The peer's."""
        found = {}
        for kid, base_key in zip(self.kids, self.base_keys, strict=True):
            aead, salt = objects.keys_of(base_key, self.suite, objects.labels(self.suite, kid))
            found[kid] = aead, int.from_bytes(salt)
        return found

    def order(self) -> list[int]:
        return self.rng.sample(range(ROWS), ROWS)


# ---- the peer ----


def seal_all(keys: Keys, jobs: list[tuple[int, int, bytes]]) -> list[bytes]:
    """(KID, counter, frame) to ciphertexts."""
    sealed = []
    for kid, ctr, frame in jobs:
        aead, salt = keys[kid]
        k = kid.bit_length() + 7 >> 3 if kid > 7 else 0
        c = ctr.bit_length() + 7 >> 3 if ctr > 7 else 0
        config = (0x80 | k - 1 << 4 if k else kid << 4) | (8 | c - 1 if c else ctr)
        header = (config << 8 * (k + c) | (kid << 8 * c if k else 0) | (ctr if c else 0)).to_bytes(
            1 + k + c, "big"
        )
        sealed.append(header + aead.encrypt((salt ^ ctr).to_bytes(12, "big"), frame, header))
    return sealed


def open_all(keys: Keys, ciphertexts: Sequence[bytes]) -> list[bytes]:
    opened = []
    for ciphertext in ciphertexts:
        config = ciphertext[0]
        kid, ctr, at = config >> 4 & 7, config & 7, 1
        if config & 0x80:
            at += kid + 1
            kid = int.from_bytes(ciphertext[1:at], "big")
        if config & 8:
            start = at
            at += ctr + 1
            ctr = int.from_bytes(ciphertext[start:at], "big")
        aead, salt = keys[kid]
        nonce = (salt ^ ctr).to_bytes(12, "big")
        opened.append(aead.decrypt(nonce, ciphertext[at:], ciphertext[:at]))
    return opened


# ---- received: lists, or one buffer ----


class Received:
    """A tick's ciphertexts, made anew for each run, in another order of the streams."""

    def __init__(self, suite: int) -> None:
        self.streams = Streams(suite)
        self.senders, self.receivers = self.streams.senders(), self.streams.receivers()
        self.keys = self.streams.keys()

    def lists(self) -> list[Any]:
        order = self.streams.order()
        frames = [self.streams.frames[i] for i in order]
        sealed = pysframe.protect_many([self.senders[i] for i in order], frames)
        return [([self.receivers[i] for i in order], sealed, frames)]

    def buffers(self) -> list[Any]:
        [(receivers, sealed, frames)] = self.lists()
        lengths = array("i", map(len, sealed))
        offsets = array("q", accumulate(lengths[:-1], initial=0))
        return [(receivers, b"".join(sealed), offsets, lengths, frames)]

    def contender(
        self, name: str, prepare: Callable[[], list[Any]], run: Callable[..., Any]
    ) -> Contender:
        """run takes what was prepared but the frames, and returns them."""

        def all_of(blocks: list[Any]) -> list[Any]:
            return [run(*block[:-1]) for block in blocks]

        def check(blocks: list[Any], out: list[Any]) -> None:
            require(out == [block[-1] for block in blocks], f"{name}: a tick received")

        return Contender(name, ROWS, prepare, all_of, check)

    def of_list(self) -> list[Contender]:
        def ours(receivers: Any, sealed: Any) -> list[bytes]:
            return pysframe.unprotect_many(receivers, sealed).to_list()

        def theirs(_: Any, sealed: Any) -> list[bytes]:
            return open_all(self.keys, sealed)

        return self._duel(self.lists, ours, theirs)

    def of_buffer(self, read: Callable[[pysframe.FrameBatch], Any]) -> list[Contender]:
        def ours(receivers: Any, data: bytes, offsets: Any, lengths: Any) -> Any:
            batch = pysframe.FrameBatch(data, offsets, lengths)
            return read(pysframe.unprotect_batch(receivers, batch))

        def theirs(_: Any, data: bytes, offsets: Any, lengths: Any) -> list[bytes]:
            rows = zip(offsets, lengths, strict=True)
            return open_all(self.keys, [data[at : at + size] for at, size in rows])

        return self._duel(self.buffers, ours, theirs)

    def _duel(self, prepare: Any, ours: Any, theirs: Any) -> list[Contender]:
        return [
            self.contender("ours", prepare, ours),
            self.contender("cryptography", prepare, theirs),
        ]


def to_list(batch: pysframe.FrameBatch) -> list[bytes]:
    return batch.to_list()


def row_by_row(batch: pysframe.FrameBatch) -> list[memoryview]:
    return [row for row in batch]  # a loop, which also keeps what it found


# ---- to be sent: lists, or columns ----


class Sent:
    """A tick's frames, in another order of the streams for each run."""

    def __init__(self, suite: int) -> None:
        self.streams = Streams(suite)
        self.senders, self.receivers = self.streams.senders(), self.streams.receivers()

    def _owners(self) -> tuple[list[Any], list[Any], list[bytes]]:
        order, columns = self.streams.order(), (self.senders, self.receivers, self.streams.frames)
        senders, receivers, frames = ([column[i] for i in order] for column in columns)
        return senders, receivers, frames

    def lists(self) -> Contender:
        def run(blocks: list[Any]) -> list[Any]:
            return [pysframe.protect_many(senders, frames) for senders, _, frames in blocks]

        def check(blocks: list[Any], out: list[Any]) -> None:
            for (_, receivers, frames), sealed in zip(blocks, out, strict=True):
                opened = pysframe.unprotect_many(receivers, sealed).to_list()
                require(opened == frames, "a tick sent from a list")

        return Contender("ours", ROWS, lambda: [self._owners()], run, check)

    def columns(self, name: str, build: bool) -> Contender:
        """From columns to columns; with the FrameBatch built inside the timed call, or before."""

        def prepare() -> list[Any]:
            senders, receivers, frames = self._owners()
            lengths = array("i", map(len, frames))
            offsets = array("q", accumulate(lengths[:-1], initial=0))
            columns = b"".join(frames), offsets, lengths
            return [(senders, receivers, frames, columns, pysframe.FrameBatch(*columns))]

        def run(blocks: list[Any]) -> list[Any]:
            protect = pysframe.protect_batch
            if not build:
                return [protect(senders, batch) for senders, *_, batch in blocks]
            make = pysframe.FrameBatch
            return [protect(senders, make(*columns)) for senders, _, _, columns, _ in blocks]

        def check(blocks: list[Any], out: list[Any]) -> None:
            for (_, receivers, frames, *_), sealed in zip(blocks, out, strict=True):
                opened = pysframe.unprotect_batch(receivers, sealed)
                require(opened.to_list() == frames, "a tick sent from columns")

        return Contender(name, ROWS, prepare, run, check)


def peer_sent(suite: int) -> Contender:
    """Under keys of its own: the same counters under ours would be nonces used twice."""
    streams = Streams(suite)
    keys, receivers = streams.keys(), streams.receivers()
    counters = iter(range(streams.first, 1 << 62))

    def prepare() -> list[Any]:
        order, ctr = streams.order(), next(counters)
        return [(order, [(streams.kids[i], ctr, streams.frames[i]) for i in order])]

    def run(blocks: list[Any]) -> list[Any]:
        return [seal_all(keys, jobs) for _, jobs in blocks]

    def check(blocks: list[Any], out: list[Any]) -> None:
        for (order, jobs), sealed in zip(blocks, out, strict=True):
            opened = pysframe.unprotect_many([receivers[i] for i in order], sealed)
            require(opened.to_list() == [frame for _, _, frame in jobs], "cryptography: a tick")

    return Contender("cryptography", ROWS, prepare, run, check)


# ---- the rows of budgets.toml ----


def list_opened(suite: int) -> list[Contender]:
    return Received(suite).of_list()


def buffer_read(suite: int) -> list[Contender]:
    return Received(suite).of_buffer(row_by_row)


def buffer_listed(suite: int) -> list[Contender]:
    return Received(suite).of_buffer(to_list)


def list_sealed(suite: int) -> list[Contender]:
    return [Sent(suite).lists(), peer_sent(suite)]


def columns_sealed(suite: int) -> list[Contender]:
    sent = Sent(suite)
    return [sent.columns("built", build=True), sent.columns("prebuilt", build=False)]


def _tick(
    make: Callable[[int], list[Contender]], ours: str = "ours", theirs: str = "cryptography"
) -> Shape:
    def figure(match: Match) -> float:
        return match.times(theirs, ours)

    unit = "x prebuilt" if theirs == "prebuilt" else "x peer's"
    return Shape(unit, False, partial(in_suites, make, TURNS, figure, min))


MADE = {
    "list sealed": list_sealed,
    "list opened": list_opened,
    "buffer, to_list": buffer_listed,
    "buffer, each row": buffer_read,
}
SHAPES = {f"tick: {name}": _tick(make) for name, make in MADE.items()} | {
    "tick: columns sealed": _tick(columns_sealed, "built", "prebuilt"),
}
