"""What a batch call takes, and what it refuses: by row, and before anything is sealed."""

import gc
import re
from array import array
from contextlib import contextmanager, suppress
from functools import partial

import numpy
import pytest
from parties import GCM, LAST_CTR, flipped, new_sender, pair

from pysframe import (
    CounterExhausted,
    CounterStore,
    FrameBatch,
    FrameStatus,
    Header,
    KeyExhausted,
    LeaseEnded,
    MisuseError,
    SenderRetired,
    parse_headers,
)

FRAMES = [b"one", b"", b"three" * 40, b"four"]


def ways_to_protect(engine):
    """protect_many and protect_batch as one shape: -> list of ciphertexts."""

    def by_columns(senders, frames, *args, **kwargs):
        batch = FrameBatch.from_frames(frames)
        return engine.protect_batch(senders, batch, *args, **kwargs).to_list()

    return [engine.protect_many, by_columns]


def ways_to_unprotect(engine):
    def by_columns(receivers, ciphertexts, *args, **kwargs):
        return engine.unprotect_batch(
            receivers, FrameBatch.from_frames(ciphertexts), *args, **kwargs
        )

    return [engine.unprotect_many, by_columns]


# ---- one for all rows, or one for each ----


@pytest.mark.parametrize(
    ("metadata", "each"),
    [
        (None, [b""] * 4),
        (b"", [b""] * 4),
        (b"meta", [b"meta"] * 4),
        (bytearray(b"meta"), [b"meta"] * 4),
        ([b"a", None, bytearray(b"c"), b""], [b"a", b"", b"c", b""]),
        ((b"a", b"b", b"c", b"d"), [b"a", b"b", b"c", b"d"]),
    ],
)
def test_metadata(engine, metadata, each, rng):
    sender, receiver = pair(engine, GCM, rng)
    for protect in ways_to_protect(engine):
        for unprotect in ways_to_unprotect(engine):
            first, second = protect(sender, FRAMES, metadata), protect(sender, FRAMES, metadata)
            singly = [receiver.unprotect(c, m) for c, m in zip(first, each, strict=True)]
            assert singly == FRAMES
            assert unprotect(receiver, second, metadata).to_list() == FRAMES


@pytest.mark.parametrize(
    "clear", [None, 0, [3, 0, 10, 1], (0, 0, 200, 4), array("i", [1, 0, 1, 1])]
)
def test_clear(engine, clear, rng):
    sender, receiver = pair(engine, GCM, rng)
    for protect in ways_to_protect(engine):
        for unprotect in ways_to_unprotect(engine):
            sealed = protect(sender, FRAMES, None, clear)
            assert unprotect(receiver, sealed, None, clear).to_list() == FRAMES
            if clear is not None and clear != 0:
                heads = [c[:n] for c, n in zip(sealed, clear, strict=True)]
                assert heads == [f[:n] for f, n in zip(FRAMES, clear, strict=True)]


