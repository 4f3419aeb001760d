"""Whatever comes in wrong: its own named error, nothing written, nothing changed."""

import numpy
import pytest
from parties import GCM, SUITES, flipped, new_receiver, new_sender, options, pair

from pysframe import (
    AuthenticationFailed,
    CipherSuite,
    FrameTooOld,
    Header,
    MalformedFrame,
    MisuseError,
    ReplayedFrame,
    SenderRetired,
    UnknownKey,
)

SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
NOT_BYTES = ["text", None, 7, [1, 2], object()]


# ---- from the network ----


def rejections(engine, suite, rng):
    """(receiver, metadata, [(name, ciphertext, error)], a frame that opens)"""
    base_key = rng.randbytes(16)
    sender = new_sender(engine, suite, base_key, next_ctr=1000)
    receiver = new_receiver(engine, suite, base_key, replay_window=100)
    stranger = new_sender(engine, suite, base_key, kid=9)
    impostor = new_sender(engine, suite, rng.randbytes(16), kid=7, next_ctr=2000)
    old, other, seen, good = (sender.protect(rng.randbytes(40), b"m") for _ in range(4))
    for _ in range(200):
        last = sender.protect(b"x", b"m")
    receiver.unprotect(last, b"m")
    receiver.unprotect(new := sender.protect(b"new", b"m"), b"m")
    cases = [
        ("empty", b"", MalformedFrame),
        ("no room for a tag", good[: suite.Nt], MalformedFrame),
        ("truncated header", b"\xff" + bytes(10) + bytes(suite.Nt), MalformedFrame),
        ("KID not minimal", b"\x80\x07" + b"\x01" * 40, MalformedFrame),
        ("CTR not minimal", b"\x79\x00\x01" + b"\x01" * 40, MalformedFrame),
        ("media in clear", b"\xff" * 40, UnknownKey),
        ("unknown KID", stranger.protect(b"x" * 40, b"m"), UnknownKey),
        ("too old", old, FrameTooOld),
        ("too old and changed", flipped(other, -1), FrameTooOld),
        ("replayed", new, ReplayedFrame),
        ("replayed and changed", flipped(new, -1), ReplayedFrame),
        ("wrong key", impostor.protect(b"x" * 40, b"m"), AuthenticationFailed),
        ("changed tag", flipped(sender.protect(b"y" * 40, b"m"), -1), AuthenticationFailed),
        ("changed text", flipped(sender.protect(b"y" * 40, b"m"), -30), AuthenticationFailed),
        ("other metadata", sender.protect(b"y" * 40, b"n"), AuthenticationFailed),
        ("cut short", sender.protect(b"y" * 40, b"m")[:-1], AuthenticationFailed),
        ("with a surplus", sender.protect(b"y" * 40, b"m") + b"\0", AuthenticationFailed),
    ]
    assert seen
    return receiver, cases, sender.protect(b"the next one", b"m")


def key_state(receiver):
    """All that authentication guards: for each KID what was opened, and how far."""
    return [(key.kid, key.opened, key.last_ctr, key.provisional) for key in receiver._stats().keys]


@SUITE
def test_rejected_frames(engine, suite, rng):
    receiver, cases, following = rejections(engine, suite, rng)
    before = key_state(receiver)
    for name, ciphertext, error in cases:
        with pytest.raises(error) as raised:
            receiver.unprotect(ciphertext, b"m")
        assert type(raised.value) is error, name
        assert key_state(receiver) == before, name
    assert receiver.unprotect(following, b"m") == b"the next one"


@SUITE
def test_rejected_frames_leave_no_plaintext(engine, suite, rng):
    """`out` held 0xA5: it is zeros where the frame would have been, and untouched behind."""
    receiver, cases, following = rejections(engine, suite, rng)
    before = key_state(receiver)
    for name, ciphertext, error in cases:
        out = bytearray(b"\xa5" * 100)
        with pytest.raises(error):
            receiver.unprotect_into(ciphertext, out, b"m")
        assert not any(out[: max(0, len(ciphertext) - 17 - suite.Nt)]), name
        assert set(out) <= {0, 0xA5}, name
        assert set(out[len(ciphertext) :]) <= {0xA5}, name
        assert key_state(receiver) == before, name
    assert receiver.unprotect_into(following, bytearray(100), b"m") == 12


@SUITE
def test_rejected_frames_in_place_leave_no_plaintext(engine, suite, rng):
    """In place a refused tag wipes; a frame whose key never ran keeps its ciphertext."""
    receiver, cases, _ = rejections(engine, suite, rng)
    for name, ciphertext, error in cases:
        if error not in (UnknownKey, ReplayedFrame, FrameTooOld, AuthenticationFailed):
            continue
        header = Header.parse(ciphertext).size
        memory = bytearray(ciphertext)
        with pytest.raises(error):
            receiver.unprotect_into(memory, memoryview(memory)[header:], b"m")
        if error is AuthenticationFailed:
            assert not any(memory[header : -suite.Nt]), name
        else:
            assert memory == ciphertext, name


