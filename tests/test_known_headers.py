"""A header like those before it is read at a glance: what differs must be seen to differ."""

import pytest
from oracle import Oracle, aead_seal, encode_header, library_for
from parties import GCM, LAST_CTR, new_receiver, status_of

from pysframe import FrameStatus

KIDS = (0, 7, 8, 255, 256, 1 << 24, 1 << 40, 1 << 48, LAST_CTR)
TURNS = (8, 1 << 8, 1 << 16, 1 << 24, 1 << 32, 1 << 40, 1 << 48, 1 << 56, LAST_CTR)
SHORTEST = 1 + 2 + 2 + 16  # bytes: a header of KID 300 and CTR 5000, and a tag


class Party:
    """A key, an oracle that seals under it, and receivers of it."""

    def __init__(self, engine, rng, kid: int) -> None:
        self.engine, self.base_key, self.kid = engine, rng.randbytes(16), kid
        self.oracle = Oracle(GCM, self.base_key, kid, library_for(engine))

    def receiver(self, **more):
        return new_receiver(self.engine, GCM, self.base_key, self.kid, **more)

    def long_form(self, ctr: int, ctr_bytes: int, frame: bytes) -> bytes:
        """An authentic frame whose header spends more bytes on its counter than it needs."""
        start = encode_header(self.kid, 0)
        config = start[0] & 0xF0 | 8 | (ctr_bytes - 1)
        header = bytes([config]) + start[1:] + ctr.to_bytes(ctr_bytes)
        o = self.oracle
        return header + aead_seal(GCM, o.key, o.nonce(ctr), header, frame, o.library)


@pytest.fixture(params=KIDS, ids=hex)
def party(request, engine, rng):
    return Party(engine, rng, request.param)


@pytest.mark.parametrize("turn", TURNS, ids=hex)
def test_counters_that_grow(party, turn, rng):
    """Around the counter that takes one more byte: in order and not, singly and in a batch."""
    many = party.engine.unprotect_many
    ctrs = range(turn - 4, min(turn + 4, LAST_CTR + 1))
    for order in (list(ctrs), rng.sample(ctrs, len(ctrs))):
        frames = [b"frame %d" % ctr for ctr in order]
        wires = tuple(party.oracle.seal(*pair) for pair in zip(order, frames, strict=True))
        receiver = party.receiver()
        assert [receiver.unprotect(wire) for wire in wires] == frames
        assert many(party.receiver(), wires).to_list() == frames
        assert set(many(receiver, wires).status) == {FrameStatus.REPLAYED}


@pytest.mark.parametrize(("ctr", "ctr_bytes"), [(3, 1), (9, 2), (300, 3), (0, 1), (0, 8)])
def test_headers_that_are_not_minimal(party, ctr, ctr_bytes):
    """RFC 9605 4.3 MUST: refused, also where many of that size were opened; or read on request."""
    wire = party.long_form(ctr, ctr_bytes, b"frame")
    alike = [party.oracle.seal((1 << 8 * (ctr_bytes - 1)) + 1000 + i, b"alike") for i in range(3)]
    for strict, result in (
        (True, (FrameStatus.MALFORMED, b"")),
        (False, (FrameStatus.OK, b"frame")),
    ):
        receiver = party.receiver(strict=strict, replay_window=0)
        assert [receiver.unprotect(one) for one in alike] == [b"alike"] * 3
        assert status_of(receiver, wire) == result
        batch = party.engine.unprotect_many(receiver, (alike[0], wire, alike[1]))
        assert list(batch.status) == [FrameStatus.OK, result[0], FrameStatus.OK]
        assert bytes(batch[1]) == result[1]


@pytest.mark.parametrize("size", range(SHORTEST + 1))
def test_frames_too_short_for_a_glance(engine, rng, size):
    party = Party(engine, rng, 300)
    receiver = party.receiver()
    assert receiver.unprotect(party.oracle.seal(5000, b"")) == b""
    wire = party.oracle.seal(5001, b"")[:size]
    expected = FrameStatus.OK if size == SHORTEST else FrameStatus.MALFORMED
    assert list(engine.unprotect_many(receiver, (wire,)).status) == [expected]
    if size < SHORTEST:
        assert status_of(receiver, wire) == (expected, b"")


def test_a_header_with_a_foreign_bit(engine, rng):
    """Each bit of a header matters, where the rest looks as ever."""
    party = Party(engine, rng, 300)
    receiver = party.receiver()
    for ctr in range(5000, 5003):
        assert receiver.unprotect(party.oracle.seal(ctr, b"frame")) == b"frame"
    wire = party.oracle.seal(5003, b"frame")
    for bit in range(8 * 5):
        forged = bytearray(wire)
        forged[bit // 8] ^= 1 << bit % 8
        assert status_of(receiver, bytes(forged))[0] != FrameStatus.OK
        assert not engine.unprotect_many(receiver, (bytes(forged),)).ok
    assert receiver.unprotect(wire) == b"frame"
