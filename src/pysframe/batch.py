"""FrameBatch: many frames in one buffer, described by columns.

This module holds the public face. How rows are checked, copied and read depends on the engine,
which completes the class: engine/_frame_batch.pxi in C, engine/twin/_frame_batch.py in Python.

Rules of this module:
  1. A batch never points outside its data. Columns that the caller passes are copied first and
     checked then, so that a later write to the caller's arrays cannot move a row.
  2. A batch carries frames. It does not know what protects them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from ._buffers import ReadableBuffer
from ._values import Signature
from .errors import MisuseError

if TYPE_CHECKING:
    from .engine._native import BatchCore
else:
    BatchCore = object

MAX_LENGTH = 0x7FFF_FFFF  # lengths are int32
MAX_ROW = MAX_LENGTH - 33  # a frame whose ciphertext, with the longest header and tag, is a row too

# One block of bytes holds all columns, the widest first, so that each is aligned:
# offsets int64[n] | kid uint64[n] | ctr uint64[n] | lengths int32[n] | status uint8[n]


def _arguments(
    data: "ReadableBuffer",
    offsets: "Sequence[int] | ReadableBuffer",
    lengths: "Sequence[int] | ReadableBuffer",
) -> None: ...


class FrameBatch(BatchCore):
    """Frames in one buffer: row i is data[offsets[i] : offsets[i] + lengths[i]].

    data: any contiguous buffer. It is not copied, and rows may lie anywhere in it, even overlap.
    offsets, lengths: n integers each, as int64 and int32 buffers (array, NumPy) or as sequences.
    They are checked and copied. MisuseError names a row that leaves data; a buffer of another type
    is a TypeError.

    Batches that the engines return have further columns: status uint8[n] (FrameStatus), and the
    kid and ctr uint64[n] under which a row was sealed or authenticated (0 for a rejected row). A
    rejected row has length 0. Batches are read-only and may be shared between threads.

    batch[i] is a memoryview of one row, not copied, and empty if the row was rejected. It keeps
    data alive, and may outlive the batch. Iteration gives all rows in order. MisuseError says that
    data has shrunk and no longer holds a row.

    >>> from pysframe import FrameBatch
    >>> batch = FrameBatch(b"onetwo", [0, 3], [3, 3])
    >>> batch.to_list()
    [b'one', b'two']
    >>> FrameBatch.from_frames([b"a", b"bc"]).lengths.tolist()
    [1, 2]
    """

    __slots__ = ()
    __signature__ = Signature(_arguments)

    @classmethod
    def from_frames(cls, frames: "Iterable[ReadableBuffer]") -> Self:
        """A batch with a copy of these frames, back to back."""
        return cls._joined(frames)

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
        """int32[n]: the bytes of each row; 0 if it was rejected."""
        return self._column(24, 4, "i")

    @property
    def status(self) -> memoryview:
        """uint8[n]: FrameStatus of each row."""
        return self._column(28, 1, "B")

    @property
    def ok(self) -> bool:
        """True if no row was rejected."""
        return not self._rejected()

    def to_list(self) -> list[bytes]:
        """A copy of every row; b"" if it was rejected (look at status)."""
        return self._copies()

    def __repr__(self) -> str:
        try:
            return f"<FrameBatch of {len(self)} rows, {self._rejected()} rejected>"
        except (AttributeError, TypeError):  # __init__ raised, or never ran
            return "<FrameBatch, never filled>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], object]:
        more = getattr(self, "__dict__", None)  # what a subclass may have
        return type(self)._from_columns, (self.data, self._columns, self._count), more


def too_long_for_a_batch(row: int, size: int) -> MisuseError:
    """The error for a frame of over MAX_ROW bytes in protect_batch."""
    return MisuseError(
        f"row {row}: a frame of {size} bytes is over the limit of {MAX_ROW} for a batch, whose "
        "lengths are int32; protect() takes it"
    )


def too_long_for_a_row(row: int, size: int) -> MisuseError:
    """The error for a frame of over MAX_LENGTH bytes in from_frames."""
    return MisuseError(f"row {row} has {size} bytes; a frame has at most {MAX_LENGTH}")


def uneven(offsets: int, lengths: int) -> MisuseError:
    """The error for columns of unequal length."""
    return MisuseError(f"{offsets} offsets and {lengths} lengths; they must be as many")


def outside(row: int, start: int, size: int, room: int) -> MisuseError:
    """The error for a row that lies outside the data."""
    return MisuseError(f"row {row}: offset {start}, length {size} leaves the data of {room} bytes")


def gone(row: int, room: int) -> MisuseError:
    """The error for a row that the data, which has shrunk, no longer holds."""
    return MisuseError(f"row {row} leaves the data of {room} bytes")


def never_filled() -> AttributeError:
    """The error for a batch whose __init__ raised, or never ran."""
    return AttributeError("this batch was never filled")


def filled_already() -> MisuseError:
    """The error for a second __init__: other threads may be reading the batch."""
    return MisuseError("this batch is filled already; make another one")


def damaged() -> MisuseError:
    """The error for a block of columns whose size does not fit its number of rows."""
    return MisuseError("the columns of this FrameBatch are damaged")
