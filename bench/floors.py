"""The whole SFrame operation beside its floor: a bare AEAD on the same kernel.

The floor (c/floor.pyx) goes through a binding like the engine's: one key, nonce and AAD ready, no
header, counter, look-up or replay window, no columns but the bytes. The whole operation has 64
keys. The floor is compiled here alone, and no package contains it.
"""

import importlib.util
import sys
import sysconfig
from array import array
from collections.abc import Callable
from functools import cache, partial
from itertools import accumulate
from typing import Any

import c_peers
from calls import OURS
from contests import Shape, in_suites
from interleave import BLOCK, Contender
from workloads import Workload, blocks_of, flat, require

import pysframe

SIZE = 160
TURNS = 41


@cache
def library() -> Any:
    """The module of floor.pyx, compiled with the package's options and loaded."""
    made = c_peers.BUILD / f"floor{sysconfig.get_config_var('EXT_SUFFIX')}"
    c_peers.make(f"PYTHON={sys.executable}", f"PYTHON_CFLAGS={_cflags()}", str(made))
    spec = importlib.util.spec_from_file_location("floor", made)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _cflags() -> str:
    include = sysconfig.get_path("include")
    return f"-I{include} -I{sysconfig.get_path('platinclude')}"


def floor(suite: int) -> Any:
    return library().Floor(suite, pysframe.backend_info().kernel)


# ---- the floors ----


def _floor(
    w: Workload, given: Callable[[], list[Any]], call: Callable[..., Any], right: Any
) -> Any:
    """right: what the results are when they are opened; each of a block is what call returns."""

    def run(blocks: list[Any]) -> list[Any]:
        return [call(*block) for block in blocks]

    def check(_: Any, out: list[Any]) -> None:
        require(right(out), "the floor")

    return Contender("floor", w.count, given, run, check)


def one_sealed(w: Workload) -> Contender:
    key, frames = floor(w.suite), [block for (block,) in blocks_of(w.frames)]
    seal = [key.seal] * BLOCK

    def right(out: list[Any]) -> bool:
        return [key.open(one) for one in flat(out)] == w.frames

    return _floor(w, lambda: [(seal, block) for block in frames], each, right)


def one_opened(w: Workload) -> Contender:
    key = floor(w.suite)
    sealed = [
        ([key.open] * BLOCK, [key.seal(f) for f in block]) for (block,) in blocks_of(w.frames)
    ]
    return _floor(w, lambda: sealed, each, lambda out: flat(out) == w.frames)


def each(calls: list[Callable[[bytes], bytes]], frames: list[bytes]) -> list[bytes]:
    return [call(frame) for call, frame in zip(calls, frames, strict=True)]


def list_sealed(w: Workload) -> Contender:
    key, frames = floor(w.suite), [tuple(block) for (block,) in blocks_of(w.frames)]

    def right(out: list[Any]) -> bool:
        return flat([key.open_many(sealed) for sealed in out]) == w.frames

    return _floor(w, lambda: [(block,) for block in frames], key.seal_many, right)


def list_opened(w: Workload) -> Contender:
    key = floor(w.suite)
    sealed = [(tuple(key.seal_many(block)),) for (block,) in blocks_of(w.frames)]
    return _floor(w, lambda: sealed, key.open_many, lambda out: flat(out) == w.frames)


def columns_of(frames: list[bytes]) -> tuple[bytes, bytes, bytes]:
    sizes = array("i", map(len, frames))
    starts = array("q", accumulate(sizes[:-1], initial=0))
    return b"".join(frames), starts.tobytes(), sizes.tobytes()


def columns_sealed(w: Workload) -> Contender:
    key, frames = floor(w.suite), [block for (block,) in blocks_of(w.frames)]

    def right(out: list[Any]) -> bool:
        return all(
            key.open_columns(*columns_of(_rows(sealed, w.size + 16))) == b"".join(block)
            for sealed, block in zip(out, frames, strict=True)
        )

    given = [columns_of(block) for block in frames]
    return _floor(w, lambda: given, key.seal_columns, right)


def columns_opened(w: Workload) -> Contender:
    key, frames = floor(w.suite), [block for (block,) in blocks_of(w.frames)]
    given = [
        columns_of(_rows(key.seal_columns(*columns_of(block)), w.size + 16)) for block in frames
    ]
    right = [b"".join(block) for block in frames]
    return _floor(w, lambda: given, key.open_columns, lambda out: out == right)


def _rows(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# ---- the whole operation, one frame a call, under 64 keys ----


def protect(w: Workload) -> Contender:
    pairs = w.pairs(BLOCK)
    calls = [sender.protect for sender, _ in pairs]
    given = [(calls, block) for (block,) in blocks_of(w.frames)]

    def check(_: Any, out: list[Any]) -> None:
        opened = [[r.unprotect(c) for (_, r), c in zip(pairs, b, strict=True)] for b in out]
        require(flat(opened) == w.frames, "protect under 64 keys")

    return Contender("ours", w.count, lambda: given, _each_of, check)


def unprotect(w: Workload) -> Contender:
    pairs = w.pairs(BLOCK)
    calls = [receiver.unprotect for _, receiver in pairs]
    seal = [sender.protect for sender, _ in pairs]

    def prepare() -> list[Any]:
        return [(calls, each(seal, block)) for (block,) in blocks_of(w.frames)]

    def check(_: Any, out: list[Any]) -> None:
        require(flat(out) == w.frames, "unprotect under 64 keys")

    return Contender("ours", w.count, prepare, _each_of, check)


def _each_of(blocks: list[Any]) -> list[Any]:
    return [each(*block) for block in blocks]


# ---- the rows of budgets.toml ----

Make = Callable[[Workload], Contender]


def _over(whole: Make, bare: Make) -> Shape:
    def make(suite: int) -> list[Contender]:
        workload = Workload(suite, SIZE)
        return [whole(workload), bare(workload)]

    begin = partial(in_suites, make, TURNS, lambda match: match.times("ours", "floor"))
    return Shape("x floor", True, begin)


MATCHES: dict[str, tuple[Make, Make]] = {
    "protect": (protect, one_sealed),
    "unprotect": (unprotect, one_opened),
    "protect_many": (OURS["protect_many"], list_sealed),
    "unprotect_many": (OURS["unprotect_many.to_list"], list_opened),
    "protect_batch": (OURS["protect_batch"], columns_sealed),
    "unprotect_batch": (OURS["unprotect_batch"], columns_opened),
}
SHAPES = {f"{name}, its floor": _over(*both) for name, both in MATCHES.items()}
