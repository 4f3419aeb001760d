"""FrameBatch: rows that never leave their buffer."""

import copy
import inspect
import pickle
import struct
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parties import GCM, pair

import pysframe
from pysframe import FrameStatus, MisuseError, parse_headers
from pysframe import engine as engines
from pysframe.engine.twin._frame_batch import pack_columns

# The native form and that of the twin, which the same tests hold to the same behaviour.
FORMS = {name.split(":")[0]: engines.bind(name).FrameBatch for name in engines.available()}
each_form = pytest.mark.parametrize("FrameBatch", FORMS.values(), ids=FORMS.keys())
FRAMES = st.lists(st.binary(max_size=40), max_size=20)


@each_form
@given(FRAMES)
def test_frames_come_back(FrameBatch, frames):
    batch = FrameBatch.from_frames(frames)
    assert batch.to_list() == [bytes(row) for row in batch] == frames
    assert len(batch) == len(frames)
    assert bytes(batch.data) == b"".join(frames)
    assert batch.lengths.tolist() == [len(frame) for frame in frames]
    assert batch.ok
    assert FrameBatch.from_frames(iter(frames)).to_list() == frames
    assert batch.status.tolist() == batch.kid.tolist() == batch.ctr.tolist() == [0] * len(frames)


@each_form
@given(st.binary(max_size=60), st.lists(st.tuples(st.integers(-3, 70), st.integers(-3, 70))))
def test_rows_inside_are_taken_and_rows_outside_are_named(FrameBatch, data, rows):
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


@each_form
def test_sums_do_not_overflow(FrameBatch):
    for start, size in ((2**63 - 1, 1), (2**63 - 1, 2**31 - 1), (2**62, 0)):
        with pytest.raises(MisuseError, match="row 1: "):
            FrameBatch(bytes(8), [0, start], [8, size])


@each_form
@pytest.mark.parametrize("offsets", [[2**63], [0, "1"], [0, None], [0, 1.5]])
def test_integers_that_do_not_fit_name_their_row(FrameBatch, offsets):
    with pytest.raises((OverflowError, TypeError), match=f"row {len(offsets) - 1}: offsets"):
        FrameBatch(b"", offsets, [0] * len(offsets))


@each_form
def test_columns_may_be_arrays_of_the_right_type(FrameBatch):
    data = bytes(range(10))
    for offsets, lengths in (
        (array("q", [0, 4]), array("i", [4, 6])),
        (np.array([0, 4], np.int64), np.array([4, 6], np.int32)),
        ((0, 4), (4, 6)),
        (range(0, 8, 4), np.array([4, 6], np.int32)),
    ):
        assert FrameBatch(data, offsets, lengths).to_list() == [data[:4], data[4:]]


@each_form
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
def test_columns_of_another_type_or_length_are_refused(FrameBatch, offsets, lengths, error):
    with pytest.raises(error):
        FrameBatch(bytes(4), offsets, lengths)


@each_form
@pytest.mark.parametrize("wrong", ["text", None, 7, [b"x"]])
def test_data_and_frames_are_bytes_like(FrameBatch, wrong):
    with pytest.raises(TypeError, match="data must be a bytes-like object"):
        FrameBatch(wrong, [], [])
    with pytest.raises(TypeError, match="row 1 must be a bytes-like object"):
        FrameBatch.from_frames([b"", wrong])


@each_form
def test_data_may_have_any_item_type_and_is_not_copied(FrameBatch):
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


@each_form
def test_a_later_write_to_the_caller_s_columns_moves_nothing(FrameBatch):
    offsets, lengths = array("q", [0]), array("i", [2])
    batch = FrameBatch(b"abcd", offsets, lengths)
    offsets[0], lengths[0] = 1 << 40, 1 << 30
    assert batch.to_list() == [b"ab"]
    for column in (batch.offsets, batch.lengths, batch.kid, batch.ctr, batch.status):
        with pytest.raises(TypeError):
            column[0] = 1


@each_form
def test_rows_are_views_with_indices_like_a_list_s(FrameBatch):
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


@each_form
def test_an_empty_batch_has_columns(FrameBatch):
    batch = FrameBatch.from_frames([])
    assert (len(batch), batch.to_list(), batch.ok) == (0, [], True)
    assert [column.format for column in columns_of(batch)] == list("qQQiB")
    assert all(len(column) == 0 for column in columns_of(batch))


@each_form
def test_a_rejected_row_is_seen(FrameBatch):
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


def columns_of(batch) -> list[memoryview]:
    return [batch.offsets, batch.kid, batch.ctr, batch.lengths, batch.status]


def shrunk():
    data = bytearray(b"abcdef")
    batch = pysframe.FrameBatch(data, [0, 3], [3, 3])
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
        lambda: pysframe.FrameBatch.from_frames(given),
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
    assert pysframe.FrameBatch.from_frames(table).to_list() == frames