@SUITE
def test_every_way_to_cut_or_extend(engine, suite, rng):
    sender, receiver = pair(engine, suite, rng, kid=300)
    ciphertext = sender.protect(b"frame", b"m")
    for size in range(len(ciphertext)):
        with pytest.raises((MalformedFrame, AuthenticationFailed, UnknownKey)):
            receiver.unprotect(ciphertext[:size], b"m")
    for surplus in (b"\0", ciphertext[-1:], ciphertext):
        with pytest.raises(AuthenticationFailed):
            receiver.unprotect(ciphertext + surplus, b"m")
    for clear in (1, 3, 5, 22, 1000, 2**40):
        with pytest.raises((MalformedFrame, AuthenticationFailed, UnknownKey)):
            receiver.unprotect(ciphertext, b"m", clear=clear)
    assert receiver.unprotect(ciphertext, b"m") == b"frame"


def test_errors_say_which_frame(engine, rng):
    sender, receiver = pair(engine, GCM, rng, kid=0x123, next_ctr=0x4567)
    ciphertext = sender.protect(b"frame")
    with pytest.raises(AuthenticationFailed, match=r"0x123.*17767|0x123.*0x4567") as raised:
        receiver.unprotect(flipped(ciphertext, -1))
    assert (raised.value.kid, raised.value.ctr) == (0x123, 0x4567)
    receiver.remove_key(0x123)
    with pytest.raises(UnknownKey, match="0x123") as raised:
        receiver.unprotect(ciphertext)
    assert (raised.value.kid, raised.value.ctr) == (0x123, 0x4567)
    with pytest.raises(MalformedFrame) as raised:
        receiver.unprotect(b"")
    assert (raised.value.kid, raised.value.ctr) == (None, None)


# ---- from the caller ----


def sender_state(sender):
    return sender.next_ctr, sender.blocks


