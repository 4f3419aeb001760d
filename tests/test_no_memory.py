"""When memory runs out, no frame is lost: each allocation of a call fails in turn.

A frame opens once. If a call failed after it had accepted a frame's counter, the frame would be a
replay when the caller tries again. The native engine therefore takes all memory first. Its twin
allocates in every line, as Python does, and says so.
"""

import _testcapi  # of CPython's own tests; Debian has it in libpython3-stdlib

import pytest
from isolated import in_child
from parties import GCM, new_sender

from pysframe import FrameBatch
from pysframe import engine as engines

ALLOCATIONS = 60  # more than any of these calls makes


def lists(engine, receiver, wires):
    return lambda: engine.unprotect_many(receiver, wires)


def lists_of_both(engine, receiver, wires):
    receivers = [receiver] * len(wires)
    return lambda: engine.unprotect_many(receivers, wires)


def lists_with_metadata(engine, receiver, wires):
    return lambda: engine.unprotect_many(receiver, wires, b"")


def columns(engine, receiver, wires):
    batch = FrameBatch.from_frames(wires)
    return lambda: engine.unprotect_batch(receiver, batch)


def columns_into_out(engine, receiver, wires):
    batch, out = FrameBatch.from_frames(wires), bytearray(sum(map(len, wires)))
    return lambda: engine.unprotect_batch(receiver, batch, out=out)


def columns_with_metadata(engine, receiver, wires):
    batch = FrameBatch.from_frames(wires)
    return lambda: engine.unprotect_batch(receiver, batch, b"")


# Each makes all that its call is given, and returns the call.
WAYS = (
    lists,
    lists_of_both,
    lists_with_metadata,
    columns,
    columns_into_out,
    columns_with_metadata,
)
FRAMES = {
    "few": [b"a frame", b"", bytes(300)],
    "many": [bytes(20)] * 100,
    "long": [bytes(100_000)] * 3,
}


@pytest.fixture(params=[name for name in engines.available() if name.startswith("native")])
def native(request):
    return engines.bind(request.param)


def failing(nth, call):
    """What the call returns if its nth allocation fails; None if it raises MemoryError."""
    _testcapi.set_nomemory(nth, nth + 1)
    try:
        return call()
    except MemoryError:
        return None
    finally:
        _testcapi.remove_mem_hooks()


def failures(engine, base_key, way, frames):
    """How many of the allocations raise MemoryError; each time the same frames open afterwards."""
    sender, receiver, found = new_sender(engine, GCM, base_key), engine.Receiver(GCM), 0
    receiver.add_key(sender.kid, base_key)
    for nth in range(ALLOCATIONS):
        wires = engine.protect_many(sender, frames)
        opened = failing(nth, way(engine, receiver, wires))
        found += opened is None
        opened = opened or engine.unprotect_many(receiver, wires)
        assert opened.to_list() == frames, f"lost by allocation {nth}"
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("frames", FRAMES)
def test_a_batch_is_opened_or_can_be_opened_again(native, base_key, way, frames):
    found = in_child(lambda: failures(native, base_key, way, FRAMES[frames]))
    assert 2 <= found < ALLOCATIONS


def test_a_frame_is_opened_or_can_be_opened_again(native, base_key):
    def work():
        sender, receiver, found = new_sender(native, GCM, base_key), native.Receiver(GCM), 0
        receiver.add_key(sender.kid, base_key)
        for nth in range(ALLOCATIONS):
            wire = sender.protect(bytes(300))
            opened = failing(nth, lambda wire=wire: receiver.unprotect(wire))
            found += opened is None
            assert (opened or receiver.unprotect(wire)) == bytes(300), f"lost by allocation {nth}"
        return found

    assert 1 <= in_child(work) < ALLOCATIONS
