"""Frames at the edge of what may be touched, against frames in the middle of a page.

A wide load that is masked at an unmapped page never faults, but can cost a hundred times what it
does elsewhere, for ever: nothing maps the page. Here every frame read ends where an unmapped page
begins, and in single calls every frame written, too. (A batch writes its rows back to back, so
that only one of them could.)
"""

import ctypes
import mmap
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from interleave import BLOCK, Contender, Match
from workloads import Workload, require

import pysframe

SIZES = (40, 80, 160)
MID_PAGE = 1024  # bytes from the page's end


class Fences:
    """Slots of bytes in pages of their own, each followed by a page that nobody may touch."""

    def __init__(self, sizes: list[int], gap: int) -> None:
        page, count = mmap.PAGESIZE, len(sizes)
        self.memory = mmap.mmap(-1, 2 * count * page)
        self.view = memoryview(self.memory)
        ends = [(2 * i + 1) * page - gap for i in range(count)]
        self.offsets = [end - size for end, size in zip(ends, sizes, strict=True)]
        self.sizes = sizes
        self.slots = [self.view[at : at + n] for at, n in zip(self.offsets, sizes, strict=True)]
        self._forbid(page, count)

    def _forbid(self, page: int, count: int) -> None:
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        for i in range(count):
            pages = ctypes.c_void_p(start + (2 * i + 1) * page), ctypes.c_size_t(page)
            require(mprotect(*pages, 0) == 0, "mprotect")

    def fill(self, frames: list[bytes]) -> None:
        for slot, frame in zip(self.slots, frames, strict=True):
            slot[:] = frame

    def batch(self) -> pysframe.FrameBatch:
        return pysframe.FrameBatch(self.view, self.offsets, self.sizes)


def matches(suite: int) -> list[Match]:
    """Of frames at page edges and in the middle of a page, for each call and size."""
    return [Match(partial(_both, made, suite, size)) for made in CALLS for size in SIZES]


def _both(made: Callable[[Workload, int], Contender], suite: int, size: int) -> list[Contender]:
    gaps = {"edge": 0, "middle": MID_PAGE}
    return [replace(made(Workload(suite, size), gap), name=name) for name, gap in gaps.items()]


# ---- the calls: eight passes over one block of frames, whose slots hold one run at a time ----

PASSES = 8


def _protect_batch(w: Workload, gap: int) -> Contender:
    batches, frames = w.batches(), w.frames[:BLOCK]
    slots = Fences([w.size] * BLOCK, gap)
    slots.fill(frames)
    batch, out = slots.batch(), bytearray(batches.room)

    def prepare() -> list[Any]:
        return batches.owners()[:1] * PASSES

    def run(passes: list[Any]) -> list[Any]:
        protect = pysframe.protect_batch
        return [protect(senders, batch, out=out) for senders, _ in passes]

    def check(passes: list[Any], sealed: list[Any]) -> None:
        opened = pysframe.unprotect_batch(passes[-1][1], sealed[-1])
        require(opened.to_list() == frames, "protect_batch at a page edge")

    return Contender("", BLOCK * PASSES, prepare, run, check)


def _unprotect_batch(w: Workload, gap: int) -> Contender:
    (sender, receiver), frames = w.pairs(1)[0], w.frames[:BLOCK]
    sizes = [sender.protected_size(w.size)] * BLOCK
    passes = [Fences(sizes, gap) for _ in range(PASSES)]
    batches, out = [slots.batch() for slots in passes], bytearray(BLOCK * (w.size + 33))

    def prepare() -> list[Any]:
        for slots in passes:
            slots.fill(pysframe.protect_many(sender, frames))
        return batches

    def run(batches: list[Any]) -> list[Any]:
        unprotect = pysframe.unprotect_batch
        return [unprotect(receiver, batch, out=out) for batch in batches]

    def check(_: Any, opened: list[Any]) -> None:
        require(all(batch.ok for batch in opened), "unprotect_batch at a page edge")
        require(opened[-1].to_list() == frames, "unprotect_batch at a page edge")

    return Contender("", BLOCK * PASSES, prepare, run, check, warm=False)


def _protect_into(w: Workload, gap: int) -> Contender:
    (sender, receiver), frames = w.pairs(1)[0], w.frames[:BLOCK]
    plain = Fences([w.size] * BLOCK, gap)
    plain.fill(frames)
    sealed = Fences([sender.protected_size(w.size)] * BLOCK, gap)
    pairs = list(zip(plain.slots, sealed.slots, strict=True))

    def run(passes: list[Any]) -> list[Any]:
        protect = sender.protect_into
        return [[protect(frame, out) for frame, out in pairs] for pairs in passes]

    def check(*_: Any) -> None:
        opened = [receiver.unprotect(slot) for slot in sealed.slots]
        require(opened == frames, "protect_into at a page edge")

    return Contender("", BLOCK * PASSES, lambda: [pairs] * PASSES, run, check)


def _unprotect_into(w: Workload, gap: int) -> Contender:
    (sender, receiver), frames = w.pairs(1)[0], w.frames[:BLOCK]
    plain = Fences([w.size] * BLOCK, gap)
    passes = [Fences([sender.protected_size(w.size)] * BLOCK, gap) for _ in range(PASSES)]
    pairs = [list(zip(slots.slots, plain.slots, strict=True)) for slots in passes]

    def prepare() -> list[Any]:
        for slots in passes:
            slots.fill(pysframe.protect_many(sender, frames))
        return pairs

    def run(passes: list[Any]) -> list[Any]:
        unprotect = receiver.unprotect_into
        return [[unprotect(one, out) for one, out in pairs] for pairs in passes]

    def check(_: Any, opened: list[Any]) -> None:
        require(all(n == w.size for sizes in opened for n in sizes), "unprotect_into at an edge")
        require([bytes(slot) for slot in plain.slots] == frames, "unprotect_into at an edge")

    return Contender("", BLOCK * PASSES, prepare, run, check, warm=False)


CALLS = (_protect_batch, _unprotect_batch, _protect_into, _unprotect_into)
