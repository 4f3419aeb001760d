# Part of _native.pyx: where the results of a batch call are written.

cdef inline size_t _room(Rows *rows) noexcept:
    cdef Py_ssize_t i
    cdef size_t total = 0
    for i in range(rows.count):
        total += rows.frames[i].out_size
    return total


cdef inline void _lay_out(Rows *rows, uint8_t *at) noexcept:
    """Places the rows back to back, each in the room it needs."""
    cdef Py_ssize_t i
    for i in range(rows.count):
        rows.frames[i].out = at
        at += rows.frames[i].out_size


cdef uint8_t *_callers_out(Rows *rows, object out, size_t size) except NULL:
    """The caller's buffer for the rows, if it is large enough and overlaps nothing that is read."""
    cdef Bytes room
    cdef Py_ssize_t i
    cdef sfr_frame *f
    _hold(rows, "out", out, &room, PyBUF_WRITABLE)
    if room.size < size:
        raise misuse(SFR_E_ROOM, size=size, limit=room.size)
    for i in range(rows.count):
        f = &rows.frames[i]
        if overlaps(f.data, f.in_size, room.data, room.size) or \
                overlaps(f.metadata, f.metadata_size, room.data, room.size):
            raise misuse(SFR_E_OVERLAP, row=i)
    return <uint8_t *>room.data


cdef inline bint overlaps(const uint8_t *a, size_t a_size, const uint8_t *b,
                          size_t b_size) noexcept:
    return a_size > 0 and b_size > 0 and a < b + b_size and b < a + a_size
