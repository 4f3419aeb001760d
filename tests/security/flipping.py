"""Frames opened out of memory that a native thread keeps changing.

Each way to open a frame must give the frame or refuse: what it authenticated is what it gives.
"""

import ctypes
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from parties import new_receiver, new_sender
from security.natively import native

from pysframe import FrameRejected, FrameStatus

KID, CTR = 0x1234, 0x567890
SIZES = (70, 160, 1200, 5000)  # what a kernel takes at once, and what it takes in several steps
CLEAR = 11
METADATA = b"never changed"


class Shared:
    """Ciphertexts side by side in one buffer, and what each must open to."""

    def __init__(self, engine, suite, rng: random.Random, sizes=SIZES) -> None:
        base_key = rng.randbytes(32)
        sender = new_sender(engine, suite, base_key, KID, CTR)
        self.receiver = new_receiver(engine, suite, base_key, KID, replay_window=0)
        self.frames = [rng.randbytes(size) for size in sizes]
        sealed = [sender.protect(frame, METADATA, clear=CLEAR) for frame in self.frames]
        self.memory = bytearray(b"".join(sealed))
        ends = [sum(map(len, sealed[: i + 1])) for i in range(len(sealed))]
        whole = memoryview(self.memory)
        self.views = [whole[end - len(c) : end] for end, c in zip(ends, sealed, strict=True)]
        self.engine = engine


@contextmanager
def flipped(memory: memoryview | bytearray, seed: int) -> Iterator[Callable[[], int]]:
    """The flipper at work on this memory; gives a function that counts its flips."""
    library = native("flipper")
    library.flipper_flips.restype = ctypes.c_uint64
    ours, its, *_ = sorted(all_cpus := os.sched_getaffinity(0))
    data = (ctypes.c_char * len(memory)).from_buffer(memory)
    size, seed_of_c = ctypes.c_size_t(len(memory)), ctypes.c_uint64(seed)
    os.sched_setaffinity(0, {ours})
    try:
        assert library.flipper_start(data, size, seed_of_c, its) == 0
        yield library.flipper_flips
    finally:
        library.flipper_stop()
        os.sched_setaffinity(0, all_cpus)


def singly(receiver, view, frame) -> str:
    try:
        opened = receiver.unprotect(view, METADATA, clear=CLEAR)
    except FrameRejected:
        return "refused"
    return "right" if opened == frame else "WRONG"


def into(receiver, view, frame) -> str:
    out = bytearray(len(view))
    try:
        size = receiver.unprotect_into(view, out, METADATA, clear=CLEAR)
    except FrameRejected:
        return "refused"
    return "right" if out[:size] == frame else "WRONG"


def enough(seen: Counter[str], accepts: int) -> bool:
    """Frames accepted, and refused: without these the flipper did not run beside us."""
    return seen["right"] + seen["WRONG"] >= accepts and seen["refused"] >= accepts // 20


def race_singly(shared: Shared, way, accepts: int, seed: int) -> Counter[str]:
    """Each frame in turn under the flipper, until enough of them were accepted."""
    seen: Counter[str] = Counter()
    for number, (view, frame) in enumerate(zip(shared.views, shared.frames, strict=True)):
        goal = accepts * (number + 1) // len(shared.frames)
        with flipped(view, seed + number) as flips:
            while not enough(seen, goal):
                seen[way(shared.receiver, view, frame)] += 1
            seen["flips"] += flips()
    return seen


def race_in_batches(shared: Shared, accepts: int, seed: int, rows: int = 24) -> Counter[str]:
    """All frames again and again in one batch: rows of all lengths beside each other."""
    seen: Counter[str] = Counter()
    views = [shared.views[i % len(shared.views)] for i in range(rows)]
    frames = [shared.frames[i % len(shared.frames)] for i in range(rows)]
    with flipped(shared.memory, seed) as flips:
        while not enough(seen, accepts):
            batch = shared.engine.unprotect_many(
                shared.receiver, views, [METADATA] * rows, [CLEAR] * rows
            )
            for row, status, kid, ctr, frame in zip(
                batch.to_list(), batch.status, batch.kid, batch.ctr, frames, strict=True
            ):
                seen[verdict(row, status, (kid, ctr), frame)] += 1
        seen["flips"] += flips()
    return seen


def verdict(row, status, name, frame) -> str:
    if status != FrameStatus.OK:
        return "refused" if row == b"" else "WRONG"
    right = row == frame and name[0] == KID and CTR <= name[1] < CTR + len(SIZES)
    return "right" if right else "WRONG"
