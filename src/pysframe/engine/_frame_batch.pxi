# Part of _native.pyx: FrameBatch, whose public face is pysframe.batch.
#
# A batch is a buffer of the caller's and one block of columns. Both are set once, so any number of
# threads may read them. A row is a memoryview that shares the managed buffer of a flat view of the
# data, which keeps the data alive after the batch is gone. Such a view is made in one allocation:
# a copy of the flat view, narrowed before anybody else sees it.

cdef enum:
    ROW_SIZE = 8 + 8 + 8 + 4 + 1

cdef inline void columns_of(char *block, Py_ssize_t count, sfr_rows_out *out) noexcept:
    out.offsets = <int64_t *>block
    out.kid = <uint64_t *>(block + 8 * count)
    out.ctr = <uint64_t *>(block + 16 * count)
    out.lengths = <int32_t *>(block + 24 * count)
    out.status = <uint8_t *>(block + 28 * count)


@cython.auto_pickle(False)
cdef class ColumnsCore:
    """A block of bytes that holds columns."""

    cdef readonly bytes _columns
    cdef readonly Py_ssize_t _count

    def __len__(self):
        _filled(self)
        return self._count

    def _column(self, Py_ssize_t start, Py_ssize_t width, str code):
        """The column of integers of this typecode that follows `start` bytes of each row."""
        cdef bytes block = _filled(self)
        if not (0 <= start <= ROW_SIZE and 0 < width <= 8
                and (start + width) * self._count <= len(block)):
            raise IndexError(f"no column of {width} bytes follows {start} bytes of a row")
        return column_view(block, start * self._count, width, self._count, code[0])


cdef inline bytes _filled(ColumnsCore self):
    if self._columns is None:
        raise never_filled()
    return self._columns


@cython.auto_pickle(False)
cdef class BatchCore(ColumnsCore):
    """The engine's half of pysframe.FrameBatch."""

    cdef object _data

    def __init__(self, data, offsets, lengths):
        _construct(self, data, offsets, lengths)

    @classmethod
    def _joined(cls, frames):
        """A batch with a copy of these frames, back to back."""
        cdef Rows rows
        cdef tuple inputs = _frames(frames, "frames")
        _make_rows(&rows, len(inputs))
        try:
            _read_sizes(&rows, inputs)
            data = PyBytes_FromStringAndSize(NULL, rows.work)
            block = _copy_rows(&rows, PyBytes_AS_STRING(data))
            return _batch_like(cls, data, block, rows.count)
        finally:
            _free_rows(&rows)

    @classmethod
    def _from_columns(cls, data, bytes columns not None, Py_ssize_t count):
        """A batch of the finished block of columns, checked, since a pickle may be damaged."""
        return _checked_batch(cls, data, columns, count)

    @property
    def data(self):
        """The buffer in which the rows lie."""
        _filled(self)
        return self._data

    def __getitem__(self, row):
        cdef bytes block = _filled(self)
        cdef Py_ssize_t count = self._count, i = as_position(row)
        cdef const char *columns = PyBytes_AS_STRING(block)
        if i < 0:
            i += count
        if not 0 <= i < count:
            raise IndexError(f"row {index(row)} of a batch of {count}")
        return _row(flat_view(self._data), i, (<const int64_t *>columns)[i],
                    (<const int32_t *>(columns + 24 * count))[i])

    def __iter__(self):
        cdef bytes block = _filled(self)
        cdef RowIterator rows = RowIterator.__new__(RowIterator)
        rows.block, rows.flat, rows.count = block, flat_view(self._data), self._count
        return rows

    def _copies(self):
        return _rows_as_bytes(self._data, _filled(self), self._count)

    def _rejected(self):
        """The number of rows whose status is not OK."""
        cdef bytes block = _filled(self)
        cdef const char *status = PyBytes_AS_STRING(block) + 28 * self._count
        cdef Py_ssize_t i, found = 0
        for i in range(self._count):
            found += status[i] != SFR_OK
        return found


cdef int _construct(BatchCore self, object data, object offsets, object lengths) except -1:
    cdef Py_buffer starts, sizes, held
    cdef Py_ssize_t count
    cdef Bytes room
    no_view(&starts)
    no_view(&sizes)
    no_view(&held)
    try:
        count = _integers("offsets", "q", 8, offsets, &starts)
        _integers("lengths", "i", 4, lengths, &sizes)
        _read("data", data, &room, &held)
        if count != sizes.shape[0]:
            raise uneven(count, sizes.shape[0])
        _fill(self, data, _checked_columns(&starts, &sizes, room.size), count)
    finally:
        end_view(&starts)
        end_view(&sizes)
        end_view(&held)
    return 0


