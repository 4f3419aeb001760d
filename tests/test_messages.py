"""What a refusal says, with its values, where it is raised; the texts themselves are in errors.py.

Both engines say the same, down to the number: whoever reads a log need not know which one ran.
"""

import pytest
from oracle import Oracle, library_for
from parties import GCM, LAST_CTR, core_of, flipped, new_receiver, new_sender, pair, status_of

from pysframe import CounterExhausted, FrameRejected, KeyExhausted, MisuseError, errors
from pysframe.errors import FrameStatus, MisuseCode

KID = 0x123


def says(call, code, **values):
    """That the call raises exactly this."""
    expected = errors.misuse(code, **values)
    with pytest.raises(type(expected)) as raised:
        call()
    assert str(raised.value) == str(expected)


def rejects(call, status, kid, ctr, *details):
    with pytest.raises(errors.rejection(status).__class__) as raised:
        call()
    assert (raised.value.status, raised.value.kid, raised.value.ctr) == (status, kid, ctr)
    assert all(detail in str(raised.value) for detail in details), str(raised.value)


@pytest.fixture
def parties(engine, rng):
    sender, receiver = pair(engine, GCM, rng, kid=KID)
    with sender, receiver:
        yield sender, receiver


def test_too_small_an_out(engine, parties):
    sender, receiver = parties
    size = sender.protected_size(5)
    room = {"size": size, "limit": size - 1}
    says(lambda: sender.protect_into(b"frame", bytearray(size - 1)), MisuseCode.ROOM, **room)
    assert sender.protect_into(b"frame", bytearray(size)) == size
    good = sender.protect(b"frame")
    says(lambda: receiver.unprotect_into(good, bytearray(4)), MisuseCode.ROOM, size=5, limit=4)
    batch = engine.protect_many(sender, [b"frame"] * 2)
    assert receiver.unprotect_into(good, bytearray(5)) == 5
    frames = engine.unprotect_many(receiver, batch)
    says(
        lambda: engine.protect_batch(sender, frames, out=bytearray(9)),
        MisuseCode.ROOM,
        size=2 * size,
        limit=9,
    )


def test_an_out_that_overlaps(parties):
    sender, receiver = parties
    memory = bytearray(200)
    view = memoryview(memory)
    says(lambda: sender.protect_into(view[:50], view[1:]), MisuseCode.OVERLAP)
    says(lambda: sender.protect_into(b"frame", view[:100], view[9:19]), MisuseCode.OVERLAP)
    view[:100] = sender.protect(bytes(100 - sender.protected_size(0)))
    says(lambda: receiver.unprotect_into(view[:100], view[2:]), MisuseCode.OVERLAP)
    good = sender.protect(bytes(50))
    says(lambda: receiver.unprotect_into(good, view, view[9:19]), MisuseCode.OVERLAP)


def test_protect_may_write_a_longest_header(parties):
    """Whatever the counter is by then: metadata may begin behind that, and no byte before."""
    sender, _ = parties
    view, most = memoryview(bytearray(200)), 5 + 17 + 16
    for metadata in (view[: most + 9][most - 1 :], view[0:1]):
        says(lambda m=metadata: sender.protect_into(b"frame", view, m), MisuseCode.OVERLAP)
    assert sender.protect_into(b"frame", view, view[most:])


@pytest.mark.parametrize("clear", [-1, 6])
def test_clear_out_of_range(engine, parties, clear):
    sender, _ = parties
    reason = f"clear is {clear} and the frame has 5 bytes"
    says(lambda: sender.protect(b"frame", clear=clear), MisuseCode.ARGUMENT, reason=reason)
    for frames, clears in (([b"frames", b"frame"], [0, clear]), ([b"frame", b""], [clear, 0])):
        with pytest.raises(MisuseError, match=f"^row {clears.index(clear)}: clear is {clear}"):
            engine.protect_many(sender, frames, clear=clears)


def test_clear_below_zero_of_a_ciphertext(parties):
    _, receiver = parties
    reason = "clear is -1 and the frame has 50 bytes"
    says(lambda: receiver.unprotect(bytes(50), clear=-1), MisuseCode.ARGUMENT, reason=reason)


