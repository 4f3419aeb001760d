"""Promise 13: what is not an authentic SFrame ciphertext is never accepted, whatever it is.

No codec, no trailer and no size opens a way round the tag: there is no passthrough.
"""

import pytest
from oracle import Oracle, library_for
from parties import SUITES, new_receiver, status_of
from security.foreign import OPUS_SILENCE, all_of_them, opus_frames, vp8_frames

from pysframe import FrameBatch, FrameStatus, KeyState
from pysframe import engine as engines
from pysframe.engine.twin._receiver import Opened, ReceiverState

KEY = bytes(range(16))
KIDS = range(16)  # media in clear often looks like a frame of one of these
SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)


def expected(wire, suite, kids, clear=0):
    """What RFC 9605 4.3 and 4.4.4 say of a frame whose tag does not fit."""
    body = wire[clear:]
    if len(body) < 1 + suite.Nt:
        return FrameStatus.MALFORMED
    at, values = 1, []
    for field in (body[0] >> 4, body[0] & 15):
        size = (field & 7) + 1 if field & 8 else 0
        value = int.from_bytes(body[at : at + size]) if size else field & 7
        at += size
        if at > len(body) - suite.Nt or (size and value < max(8, 256 ** (size - 1))):
            return FrameStatus.MALFORMED  # it has no room, or a shorter form
        values.append(value)
    return FrameStatus.AUTHENTICATION_FAILED if values[0] in kids else FrameStatus.UNKNOWN_KEY


def refused(engine, receiver, suite, kids, wires, clear=0):
    """Statuses of frames that must all be refused: alone, into a buffer, and in batches."""
    named = [expected(wire, suite, kids, clear) for wire in wires]
    assert [status_of(receiver, wire, clear=clear)[0] for wire in wires] == named
    assert [into(receiver, wire, clear) for wire in wires] == named
    for batch in (
        engine.unprotect_many(receiver, wires, None, clear),
        engine.unprotect_batch(receiver, FrameBatch.from_frames(wires), None, clear),
    ):
        assert list(batch.status) == named
        assert not any(batch.lengths) and not any(bytes(batch.data))
    return named


def into(receiver, wire, clear):
    out = bytearray(len(wire))
    status, _ = status_of(Into(receiver, out), wire, clear=clear)
    assert not any(out)
    return status


class Into:
    """A receiver whose unprotect() writes into a buffer."""

    def __init__(self, receiver, out):
        self.receiver, self.out = receiver, out

    def unprotect(self, wire, **more):
        return self.receiver.unprotect_into(wire, self.out, **more)


@SUITE
def test_foreign_frames_are_refused(engine, suite, rng, by_tier):
    """By a receiver that knows no key, one, or all that such frames may name."""
    all_kids, all_clear = ((), (7,), KIDS), (0, 1, 3, 10)
    for kids in by_tier((KIDS,), all_kids, all_kids):
        receiver = new_receiver(engine, suite)
        for kid in kids:
            receiver.add_key(kid, KEY)
        for wires in all_of_them(rng).values():
            for clear in by_tier((0, rng.choice(all_clear)), all_clear, all_clear):
                refused(engine, receiver, suite, kids, wires, clear)
        assert not any(key.opened for key in receiver._stats().keys)


def test_each_kind_of_foreign_frame_reaches_the_tag(rng):
    """So that the test above is not about headers alone."""
    suite, kinds = SUITES[3], all_of_them(rng)
    reached = {
        name
        for name, wires in kinds.items()
        if FrameStatus.AUTHENTICATION_FAILED
        in [expected(wire, suite, range(1 << 16)) for wire in wires]
    }
    assert reached >= {"zeros and ones", "Opus", "VP8", "LiveKit", "LiveKit, injected", "RTP"}
    assert len(opus_frames()) > 30 and len(vp8_frames()) > 10
    assert vp8_frames()[0][3:6] == b"\x9d\x01\x2a", "a VP8 key frame"


def test_key_flow_tells_media_in_clear(engine):
    receiver = new_receiver(engine, SUITES[3], KEY)
    for now, frames in enumerate((opus_frames(), opus_frames())):
        engine.unprotect_many(receiver, frames)
        flow = receiver.key_flow(float(now))
    assert flow[None].state is KeyState.NOT_SFRAME


@SUITE
def test_parts_of_genuine_frames_are_refused(engine, suite, rng, by_tier):
    """Cut at random at either end, or both, or with another frame behind: each is refused, and
    the whole frame opens afterwards."""
    seal = Oracle(suite, KEY, 7, library_for(engine)).seal
    for ctr in range(by_tier(3, 30, 300)):
        if ctr % 30 == 0:  # before a key with a 4-byte tag closes, after 2^12 failures
            receiver = new_receiver(engine, suite, KEY, replay_window=0)
        frame = rng.randbytes(rng.choice((0, 1, 20, 160, 1200)))
        clear = rng.choice((0, 0, min(5, len(frame))))
        whole = seal(ctr, frame, clear=clear)
        ends = [sorted(rng.choices(range(len(whole) + 1), k=2)) for _ in range(20)]
        parts = [whole[start:end] for start, end in ends] + [whole[:end] for _, end in ends]
        parts = [part for part in [*parts, whole + whole, b""] if part != whole]
        refused(engine, receiver, suite, (7,), parts, clear)
        assert receiver.unprotect(whole, clear=clear) == frame


def test_a_receiver_that_lets_silence_pass_is_noticed(rng, monkeypatch):
    """The seeded fault, as others have it on purpose: known silence needs no tag."""
    attempt = ReceiverState.attempt

    def attempt_or_pass(self, arrival, out):
        if bytes(arrival.view) == OPUS_SILENCE:
            return Opened(7, 0, OPUS_SILENCE)
        return attempt(self, arrival, out)

    monkeypatch.setattr(ReceiverState, "attempt", attempt_or_pass)
    twin = engines.bind("fallback")
    with pytest.raises(AssertionError):
        refused(twin, new_receiver(twin, SUITES[3], KEY), SUITES[3], (7,), [OPUS_SILENCE])