cdef object _call(object cls, PyObject **args, size_t count, PyObject *names):
    cdef object batch
    if names is not NULL or PyVectorcall_NARGS(count) != 3:
        return call_by_tuple(cls, args, count, names)
    batch = blank(cls)
    _construct(<BatchCore>batch, <object>args[0], <object>args[1], <object>args[2])
    return batch


cdef int _fill(BatchCore self, object data, bytes block, Py_ssize_t count) except -1:
    with cython.critical_section(self):
        if self._columns is not None:
            raise filled_already()
        self._data, self._count = data, count
        self._columns = block      # set last, because it marks the batch as filled
    return 0


@cython.final
cdef class RowIterator:
    """The rows of a batch in order."""

    cdef object flat               # a view of the data; None at the end
    cdef bytes block
    cdef Py_ssize_t at, count

    def __iter__(self):
        return self

    def __next__(self):
        cdef const char *columns
        cdef Py_ssize_t i
        cdef object flat
        with cython.critical_section(self):
            i, flat = self.at, self.flat
            if i < self.count:
                self.at = i + 1
            else:
                self.flat = None
        if flat is None or i >= self.count:
            raise StopIteration
        columns = PyBytes_AS_STRING(self.block)
        return _row(flat, i, (<const int64_t *>columns)[i],
                    (<const int32_t *>(columns + 24 * self.count))[i])


cdef object FRAME_BATCH = completed(BatchFace, BatchCore)
call_directly(FRAME_BATCH, <class_call>_call)
FrameBatch = FRAME_BATCH


# -- making batches --

cdef Py_ssize_t _integers(str name, str code, Py_ssize_t width, object values,
                          Py_buffer *view) except -1:
    """Holds the integers that the caller passes; returns how many they are."""
    no_view(view)
    if PyObject_CheckBuffer(values):
        if get_integers(values, view, width):
            return view.shape[0]
    PyObject_GetBuffer(integers(name, code, values), view, PyBUF_ND)
    return view.shape[0]


cdef bytes _checked_columns(Py_buffer *starts, Py_buffer *sizes, size_t room):
    """The block of rows of which only their places are known. Copies first, then checks the copy,
    since another thread may be writing to the columns."""
    cdef Py_ssize_t i, count = starts.shape[0]
    cdef bytes block = PyBytes_FromStringAndSize(NULL, count * ROW_SIZE)
    cdef sfr_rows_out columns
    columns_of(PyBytes_AS_STRING(block), count, &columns)
    memcpy(columns.offsets, starts.buf, 8 * count)
    memset(columns.kid, 0, 16 * count)
    memcpy(columns.lengths, sizes.buf, 4 * count)
    memset(columns.status, 0, count)
    i = first_outside(columns.offsets, columns.lengths, count, room)
    if i < count:
        raise outside(i, columns.offsets[i], columns.lengths[i], room)
    return block


cdef int _read_sizes(Rows *rows, tuple frames) except -1:
    """Reads the frames, and sets rows.work to the bytes of all of them."""
    cdef Py_ssize_t i
    cdef Bytes data
    rows.work = 0
    for i in range(rows.count):
        frame = <object>PyTuple_GET_ITEM(frames, i)
        if PyBytes_CheckExact(frame):
            data.data = <const uint8_t *>PyBytes_AS_STRING(frame)
            data.size = PyBytes_GET_SIZE(frame)
        else:
            _hold(rows, f"row {i}", frame, &data, PyBUF_SIMPLE)
        if data.size > <size_t>INT32_MAX:
            raise too_long_for_a_row(i, data.size)
        rows.frames[i].data, rows.frames[i].in_size = data.data, data.size
        rows.work += data.size
    return 0


cdef bytes _copy_rows(Rows *rows, char *target):
    """Copies the rows back to back; returns the block of their columns."""
    cdef Py_ssize_t i, count = rows.count
    cdef int64_t at = 0
    cdef bytes block = PyBytes_FromStringAndSize(NULL, count * ROW_SIZE)
    cdef sfr_rows_out columns
    columns_of(PyBytes_AS_STRING(block), count, &columns)
    memset(columns.kid, 0, 16 * count)
    memset(columns.status, 0, count)
    for i in range(count):
        memcpy(target + at, rows.frames[i].data, rows.frames[i].in_size)
        columns.offsets[i] = at
        columns.lengths[i] = <int32_t>rows.frames[i].in_size
        at += rows.frames[i].in_size
    return block


