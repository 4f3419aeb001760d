# cython: language_level=3, freethreading_compatible=True
"""A bare AEAD through a binding like the engine's: what a call would take without SFrame.

Only bench/ compiles this; see floor.h. Frames of a call are of bytes, 64 at most.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF, PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "floor.h":
    enum:
        FLOOR_ROWS
        FLOOR_TAG
    ctypedef struct sfr_kernel:
        pass
    ctypedef struct sfr_key:
        pass
    ctypedef struct sfr_row:
        int status
    int sfr_init(const char *)
    const sfr_kernel *sfr_kernel_find(const char *)
    void sfr_run(sfr_row *, size_t, bint)
    void sfr_arena_free(void *, size_t)
    size_t floor_key_size(const sfr_kernel *, int)
    sfr_key *floor_key(const sfr_kernel *, int)
    void floor_seal_row(sfr_row *, const sfr_key *, uint64_t, const uint8_t *, size_t, uint8_t *)
    void floor_open_row(sfr_row *, const sfr_key *, uint64_t, const uint8_t *, size_t, uint8_t *)
    void floor_run_one(sfr_row *, bint)
    bint floor_opened(const sfr_row *, size_t)

cdef extern from *:
    PyObject *PyTuple_GET_ITEM(tuple, Py_ssize_t)      # borrowed

FAMILIES = {4: 0, 5: 1}


cdef class Floor:
    """One key of suite 4 or 5 on one kernel; or a key for each row, to see what that takes."""

    cdef const sfr_kernel *_kernel
    cdef sfr_key *_key[FLOOR_ROWS]
    cdef int _family, _keys

    def __cinit__(self, int suite, str kernel, int keys=1):
        cdef bytes name = kernel.encode()
        cdef int i
        if not 0 < keys <= FLOOR_ROWS:
            raise ValueError(f"1 to {FLOOR_ROWS} keys")
        sfr_init(NULL)
        self._family = FAMILIES[suite]
        self._kernel = sfr_kernel_find(<const char *>name)
        if self._kernel is NULL:
            raise ValueError(f"no kernel {kernel} is ready here")
        for i in range(keys):
            self._key[i] = floor_key(self._kernel, self._family)
            if self._key[i] is NULL:
                raise MemoryError
            self._keys = i + 1
        for i in range(keys, <int>FLOOR_ROWS):
            self._key[i] = self._key[i % keys]

    def __dealloc__(self):
        cdef int i
        for i in range(self._keys):
            sfr_arena_free(self._key[i], floor_key_size(self._kernel, self._family))

    # -- one frame --

    def seal(self, bytes frame not None):
        cdef sfr_row row
        cdef Py_ssize_t size = PyBytes_GET_SIZE(frame)
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size + FLOOR_TAG)
        floor_seal_row(&row, self._key[0], 0, <const uint8_t *>PyBytes_AS_STRING(frame), size,
                       <uint8_t *>PyBytes_AS_STRING(out))
        floor_run_one(&row, True)
        return out

    def open(self, bytes sealed not None):
        cdef sfr_row row
        cdef Py_ssize_t size = _opened_size(PyBytes_GET_SIZE(sealed))
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        floor_open_row(&row, self._key[0], 0, <const uint8_t *>PyBytes_AS_STRING(sealed), size,
                       <uint8_t *>PyBytes_AS_STRING(out))
        floor_run_one(&row, False)
        if row.status != 0:
            raise ValueError("not authentic")
        return out

    # -- a list --

    def seal_many(self, frames):
        cdef sfr_row[FLOOR_ROWS] rows
        cdef tuple listed = _few(frames)
        cdef Py_ssize_t i, size, count = len(listed)
        cdef list out = PyList_New(count)
        for i in range(count):
            frame = <object>PyTuple_GET_ITEM(listed, i)
            size = _size_of(frame)
            made = PyBytes_FromStringAndSize(NULL, size + FLOOR_TAG)
            floor_seal_row(&rows[i], self._key[i], i, <const uint8_t *>PyBytes_AS_STRING(frame),
                           size, <uint8_t *>PyBytes_AS_STRING(made))
            Py_INCREF(made)
            PyList_SET_ITEM(out, i, made)
        sfr_run(rows, count, True)
        return out

    def open_many(self, sealed):
        cdef sfr_row[FLOOR_ROWS] rows
        cdef tuple listed = _few(sealed)
        cdef Py_ssize_t i, size, count = len(listed)
        cdef list out = PyList_New(count)
        for i in range(count):
            one = <object>PyTuple_GET_ITEM(listed, i)
            size = _opened_size(_size_of(one))
            made = PyBytes_FromStringAndSize(NULL, size)
            floor_open_row(&rows[i], self._key[i], i, <const uint8_t *>PyBytes_AS_STRING(one), size,
                           <uint8_t *>PyBytes_AS_STRING(made))
            Py_INCREF(made)
            PyList_SET_ITEM(out, i, made)
        _run_open(rows, count)
        return out

    # -- columns: offsets are int64, lengths int32, and the result lies back to back --

    def seal_columns(self, bytes data not None, bytes offsets not None, bytes lengths not None):
        cdef sfr_row[FLOOR_ROWS] rows
        cdef const int32_t *sizes = <const int32_t *>PyBytes_AS_STRING(lengths)
        cdef const int64_t *starts = <const int64_t *>PyBytes_AS_STRING(offsets)
        cdef Py_ssize_t i, count = _rows_of(data, starts, sizes, PyBytes_GET_SIZE(lengths) // 4)
        cdef const uint8_t *source = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef bytes out = PyBytes_FromStringAndSize(NULL, _total(sizes, count) + FLOOR_TAG * count)
        cdef uint8_t *at = <uint8_t *>PyBytes_AS_STRING(out)
        for i in range(count):
            floor_seal_row(&rows[i], self._key[i], i, source + starts[i], sizes[i], at)
            at += sizes[i] + FLOOR_TAG
        sfr_run(rows, count, True)
        return out

    def open_columns(self, bytes data not None, bytes offsets not None, bytes lengths not None):
        cdef sfr_row[FLOOR_ROWS] rows
        cdef const int32_t *sizes = <const int32_t *>PyBytes_AS_STRING(lengths)
        cdef const int64_t *starts = <const int64_t *>PyBytes_AS_STRING(offsets)
        cdef Py_ssize_t i, count = _rows_of(data, starts, sizes, PyBytes_GET_SIZE(lengths) // 4)
        cdef const uint8_t *source = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef bytes out = PyBytes_FromStringAndSize(NULL, _total(sizes, count) - FLOOR_TAG * count)
        cdef uint8_t *at = <uint8_t *>PyBytes_AS_STRING(out)
        for i in range(count):
            floor_open_row(&rows[i], self._key[i], i, source + starts[i], sizes[i] - FLOOR_TAG, at)
            at += sizes[i] - FLOOR_TAG
        _run_open(rows, count)
        return out


cdef int _run_open(sfr_row *rows, Py_ssize_t count) except -1:
    sfr_run(rows, count, False)
    if not floor_opened(rows, count):
        raise ValueError("not authentic")
    return 0


cdef tuple _few(frames):
    cdef tuple listed = tuple(frames)
    if len(listed) > FLOOR_ROWS:
        raise ValueError(f"{len(listed)} frames; a call takes {FLOOR_ROWS}")
    return listed


cdef inline Py_ssize_t _size_of(object frame) except -1:
    if type(frame) is not bytes:
        raise TypeError("a frame is bytes")
    return PyBytes_GET_SIZE(frame)


cdef inline Py_ssize_t _opened_size(Py_ssize_t size) except -1:
    if size < FLOOR_TAG:
        raise ValueError("shorter than a tag")
    return size - FLOOR_TAG


cdef inline Py_ssize_t _total(const int32_t *sizes, Py_ssize_t count) noexcept:
    cdef Py_ssize_t i, total = 0
    for i in range(count):
        total += sizes[i]
    return total


cdef inline Py_ssize_t _rows_of(bytes data, const int64_t *starts, const int32_t *sizes,
                                Py_ssize_t count) except -1:
    """How many rows there are, each within the data and as long as a tag."""
    cdef Py_ssize_t i
    cdef bint wrong = count > FLOOR_ROWS
    for i in range(min(count, <Py_ssize_t>FLOOR_ROWS)):
        wrong |= sizes[i] < FLOOR_TAG or starts[i] < 0 or \
            starts[i] > PyBytes_GET_SIZE(data) - sizes[i]
    if wrong:
        raise ValueError("rows outside the data, or too many")
    return count
