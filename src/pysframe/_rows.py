"""Arguments of a batch call: one value for all rows, or one for each row; columns of integers."""

from array import array
from collections.abc import Iterable, Sequence
from operator import index
from sys import maxsize
from typing import TypeAlias, TypeVar, cast

from ._buffers import ReadableBuffer
from .errors import MisuseError

Metadata: TypeAlias = ReadableBuffer | Sequence[ReadableBuffer | None] | None
Clear: TypeAlias = int | Sequence[int] | None
_Value = TypeVar("_Value")


def as_rows(name: str, given: "Iterable[ReadableBuffer]") -> list[ReadableBuffer]:
    """The frames as a list; TypeError for a single buffer, whose items could pass for frames.

    The rows of a two-dimensional array are frames; the items of a flat one are not.
    """
    try:
        view = memoryview(given)  # type: ignore[arg-type]
    except TypeError:
        return list(given)
    if view.ndim < 2:
        raise TypeError(
            f"{name} must be a sequence of frames, and this {type(given).__name__} is one buffer; "
            f"put it in a list for one frame, or use a FrameBatch for many in one buffer"
        )
    return list(given)


def clear_bytes(clear: int) -> int:
    """The number of clear bytes; OverflowError, in Python's words, beyond Py_ssize_t."""
    number = index(clear)
    if not -maxsize <= number <= maxsize:
        raise OverflowError("Python int too large to convert to C ssize_t")
    return number


def per_row(name: str, given: Sequence[_Value], count: int) -> list[_Value]:
    """The values as a list; MisuseError unless there is one for each row."""
    rows = list(given)
    if len(rows) != count:
        raise MisuseError(f"{name} has {len(rows)} rows for {count} frames; give one, or one each")
    return rows


def clear_per_row(clear: "int | Sequence[int] | None", count: int) -> list[int]:
    """The clear bytes of every row: 0 for None."""
    try:
        return [index(cast(int, 0 if clear is None else clear))] * count
    except TypeError:
        return per_row("clear", cast("Sequence[int]", clear), count)


def integers(name: str, code: str, values: "Sequence[int] | ReadableBuffer") -> "array[int]":
    """A column that the caller passes, copied to an array of the given typecode."""
    width = array(code).itemsize
    try:
        view = memoryview(values)  # type: ignore[arg-type]
    except TypeError:
        return _integers_of_sequence(name, code, values)  # type: ignore[arg-type]
    # NumPy calls a 64-bit integer 'l' where C's long has 64 bits, and 'q' elsewhere.
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
