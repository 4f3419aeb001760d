"""One frame at a time: round trips, clear prefixes, buffers of all kinds, and in place."""

import mmap
from array import array

import numpy
import pytest
from oracle import Oracle, library_for
from parties import GCM, LAST_CTR, SUITES, new_sender, pair, status_of

from pysframe import CounterExhausted, FrameStatus, KeyExhausted, MisuseError

SIZES = (*range(34), 63, 64, 65, 127, 160, 255, 256, 1200, 4095, 4096, 4097, 70_000, 1 << 20)
CLEAR = [(n, clear) for n in (0, 1, 10, 160, 5000) for clear in (0, 1, 10, n) if clear <= n]
SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
ONE_OF_EACH_KIND = pytest.mark.parametrize("suite", SUITES[:4:3], ids=lambda suite: suite.name)


# ---- round trips ----


@SUITE
def test_every_size_is_what_the_oracle_makes(engine, suite, rng):
    base_key, kid, ctr = rng.randbytes(16), rng.getrandbits(64), rng.getrandbits(63)
    oracle = Oracle(suite, base_key, kid, library_for(engine))
    sender = new_sender(engine, suite, base_key, kid, ctr)
    receiver = engine.Receiver(suite, allow_short_tags=True)
    receiver.add_key(kid, base_key)
    for number, size in enumerate(SIZES):
        frame, metadata = rng.randbytes(size), rng.randbytes(rng.choice((0, 0, 1, 20, 300)))
        ciphertext = sender.protect(frame, metadata)
        assert ciphertext == oracle.seal(ctr + number, frame, metadata)
        assert receiver.unprotect(ciphertext, metadata) == frame


@SUITE
def test_clear_bytes(engine, suite, rng):
    """They stand in front of the header, readable, and are authenticated."""
    base_key = rng.randbytes(20)
    oracle = Oracle(suite, base_key, 7, library_for(engine))
    sender, receiver = (
        new_sender(engine, suite, base_key),
        engine.Receiver(suite, allow_short_tags=True),
    )
    receiver.add_key(7, base_key)
    for ctr, (size, clear) in enumerate(CLEAR):
        frame = rng.randbytes(size)
        ciphertext = sender.protect(frame, b"meta", clear=clear)
        assert ciphertext == oracle.seal(ctr, frame, b"meta", clear)
        assert ciphertext[:clear] == frame[:clear]
        if clear:
            changed = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
            status = status_of(receiver, changed, b"meta", clear=clear)[0]
            assert status == FrameStatus.AUTHENTICATION_FAILED
        assert receiver.unprotect(ciphertext, b"meta", clear=clear) == frame


def test_protected_size_is_exact(engine, rng):
    """Also where the counter's field grows."""
    for ctr in (0, 6, 7, 8, 254, 255, 65535, 2**32 - 1, LAST_CTR):
        for kid in (0, 7, 8, 2**63):
            sender = new_sender(engine, GCM, rng.randbytes(16), kid, ctr)
            size = sender.protected_size(33)
            assert len(sender.protect(bytes(33))) == size


