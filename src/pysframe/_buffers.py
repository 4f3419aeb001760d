"""The caller's memory as plain bytes: any contiguous buffer, whatever its item type."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer
elif sys.version_info >= (3, 12):  # for typing.get_type_hints()
    from collections.abc import Buffer as ReadableBuffer
    from collections.abc import Buffer as WriteableBuffer
else:  # Python has no name for it yet
    ReadableBuffer = WriteableBuffer = Any

__all__ = ["ReadableBuffer", "WriteableBuffer", "byte_view", "writable_view"]


def byte_view(data: "ReadableBuffer", name: str) -> memoryview:
    """A flat view of the bytes of data, not copied.

    Raises TypeError when data is not bytes-like (str, list, None) and BufferError when it is
    strided. `name` is the caller's name for it.
    """
    try:
        view = memoryview(data)
    except TypeError:
        given = type(data).__name__
        raise TypeError(f"{name} must be a bytes-like object, not {given}") from None
    if not view.c_contiguous:
        raise BufferError(f"{name} must be contiguous; copy a strided view with bytes(...)")
    if view.format == "B" and view.ndim == 1:
        return view
    return view.cast("B") if view.nbytes else memoryview(b"")  # a zero in the shape forbids casts


def writable_view(out: "WriteableBuffer", name: str = "out") -> memoryview:
    """byte_view of memory to be written; BufferError also when it is read-only."""
    view = byte_view(out, name)
    if view.readonly:
        given = type(out).__name__
        raise BufferError(f"{name} must be writable, and this {given} is not; use a bytearray")
    return view
