"""FrameBatch: many frames in one buffer, described by columns.

Rules of this file:
  1. A batch never points outside its data: what the caller says is checked once and copied,
     so that a later write to the caller's arrays cannot move a row.
  2. It carries frames; it does not know what protects them.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import add, index

from ._buffers import ReadableBuffer, byte_view
from ._rows import as_rows
from .errors import MisuseError

MAX_LENGTH = 0x7FFF_FFFF  # lengths are int32
MAX_ROW = MAX_LENGTH - 33  # bytes of a frame whose ciphertext is a row, too: MAX_HEADER and a tag

# One block holds all columns, widest first so that each is aligned:
# offsets int64[n] | kid uint64[n] | ctr uint64[n] | lengths int32[n] | status uint8[n]


class FrameBatch:
    """Frames in one buffer: row i is data[offsets[i] : offsets[i] + lengths[i]].

    data: any contiguous buffer; it is not copied, and rows may lie anywhere in it, even overlap.
    offsets, lengths: n integers each, as int64 and int32 buffers (array, NumPy) or sequences;
    they are checked and copied. MisuseError names the row that leaves data; a buffer of another
    type is a TypeError.

    What the engines return has further columns: status uint8[n] (FrameStatus), and the kid and
    ctr uint64[n] under which a row was sealed or authenticated (0 for a rejected row). A
    rejected row has length 0. Batches are read-only and may be shared between threads.

    >>> batch = FrameBatch(b"onetwo", [0, 3], [3, 3])
    >>> batch.to_list()
    [b'one', b'two']
    >>> FrameBatch.from_frames([b"a", b"bc"]).lengths.tolist()
    [1, 2]
    """

    __slots__ = ("_columns", "_count", "data")

    data: "ReadableBuffer"
    _columns: bytes
    _count: int

    def __init__(
        self,
        data: "ReadableBuffer",
        offsets: "Sequence[int] | ReadableBuffer",
        lengths: "Sequence[int] | ReadableBuffer",
    ) -> None:
        starts = _integers("offsets", "q", offsets)
        sizes = _integers("lengths", "i", lengths)
        _check_rows(byte_view(data, "data").nbytes, starts, sizes)
        self.data = data
        self._columns = _pack(starts, sizes)
        self._count = len(starts)

    @classmethod
    def from_frames(cls, frames: "Iterable[ReadableBuffer]") -> "FrameBatch":
        """A batch with a copy of these frames, back to back."""
        rows = as_rows("frames", frames)
        sizes = [_size_of(row, frame) for row, frame in enumerate(rows)]
        starts = array("q", accumulate(sizes[:-1], initial=0)) if sizes else array("q")
        columns = _pack(starts, array("i", sizes))
        return cls._from_columns(b"".join(rows), columns, len(rows))

    @classmethod
    def _from_columns(cls, data: "ReadableBuffer", columns: bytes, count: int) -> "FrameBatch":
        """For engines: columns is the finished block of count rows, known to lie inside data."""
        batch = cls.__new__(cls)
        batch.data = data
        batch._columns = columns
        batch._count = count
        return batch

    @property
    def offsets(self) -> memoryview:
        """int64[n]: where each row begins in data."""
        return self._column(0, 8, "q")

    @property
    def kid(self) -> memoryview:
        """uint64[n]: the KID each row was sealed or authenticated under."""
        return self._column(8, 8, "Q")

    @property
    def ctr(self) -> memoryview:
        """uint64[n]: the counter each row was sealed or authenticated under."""
        return self._column(16, 8, "Q")

    @property
    def lengths(self) -> memoryview:
        """int32[n]: the bytes of each row; 0 where it was rejected."""
        return self._column(24, 4, "i")

    @property
    def status(self) -> memoryview:
        """uint8[n]: FrameStatus of each row."""
        return self._column(28, 1, "B")

    @property
    def ok(self) -> bool:
        """True when no row was rejected."""
        return not any(self.status)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> memoryview:
        """The bytes of one row, not copied; empty when it was rejected (look at status).

        MisuseError when data has shrunk since, and the row no longer lies in it.
        """
        count = self._count
        position = index(row)
        if not -count <= position < count:
            raise IndexError(f"row {position} of a batch of {count}")
        position %= count
        data = byte_view(self.data, "data")
        return _row_of(data, position, self.offsets[position], self.lengths[position])

    def __iter__(self) -> Iterator[memoryview]:
        data = byte_view(self.data, "data")
        for row, (start, size) in enumerate(zip(self.offsets, self.lengths, strict=True)):
            yield _row_of(data, row, start, size)

    def to_list(self) -> list[bytes]:
        """A copy of every row; b"" where it was rejected (look at status)."""
        return copy_rows(self.data, self._columns, self._count)

    def __repr__(self) -> str:
        try:
            rejected = sum(map(bool, self.status))
        except AttributeError:  # __init__ raised, or never ran
            return "<FrameBatch, never filled>"
        return f"<FrameBatch of {self._count} rows, {rejected} rejected>"

    def _column(self, start: int, width: int, code: str) -> memoryview:
        count = self._count
        if not count:  # an empty view cannot be cast
            return memoryview(array(code)).toreadonly()
        column = memoryview(self._columns)[start * count : (start + width) * count]
        return column.cast(code).toreadonly()  # type: ignore[call-overload, no-any-return]


def _row_of(data: memoryview, row: int, start: int, size: int) -> memoryview:
    found = data[start : start + size]
    if found.nbytes != size:
        raise MisuseError(f"row {row} leaves the data of {data.nbytes} bytes")
    return found


def too_long_for_a_batch(row: int, size: int) -> MisuseError:
    """What protect_batch says of a frame of over MAX_ROW bytes."""
    return MisuseError(
        f"row {row}: a frame of {size} bytes is over the limit of {MAX_ROW} for a batch, whose "
        "lengths are int32; protect() takes it"
    )


def _copy_rows(data: "ReadableBuffer", columns: bytes, count: int) -> list[bytes]:
    """(data, columns, count) -> one bytes object per row."""
    return [bytes(row) for row in FrameBatch._from_columns(data, columns, count)]


# The engine door puts the native engine's in its place: this file lies below and cannot ask.
copy_rows: "Callable[[ReadableBuffer, bytes, int], list[bytes]]" = _copy_rows


def _size_of(row: int, frame: "ReadableBuffer") -> int:
    size = len(frame) if type(frame) is bytes else byte_view(frame, f"row {row}").nbytes
    if size > MAX_LENGTH:
        raise MisuseError(f"row {row} has {size} bytes; a frame has at most {MAX_LENGTH}")
    return size


def _integers(name: str, code: str, values: "Sequence[int] | ReadableBuffer") -> "array[int]":
    """A column given by the caller, as integers of the given array typecode."""
    width = array(code).itemsize
    try:
        view = memoryview(values)  # type: ignore[arg-type]
    except TypeError:
        return _integers_of_sequence(name, code, values)  # type: ignore[arg-type]
    # NumPy calls a 64-bit integer 'l' where C's long has 64 bits, 'q' elsewhere.
    if view.format not in ("q", "l", "i") or view.itemsize != width or view.ndim != 1:
        raise TypeError(f"{name} must be a row of int{8 * width}, not {view.format!r}")
    if not view.c_contiguous:
        raise BufferError(f"{name} must be contiguous")
    return array(code, view.tobytes())


def _integers_of_sequence(name: str, code: str, values: Sequence[int]) -> "array[int]":
    column = array(code)
    for row, value in enumerate(values):
        try:
            column.append(value)
        except (OverflowError, TypeError) as error:
            raise type(error)(f"row {row}: {name} is {value!r}: {error}") from None
    return column


def _check_rows(room: int, starts: "array[int]", sizes: "array[int]") -> None:
    if len(starts) != len(sizes):
        raise MisuseError(f"{len(starts)} offsets and {len(sizes)} lengths; they must be as many")
    if not len(starts):
        return
    if min(starts) >= 0 and min(sizes) >= 0 and max(map(add, starts, sizes)) <= room:
        return
    for row, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if start < 0 or size < 0 or start + size > room:
            raise MisuseError(
                f"row {row}: offset {start}, length {size} leaves the data of {room} bytes"
            )


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
    """The block of rows that nothing is known of but where they lie; FrameStatus.OK is 0."""
    count = len(starts)
    return b"".join((starts, bytes(16 * count), sizes, bytes(count)))
