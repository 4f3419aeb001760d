"""Promise 8: no frame is accepted wrongly when another thread changes it during the call.

The flipper is a thread of C (flipper.c): it needs no GIL, so it runs while a frame is opened.
"""

import os
from collections import Counter

import pytest
from security.flipping import CLEAR, Shared, into, race_in_batches, race_singly, singly

FAMILIES = (4, 5, 1, 6)
WAYS = {"unprotect": singly, "unprotect_into": into, "unprotect_many": None}
ENOUGH = 30_000  # accepted frames of each engine, all suites and ways together
BATCHED = 40  # times as many in batches, which take no longer for it


def race(shared: Shared, way: str, accepts: int, seed: int) -> Counter[str]:
    if WAYS[way] is None:
        native = shared.engine.name.startswith("native")
        return race_in_batches(shared, accepts * BATCHED if native else accepts, seed)
    return race_singly(shared, WAYS[way], accepts, seed)


@pytest.fixture(autouse=True)
def _two_cores():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: nothing can run during a call")


def test_what_is_accepted_is_right(engine, rng, by_tier):
    """Of each engine 30,000 accepted frames at least; the twin's providers are slower."""
    native = engine.name.startswith("native")
    share = 1 if native else by_tier(10, 1, 1)
    each = ENOUGH * by_tier(1, 2, 40) // share // len(FAMILIES) // len(WAYS)
    total: Counter[str] = Counter()
    for suite in FAMILIES:
        shared = Shared(engine, suite, rng)
        for way in WAYS:
            seen = race(shared, way, each, rng.getrandbits(32))
            print(f"{engine.name} suite {suite} {way}: {dict(seen)}")
            assert seen["WRONG"] == 0, (suite, way, seen)
            assert seen["flips"] > each // 100
            total += seen
    assert total["right"] >= ENOUGH // share


class VerifyThenDecrypt:
    """The seeded fault: what was verified is read once more to be decrypted."""

    def __init__(self, receiver, view, frame) -> None:
        self.receiver, self.head = receiver, len(view) - len(frame)
        self.stream = bytes(
            a ^ b for a, b in zip(view[self.offset(len(view)) :], frame[CLEAR:], strict=False)
        )

    def offset(self, size: int) -> int:
        """Where ciphertext begins: clear bytes, config byte, KID, CTR."""
        return CLEAR + 1 + 2 + 3

    def unprotect(self, view, metadata, *, clear):
        opened = self.receiver.unprotect(bytes(view), metadata, clear=clear)
        again = view[self.offset(len(view)) :]
        decrypted = bytes(a ^ b for a, b in zip(self.stream, again, strict=False))
        return opened[:clear] + decrypted[: len(opened) - clear]


def test_a_frame_that_is_read_twice_is_noticed(engine, rng):
    shared = Shared(engine, 4, rng, sizes=(160,))
    honest = shared.receiver.unprotect(shared.views[0], b"never changed", clear=CLEAR)
    assert honest == shared.frames[0]
    shared.receiver = VerifyThenDecrypt(shared.receiver, shared.views[0], shared.frames[0])
    seen: Counter[str] = Counter()
    for _ in range(20):
        if not seen["WRONG"]:
            seen += race_singly(shared, singly, 2000, rng.getrandbits(32))
    print(f"{engine.name}: {dict(seen)}")
    assert seen["WRONG"] > 0