def test_larger_than_the_limit_and_just_as_large(engine, rng):
    base_key = rng.randbytes(16)
    sender = new_sender(engine, GCM, base_key, KID, max_frame=10)
    receiver = new_receiver(engine, GCM, base_key, KID, max_frame=10)
    assert receiver.unprotect(sender.protect(bytes(10))) == bytes(10)
    says(lambda: sender.protect(bytes(11)), MisuseCode.TOO_LARGE, size=11, limit=10)
    large = Oracle(GCM, base_key, KID, library_for(engine)).seal(9, bytes(11))
    assert status_of(receiver, large)[0] == FrameStatus.MALFORMED
    assert receiver._stats().malformed == 1


def test_a_key_or_its_counters_that_are_used_up(engine, rng):
    sender = new_sender(engine, GCM, rng.randbytes(16), KID, LAST_CTR)
    sender.protect(b"frame")
    for call in (lambda: sender.protect(b"frame"), lambda: sender.next_ctr):
        says(call, MisuseCode.CTR_EXHAUSTED, kid=KID)
    batch = lambda: engine.protect_many(sender, [b"frame"] * 2)  # noqa: E731
    says(batch, MisuseCode.CTR_EXHAUSTED, kid=KID, row=0)
    assert isinstance(errors.misuse(MisuseCode.CTR_EXHAUSTED), CounterExhausted)
    sender = new_sender(engine, GCM, rng.randbytes(16), KID)
    sender._raise_blocks(2**36 - 2)
    sender.protect(b"")
    says(lambda: sender.protect(b""), MisuseCode.KEY_EXHAUSTED, kid=KID)
    assert isinstance(errors.misuse(MisuseCode.KEY_EXHAUSTED), KeyExhausted)


def test_a_sender_that_is_closed_or_there_already(engine, rng):
    base_key = rng.randbytes(16)
    sender = new_sender(engine, GCM, base_key, KID)
    says(lambda: new_sender(engine, GCM, base_key, KID), MisuseCode.DUPLICATE, kid=KID)
    sender.close()
    for call in (lambda: sender.protect(b"frame"), lambda: sender.next_ctr):
        says(call, MisuseCode.RETIRED, kid=KID, reason="closed")


def test_a_core_checks_what_it_is_given(engine, rng):
    """The policy has looked at these before; nothing rests on that."""
    most, reason = 2**31 - 1, "next_ctr or max_frame is out of range"
    for kid, last, max_frame in ((1, 0, most), (2, 0, 0), (3, LAST_CTR, 1)):
        secret = engine.Secret(GCM, rng.randbytes(16))
        core_of(engine.Sender)._open(GCM, kid, secret, last, last, max_frame)
    for first, last, max_frame in ((1, 0, 1), (LAST_CTR, LAST_CTR - 1, 1), (0, 1, most + 1)):
        call = lambda: core_of(engine.Sender)._open(GCM, 4, secret, first, last, max_frame)  # noqa: B023, E731
        says(call, MisuseCode.ARGUMENT, reason=reason)
    for window, max_frame in ((0, 0), (2**20, most)):
        core_of(engine.Receiver)._open(GCM, window, max_frame, True)
    for window, max_frame in ((0, most + 1), (2**20 + 1, 0)):
        call = lambda: core_of(engine.Receiver)._open(GCM, window, max_frame, True)  # noqa: B023, E731
        says(call, MisuseCode.ARGUMENT, reason=reason.replace("next_ctr", "replay_window"))


@pytest.mark.parametrize("size", [-1, 2**63, 2**64 - 1, 2**64])
def test_a_size_that_no_memory_has(parties, size):
    sender, _ = parties
    reason = f"n is {size}; it must be 0..{2**63 - 1}"
    says(lambda: sender.protected_size(size), MisuseCode.ARGUMENT, reason=reason)
    assert sender.protected_size(2**63 - 1) == 2**63 - 1 + sender.protected_size(0)
    with pytest.raises(TypeError):
        sender.protected_size(1.0)


def test_another_key_under_a_kid(engine, parties, rng):
    _, receiver = parties
    says(lambda: receiver.add_key(KID, rng.randbytes(16)), MisuseCode.CONFLICT, kid=KID)


def test_a_receiver_that_is_closed(parties):
    _, receiver = parties
    receiver.close()
    reason = "this receiver is closed"
    for call in (
        lambda: receiver.unprotect(bytes(50)),
        lambda: receiver.add_key(1, bytes(16)),
        lambda: receiver.remove_key(1),
        lambda: receiver.kids,
    ):
        says(call, MisuseCode.ARGUMENT, reason=reason)