@pytest.mark.parametrize("wrong", NOT_BYTES, ids=lambda wrong: type(wrong).__name__)
def test_wrong_types(engine, wrong, rng):
    sender, receiver = pair(engine, GCM, rng)
    ciphertext, before = sender.protect(b"frame"), sender_state(sender)
    calls = [
        lambda: sender.protect(wrong),
        lambda: sender.protect_into(wrong, bytearray(99)),
        lambda: sender.protect_into(b"frame", wrong),
        lambda: engine.protect_many(sender, [b"frame", wrong]),
        lambda: receiver.unprotect(wrong),
        lambda: receiver.unprotect_into(wrong, bytearray(99)),
        lambda: receiver.unprotect_into(ciphertext, wrong),
        lambda: engine.unprotect_many(receiver, [ciphertext, wrong]),
        lambda: receiver.add_key(8, wrong),
        lambda: new_sender(engine, GCM, wrong),
    ]
    if wrong is not None:
        calls += [
            lambda: sender.protect(b"frame", wrong),
            lambda: receiver.unprotect(ciphertext, wrong),
        ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert sender_state(sender) == before
    assert receiver.unprotect(ciphertext) == b"frame"


STRIDED = {
    "memoryview": memoryview(bytearray(200))[::2],
    "numpy": numpy.zeros(200, dtype=numpy.uint8)[::2],
    "columns": numpy.zeros((10, 10), dtype=numpy.uint8, order="F"),
}


@pytest.mark.parametrize("strided", STRIDED.values(), ids=STRIDED)
def test_strided_and_read_only_buffers(engine, strided, rng):
    sender, receiver = pair(engine, GCM, rng)
    ciphertext, before = sender.protect(b"frame"), sender_state(sender)
    for call in (
        lambda: sender.protect(strided),
        lambda: sender.protect(b"frame", strided),
        lambda: sender.protect_into(b"frame", strided),
        lambda: sender.protect_into(b"frame", bytes(99)),
        lambda: sender.protect_into(b"frame", memoryview(bytearray(99)).toreadonly()),
        lambda: engine.protect_many(sender, [strided]),
        lambda: receiver.unprotect(strided),
        lambda: receiver.unprotect(ciphertext, strided),
        lambda: receiver.unprotect_into(ciphertext, strided),
        lambda: receiver.unprotect_into(ciphertext, bytes(99)),
        lambda: engine.unprotect_many(receiver, [strided]),
    ):
        with pytest.raises(BufferError):
            call()
    assert sender_state(sender) == before
    assert receiver.unprotect(ciphertext) == b"frame"


def test_released_buffers(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    ciphertext, released = sender.protect(b"frame"), memoryview(bytearray(99))
    released.release()
    for call in (
        lambda: sender.protect(released),
        lambda: sender.protect_into(b"frame", released),
        lambda: receiver.unprotect(released),
        lambda: receiver.unprotect_into(ciphertext, released),
    ):
        with pytest.raises((ValueError, BufferError), match="released"):
            call()
    assert receiver.unprotect(ciphertext) == b"frame"


def test_buffers_are_let_go(engine, rng):
    """After a call, good or bad, a bytearray can be resized: nobody holds it."""
    sender, receiver = pair(engine, GCM, rng)
    frame, out, metadata = bytearray(b"frame"), bytearray(99), bytearray(b"m")
    size = sender.protect_into(frame, out, metadata)
    ciphertext, back = out[:size], bytearray(99)
    receiver.unprotect_into(ciphertext, back, metadata)
    with pytest.raises(ReplayedFrame):
        receiver.unprotect_into(ciphertext, back, metadata)
    with pytest.raises(MisuseError):
        sender.protect_into(frame, bytearray(3), metadata)
    with pytest.raises(TypeError):
        sender.protect_into(frame, out, "text")
    engine.protect_many(sender, [frame], metadata)
    engine.unprotect_many(receiver, [ciphertext], metadata)
    for held in (frame, out, metadata, ciphertext, back):
        held.append(1)


@SUITE
@pytest.mark.parametrize("size", [0, 1, 8, 15])
def test_short_base_keys(engine, suite, size):
    for call in (
        lambda: new_sender(engine, suite, bytes(size)),
        lambda: new_receiver(engine, suite, bytes(size)),
    ):
        with pytest.raises(MisuseError, match=rf"{size} bytes.*16|16.*{size} bytes"):
            call()


def test_long_base_keys(engine, rng):
    for size in (16, 17, 31, 32, 64, 65, 127, 128, 129, 1000):
        base_key = rng.randbytes(size)
        sender, receiver = (new_sender(engine, GCM, base_key), new_receiver(engine, GCM, base_key))
        assert receiver.unprotect(sender.protect(b"frame")) == b"frame"


def test_room(engine, rng):
    """Too small an `out`: the message says how much is needed, and nothing is consumed."""
    sender, receiver = pair(engine, GCM, rng)
    for room in range(5 + 17):
        out = bytearray(b"\xa5" * room)
        with pytest.raises(MisuseError, match="22"):
            sender.protect_into(b"frame", out)
        assert set(out) <= {0xA5}
    ciphertext = sender.protect(b"frame")
    for room in range(5):
        out = bytearray(b"\xa5" * room)
        with pytest.raises(MisuseError, match="5"):
            receiver.unprotect_into(ciphertext, out)
        assert set(out) <= {0xA5}
    assert (sender.next_ctr, receiver.unprotect(ciphertext)) == (1, b"frame")


def test_clear_out_of_range(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    for clear in (-1, 6, 2**40):
        for call in (
            lambda: sender.protect(b"frame", clear=clear),  # noqa: B023
            lambda: sender.protect_into(b"frame", bytearray(99), clear=clear),  # noqa: B023
            lambda: engine.protect_many(sender, [b"frame"], clear=clear),  # noqa: B023
        ):
            with pytest.raises(MisuseError, match="clear"):
                call()
    assert sender.next_ctr == 0
    with pytest.raises(MisuseError, match="clear"):
        receiver.unprotect(b"frame", clear=-1)
    with pytest.raises(TypeError):
        sender.protect(b"frame", clear="1")


def test_suites_must_be_suites(engine):
    for wrong in (0, 9, -1, 0xF000):
        with pytest.raises(MisuseError, match="suite"):
            engine.Sender(wrong, kid=0, base_key=bytes(16), next_ctr=0)
        with pytest.raises(MisuseError, match="suite"):
            engine.Receiver(wrong)


def test_short_tags_must_be_meant(engine, rng):
    for number in (3, 8):
        with pytest.raises(MisuseError, match="allow_short_tags"):
            engine.Sender(number, kid=0, base_key=bytes(16), next_ctr=0)
        with pytest.raises(MisuseError, match="allow_short_tags"):
            engine.Receiver(number)
        assert options(CipherSuite(number)) == {"allow_short_tags": True}


def test_closed(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    ciphertext = sender.protect(b"frame")
    sender.close()
    receiver.close()
    out = bytearray(b"\xa5" * 60)
    for call in (
        lambda: sender.protect(b"frame"),
        lambda: sender.protect_into(b"frame", out),
        lambda: engine.protect_many(sender, [b"frame"]),
        lambda: sender.next_ctr,
    ):
        with pytest.raises(SenderRetired, match="closed"):
            call()
    for call in (
        lambda: receiver.unprotect(ciphertext),
        lambda: receiver.unprotect_into(ciphertext, out),
        lambda: engine.unprotect_many(receiver, [ciphertext]),
        lambda: receiver.add_key(8, bytes(16)),
        lambda: receiver.remove_key(7),
        lambda: receiver.kids,
    ):
        with pytest.raises(MisuseError, match="closed"):
            call()
    assert set(out) == {0xA5}
