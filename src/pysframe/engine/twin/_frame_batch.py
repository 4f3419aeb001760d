"""How a FrameBatch checks, copies and reads its rows: the specification of _frame_batch.pxi."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import add, index
from typing import Self

from ..._buffers import ReadableBuffer, byte_view
from ..._rows import as_rows, integers
from ...batch import MAX_LENGTH, damaged, filled_already, gone, outside, too_long_for_a_row, uneven
from ...batch import FrameBatch as Face
from .._types import completed
from ._columns import ColumnsCore

ROW_SIZE = 8 + 8 + 8 + 4 + 1  # bytes of a row in all columns


class BatchCore(ColumnsCore):
    """What pysframe.FrameBatch is completed with."""

    __slots__ = ("_data",)

    _data: "ReadableBuffer"

    def __init__(
        self,
        data: "ReadableBuffer",
        offsets: "Sequence[int] | ReadableBuffer",
        lengths: "Sequence[int] | ReadableBuffer",
    ) -> None:
        starts = integers("offsets", "q", offsets)
        sizes = integers("lengths", "i", lengths)
        _check_rows(byte_view(data, "data").nbytes, starts, sizes)
        self._fill(data, _pack(starts, sizes), len(starts))

    @classmethod
    def _joined(cls, frames: "Iterable[ReadableBuffer]") -> Self:
        rows = as_rows("frames", frames)
        sizes = [_size_of(row, frame) for row, frame in enumerate(rows)]
        starts = array("q", accumulate(sizes[:-1], initial=0)) if sizes else array("q")
        columns = _pack(starts, array("i", sizes))
        return cls._from_columns(b"".join(rows), columns, len(rows))

    @classmethod
    def _from_columns(cls, data: "ReadableBuffer", columns: bytes, count: int) -> Self:
        """A batch of the finished block of columns, checked, since a pickle may be damaged."""
        batch = cls.__new__(cls)
        batch._fill(data, columns, count)
        starts = array("q", batch._column(0, 8, "q"))
        _check_rows(byte_view(data, "data").nbytes, starts, array("i", batch._column(24, 4, "i")))
        return batch

    def _fill(self, data: "ReadableBuffer", columns: bytes, count: int) -> None:
        if hasattr(self, "_count"):
            raise filled_already()
        if count < 0 or len(columns) != count * ROW_SIZE:
            raise damaged()
        self._data = data
        self._columns = columns
        self._count = count

    @property
    def data(self) -> "ReadableBuffer":
        """The buffer in which the rows lie."""
        self._rows()  # raises if it was never filled
        return self._data

    def __getitem__(self, row: int) -> memoryview:
        count = self._rows()
        position = index(row)
        if not -count <= position < count:
            raise IndexError(f"row {position} of a batch of {count}")
        position %= count
        data = byte_view(self._data, "data")
        start, size = self._column(0, 8, "q")[position], self._column(24, 4, "i")[position]
        return _row_of(data, position, start, size)

    def __iter__(self) -> Iterator[memoryview]:
        offsets, lengths = self._column(0, 8, "q"), self._column(24, 4, "i")
        data = byte_view(self._data, "data")
        for row, (start, size) in enumerate(zip(offsets, lengths, strict=True)):
            yield _row_of(data, row, start, size)

    def _copies(self) -> list[bytes]:
        return [bytes(row) for row in self]

    def _rejected(self) -> int:
        """The number of rows whose status is not OK, which is 0."""
        return self._rows() - self._columns[28 * self._rows() :].count(0)


FrameBatch = completed(Face, BatchCore)


def pack_columns(
    starts: Iterable[int],
    sizes: Iterable[int],
    kids: Iterable[int],
    ctrs: Iterable[int],
    statuses: Iterable[int],
) -> bytes:
    """The finished block of columns, for FrameBatch._from_columns."""
    columns = (starts, kids, ctrs, sizes, statuses)
    codes = ("q", "Q", "Q", "i", "B")
    return b"".join(array(code, column) for code, column in zip(codes, columns, strict=True))


def _pack(starts: "array[int]", sizes: "array[int]") -> bytes:
    """The block of columns when only offsets and lengths are known; FrameStatus.OK is 0."""
    count = len(starts)
    return b"".join((starts, bytes(16 * count), sizes, bytes(count)))


def _row_of(data: memoryview, row: int, start: int, size: int) -> memoryview:
    found = data[start : start + size]
    if found.nbytes != size:
        raise gone(row, data.nbytes)
    return found


def _size_of(row: int, frame: "ReadableBuffer") -> int:
    size = len(frame) if type(frame) is bytes else byte_view(frame, f"row {row}").nbytes
    if size > MAX_LENGTH:
        raise too_long_for_a_row(row, size)
    return size


def _check_rows(room: int, starts: "array[int]", sizes: "array[int]") -> None:
    if len(starts) != len(sizes):
        raise uneven(len(starts), len(sizes))
    if not len(starts):
        return
    if min(starts) >= 0 and min(sizes) >= 0 and max(map(add, starts, sizes)) <= room:
        return
    for row, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if start < 0 or size < 0 or start + size > room:
            raise outside(row, start, size, room)