def test_integers_of_any_kind(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    frames = [b"frame"] * 3
    for clear in (2, numpy.int64(2), [numpy.int32(2)] * 3, numpy.array([2, 2, 2]), True):
        sealed = engine.protect_many(sender, frames, None, clear)
        assert engine.unprotect_many(receiver, sealed, None, clear).to_list() == frames


def test_sequences_of_any_kind(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    sealed = engine.protect_many((sender,) * 4, tuple(FRAMES))
    sealed += engine.protect_many(iter([sender] * 4), iter(FRAMES))
    sealed += engine.protect_many([sender] * 4, map(bytearray, FRAMES))
    receivers = iter([receiver] * 12)
    assert engine.unprotect_many(receivers, iter(sealed)).to_list() == FRAMES * 3


def test_nothing_to_do(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    for senders in (sender, []):
        assert engine.protect_many(senders, []) == []
        assert len(engine.protect_batch(senders, FrameBatch.from_frames([]))) == 0
    for receivers in (receiver, []):
        assert engine.unprotect_many(receivers, []).to_list() == []
        assert engine.unprotect_batch(receivers, FrameBatch(b"", [], [])).ok
    assert sender.next_ctr == 0


@pytest.mark.parametrize("rows", [0, 3, 5])
def test_too_few_or_too_many(engine, rows, rng):
    sender, receiver = pair(engine, GCM, rng)
    sealed = engine.protect_many(sender, FRAMES)
    for protect in ways_to_protect(engine):
        for arguments in (
            ([sender] * rows, FRAMES),
            (sender, FRAMES, [b"m"] * rows),
            (sender, FRAMES, None, [0] * rows),
        ):
            with pytest.raises(MisuseError, match=rf"{rows}.*4"):
                protect(*arguments)
    for unprotect in ways_to_unprotect(engine):
        for arguments in (
            ([receiver] * rows, sealed),
            (receiver, sealed, [b"m"] * rows),
            (receiver, sealed, None, [0] * rows),
        ):
            with pytest.raises(MisuseError, match=rf"{rows}.*4"):
                unprotect(*arguments)
    assert sender.next_ctr == 4
    assert engine.unprotect_many(receiver, sealed).ok


# ---- a wrong row: named, and nothing was sealed ----


def test_wrong_rows_of_protect(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    other, _ = pair(engine, GCM, rng)
    closed, _ = pair(engine, GCM, rng)
    small = new_sender(engine, GCM, rng.randbytes(16), max_frame=10)
    closed.close()
    cases = [
        ([sender, other, closed, sender], FRAMES, None, SenderRetired),
        ([sender, other, small, sender], FRAMES, None, MisuseError),
        ([sender, other, receiver, sender], FRAMES, None, TypeError),
        ([sender, other, None, sender], FRAMES, None, TypeError),
        (sender, FRAMES, [0, 0, 201, 0], MisuseError),
        (sender, FRAMES, [0, 0, -1, 0], MisuseError),
    ]
    for protect in ways_to_protect(engine):
        for senders, frames, clear, error in cases:
            with pytest.raises(error, match="row 2"):
                protect(senders, frames, None, clear)
        for not_a_sender in (receiver, None, 7):
            with pytest.raises(TypeError):
                protect(not_a_sender, FRAMES)
    for frame in ("text", None, 7, memoryview(bytes(9))[::2]):
        with pytest.raises((TypeError, BufferError), match="row 2"):
            engine.protect_many(sender, [b"a", b"b", frame, b"d"])
        with pytest.raises((TypeError, BufferError)):
            engine.protect_many(sender, FRAMES, [b"a", b"b", frame or 7, b"d"])
    assert [s.next_ctr for s in (sender, other, small)] == [0, 0, 0]
    assert [s.blocks for s in (sender, other, small)] == [0, 0, 0]


def test_wrong_rows_of_unprotect(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    _, closed = pair(engine, GCM, rng)
    closed.close()
    sealed = engine.protect_many(sender, FRAMES)
    for unprotect in ways_to_unprotect(engine):
        for receivers in (
            [receiver, receiver, 7, receiver],
            [receiver, receiver, sender, receiver],
        ):
            with pytest.raises(TypeError, match="row 2"):
                unprotect(receivers, sealed)
        with pytest.raises(MisuseError, match="closed"):
            unprotect([receiver, receiver, closed, receiver], sealed)
        with pytest.raises(MisuseError, match="row 2"):
            unprotect(receiver, sealed, None, [0, 0, -1, 0])
        with pytest.raises(TypeError):
            unprotect(sender, sealed)
    for ciphertext in ("text", None, 7):
        with pytest.raises(TypeError, match="row 2"):
            engine.unprotect_many(receiver, [*sealed[:2], ciphertext, sealed[3]])
    assert engine.unprotect_many(receiver, sealed).to_list() == FRAMES


def test_a_batch_that_would_cross_the_end(engine, rng):
    """Three rows and two counters, or blocks for two: refused whole."""
    for protect in ways_to_protect(engine):
        sender, _ = pair(engine, GCM, rng, next_ctr=LAST_CTR - 1)
        with pytest.raises(CounterExhausted, match="row 2"):
            protect(sender, [b"a", b"b", b"c"])
        sender, _ = pair(engine, GCM, rng)
        sender._raise_blocks(2**36 - 6)  # each row takes three
        with pytest.raises(KeyExhausted, match="row 2"):
            protect(sender, [b"a", b"b", b"c"])


def test_a_batch_that_would_cross_the_end_of_a_lease(engine, rng, tmp_path):
    store = CounterStore(tmp_path / "counters", lease=2)
    for protect in ways_to_protect(engine):
        sender = engine.Sender(GCM, kid=7, base_key=rng.randbytes(16), counters=store)
        other, _ = pair(engine, GCM, rng)
        for senders in (sender, [sender, sender, sender], [other, sender, sender, other, sender]):
            rows = len(senders) if type(senders) is list else 3
            with pytest.raises(LeaseEnded, match=r"row \d: .*renew\(\)") as raised:
                protect(senders, [b"x"] * rows)
            assert senders is sender or senders[int(str(raised.value)[4])] is sender


class Acting:
    """An integer that does something when it is read: in the middle of a batch call."""

    def __init__(self, act):
        self.act = act

    def __index__(self):
        self.act()
        return 0


def test_arguments_that_act_while_they_are_read(engine, rng):
    """What they close or empty was taken before, or is refused; no row loses its memory."""
    sender, receiver = pair(engine, GCM, rng)
    frames, senders = [bytes([n]) * 300 for n in range(50)], [sender] * 50
    given = list(frames)
    sealed = engine.protect_many(senders, given, None, [Acting(given.clear)] + [0] * 49)
    assert given == []
    sealed += engine.protect_many(senders, frames, None, [Acting(senders.clear)] + [0] * 49)
    assert engine.unprotect_many(receiver, sealed).to_list() == frames * 2
    data = bytearray(1000)
    batch = FrameBatch(data, [0, 500], [500, 500])
    with pytest.raises(BufferError):
        engine.protect_batch(sender, batch, None, [Acting(data.clear), 0])
    with pytest.raises(SenderRetired):
        engine.protect_many(sender, frames[:2], None, [0, Acting(sender.close)])
    with pytest.raises(MisuseError, match="closed"):
        engine.unprotect_many(receiver, sealed[:2], None, [0, Acting(receiver.close)])


# ---- the caller's output ----


def test_out(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    needed = sum(sender.protected_size(len(frame)) for frame in FRAMES)
    out = bytearray(b"\xa5" * (needed + 10))
    sealed = engine.protect_batch(sender, FrameBatch.from_frames(FRAMES), out=out)
    assert sealed.data is out
    assert (list(sealed.kid), list(sealed.ctr)) == ([7] * 4, [0, 1, 2, 3])
    assert sealed.offsets[0] == 0 and out[needed:] == b"\xa5" * 10
    back = numpy.full(1000, 0xA5, dtype=numpy.uint8)
    opened = engine.unprotect_batch(receiver, sealed, out=back)
    assert opened.data is back and opened.to_list() == FRAMES
    assert (list(opened.kid), list(opened.ctr)) == ([7] * 4, [0, 1, 2, 3])


def test_rejected_rows_leave_zeros_in_out(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    sealed = engine.protect_many(sender, [b"\x77" * 100] * 6)
    sealed[1], sealed[3], sealed[4] = flipped(sealed[1], -1), b"", flipped(sealed[4], 0, 0x40)
    out = bytearray(b"\xa5" * 1000)
    batch = engine.unprotect_batch(receiver, FrameBatch.from_frames(sealed), out=out)
    assert list(batch.status) == [0, 3, 0, 1, 2, 0]
    assert list(batch.lengths) == [100, 0, 100, 0, 0, 100]
    assert out.count(0x77) == 300
    written = out.rindex(0x77) + 1
    assert set(out[:written]) == {0, 0x77}
    assert set(out[written + 200 :]) == {0xA5}


def test_a_header_that_is_not_minimal_takes_room(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    rows = FrameBatch.from_frames([sender.protect(b"frame"), b"\x79\x00\x01" + bytes(40)])
    with pytest.raises(MisuseError, match=r"^out has 28 bytes and 29 are needed$"):
        engine.unprotect_batch(receiver, rows, out=bytearray(28))
    assert list(engine.unprotect_batch(receiver, rows, out=bytearray(29)).status) == [0, 1]


def test_out_that_does_not_do(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    batch = FrameBatch.from_frames(FRAMES)
    needed = sum(sender.protected_size(len(frame)) for frame in FRAMES)
    memory = bytearray(1000)
    inside = FrameBatch(memory, [0, 10], [10, 10])
    for rows, out, error, match in (
        (batch, bytearray(needed - 1), MisuseError, str(needed)),
        (batch, bytearray(), MisuseError, str(needed)),
        (batch, bytes(1000), BufferError, "."),
        (batch, memoryview(bytearray(2000))[::2], BufferError, "."),
        (batch, "text", TypeError, "."),
        (inside, memory, MisuseError, "overlap"),
        (inside, memoryview(memory)[15:], MisuseError, "row 1.*overlap"),
    ):
        before = bytes(memory)
        with pytest.raises(error, match=match):
            engine.protect_batch(sender, rows, out=out)
        assert (sender.next_ctr, memory) == (0, before)
    with pytest.raises(MisuseError, match="overlap"):
        engine.protect_batch(sender, batch, memory[:0] or memoryview(memory)[:4], out=memory)
    assert sender.next_ctr == 0
    sealed = engine.protect_batch(sender, batch, out=memory)
    for out, error in (
        (bytearray(10), MisuseError),
        (bytes(999), BufferError),
        (memory, MisuseError),
    ):
        with pytest.raises(error):
            engine.unprotect_batch(receiver, sealed, out=out)
    assert engine.unprotect_batch(receiver, sealed).to_list() == FRAMES


def test_counters_that_grow_inside_a_batch(engine, rng):
    """Headers become longer at 8 and at 256: what the message asks for does, and no less."""
    for first in (0, 250, 65530, LAST_CTR - 19):
        sender, receiver = pair(engine, GCM, rng, next_ctr=first)
        batch = FrameBatch.from_frames([b"frame"] * 20)
        exact = sum(5 + 16 + Header(7, first + i).size for i in range(20))
        with pytest.raises(MisuseError) as raised:
            engine.protect_batch(sender, batch, out=bytearray(exact - 1))
        assert sender.next_ctr == first
        needed = int(re.search(r"(\d+) are needed", str(raised.value))[1])
        assert exact <= needed <= exact + 20
        sealed = engine.protect_batch(sender, batch, out=bytearray(needed))
        assert engine.unprotect_batch(receiver, sealed).to_list() == [b"frame"] * 20


# ---- FrameBatch over the caller's buffers ----


def test_rows_anywhere(engine, rng):
    """Out of order, overlapping, with gaps, empty; columns of any kind."""
    sender, receiver = pair(engine, GCM, rng)
    data = bytearray(rng.randbytes(300))
    starts, sizes = [200, 0, 50, 50, 300, 17], [100, 300, 10, 200, 0, 0]
    expected = [bytes(data[a : a + n]) for a, n in zip(starts, sizes, strict=True)]
    for offsets, lengths in (
        (starts, sizes),
        (array("q", starts), array("i", sizes)),
        (numpy.array(starts), numpy.array(sizes, dtype=numpy.int32)),
    ):
        batch = FrameBatch(data, offsets, lengths)
        assert batch.to_list() == expected
        sealed = engine.protect_batch(sender, batch)
        assert engine.unprotect_batch(receiver, sealed).to_list() == expected


def test_data_that_shrank(engine, rng):
    """The caller's bytearray got shorter behind the batch's back: refused, not read."""
    sender, receiver = pair(engine, GCM, rng)
    data = bytearray(1000)
    batch = FrameBatch(data, [0, 900], [10, 100])
    del data[950:]
    for call in (
        lambda: engine.protect_batch(sender, batch),
        lambda: engine.unprotect_batch(receiver, batch),
    ):
        with pytest.raises(MisuseError, match="row 1"):
            call()
    assert sender.next_ctr == 0


def test_only_a_frame_batch(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    for wrong in ([b"frame"], b"frame", None):
        with pytest.raises(TypeError, match="FrameBatch"):
            engine.protect_batch(sender, wrong)
        with pytest.raises(TypeError, match="FrameBatch"):
            engine.unprotect_batch(receiver, wrong)


# ---- parse_headers: what a forwarder sees of the same rows ----


def test_parse_headers_of_sealed_rows(engine, rng):
    sender, receiver = pair(engine, GCM, rng, kid=0x1234, next_ctr=250)
    clear = [0, 3, 5, 0, 1, 2] * 4
    sealed = engine.protect_many(sender, [b"frame"] * 24, None, clear)
    batch = FrameBatch.from_frames(sealed)
    for rows in (sealed, batch):
        seen = parse_headers(rows, clear=clear)
        assert list(seen.kid) == [0x1234] * 24
        assert list(seen.ctr) == list(range(250, 274))
        assert set(seen.status) == {FrameStatus.OK}
    assert engine.unprotect_batch(receiver, batch, None, clear).ok


# ---- lists that change meanwhile ----


@contextmanager
def collections_that(run):
    """Each object that the collector tracks makes it collect, which may run anybody's code."""
    before = gc.get_threshold()
    gc.callbacks.append(run)
    try:
        yield partial(gc.set_threshold, 1)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(run)


def made_while_emptied(call, owner, whole, rows):
    """What a call makes of its lists, whose rows nobody else holds; nothing if it refuses."""
    size = len(whole) // rows
    owners, given = [owner] * rows, [whole[at : at + size] for at in range(0, len(whole), size)]

    def empty(*_):
        owners.clear()
        given.clear()

    with collections_that(empty) as begin, suppress(MisuseError):
        begin()
        return call(owners, given)
    return []


@pytest.mark.parametrize("rows", [1, 64, 65, 300])
def test_garbage_collection_empties_the_lists(engine, rows, rng):
    """A batch is whole, or refused."""
    sender, receiver = pair(engine, GCM, rng, next_ctr=300, replay_window=1024)
    frames = [rng.randbytes(40) for _ in range(rows)]
    wires = b"".join(engine.protect_many(sender, frames))
    made = made_while_emptied(engine.protect_many, sender, b"".join(frames), rows)
    assert engine.unprotect_many(receiver, made).to_list() in ([], frames)
    opened = made_while_emptied(engine.unprotect_many, receiver, wires, rows)
    assert not len(opened) or opened.to_list() == frames