def test_counters_count_up(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    for ctr in range(300):
        assert sender.next_ctr == ctr
        sender.protect(b"x") if ctr % 2 else sender.protect_into(b"x", bytearray(40))
    assert receiver.unprotect(sender.protect(b"x")) == b"x"


# ---- buffers ----


def kinds_of_buffers(data: bytes):
    """The same bytes in everything that is contiguous; len(data) is a multiple of 8."""
    mapped = mmap.mmap(-1, max(1, len(data)))
    mapped[: len(data)] = data
    return [
        data,
        bytearray(data),
        memoryview(data),
        memoryview(bytearray(b"x" + data + b"y"))[1:-1],
        array("Q", data),
        memoryview(array("d", data)),
        numpy.frombuffer(data, dtype=numpy.uint8),
        numpy.frombuffer(data, dtype="<u4").reshape(2, -1),
        memoryview(mapped)[: len(data)],
    ]


@ONE_OF_EACH_KIND
def test_any_contiguous_buffer(engine, suite, rng):
    data, metadata = rng.randbytes(160), rng.randbytes(16)
    sender, receiver = pair(engine, suite, rng)
    for frame, meta in zip(kinds_of_buffers(data), kinds_of_buffers(metadata), strict=True):
        ciphertext = sender.protect(frame, meta)
        assert receiver.unprotect(bytearray(ciphertext), meta) == data
        out = bytearray(sender.protected_size(160))
        assert sender.protect_into(frame, out, meta) == len(out)
        for room in kinds_of_buffers(bytes(160))[1:]:
            if memoryview(room).readonly:
                continue
            ciphertext = sender.protect(frame, meta)
            assert receiver.unprotect_into(memoryview(ciphertext), room, meta) == 160
            assert memoryview(room).tobytes() == data


def test_metadata_may_be_none(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    assert receiver.unprotect(sender.protect(b"frame", None)) == b"frame"
    assert receiver.unprotect(sender.protect(b"frame"), None) == b"frame"


def test_metadata_may_be_left_out_anywhere(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    out, back = bytearray(22), bytearray(5)
    for ciphertext in (sender.protect(b"frame", b""), sender.protect(b"frame")):
        assert receiver.unprotect_into(ciphertext, back) == 5
    assert sender.protect_into(b"frame", out) == 22
    assert receiver.unprotect(out) == back == b"frame"


@SUITE
def test_into(engine, suite, rng):
    """A larger `out` keeps what lies behind the result."""
    sender, receiver = pair(engine, suite, rng)
    for size in (0, 1, 160, 5000):
        frame = rng.randbytes(size)
        out, back = bytearray(b"\xa5" * (size + 60)), bytearray(b"\xa5" * (size + 60))
        written = sender.protect_into(frame, out, b"meta")
        assert set(out[written:]) == {0xA5}
        assert receiver.unprotect_into(out[:written], back, b"meta") == size
        assert back == frame + b"\xa5" * 60


# ---- in place, and every other overlap ----


@ONE_OF_EACH_KIND
@pytest.mark.parametrize("size", [0, 1, 8, 64, 300])
@pytest.mark.parametrize("clear", [0, 1, 5])
def test_overlaps_of_protect(engine, suite, size, clear, rng):
    """Apart, or the payload exactly where it will lie; anything else is refused untouched."""
    clear = min(clear, size)
    sender, receiver = pair(engine, suite, rng, kid=300, next_ctr=1000)
    for shift in range(-32, 33):
        frame = rng.randbytes(size)
        room = sender.protected_size(size)
        header = room - size - suite.Nt
        memory = bytearray(rng.randbytes(size + room + 64))
        source, out = memory_views(memory, 32, size, 32 + shift, room)
        source[:] = frame
        before, ctr = bytes(memory), sender.next_ctr
        if apart(32, size, 32 + shift, room) or -shift == header:
            assert sender.protect_into(source, out, b"m", clear=clear) == room
            assert receiver.unprotect(bytes(out), b"m", clear=clear) == frame
        else:
            with pytest.raises(ValueError, match="overlap"):
                sender.protect_into(source, out, b"m", clear=clear)
            assert (memory, sender.next_ctr) == (before, ctr)


@ONE_OF_EACH_KIND
@pytest.mark.parametrize("size", [0, 1, 8, 64, 300])
@pytest.mark.parametrize("clear", [0, 1, 5])
def test_overlaps_of_unprotect(engine, suite, size, clear, rng):
    clear = min(clear, size)
    sender, receiver = pair(engine, suite, rng, kid=300, next_ctr=1000)
    for shift in range(-32, 33):
        frame = rng.randbytes(size)
        ciphertext = sender.protect(frame, b"m", clear=clear)
        header = len(ciphertext) - size - suite.Nt
        memory = bytearray(rng.randbytes(size + len(ciphertext) + 64))
        source, out = memory_views(memory, 32, len(ciphertext), 32 + shift, size)
        source[:] = ciphertext
        before = bytes(memory)
        if apart(32, len(ciphertext), 32 + shift, size) or shift == header:
            assert receiver.unprotect_into(source, out, b"m", clear=clear) == size
            assert out == frame
        else:
            with pytest.raises(ValueError, match="overlap"):
                receiver.unprotect_into(source, out, b"m", clear=clear)
            assert memory == before
            assert receiver.unprotect(ciphertext, b"m", clear=clear) == frame


def memory_views(memory, at, size, out_at, room):
    view = memoryview(memory)
    return view[at : at + size], view[out_at : out_at + room]


def apart(at, size, out_at, room):
    return not size or not room or at + size <= out_at or out_at + room <= at


@ONE_OF_EACH_KIND
def test_metadata_may_not_overlap_out(engine, suite, rng):
    sender, receiver = pair(engine, suite, rng)
    memory = memoryview(bytearray(200))
    with pytest.raises(ValueError, match="overlap"):
        sender.protect_into(b"frame", memory[:60], memory[20:30])
    ciphertext = sender.protect(b"frame", bytes(10))
    with pytest.raises(ValueError, match="overlap"):
        receiver.unprotect_into(ciphertext, memory[:60], memory[4:14])
    assert receiver.unprotect_into(ciphertext, memory[:60], memory[60:70]) == 5


# ---- the end of a key ----


@SUITE
def test_the_last_counter(engine, suite, rng):
    """2^64-1 is used; then the sender refuses, for good."""
    sender, receiver = pair(engine, suite, rng, next_ctr=LAST_CTR - 1)
    frames = [sender.protect(b"one"), sender.protect(b"two")]
    assert [receiver.unprotect(frame) for frame in frames] == [b"one", b"two"]
    for _ in range(2):
        out = bytearray(b"\xa5" * 60)
        for call in (
            lambda: sender.protect(b"three"),
            lambda: sender.protect_into(b"three", out),  # noqa: B023
            lambda: engine.protect_many(sender, [b"three"]),
            lambda: sender.next_ctr,
        ):
            with pytest.raises(CounterExhausted):
                call()
        assert set(out) == {0xA5}


@SUITE
def test_a_used_up_key(engine, suite, rng):
    """2^36 blocks: a frame that would pass them is refused and takes no counter."""
    sender, receiver = pair(engine, suite, rng)
    sender._raise_blocks(2**36 - 4)
    for call in (sender.protect, lambda frame: engine.protect_many(sender, [frame])):
        with pytest.raises(KeyExhausted):
            call(bytes(33))
    assert (sender.blocks, sender.next_ctr) == (2**36 - 4, 0)
    assert receiver.unprotect(sender.protect(bytes(32))) == bytes(32)
    with pytest.raises(KeyExhausted):
        sender.protect(b"")


def test_blocks_are_counted(engine, rng):
    """ceil(payload / 16) + 1 + ceil((header + clear + metadata) / 16)"""
    sender, _ = pair(engine, GCM, rng)
    total = 0
    for size, clear, metadata in ((0, 0, 0), (1, 0, 15), (17, 1, 16), (160, 10, 20), (5000, 40, 0)):
        sender.protect(bytes(size), bytes(metadata), clear=clear)
        total += -(-(size - clear) // 16) + 1 + -(-(1 + clear + metadata) // 16)
        assert sender.blocks == total


def test_the_default_limit(engine, rng):
    """16 MiB, and metadata of any size."""
    sender, receiver = pair(engine, GCM, rng)
    frame, metadata = bytes(16 << 20), rng.randbytes(1 << 20)
    assert receiver.unprotect(sender.protect(frame, metadata), metadata) == frame
    with pytest.raises(MisuseError, match=r"16777217.*16777216"):
        sender.protect(frame + b"x")


def test_larger_than_the_limit(engine, rng):
    base_key = rng.randbytes(16)
    sender = new_sender(engine, GCM, base_key, max_frame=100)
    receiver = engine.Receiver(GCM, max_frame=100)
    receiver.add_key(7, base_key)
    assert receiver.unprotect(sender.protect(bytes(100))) == bytes(100)
    for call in (sender.protect, lambda frame: engine.protect_many(sender, [frame])):
        with pytest.raises(MisuseError, match=r"101.*100"):
            call(bytes(101))
    assert sender.next_ctr == 1
    larger = Oracle(GCM, base_key, 7, library_for(engine)).seal(1, bytes(101))
    assert status_of(receiver, larger)[0] == FrameStatus.MALFORMED
    assert receiver.unprotect(sender.protect(b"next")) == b"next"
