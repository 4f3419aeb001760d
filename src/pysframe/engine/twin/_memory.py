"""Where the caller's buffers lie: which are writable, and which overlap.

The twin copies a frame before it writes, so an overlap could not harm it. It refuses overlaps
because the native engine, which works in the caller's memory, must refuse them.
"""

import ctypes

from ..._buffers import ReadableBuffer, byte_view


def metadata_view(metadata: "ReadableBuffer | None") -> memoryview:
    """A flat view of metadata, empty for None."""
    return byte_view(b"" if metadata is None else metadata, "metadata")


def overlap(a: memoryview, b: memoryview) -> bool:
    """Whether two views share a writable byte; those of bytes objects are not."""
    immutable = isinstance(a.obj, bytes) or isinstance(b.obj, bytes)
    if immutable or not a.nbytes or not b.nbytes:
        return False
    return distance(a, b) < b.nbytes and distance(b, a) < a.nbytes


def distance(a: memoryview, b: memoryview) -> int:
    """Bytes from the start of b to the start of a."""
    return _address(a) - _address(b)


def _address(view: memoryview) -> int:
    if not view.readonly:
        return ctypes.addressof(ctypes.c_char.from_buffer(view))
    # ctypes offers no address of read-only memory. A Py_buffer is 11 words, the address first.
    words = (ctypes.c_void_p * 11)()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), words, 0)
    address = words[0]
    ctypes.pythonapi.PyBuffer_Release(words)
    return address or 0
