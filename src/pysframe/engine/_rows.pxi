# Part of _native.pyx: the arguments of a batch call as rows of the C core.
#
# Every argument is read before a sender or receiver is looked at, because reading may run the
# caller's code. Sequences become tuples first, so that a list which another thread changes cannot
# free what a row points to. Up to CPython 3.11 one gap is left, the interpreter's own: tuple(list)
# finds the items, then allocates, which may collect garbage, then reads them; a finalizer must not
# change the list meanwhile. Since 3.12 garbage is collected between bytecodes only.

cdef enum:
    FEW = 64                       # a batch of so many rows needs no allocation
    PREFETCH_ROWS = 32                     # owners are scattered in memory, so they are prefetched

cdef struct Rows:
    Py_ssize_t count
    size_t work                    # bytes, plus FRAME_WORK for each frame
    sfr_frame *frames
    void **owners                  # one sfr_sender * or sfr_receiver * for each row
    bint watching                  # some receiver's policy wants to hear of keys
    Py_buffer *views               # the buffers held, none of them exact bytes
    Py_ssize_t held, views_room
    sfr_frame few_frames[FEW]
    void *few_owners[FEW]


cdef int _make_rows(Rows *rows, Py_ssize_t count) except -1:
    if count < 0 or <size_t>count > SIZE_MAX // sizeof(sfr_frame):
        rows.count, rows.views = 0, NULL
        raise MemoryError
    rows.count = count
    rows.work = count * FRAME_WORK
    rows.watching = False
    rows.views, rows.held, rows.views_room = NULL, 0, 0
    rows.frames = rows.few_frames
    rows.owners = rows.few_owners
    if count > FEW:
        rows.frames = <sfr_frame *>PyMem_Malloc(count * sizeof(sfr_frame))
        rows.owners = <void **>PyMem_Malloc(count * sizeof(void *))
        if rows.frames is NULL or rows.owners is NULL:
            _free_rows(rows)
            raise MemoryError
    return 0


cdef inline void _free_rows(Rows *rows) noexcept:
    cdef Py_ssize_t i
    if rows.count > FEW:
        PyMem_Free(rows.frames)
        PyMem_Free(rows.owners)
    if rows.views is not NULL:
        for i in range(rows.held):
            PyBuffer_Release(&rows.views[i])
        PyMem_Free(rows.views)


cdef inline void _set_row(Rows *rows, Py_ssize_t i, const uint8_t *data, size_t size) noexcept:
    cdef sfr_frame *f = &rows.frames[i]
    f.data, f.in_size = data, size
    f.metadata, f.metadata_size = NULL, 0
    f.clear = 0
    rows.work += size


cdef int _hold(Rows *rows, str name, object obj, Bytes *out, int flags) except -1:
    """Holds a buffer for as long as the rows live."""
    cdef Py_buffer *views
    if rows.held == rows.views_room:
        rows.views_room = 2 * rows.views_room + 4
        views = <Py_buffer *>PyMem_Realloc(rows.views, rows.views_room * sizeof(Py_buffer))
        if views is NULL:
            raise MemoryError
        rows.views = views
    _view(name, obj, out, &rows.views[rows.held], flags)
    rows.held += 1
    return 0


cdef inline int _read_held(Rows *rows, str name, object obj, Bytes *out) except -1:
    if PyBytes_CheckExact(obj):
        out.data = <const uint8_t *>PyBytes_AS_STRING(obj)
        out.size = PyBytes_GET_SIZE(obj)
        return 0
    return _hold(rows, name, obj, out, PyBUF_SIMPLE)


cdef int _read_of_row(Rows *rows, Py_ssize_t i, object metadata, Bytes *out) except -1:
    try:
        return _read_held(rows, "metadata", metadata, out)
    except (TypeError, BufferError) as error:
        raise type(error)(f"row {i}: {error}") from None


cdef Py_ssize_t _clear_of_row(Py_ssize_t i, object clear) except? -1:
    try:
        return clear
    except (TypeError, OverflowError) as error:
        raise type(error)(f"row {i}: {error}") from None


cdef tuple _one_a_row(object values, str name, Py_ssize_t count):
    cdef tuple listed = values if type(values) is tuple else tuple(values)
    if len(listed) != count:
        raise MisuseError(
            f"{name} has {len(listed)} rows for {count} frames; give one, or one each")
    return listed


