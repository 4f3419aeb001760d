"""A batch equals the same single calls: also which unknown KIDs it remembers."""

import pytest
from parties import GCM, new_sender, status_of

from pysframe import FrameStatus, MLSLayout

LAYOUT = MLSLayout(E=4, S=6)


@pytest.fixture
def wires(engine, base_key):
    """A member's first frame, whose key is derived when it arrives, and one of each stranger."""
    sender = new_sender(engine, GCM, base_key, kid=LAYOUT.pack(5, 2))
    forged = [bytes([0x90, 0x10 + i, 0x01]) + bytes(40) for i in range(16)]
    return [sender.protect(b"a frame"), *forged]


def receiver(engine, base_key):
    made = engine.Receiver(GCM)
    made.add_epoch(5, base_key, layout=LAYOUT)
    return made


def test_a_batch_remembers_the_strangers_that_single_calls_remember(engine, base_key, wires):
    alone, together = receiver(engine, base_key), receiver(engine, base_key)
    statuses = [status_of(alone, wire)[0] for wire in wires]
    assert statuses == [FrameStatus.OK] + [FrameStatus.UNKNOWN_KEY] * 16
    assert engine.unprotect_many(together, wires).status.tolist() == statuses
    assert together._stats() == alone._stats()