cdef object _checked_batch(object cls, object data, bytes block, Py_ssize_t count):
    """A batch whose columns come from outside this engine."""
    cdef sfr_rows_out columns
    cdef Bytes room
    cdef Py_buffer view
    cdef Py_ssize_t i
    batch = _batch_like(cls, data, block, count)
    _read("data", data, &room, &view)
    end_view(&view)
    columns_of(PyBytes_AS_STRING(block), count, &columns)
    i = first_outside(columns.offsets, columns.lengths, count, room.size)
    if i < count:
        raise outside(i, columns.offsets[i], columns.lengths[i], room.size)
    return batch


cdef object _batch_like(object cls, object data, bytes block, Py_ssize_t count):
    """A batch of class cls. A class derived from FrameBatch may have a __new__ of its own."""
    cdef BatchCore batch
    if count < 0 or <size_t>count > SIZE_MAX // ROW_SIZE or len(block) != count * ROW_SIZE:
        raise damaged()
    if cls is FRAME_BATCH:
        return _new_batch(data, block, count)
    batch = cls.__new__(cls)
    _fill(batch, data, block, count)
    return batch


cdef object _new_batch(object data, bytes block, Py_ssize_t count):
    return _filled_batch(<BatchCore>blank(FRAME_BATCH), data, block, count)


# The memory of a result is reserved before a frame is opened: what fails afterwards loses frames,
# because their counters have been accepted. What follows therefore allocates nothing.

cdef inline BatchCore _filled_batch(BatchCore batch, object data, bytes block, Py_ssize_t count):
    batch._data, batch._columns, batch._count = data, block, count
    return batch


cdef object _batch_of(Rows *rows, BatchCore batch, object data, bytes block, const uint8_t *base):
    """The batch, filled with the rows' results. Offsets count from `base`."""
    cdef Py_ssize_t i, count = rows.count
    cdef sfr_frame *f
    cdef uint64_t authentic        # all ones if the row is authentic, else 0
    cdef sfr_rows_out columns
    columns_of(PyBytes_AS_STRING(block), count, &columns)
    for i in range(count):
        f = &rows.frames[i]
        authentic = <uint64_t>(f.status != SFR_OK) - 1
        columns.offsets[i] = f.out - base
        columns.lengths[i] = <int32_t>f.out_size
        columns.status[i] = <uint8_t>f.status
        columns.kid[i] = f.kid & authentic
        columns.ctr[i] = f.ctr & authentic
    return _filled_batch(batch, data, block, count)


# -- reading batches --

cdef BatchCore _batch(object given):
    """A FrameBatch as this engine has it; the columns of another engine's are taken over."""
    if isinstance(given, BatchCore):
        _filled(<BatchCore>given)
        return <BatchCore>given
    if not isinstance(given, BatchFace):
        raise TypeError(f"batch must be a FrameBatch, not {type(given).__name__}")
    return _checked_batch(FRAME_BATCH, given.data, given._columns, given._count)


cdef object flat_view(object data):
    """A new memoryview of all bytes of the data."""
    cdef object view
    if PyBytes_CheckExact(data):
        return PyMemoryView_FromObject(data)
    if PyObject_CheckBuffer(data):
        view = PyMemoryView_FromObject(data)
        if is_flat(view):
            return view
    return byte_view(data, "data")


cdef inline object _row(object flat, Py_ssize_t i, int64_t start, int64_t size):
    cdef int64_t room = PyMemoryView_GET_BUFFER(flat).len
    if size == 0:
        start = min(start, room)
    elif (start | size) < 0 or start > room - size:
        raise gone(i, room)
    return narrowed(flat, start, size)


cdef list _rows_as_bytes(object data, bytes block, Py_ssize_t count):
    cdef Py_ssize_t i
    cdef int64_t start, size
    cdef Bytes room
    cdef sfr_rows_out columns
    cdef Py_buffer view
    cdef list out
    _read("data", data, &room, &view)
    try:
        columns_of(PyBytes_AS_STRING(block), count, &columns)
        out = PyList_New(count)
        for i in range(count):
            start, size = columns.offsets[i], columns.lengths[i]
            _check_row(i, start, size, room.size)
            set_item(out, i, new_bytes(<const char *>room.data + start, size))
    finally:
        end_view(&view)
    return out
