# Part of _native.pyx: what callers pass, as C values.
#
# Exact bytes are immutable, so their address is taken and nothing is held. Any other buffer is held
# through a raw Py_buffer until the call has ended; a typed memoryview would cost several times the
# frame. Refusals are worded by pysframe._buffers, so that both engines say the same.

cdef struct Bytes:
    const uint8_t *data
    size_t size


cdef inline int _read(str name, object obj, Bytes *out, Py_buffer *view) except -1:
    """Reads a buffer. The caller ends the view in every case, needed or not."""
    no_view(view)
    if PyBytes_CheckExact(obj):
        out.data = <const uint8_t *>PyBytes_AS_STRING(obj)
        out.size = PyBytes_GET_SIZE(obj)
        return 0
    return _view(name, obj, out, view, PyBUF_SIMPLE)


cdef inline int _read_metadata(object obj, Bytes *out, Py_buffer *view) except -1:
    if obj is None:
        no_view(view)
        out.data = NULL
        out.size = 0
        return 0
    return _read("metadata", obj, out, view)


cdef int _refuse_buffer(str name, object obj, int flags) except -1:
    """Raises the error both engines agree on. Returns if only the exporter knows the reason."""
    without_locals(byte_view if flags == PyBUF_SIMPLE else writable_view)(obj, name)
    return 0


cdef int _view(str name, object obj, Bytes *out, Py_buffer *view, int flags) except -1:
    no_view(view)
    try:
        PyObject_GetBuffer(obj, view, flags)
    except Exception:
        _refuse_buffer(name, obj, flags)
        raise
    out.data = <const uint8_t *>view.buf
    out.size = view.len
    return 0


cdef inline bint _plain(object data, object metadata, Py_ssize_t clear, sfr_frame *f) noexcept:
    """Fills the frame's input if it is exact bytes, the usual case, for which nothing is held."""
    if clear != 0 or not PyBytes_CheckExact(data) or not PyBytes_CheckExact(metadata):
        return False
    f.data, f.in_size = <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
    f.metadata = <const uint8_t *>PyBytes_AS_STRING(metadata)
    f.metadata_size, f.clear = PyBytes_GET_SIZE(metadata), 0
    return True


cdef inline int _clear_of(Py_ssize_t clear, size_t size) except -1:
    if clear < 0 or <size_t>clear > size:
        raise MisuseError(f"clear is {clear} and the frame has {size} bytes")
    return 0


def _misuse(int code, **known):
    if code == SFR_E_NO_MEMORY:
        return MemoryError("no memory for a key")
    return misuse(code, **known)


cdef size_t _size(str name, value, last=maxsize) except? 0:
    """value as a size that memory can have. The C core refuses what is still too large."""
    number = index(value)
    if not 0 <= number <= last:
        raise MisuseError(f"{name} is {number}; it must be 0..{last}")
    return number