def test_rejected_frames_say_whose_they_are(parties):
    sender, receiver = parties
    first, good = sender.protect(b"frame"), sender.protect(b"frame")
    kid, ctr = f"KID {KID:#x}", "CTR 1"
    bad = flipped(good, -1)
    failed = FrameStatus.AUTHENTICATION_FAILED
    rejects(lambda: receiver.unprotect(bad), failed, KID, 1, kid, ctr)
    rejects(lambda: receiver.unprotect(good, b"more"), failed, KID, 1, kid, ctr)
    receiver.unprotect(good)
    rejects(lambda: receiver.unprotect(good), FrameStatus.REPLAYED, KID, 1, kid, ctr)
    assert receiver.unprotect(first) == b"frame"
    unknown = b"\x10" + bytes(40)
    rejects(lambda: receiver.unprotect(unknown), FrameStatus.UNKNOWN_KEY, 1, 0, "KID 0x1 ")


@pytest.mark.parametrize("clear", [0, 3])
def test_too_short_for_any_frame(parties, clear):
    """A header of a byte and a tag: whatever is shorter is malformed, and changes no key."""
    _, receiver = parties
    receiver.add_key(1, bytes(16))
    for size in range(clear + 1 + 16):
        frame = (bytes(clear) + b"\x10" * 40)[:size]
        rejects(
            lambda f=frame: receiver.unprotect(f, clear=clear), FrameStatus.MALFORMED, None, None
        )
    with pytest.raises(FrameRejected) as raised:
        receiver.unprotect(bytes(clear) + b"\x10" * 17, clear=clear)
    assert raised.value.status == FrameStatus.AUTHENTICATION_FAILED
    malformed, _, _, keys = receiver._stats()
    assert malformed == clear + 17
    assert sorted((key.kid, key.auth_failed) for key in keys) == [(1, 1), (KID, 0)]


def test_a_malformed_frame_says_what_is_wrong(engine, rng):
    base_key = rng.randbytes(16)
    sender = new_sender(engine, GCM, base_key)
    receiver = new_receiver(engine, GCM, base_key, max_frame=10)
    large, tag = sender.protect(b"12345678901"), bytes(16)
    for frame, clear, claimed, why in (
        (b"\x70" * 16, 0, (None, None), "it has 16 bytes where the least is 17"),
        (b"\x70" * 19, 3, (None, None), "it has 19 bytes where the least is 20"),
        (b"\x70" * 19, 2**40, (None, None), "it has 19 bytes where the least is 1099511627793"),
        (large, 0, (7, 0), "its frame has 11 bytes, more than max_frame=10"),
        (b"\x70" * 40, 0, (7, 0), "its frame has 23 bytes, more than max_frame=10"),
        (b"\x70" * 40, 2, (7, 0), "its frame has 23 bytes, more than max_frame=10"),
        (b"\xff" * 16 + tag, 0, (None, None), "0xff means a header of 17 bytes, and it has 16"),
        (b"ab\xff" + tag, 2, (None, None), "0xff means a header of 17 bytes, and it has 1;"),
        (b"\x80\7" + tag, 0, (7, 0), "its KID 0x7 is not in the shortest form"),
        (b"a\x79\0\x20" + tag, 1, (7, 32), "its CTR 0x20 is not in the shortest form"),
    ):
        into = bytearray(99)
        for call in (
            lambda f=frame, c=clear: receiver.unprotect(f, clear=c),
            lambda f=frame, c=clear, out=into: receiver.unprotect_into(f, out, clear=c),
        ):
            rejects(call, FrameStatus.MALFORMED, *claimed, why)


def test_an_unknown_kid_is_told_with_the_number_of_keys(engine, rng):
    receiver = new_receiver(engine, GCM, rng.randbytes(16))
    said = "KID 0x1 is unknown (1 keys are known); "
    rejects(lambda: receiver.unprotect(b"\x10" + bytes(40)), FrameStatus.UNKNOWN_KEY, 1, 0, said)


def test_a_suite_or_a_secret_of_another(engine):
    secret = engine.Secret(GCM, bytes(16))
    receiver = new_receiver(engine, 5)
    with pytest.raises(MisuseError):
        receiver._add(1, secret, False)


def test_a_rejected_row_tells_no_kid_and_no_counter(engine, parties):
    sender, receiver = parties
    frames = [sender.protect(b"frame") for _ in range(3)]
    batch = engine.unprotect_many(receiver, [flipped(frames[1], -1), frames[2]])
    assert batch.status.tolist() == [FrameStatus.AUTHENTICATION_FAILED, FrameStatus.OK]
    assert (batch.kid.tolist(), batch.ctr.tolist()) == ([0, KID], [0, 2])
