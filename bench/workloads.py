"""What is timed: whole SFrame operations of ours, bare AEAD calls of others.

Ours pays for header, counter, key look-up, replay window, AEAD and the result as the API returns
it; a peer only for its AEAD, with key object and nonces ready. KIDs are random in 2^16, counters
above 2^24, contents distinct; every ciphertext is opened once.
"""

import random
from typing import Any

from interleave import Contender
from peers import KEY_SIZES, Peer

import pysframe

AAD = b"\x9b\x12\x34\x01\x00\x00\x00"  # as long as the header that ours authenticates


class WrongResult(AssertionError):
    """What was timed was not right: the figures are worth nothing."""


def require(right: bool, what: str) -> None:
    if not right:
        raise WrongResult(what)


def count_for(size: int) -> int:
    """Frames of one repetition, in whole batches: so few that what is kept for checking does not
    make the allocator ask the system for pages while the clock runs."""
    return min(max(65536 // max(size, 1) // 64 * 64, 64), 512)


class Workload:
    """One suite and one frame size, seeded: the material of all contenders."""

    def __init__(self, suite: int, size: int, seed: int | None = None) -> None:
        # Keys must differ from run to run: a base_key and KID have one sender in a process.
        self.rng = random.Random(seed)
        self.suite, self.size, self.count = suite, size, count_for(size)
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
        (sender, receiver), frames = self.pairs(1)[0], self.frames

        def check(_: Any, out: list[bytes]) -> None:
            require([receiver.unprotect(c) for c in out] == frames, "protect")

        def run(_: Any) -> list[bytes]:
            protect = sender.protect
            return [protect(frame) for frame in frames]

        return Contender("ours", self.count, lambda: None, run, check)

    def unprotect(self) -> Contender:
        (sender, receiver), frames = self.pairs(1)[0], self.frames

        def run(ciphertexts: list[bytes]) -> list[bytes]:
            unprotect = receiver.unprotect
            return [unprotect(ciphertext) for ciphertext in ciphertexts]

        return Contender(
            "ours",
            self.count,
            lambda: [sender.protect(frame) for frame in frames],
            run,
            lambda _, out: require(out == frames, "unprotect"),
        )

    def peer_seal(self, peer: Peer) -> Contender:
        seal, unseal = peer.make(self.rng.randbytes(KEY_SIZES[self.suite]))
        frames = self.frames

        def run(nonces: list[Any]) -> list[Any]:
            return [seal(nonce, frame, AAD) for nonce, frame in zip(nonces, frames, strict=True)]

        def check(nonces: list[Any], out: list[Any]) -> None:
            if unseal is not None:
                require(unseal(nonces[-1], out[-1], AAD) == frames[-1], peer.name)

        return Contender(peer.name, self.count, lambda: peer.nonces(self), run, check)

    def peer_open(self, peer: Peer) -> Contender:
        seal, unseal = peer.make(self.rng.randbytes(KEY_SIZES[self.suite]))
        assert unseal is not None
        frames = self.frames

        def prepare() -> list[tuple[Any, Any]]:
            return [
                (nonce, seal(nonce, frame, AAD))
                for nonce, frame in zip(peer.nonces(self), frames, strict=True)
            ]

        def run(sealed: list[tuple[Any, Any]]) -> list[Any]:
            return [unseal(nonce, ciphertext, AAD) for nonce, ciphertext in sealed]

        return Contender(
            peer.name, self.count, prepare, run, lambda _, out: require(out == frames, peer.name)
        )

    # ---- 64 frames of 64 keys a call ----

    def batches(self, keys: int = 64) -> "Batches":
        return Batches(self, keys)


class Batches:
    """Frames of many senders in batches of 64, one frame of each sender at a time."""

    SIZE = 64

    def __init__(self, workload: Workload, keys: int) -> None:
        self.rng, self.count = workload.rng, workload.count
        made = workload.pairs(keys)
        self.senders = [sender for sender, _ in made]
        self.receivers = [receiver for _, receiver in made]
        self.frames = [
            tuple(workload.frames[at : at + self.SIZE]) for at in range(0, self.count, self.SIZE)
        ]
        self.batches = [pysframe.FrameBatch.from_frames(frames) for frames in self.frames]

    def owners(self) -> list[tuple[tuple[pysframe.Sender, ...], tuple[pysframe.Receiver, ...]]]:
        """Who seals and opens each row of each batch: a fresh permutation of all keys."""
        order: list[int] = []
        while len(order) < self.count:
            order += self.rng.sample(range(len(self.senders)), len(self.senders))
        return [
            (
                tuple(self.senders[i] for i in order[at : at + self.SIZE]),
                tuple(self.receivers[i] for i in order[at : at + self.SIZE]),
            )
            for at in range(0, self.count, self.SIZE)
        ]

    def _check(self, opened: list[Any], what: str) -> None:
        for batch, frames in zip(opened, self.frames, strict=True):
            require(batch.ok and batch.to_list() == list(frames), what)

    def _sealed(self) -> list[tuple[tuple[pysframe.Receiver, ...], Any]]:
        return [
            (receivers, pysframe.protect_batch(senders, batch))
            for (senders, receivers), batch in zip(self.owners(), self.batches, strict=True)
        ]

    def protect_many(self) -> Contender:
        def run(owners: Any) -> list[Any]:
            many = pysframe.protect_many
            return [
                many(senders, frames)
                for (senders, _), frames in zip(owners, self.frames, strict=True)
            ]

        def check(owners: Any, out: list[Any]) -> None:
            opened = [
                pysframe.unprotect_many(receivers, ciphertexts)
                for (_, receivers), ciphertexts in zip(owners, out, strict=True)
            ]
            self._check(opened, "protect_many")

        return Contender("ours", self.count, self.owners, run, check)

    def protect_batch(self, out: bool = False) -> Contender:
        room = max(len(batch.data) for batch in self.batches) + 64 * 33
        buffers = [bytearray(room) if out else None for _ in self.batches]

        def run(owners: Any) -> list[Any]:
            protect = pysframe.protect_batch
            return [
                protect(senders, batch, out=buffer)
                for (senders, _), batch, buffer in zip(owners, self.batches, buffers, strict=True)
            ]

        def check(owners: Any, sealed: list[Any]) -> None:
            opened = [
                pysframe.unprotect_batch(receivers, batch)
                for (_, receivers), batch in zip(owners, sealed, strict=True)
            ]
            self._check(opened, "protect_batch")

        return Contender("ours", self.count, self.owners, run, check)

    def unprotect_many_to_list(self) -> Contender:
        def prepare() -> list[Any]:
            return [(receivers, tuple(sealed.to_list())) for receivers, sealed in self._sealed()]

        def run(given: list[Any]) -> list[Any]:
            many = pysframe.unprotect_many
            return [many(receivers, ciphertexts).to_list() for receivers, ciphertexts in given]

        def check(_: Any, out: list[Any]) -> None:
            require(out == [list(frames) for frames in self.frames], "unprotect_many")

        return Contender("ours", self.count, prepare, run, check)

    def unprotect_batch(self, out: bool = False) -> Contender:
        room = max(len(batch.data) for batch in self.batches) + 64 * 33
        buffers = [bytearray(room) if out else None for _ in self.batches]

        def run(given: list[Any]) -> list[Any]:
            unprotect = pysframe.unprotect_batch
            return [
                unprotect(receivers, batch, out=buffer)
                for (receivers, batch), buffer in zip(given, buffers, strict=True)
            ]

        return Contender(
            "ours",
            self.count,
            self._sealed,
            run,
            lambda _, opened: self._check(opened, "unprotect_batch"),
        )
