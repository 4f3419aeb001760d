"""What is timed: whole SFrame operations of ours, bare AEAD calls of others.

Ours pays for header, counter, key look-up, replay window, AEAD and the result as the API returns
it; a peer only for its AEAD, with key object and nonces ready. KIDs are random in 2^16, counters
above 2^24, contents distinct; every ciphertext is opened once. What either made is opened, and
what either opened compared, after every run.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from interleave import BLOCK, Contender
from peers import KEY_SIZES, Peer

import pysframe

AAD = b"\x9b\x12\x34\x01\x00\x00\x00"  # as long as the header that ours authenticates


class WrongResult(AssertionError):
    """What was timed was not right: the figures are worth nothing."""


def require(right: bool, what: str) -> None:
    if not right:
        raise WrongResult(what)


def blocks_of(*columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Columns cut into blocks of BLOCK."""
    cuts = range(0, len(columns[0]), BLOCK)
    return [tuple(column[at : at + BLOCK] for column in columns) for at in cuts]


def flat(blocks: list[list[Any]]) -> list[Any]:
    return [item for block in blocks for item in block]


def count_for(size: int) -> int:
    """Frames of one repetition, in whole blocks: few enough that frames and results stay in the
    nearest caches, as those of a call just received do."""
    return min(max((64 << 10) // max(size, 1) // BLOCK, 1), 8) * BLOCK


class Workload:
    """One suite and one frame size: the material of all contenders."""

    def __init__(self, suite: int, size: int, count: int | None = None) -> None:
        # Keys must differ from run to run: a base_key and KID have one sender in a process.
        self.rng = random.Random()
        self.suite, self.size, self.count = suite, size, count or count_for(size)
        self.frames = [self.rng.randbytes(size) for _ in range(self.count)]

    # ---- material ----

    def sender(self) -> tuple[pysframe.Sender, bytes]:
        key = self.rng.randbytes(KEY_SIZES.get(self.suite, 16))
        kid, ctr = self.rng.randrange(8, 1 << 16), self.rng.randrange(1 << 24, 1 << 31)
        return pysframe.Sender(self.suite, kid=kid, base_key=key, next_ctr=ctr), key

    def pairs(self, count: int) -> list[tuple[pysframe.Sender, pysframe.Receiver]]:
        made = []
        for _ in range(count):
            sender, key = self.sender()
            receiver = pysframe.Receiver(self.suite)
            receiver.add_key(sender.kid, key)
            made.append((sender, receiver))
        return made

    # ---- one frame a call ----

    def protect(self) -> Contender:
        (sender, receiver), frames = self.pairs(1)[0], blocks_of(self.frames)

        def run(blocks: list[Any]) -> list[Any]:
            protect = sender.protect
            return [[protect(frame) for frame in block] for (block,) in blocks]

        def check(_: Any, out: list[list[bytes]]) -> None:
            require([receiver.unprotect(one) for one in flat(out)] == self.frames, "protect")

        return Contender("ours", self.count, lambda: frames, run, check)

    def unprotect(self) -> Contender:
        (sender, receiver), frames = self.pairs(1)[0], self.frames

        def run(blocks: list[Any]) -> list[Any]:
            unprotect = receiver.unprotect
            return [[unprotect(ciphertext) for ciphertext in block] for (block,) in blocks]

        return Contender(
            "ours",
            self.count,
            lambda: blocks_of([sender.protect(frame) for frame in frames]),
            run,
            lambda _, out: require(flat(out) == frames, "unprotect"),
        )

    # ---- 64 frames of 64 keys a call ----

    def batches(self, keys: int = BLOCK) -> "Batches":
        return Batches(self, keys)


class Batches:
    """Frames of many senders in batches of 64, one frame of each sender at a time."""

    def __init__(self, workload: Workload, keys: int) -> None:
        self.rng, self.count = workload.rng, workload.count
        made = workload.pairs(keys)
        self.senders = [sender for sender, _ in made]
        self.receivers = [receiver for _, receiver in made]
        self.frames = [tuple(block) for (block,) in blocks_of(workload.frames)]
        self.batches = [pysframe.FrameBatch.from_frames(frames) for frames in self.frames]
        self.room = max(len(batch.data) for batch in self.batches) + BLOCK * 33

    def owners(self) -> list[tuple[tuple[pysframe.Sender, ...], tuple[pysframe.Receiver, ...]]]:
        """Who seals and opens each row of each batch: a fresh permutation of all keys."""
        order: list[int] = []
        while len(order) < self.count:
            order += self.rng.sample(range(len(self.senders)), len(self.senders))
        return [
            (
                tuple(self.senders[i] for i in order[at : at + BLOCK]),
                tuple(self.receivers[i] for i in order[at : at + BLOCK]),
            )
            for at in range(0, self.count, BLOCK)
        ]

    def buffers(self, out: bool) -> list[bytearray | None]:
        return [bytearray(self.room) if out else None for _ in self.batches]

    def _check(self, opened: list[Any], what: str) -> None:
        for batch, frames in zip(opened, self.frames, strict=True):
            require(batch.ok and batch.to_list() == list(frames), what)

    def _sealed(self) -> list[tuple[tuple[pysframe.Receiver, ...], Any]]:
        return [
            (receivers, pysframe.protect_batch(senders, batch))
            for (senders, receivers), batch in zip(self.owners(), self.batches, strict=True)
        ]

    def protect_many(self) -> Contender:
        def prepare() -> list[Any]:
            return [(*owners, f) for owners, f in zip(self.owners(), self.frames, strict=True)]

        def run(blocks: list[Any]) -> list[Any]:
            many = pysframe.protect_many
            return [many(senders, frames) for senders, _, frames in blocks]

        def check(blocks: list[Any], out: list[Any]) -> None:
            rows = zip(blocks, out, strict=True)
            self._check([pysframe.unprotect_many(r, c) for (_, r, _), c in rows], "protect_many")

        return Contender("ours", self.count, prepare, run, check)

    def protect_batch(self, out: bool = False) -> Contender:
        buffers = self.buffers(out)

        def prepare() -> list[Any]:
            rows = zip(self.owners(), self.batches, buffers, strict=True)
            return [(*owners, batch, buffer) for owners, batch, buffer in rows]

        def run(blocks: list[Any]) -> list[Any]:
            protect = pysframe.protect_batch
            return [protect(senders, batch, out=buffer) for senders, _, batch, buffer in blocks]

        def check(blocks: list[Any], sealed: list[Any]) -> None:
            rows = zip(blocks, sealed, strict=True)
            opened = [pysframe.unprotect_batch(block[1], batch) for block, batch in rows]
            self._check(opened, "protect_batch")

        return Contender("ours", self.count, prepare, run, check)

    def unprotect_many_to_list(self) -> Contender:
        def prepare() -> list[Any]:
            return [(receivers, tuple(sealed.to_list())) for receivers, sealed in self._sealed()]

        def run(blocks: list[Any]) -> list[Any]:
            many = pysframe.unprotect_many
            return [many(receivers, ciphertexts).to_list() for receivers, ciphertexts in blocks]

        def check(_: Any, out: list[Any]) -> None:
            require(out == [list(frames) for frames in self.frames], "unprotect_many")

        return Contender("ours", self.count, prepare, run, check)

    def unprotect_batch(self, out: bool = False) -> Contender:
        buffers = self.buffers(out)

        def prepare() -> list[Any]:
            return [(*row, out) for row, out in zip(self._sealed(), buffers, strict=True)]

        def run(blocks: list[Any]) -> list[Any]:
            unprotect = pysframe.unprotect_batch
            return [unprotect(receivers, batch, out=buffer) for receivers, batch, buffer in blocks]

        def check(_: Any, opened: list[Any]) -> None:
            self._check(opened, "unprotect_batch")

        return Contender("ours", self.count, prepare, run, check)


class PeerCalls:
    """A peer's own calls on the frames of a workload."""

    def __init__(self, workload: Workload, peer: Peer) -> None:
        self.workload, self.peer = workload, peer
        self.frames = workload.frames[: peer.blocks * BLOCK]
        key = workload.rng.randbytes(KEY_SIZES[workload.suite])
        self.seal, self.open = (self._runner(call) for call in peer.make(key))

    def _runner(self, call: Callable[..., Any]) -> Callable[[list[Any]], list[Any]]:
        def run(blocks: list[Any]) -> list[Any]:
            return [
                [call(nonce, one, AAD) for nonce, one in zip(nonces, data, strict=True)]
                for nonces, data, _ in blocks
            ]

        def run_into(blocks: list[Any]) -> list[Any]:
            for nonces, data, buffers in blocks:
                for nonce, one, buffer in zip(nonces, data, buffers, strict=True):
                    call(nonce, one, AAD, buffer)
            return [buffers for _, _, buffers in blocks]

        return run_into if self.peer.into else run

    def _blocks(self, nonces: list[Any], data: list[Any], growth: int) -> list[Any]:
        buffers = [bytearray(len(one) + growth) for one in data] if self.peer.into else data
        return blocks_of(nonces, data, buffers)

    def _unsealed(self) -> list[Any]:
        nonces = self.peer.nonces(self.workload)[: len(self.frames)]
        return self._blocks(nonces, self.frames, 16)

    def _sealed(self, blocks: list[Any], sealed: list[Any]) -> list[Any]:
        return self._blocks(flat([block[0] for block in blocks]), flat(sealed), -16)

    def sealing(self) -> Contender:
        def check(blocks: list[Any], sealed: list[Any]) -> None:
            require(self._opened(blocks, sealed) == flat([b[1] for b in blocks]), self.peer.name)

        return Contender(self.peer.name, len(self.frames), self._unsealed, self.seal, check)

    def _opened(self, blocks: list[Any], sealed: list[Any]) -> list[Any]:
        return flat(self.open(self._sealed(blocks, sealed)))

    def opening(self) -> Contender:
        def prepare() -> list[Any]:
            blocks = self._unsealed()
            return self._sealed(blocks, self.seal(blocks))

        def check(_: Any, opened: list[Any]) -> None:
            require(flat(opened) == self.frames, self.peer.name)

        return Contender(self.peer.name, len(self.frames), prepare, self.open, check)
