"""FrameBatch: rows that never leave their buffer."""

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parties import GCM, pair

from pysframe import FrameBatch, FrameStatus, MisuseError, parse_headers
from pysframe.batch import pack_columns

FRAMES = st.lists(st.binary(max_size=40), max_size=20)


@given(FRAMES)
def test_frames_come_back(frames):
    batch = FrameBatch.from_frames(frames)
    assert batch.to_list() == [bytes(row) for row in batch] == frames
    assert len(batch) == len(frames)
    assert bytes(batch.data) == b"".join(frames)
    assert batch.lengths.tolist() == [len(frame) for frame in frames]
    assert batch.ok
    assert FrameBatch.from_frames(iter(frames)).to_list() == frames
    assert batch.status.tolist() == batch.kid.tolist() == batch.ctr.tolist() == [0] * len(frames)


@given(st.binary(max_size=60), st.lists(st.tuples(st.integers(-3, 70), st.integers(-3, 70))))
def test_rows_inside_are_taken_and_rows_outside_are_named(data, rows):
    bad = [
        i
        for i, (start, size) in enumerate(rows)
        if min(start, size) < 0 or start + size > len(data)
    ]
    columns = [start for start, _ in rows], [size for _, size in rows]
    if bad:
        with pytest.raises(MisuseError, match=f"^row {bad[0]}: "):
            FrameBatch(data, *columns)
    else:
        batch = FrameBatch(data, *columns)
        assert batch.to_list() == [data[start : start + size] for start, size in rows]


def test_sums_do_not_overflow():
    for start, size in ((2**63 - 1, 1), (2**63 - 1, 2**31 - 1), (2**62, 0)):
        with pytest.raises(MisuseError, match="row 1: "):
            FrameBatch(bytes(8), [0, start], [8, size])


@pytest.mark.parametrize("offsets", [[2**63], [0, "1"], [0, None], [0, 1.5]])
def test_integers_that_do_not_fit_name_their_row(offsets):
    with pytest.raises((OverflowError, TypeError), match=f"row {len(offsets) - 1}: offsets"):
        FrameBatch(b"", offsets, [0] * len(offsets))


def test_columns_may_be_arrays_of_the_right_type():
    data = bytes(range(10))
    for offsets, lengths in (
        (array("q", [0, 4]), array("i", [4, 6])),
        (np.array([0, 4], np.int64), np.array([4, 6], np.int32)),
        ((0, 4), (4, 6)),
        (range(0, 8, 4), np.array([4, 6], np.int32)),
    ):
        assert FrameBatch(data, offsets, lengths).to_list() == [data[:4], data[4:]]


@pytest.mark.parametrize(
    ("offsets", "lengths", "error"),
    [
        (np.array([0], np.int32), np.array([1], np.int32), TypeError),
        (np.array([0], np.uint64), np.array([1], np.int32), TypeError),
        (np.array([0.0]), np.array([1], np.int32), TypeError),
        (np.array([0]), np.array([1]), TypeError),
        (np.array([[0]]), np.array([1], np.int32), TypeError),
        (np.array([0, 0, 0])[::2], np.array([1, 1], np.int32), BufferError),
        (b"\0", np.array([1], np.int32), TypeError),
        (0, [1], TypeError),
        ([0, 1], [1], MisuseError),
        ([], [1], MisuseError),
    ],
)
def test_columns_of_another_type_or_length_are_refused(offsets, lengths, error):
    with pytest.raises(error):
        FrameBatch(bytes(4), offsets, lengths)


@pytest.mark.parametrize("wrong", ["text", None, 7, [b"x"]])
def test_data_and_frames_are_bytes_like(wrong):
    with pytest.raises(TypeError, match="data must be a bytes-like object"):
        FrameBatch(wrong, [], [])
    with pytest.raises(TypeError, match="row 1 must be a bytes-like object"):
        FrameBatch.from_frames([b"", wrong])


def test_data_may_have_any_item_type_and_is_not_copied():
    data = np.arange(4, dtype=np.uint16)
    batch = FrameBatch(data, [2], [4])
    data[1] = 0xBBAA
    assert batch.to_list() == [b"\xaa\xbb\x02\x00"]
    assert batch.data is data
    assert FrameBatch.from_frames([np.arange(2, dtype=np.uint32)]).lengths.tolist() == [8]
    with pytest.raises(BufferError):
        FrameBatch(data[::2], [0], [1])
    with pytest.raises(BufferError):
        FrameBatch.from_frames([data[::2]])


def test_a_later_write_to_the_caller_s_columns_moves_nothing():
    offsets, lengths = array("q", [0]), array("i", [2])
    batch = FrameBatch(b"abcd", offsets, lengths)
    offsets[0], lengths[0] = 1 << 40, 1 << 30
    assert batch.to_list() == [b"ab"]
    for column in (batch.offsets, batch.lengths, batch.kid, batch.ctr, batch.status):
        with pytest.raises(TypeError):
            column[0] = 1


