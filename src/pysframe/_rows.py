"""Arguments of a batch call: one value for all rows, or one for each row."""

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
