"""A frame with a known key runs no Python-level function between call and return."""

import gc
import sys

import pytest
from parties import SUITES, new_sender, pair

from pysframe import FrameBatch, SenderKeyLayout
from pysframe import engine as engines

NATIVE = [name for name in engines.available() if name.startswith("native")]
SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)


@pytest.fixture(params=NATIVE)
def native(request):
    return engines.bind(request.param)


def python_calls(call) -> list[str]:
    """Python-level functions that run while call() runs."""
    seen = []

    def hook(frame, event, _argument):
        if event == "call":
            seen.append(frame.f_code.co_name)

    before = sys.getprofile()
    gc.disable()  # a collection would run the finalizers of others
    sys.setprofile(hook)
    try:
        call()
    finally:
        sys.setprofile(before)
        gc.enable()
    assert seen[0] == "<lambda>"  # the call itself: the hook was at work
    return seen[1:]


@SUITE
def test_frames(native, suite, rng):
    sender, receiver = pair(native, suite, rng)
    out, back, meta = bytearray(99), bytearray(99), bytearray(b"m")
    one, two, three = (
        sender.protect(b"1"),
        sender.protect(b"22", meta, clear=2),
        sender.protect(b"3"),
    )
    for call in (
        lambda: sender.protect(b"frame"),
        lambda: sender.protect(memoryview(b"frame"), meta, clear=2),
        lambda: sender.protect_into(b"frame", out),
        lambda: sender.protected_size(100),
        lambda: receiver.unprotect(one),
        lambda: receiver.unprotect(two, meta, clear=2),
        lambda: receiver.unprotect_into(three, back),
    ):
        assert python_calls(call) == []


@SUITE
def test_batches(native, suite, rng):
    sender, receiver = pair(native, suite, rng)
    frames = [b"frame", bytearray(b"another"), b""] * 20
    sealed = [native.protect_many(sender, frames) for _ in range(4)]
    batch, out = FrameBatch.from_frames(frames), bytearray(9999)
    columns = [FrameBatch.from_frames(rows) for rows in sealed[2:]]
    for call in (
        lambda: native.protect_many(sender, frames),
        lambda: native.protect_many([sender] * 60, frames, [b"m"] * 60, [0] * 60),
        lambda: native.protect_batch(sender, batch),
        lambda: native.protect_batch(sender, batch, b"m", 0, out),
        lambda: native.unprotect_many(receiver, sealed[0]),
        lambda: native.unprotect_many([receiver] * 60, sealed[1], [None] * 60, [0] * 60),
        lambda: native.unprotect_batch(receiver, columns[0]),
        lambda: native.unprotect_batch(receiver, columns[1], None, None, out),
    ):
        assert python_calls(call) == []


def test_rejected_rows(native, rng):
    """A bad frame costs no Python either, when it comes in a batch."""
    sender, receiver = pair(native, SUITES[3], rng)
    rows = [b"", b"\xff" * 40, sender.protect(b"frame")[:-1], b"\x09" * 40]
    assert python_calls(lambda: native.unprotect_many(receiver, rows)) == []


def test_receivers_that_ratchet(native, rng):
    """The policy's hooks are asked about unknown keys alone."""
    layout, base_key = SenderKeyLayout(4), rng.randbytes(16)
    receiver = native.Receiver(SUITES[3])
    receiver.add_sender_key(1, base_key, layout=layout)
    sender = new_sender(native, SUITES[3], base_key, kid=layout.pack(1), layout=layout)
    first, second = sender.protect(b"one"), sender.protect(b"two")
    assert receiver.unprotect(first) == b"one"
    assert python_calls(lambda: receiver.unprotect(second)) == []
    later = sender
    for _ in range(5):
        later = later.ratchet()
    unknown = later.protect(b"three")
    assert "_resolve" in python_calls(lambda: receiver.unprotect(unknown))


def test_the_twin_is_seen(rng):
    """The seeded fault: Python code in the path shows."""
    (name, *_) = (name for name in engines.available() if name.startswith("fallback"))
    sender, _ = pair(engines.bind(name), SUITES[3], rng)
    assert "seal" in python_calls(lambda: sender.protect(b"frame"))
