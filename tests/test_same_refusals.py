"""Every engine refuses the same bad arguments, with the same error in the same words.

Each public call, each of its arguments in turn, each of a collection of odd values. A frame that
comes from the network is refused in the same words, too.
"""

import re
from array import array
from itertools import count

import numpy as np
import pytest
from parties import GCM, new_receiver, new_sender

from pysframe import FrameBatch, MLSLayout, SenderKeyLayout
from pysframe import engine as engines
from pysframe.engine import _self_test

LAYOUT, EPOCHS = SenderKeyLayout(4), MLSLayout(4, 4)
META = _self_test.METADATA
TWO = FrameBatch(b"abc", [0, 1], [1, 2])
FRESH = count()  # of keys: one process has one registry of senders


class Index:
    def __index__(self) -> int:
        return 3


class Broken:
    def __index__(self) -> int:
        raise RuntimeError("no number today")


def odd_values() -> list[object]:
    released = memoryview(bytearray(8))
    released.release()
    numbers = [0, 1, -1, 7, 2**31, 2**32, 2**63, 2**64, -(2**63) - 1, 2**70, True, 1.5, None]
    buffers = [
        b"", b"abc", bytearray(b"abcdef"), memoryview(b"abcdef"), memoryview(b"abcdef")[::2],
        array("h", [1, 2]), np.zeros(5, np.uint8), np.zeros((2, 3), np.uint8), released,
        np.zeros(9, np.uint8)[::3], np.int64(3), np.float64(2), bytes(16), b"\x10\0" + bytes(40),
    ]  # fmt: skip
    rows = [
        [], [1], [b"a"], [b"a", b"b"], (b"a", b"b"), [None, b"b"], [[b"a"], b"b"], [0, 0], [0, -1],
        [2**70, 0], iter([b"a", b"b"]), {}, "ab", range(2), TWO, FrameBatch(b"", [], []),
    ]  # fmt: skip
    return [*numbers, *buffers, *rows, "x", object(), Index(), Broken(), GCM, LAYOUT]


class World:
    """A sender and a receiver of a fresh key, in one engine."""

    def __init__(self, engine) -> None:
        self.engine, self.key = engine, next(FRESH).to_bytes(16)
        self.sender = new_sender(engine, GCM, self.key, 7, 1 << 40)
        self.receiver = new_receiver(engine, GCM, _self_test.BASE_KEY, _self_test.KID)
        self.wire = bytes.fromhex(_self_test.CIPHERTEXTS[GCM])

    def new_sender(self, suite, kid, base_key, next_ctr, max_frame):
        given = {"kid": kid, "base_key": base_key, "next_ctr": next_ctr, "max_frame": max_frame}
        return self.engine.Sender(suite, **given)


# Name -> the call of a world, and arguments that it takes.
CALLS = {
    "protect": lambda w: (lambda f, m, c: w.sender.protect(f, m, clear=c), [b"abc", b"m", 0]),
    "protect_into": lambda w: (
        lambda f, o, m, c: w.sender.protect_into(f, o, m, clear=c), [b"abc", bytearray(99), b"m", 0]
    ),
    "protected_size": lambda w: (w.sender.protected_size, [3]),
    "unprotect": lambda w: (lambda f, m, c: w.receiver.unprotect(f, m, clear=c), [w.wire, META, 0]),
    "unprotect_into": lambda w: (
        lambda f, o, m, c: w.receiver.unprotect_into(f, o, m, clear=c),
        [w.wire, bytearray(99), META, 0],
    ),
    "protect_many": lambda w: (w.engine.protect_many, [w.sender, [b"a", b"b"], b"m", 0]),
    "unprotect_many": lambda w: (w.engine.unprotect_many, [w.receiver, [b"a", b"b"], b"m", 0]),
    "protect_batch": lambda w: (w.engine.protect_batch, [w.sender, TWO, b"m", 0, None]),
    "unprotect_batch": lambda w: (w.engine.unprotect_batch, [w.receiver, TWO, b"m", 0, None]),
    "Sender": lambda w: (w.new_sender, [GCM, 9, w.key, 0, 100]),
    "Receiver": lambda w: (
        lambda s, r, m, strict: w.engine.Receiver(s, replay_window=r, max_frame=m, strict=strict),
        [GCM, 64, 100, True],
    ),
    "add_key": lambda w: (w.receiver.add_key, [9, w.key]),
    "remove_key": lambda w: (w.receiver.remove_key, [9]),
    "add_sender_key": lambda w: (
        lambda g, k, la, r, m: w.engine.Receiver(GCM).add_sender_key(
            g, k, layout=la, ratchet_step=r, max_steps=m
        ),
        [9, w.key, LAYOUT, 0, 4],
    ),
    "remove_sender_key": lambda w: (w.receiver.remove_sender_key, [9]),
    "add_epoch": lambda w: (
        lambda e, k, la, s: w.engine.Receiver(GCM).add_epoch(e, k, layout=la, senders=s),
        [9, w.key, EPOCHS, 3],
    ),
    "remove_epoch": lambda w: (w.receiver.remove_epoch, [9]),
    "key_flow": lambda w: (w.receiver.key_flow, [1.0]),
    "FrameBatch": lambda w: (w.engine.FrameBatch, [b"abc", [0, 1], [1, 2]]),
    "from_frames": lambda w: (w.engine.FrameBatch.from_frames, [[b"a", b"b"]]),
    "batch[i]": lambda w: (w.engine.FrameBatch(b"abc", [0, 1], [1, 2]).__getitem__, [0]),
    "Header": lambda w: (w.engine.Header, [1, 2, 3]),
    "Header.parse": lambda w: (lambda c, s: w.engine.Header.parse(c, strict=s), [w.wire, True]),
    "parse_headers": lambda w: (
        lambda b, c, s: w.engine.parse_headers(b, clear=c, strict=s), [[b"a", b"b"], 0, True]
    ),
    "Secret": lambda w: (w.engine.Secret, [GCM, w.key]),
    "Secret.for_ssrc": lambda w: (w.engine.Secret.for_ssrc, [GCM, w.key, 1]),
}  # fmt: skip


def answer(engine, name: str, position: int, number: int) -> str:
    """What becomes of the call: its error in words without numbers, or the kind of its result."""
    call, given = CALLS[name](World(engine))
    given[position] = odd_values()[number]
    try:
        result = call(*given)
    except Exception as error:
        return f"{type(error).__name__}: {re.sub(r'0x[0-9a-f]+|[0-9]+', 'N', str(error))}"
    return type(result).__name__


@pytest.mark.parametrize("name", CALLS)
def test_every_engine_gives_the_same_answer(engine, name):
    best = engines.default()
    positions = range(len(CALLS[name](World(engine))[1]))
    differing = {
        (position, repr(odd_values()[number])): (expected, found)
        for position in positions
        for number in range(len(odd_values()))
        if (expected := answer(best, name, position, number))
        != (found := answer(engine, name, position, number))
    }
    assert differing == {}