def test_rows_are_views_with_indices_like_a_list_s():
    data = bytearray(b"abcdef")
    batch = FrameBatch(data, [0, 2, 4], [2, 2, 2])
    assert [bytes(batch[i]) for i in (0, 2, -1, -3, np.int64(1))] == [
        b"ab",
        b"ef",
        b"ef",
        b"ab",
        b"cd",
    ]
    data[2] = ord("X")
    assert bytes(batch[1]) == b"Xd"
    for wrong in (3, -4):
        with pytest.raises(IndexError, match="of a batch of 3"):
            batch[wrong]
    with pytest.raises(TypeError):
        batch["1"]


def test_an_empty_batch_has_columns():
    batch = FrameBatch.from_frames([])
    assert (len(batch), batch.to_list(), batch.ok) == (0, [], True)
    assert [column.format for column in columns_of(batch)] == list("qQQiB")
    assert all(len(column) == 0 for column in columns_of(batch))


def test_a_rejected_row_is_seen():
    columns = pack_columns([0, 2], [2, 0], [7, 0], [9, 0], [0, FrameStatus.REPLAYED])
    batch = FrameBatch._from_columns(b"ab\0\0", columns, 2)
    assert not batch.ok
    assert batch.to_list() == [b"ab", b""]
    assert [column.tolist() for column in columns_of(batch)] == [
        [0, 2],
        [7, 0],
        [9, 0],
        [2, 0],
        [0, 4],
    ]
    assert repr(batch) == "<FrameBatch of 2 rows, 1 rejected>"


def columns_of(batch: FrameBatch) -> list[memoryview]:
    return [batch.offsets, batch.kid, batch.ctr, batch.lengths, batch.status]


def shrunk() -> tuple[bytearray, FrameBatch]:
    data = bytearray(b"abcdef")
    batch = FrameBatch(data, [0, 3], [3, 3])
    del data[4:]
    return data, batch


def test_a_row_that_its_data_no_longer_has(engine):
    """The caller may shrink the data: rows that still lie in it are there, others never short."""
    data, batch = shrunk()
    assert batch[0] == b"abc"
    sender = engine.Sender(4, kid=1, base_key=bytes(range(16)), next_ctr=1 << 40)
    for use in (
        lambda: batch[1], lambda: batch[-1], lambda: list(batch), batch.to_list,
        lambda: engine.protect_batch(sender, batch),
        lambda: engine.unprotect_batch(engine.Receiver(4), batch),
        lambda: parse_headers(batch),
    ):  # fmt: skip
        with pytest.raises(MisuseError, match=r"^row 1 leaves the data of 4 bytes$"):
            use()
    data += b"ef"
    assert batch.to_list() == [b"abc", b"def"]


@pytest.mark.parametrize("given", [
    b"abc", bytearray(b"abc"), memoryview(b"abc"), array("h", [1, 2]), np.zeros(960, np.int16),
    np.zeros((), np.int16), np.zeros(960, np.int16)[::2],
], ids=lambda given: type(given).__name__)  # fmt: skip
def test_one_buffer_is_no_sequence_of_frames(engine, rng, given):
    """20 ms of samples would pass for 960 frames of 2 bytes."""
    sender, receiver = pair(engine, GCM, rng)
    for use in (
        lambda: engine.protect_many(sender, given),
        lambda: engine.unprotect_many(receiver, given),
        lambda: FrameBatch.from_frames(given),
        lambda: parse_headers(given),
    ):
        with pytest.raises(TypeError, match=f"and this {type(given).__name__} is one buffer"):
            use()
    assert sender.next_ctr == 0


def test_rows_of_a_table_are_frames(engine, rng):
    table = np.arange(24, dtype=np.uint8).reshape(4, 6)
    frames = [bytes(row) for row in table]
    sender, receiver = pair(engine, GCM, rng)
    assert engine.unprotect_many(receiver, engine.protect_many(sender, table)).to_list() == frames
    assert FrameBatch.from_frames(table).to_list() == frames


def test_any_iterable_of_frames_will_do(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    for frames in ([b"a"], (b"a",), iter([b"a"]), {b"a": 1}, FrameBatch(b"a", [0], [1])):
        batch = engine.unprotect_many(receiver, engine.protect_many(sender, frames))
        assert batch.to_list() == [b"a"]


class Mine(FrameBatch):
    """What applications derive."""


def test_a_subclass_is_a_batch(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    sealed = engine.protect_batch(sender, Mine(b"abcd", [1, 0], [3, 2]))
    mine = Mine(sealed.data, sealed.offsets, sealed.lengths)
    assert engine.unprotect_batch(receiver, mine).to_list() == [b"bcd", b"ab"]
    assert type(sealed) is FrameBatch


def test_what_is_no_batch_is_said_so(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    for call in (engine.protect_batch, engine.unprotect_batch):
        with pytest.raises(TypeError, match=r"^batch must be a FrameBatch, not list$"):
            call(sender if call is engine.protect_batch else receiver, [b"frame"])