def test_any_iterable_of_frames_will_do(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    for frames in ([b"a"], (b"a",), iter([b"a"]), {b"a": 1}, pysframe.FrameBatch(b"a", [0], [1])):
        batch = engine.unprotect_many(receiver, engine.protect_many(sender, frames))
        assert batch.to_list() == [b"a"]


class Mine(pysframe.FrameBatch):
    """What applications derive."""


def test_a_subclass_is_a_batch(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    sealed = engine.protect_batch(sender, Mine(b"abcd", [1, 0], [3, 2]))
    mine = Mine(sealed.data, sealed.offsets, sealed.lengths)
    assert engine.unprotect_batch(receiver, mine).to_list() == [b"bcd", b"ab"]
    assert type(sealed) is engine.FrameBatch


def test_what_is_no_batch_is_said_so(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    for call in (engine.protect_batch, engine.unprotect_batch):
        with pytest.raises(TypeError, match=r"^batch must be a FrameBatch, not list$"):
            call(sender if call is engine.protect_batch else receiver, [b"frame"])


@each_form
def test_a_row_outlives_its_batch_and_its_data(FrameBatch):
    data = bytearray(b"abcdef")
    batch = FrameBatch(data, [0, 3], [3, 3])
    rows = [*batch, batch[0], next(iter(batch))]
    with pytest.raises(BufferError):  # a row holds the data, so the data cannot move
        data += b"g"
    del batch, data
    assert [bytes(row) for row in rows] == [b"abc", b"def", b"abc", b"abc"]


@each_form
def test_an_iterator_at_its_end_lets_go_of_the_data(FrameBatch):
    data = bytearray(b"abcdef")
    rows = iter(FrameBatch(data, [0, 3], [3, 3]))
    assert [bytes(row) for row in rows] == [b"abc", b"def"]
    assert list(rows) == []
    data += b"g"


@each_form
def test_rows_look_like_slices_of_the_data(FrameBatch):
    for data in (b"abcdef", bytearray(b"abcdef"), memoryview(b"xabcdefx")[1:7]):
        batch, plain = FrameBatch(data, [1, 6], [4, 0]), memoryview(data)
        for row, part in zip([batch[0], *batch], [plain[1:5], plain[1:5], plain[6:]], strict=True):
            names = "format", "itemsize", "ndim", "shape", "strides", "suboffsets", "readonly"
            names += "nbytes", "c_contiguous", "f_contiguous", "contiguous"
            assert [getattr(row, name) for name in names] == [getattr(part, name) for name in names]
            assert row == part and row.tolist() == part.tolist() and row[::2] == part[::2]
            assert row.cast("b").format == "b"


@each_form
def test_columns_look_like_arrays(FrameBatch):
    batch = FrameBatch(b"abcdef", [0, 3], [3, 3])
    for column, code in zip(columns_of(batch), "qQQiB", strict=True):
        assert column.format == code and column.itemsize == array(code).itemsize
        assert column == array(code, column.tolist()) and column[::-1][::-1] == column
        assert column.readonly and column.contiguous and column.nbytes == 2 * column.itemsize
        assert np.asarray(column).tolist() == column.tolist()
        assert bytes(column.cast("B")) == column.tobytes()


@each_form
def test_a_batch_is_filled_once(FrameBatch):
    batch = FrameBatch.__new__(FrameBatch)
    assert repr(batch) == "<FrameBatch, never filled>"
    for use in (
        lambda: len(batch), lambda: batch[0], lambda: list(batch), batch.to_list,
        lambda: batch.ok, lambda: batch.offsets, lambda: batch.data,
    ):  # fmt: skip
        with pytest.raises(AttributeError, match="never filled"):
            use()
    batch.__init__(b"abc", [0], [3])
    with pytest.raises(MisuseError, match="filled already"):
        batch.__init__(b"", [], [])
    assert batch.to_list() == [b"abc"]
    with pytest.raises(AttributeError):
        batch.data = b"other"


@each_form
def test_a_damaged_block_of_columns_is_refused(FrameBatch):
    for columns, count in ((b"", 1), (bytes(29), 0), (bytes(28), 1), (bytes(29), -1), (b"", 2**62)):
        with pytest.raises(MisuseError, match="damaged"):
            FrameBatch._from_columns(b"", columns, count)


def test_batches_can_be_copied_and_pickled():
    batch = pysframe.FrameBatch(b"abcdef", [0, 3], [3, 3])
    mine = Mine(b"abcdef", [0, 3], [3, 3])
    mine.note = "kept"
    for one in (batch, mine):
        for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert type(again) is type(one) and again.to_list() == [b"abc", b"def"]
            assert vars(again) == {"note": "kept"} if one is mine else not hasattr(again, "note")


@each_form
def test_the_arguments_of_a_batch_can_be_asked_for(FrameBatch):
    assert list(inspect.signature(FrameBatch).parameters) == ["data", "offsets", "lengths"]


# ---- damaged pickles ----


@pytest.mark.parametrize(("start", "size"), [(-(2**46), 8), (-64, 8), (-1, 1), (0, -2), (1, 5)])
def test_a_damaged_pickle_reads_nothing_outside_its_data(engine, start, size):
    batch = engine.FrameBatch.from_frames([b"hello"])
    rebuild, (data, columns, count), _ = batch.__reduce__()
    columns = struct.pack("=q", start) + columns[8:24] + struct.pack("=i", size) + columns[28:]
    with pytest.raises(MisuseError, match=rf"row 0: offset {start}, length {size} leaves the data"):
        rebuild(data, columns, count)


@pytest.mark.parametrize("count", [-1, 0, 2, 2**60])
def test_a_damaged_count(engine, count):
    rebuild, (data, columns, _), _ = engine.FrameBatch.from_frames([b"hello"]).__reduce__()
    with pytest.raises(MisuseError, match="are damaged"):
        rebuild(data, columns, count)