cdef tuple _frames(object given, str name):
    """One object per frame. One buffer is refused, because its items would pass for frames."""
    if type(given) is tuple:
        return given
    return tuple(given) if type(given) is list else tuple(as_rows(name, given))


cdef tuple _clears(object clear, Py_ssize_t count):
    """One integer of any type for all rows, or one for each row."""
    try:
        return (index(clear),) * count
    except TypeError:
        return _one_a_row(clear, "clear", count)


cdef int _read_frames(Rows *rows, str name, tuple frames) except -1:
    cdef Py_ssize_t i
    cdef Bytes data
    for i in range(rows.count):
        frame = <object>PyTuple_GET_ITEM(frames, i)
        if PyBytes_CheckExact(frame):
            _set_row(rows, i, <const uint8_t *>PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))
            continue
        try:
            _hold(rows, name, frame, &data, PyBUF_SIMPLE)
        except (TypeError, BufferError) as error:
            raise type(error)(f"row {i}: {error}") from None
        _set_row(rows, i, data.data, data.size)
    return 0


cdef inline int _check_row(Py_ssize_t i, int64_t start, int64_t size, size_t room) except -1:
    if start < 0 or size < 0 or start > <int64_t>room - size:
        raise gone(i, room)
    return 0


cdef int _read_batch(Rows *rows, object data, bytes block) except -1:
    """Reads the rows of a FrameBatch, checked against its data as the data is now."""
    cdef Py_ssize_t i
    cdef int64_t start, size
    cdef Bytes room
    cdef sfr_rows_out columns
    _read_held(rows, "data", data, &room)
    columns_of(PyBytes_AS_STRING(block), rows.count, &columns)
    for i in range(rows.count):
        start, size = columns.offsets[i], columns.lengths[i]
        _check_row(i, start, size, room.size)
        _set_row(rows, i, room.data + start, size)
    return 0


cdef tuple _read_extras(Rows *rows, object metadata, object clear):
    """Reads metadata and clear: each None, one value for all rows, or one for each row.

    Returns what must live as long as the rows.
    """
    cdef Py_ssize_t i, number
    cdef Bytes meta
    cdef tuple listed = None
    if metadata is None and clear is None:
        return None
    if metadata is not None and PyObject_CheckBuffer(metadata):
        _read_held(rows, "metadata", metadata, &meta)
        for i in range(rows.count):
            rows.frames[i].metadata, rows.frames[i].metadata_size = meta.data, meta.size
    elif metadata is not None:
        listed = _one_a_row(metadata, "metadata", rows.count)
        for i in range(rows.count):
            if listed[i] is not None:
                _read_of_row(rows, i, listed[i], &meta)
                rows.frames[i].metadata, rows.frames[i].metadata_size = meta.data, meta.size
    if clear is not None:
        clears = _clears(clear, rows.count)
        for i in range(rows.count):
            number = _clear_of_row(i, clears[i])
            if number < 0:
                raise MisuseError(f"row {i}: clear is {number} and the frame has "
                                  f"{rows.frames[i].in_size} bytes")
            rows.frames[i].clear = number
    return listed


# -- lists --
#
# In the usual batch the items of lists need not be held. Callers are serialized, and until all rows
# are sealed or opened nothing runs the caller's code or collects garbage, because only bytes are
# made: so no list can change.

cdef inline object settled(object rows):
    """The rows in a form that cannot change during the call."""
    return rows if SERIALIZED or type(rows) is not list else tuple(rows)


cdef inline bint _is_listed(object rows) noexcept:
    return type(rows) is list or type(rows) is tuple


cdef inline bint _is_for_each(object owners, Py_ssize_t count) noexcept:
    return _is_listed(owners) and PySequence_Fast_GET_SIZE(owners) == count


cdef size_t _addresses_in(PyObject **frames, Py_ssize_t count, int64_t *offsets,
                          int32_t *lengths) noexcept:
    """Describes bytes objects as rows from address 0 on. SIZE_MAX if one is not, or is too long."""
    cdef Py_ssize_t i, size
    cdef size_t total = 0
    for i in range(count):
        if not PyBytes_CheckExact(<object>frames[i]):
            return SIZE_MAX
        size = PyBytes_GET_SIZE(<object>frames[i])
        if size > INT32_MAX:
            return SIZE_MAX
        offsets[i] = <int64_t>PyBytes_AS_STRING(<object>frames[i])
        lengths[i] = <int32_t>size
        total += size
    return total
