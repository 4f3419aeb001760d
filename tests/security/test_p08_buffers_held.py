"""Promise 8: a buffer is held until the call that reads or writes it has ended, also while other
threads run.

A bytearray refuses to change its size as long as somebody holds its memory. Another thread tries
that all the time: while a call works without the GIL, each of its buffers must refuse.
"""

import sys
import threading
import time

import pytest
from parties import GCM, pair

from pysframe import FrameBatch
from pysframe import engine as engines

NATIVE = [name for name in engines.available() if name.startswith("native")]
SIZE = 4 << 20  # bytes: long enough for another thread to come to its turn
pytestmark = pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="no GIL to let go"
)


class Grower:
    """A thread that tries to resize buffers, in turns with whoever lets the GIL go."""

    def __init__(self) -> None:
        self.buffers: dict[str, bytearray] = {}
        self.refused: set[str] = set()
        self.resized: set[str] = set()
        self.inside = self.ended = False

    def run(self) -> None:
        while not self.ended:
            for name, buffer in self.buffers.items():
                if self.inside:
                    self.try_to_resize(name, buffer)
            time.sleep(0.0001)

    def try_to_resize(self, name: str, buffer: bytearray) -> None:
        try:
            buffer.append(0)
        except BufferError:
            self.refused.add(name)
        else:  # it fits in what is allocated, so that even then nothing moves
            self.resized.add(name)
            del buffer[-1:]

    def watch(self, call, **buffers: bytearray) -> None:
        """Makes the call while the thread tries. Between the two marks only the call itself lets
        the GIL go."""
        self.buffers = buffers
        time.sleep(0.001)
        self.inside = True
        call()
        self.inside = False


@pytest.fixture
def grower():
    grower = Grower()
    thread = threading.Thread(target=grower.run)
    before = sys.getswitchinterval()
    thread.start()
    sys.setswitchinterval(1000)
    yield grower
    sys.setswitchinterval(before)
    grower.ended = True
    thread.join()


@pytest.fixture(params=NATIVE)
def engine(request):
    return engines.bind(request.param)


def room(content: bytes | int) -> bytearray:
    """With a spare byte, so that one more needs no other memory."""
    made = bytearray(content)
    made.append(0)
    del made[-1:]
    return made


def calls(engine, rng):
    """Name -> (call, the buffers that it holds), each with as fresh a counter as it needs."""
    sender, receiver = pair(engine, GCM, rng, replay_window=0)
    frame, meta = room(rng.randbytes(SIZE)), room(b"metadata")
    sealed = room(sender.protect(frame, meta))
    plain = room(sender.protect(frame))
    out, small = room(SIZE + 100), room(4 * SIZE)
    frames = FrameBatch(frame, [0, 9], [SIZE - 9] * 2)
    wires = FrameBatch(sealed, [0], [len(sealed)])
    return {
        "protect": (lambda: sender.protect(frame, meta), {"frame": frame, "meta": meta}),
        "protect_into": (
            lambda: sender.protect_into(frame, out, meta),
            {"frame": frame, "out": out, "meta": meta},
        ),
        "protect_many": (
            lambda: engine.protect_many(sender, [frame, frame], meta),
            {"frame": frame, "meta": meta},
        ),
        "protect_batch": (
            lambda: engine.protect_batch(sender, frames, meta, out=small),
            {"frame": frame, "meta": meta, "out": small},
        ),
        "protect_batch, plain": (
            lambda: engine.protect_batch(sender, frames, out=small),
            {"frame": frame, "out": small},
        ),
        "unprotect": (lambda: receiver.unprotect(sealed, meta), {"sealed": sealed, "meta": meta}),
        "unprotect_into": (
            lambda: receiver.unprotect_into(sealed, out, meta),
            {"sealed": sealed, "out": out, "meta": meta},
        ),
        "unprotect_many": (
            lambda: engine.unprotect_many(receiver, [sealed, sealed], meta),
            {"sealed": sealed, "meta": meta},
        ),
        "unprotect_many, plain": (
            lambda: engine.unprotect_many(receiver, [plain, plain]),
            {"plain": plain},
        ),
        "unprotect_batch": (
            lambda: engine.unprotect_batch(receiver, wires, meta, out=out),
            {"sealed": sealed, "meta": meta, "out": out},
        ),
    }


NAMES = [
    "protect", "protect_into", "protect_many", "protect_batch", "protect_batch, plain",
    "unprotect", "unprotect_into", "unprotect_many", "unprotect_many, plain", "unprotect_batch",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_buffers_are_held_until_the_call_has_ended(engine, grower, name, rng):
    call, buffers = calls(engine, rng)[name]
    for _ in range(2000):  # on a busy machine the thread may not come to its turn at once
        grower.watch(call, **buffers)
        if grower.resized or grower.refused == set(buffers):
            break
    assert grower.resized == set()
    assert grower.refused == set(buffers), "the thread never came to its turn"


def test_a_buffer_that_is_let_go_is_seen(grower):
    """The seeded fault: a call that lets the GIL go and holds nothing."""
    for _ in range(2000):
        grower.watch(lambda: time.sleep(0.005), frame=room(100))
        if grower.resized:
            break
    assert grower.resized == {"frame"}
