# Part of _native.pyx: unprotect_many and unprotect_batch.
#
# Rows are parsed and their keys resolved; frames are opened; then, in row order, what proved
# authentic is committed. Only opening runs without the GIL.

cdef int _set_receivers(Rows *rows, object receivers, tuple listed) except -1:
    cdef Py_ssize_t i
    cdef PyObject *receiver = <PyObject *>receivers
    cdef const void *known = NULL if listed is not None else type_of(receiver)
    for i in range(rows.count):
        if listed is not None:
            receiver = PyTuple_GET_ITEM(listed, i)
            if i + PREFETCH_ROWS < rows.count:
                prefetch(PyTuple_GET_ITEM(listed, i + PREFETCH_ROWS))
        if type_of(receiver) != known:
            _require(<object>receiver, ReceiverCore, "Receiver", i)
            known = type_of(receiver)
        if (<ReceiverCore>receiver)._ptr is NULL or is_set(&(<ReceiverCore>receiver)._closed):
            (<ReceiverCore>receiver).pointer()
        rows.watching |= is_set(&(<ReceiverCore>receiver)._watching)
        rows.owners[i] = (<ReceiverCore>receiver)._ptr
        prefetch(rows.owners[i])
    return 0


cdef object _unprotect(Rows *rows, object receivers, tuple listed, object out):
    cdef size_t total, refused
    cdef uint8_t *base
    total = sfr_unprotect_many_size(<sfr_receiver **>rows.owners, rows.frames, rows.count)
    if out is None:
        data = PyBytes_FromStringAndSize(NULL, total)
        base = <uint8_t *>PyBytes_AS_STRING(data)
    else:
        data = out
        base = _callers_out(rows, out, total)
    _lay_out(rows, base)
    if rows.work < UNLOCKED_WORK:
        refused = sfr_unprotect_many(<sfr_receiver **>rows.owners, rows.frames, rows.count)
    else:
        with nogil:
            sfr_open_many(<sfr_receiver **>rows.owners, rows.frames, rows.count)
        refused = sfr_commit_many(<sfr_receiver **>rows.owners, rows.frames, rows.count)
    if rows.watching:
        told = _tell_receivers(rows, receivers, listed)
        if refused:
            _retry_unknown(rows, receivers, listed, base + total, told)
    _settle(rows, base + total)
    return _batch_of(rows, data, base)


cdef bint _tell_receivers(Rows *rows, object receivers, tuple listed) except -1:
    """Tells policies of confirmed keys. Returns whether there were any, as more keys may follow."""
    cdef ReceiverCore receiver
    cdef Py_ssize_t i
    cdef bint told = False
    if listed is None:
        return (<ReceiverCore>receivers)._tell_confirmed()
    for i in range(rows.count):
        receiver = listed[i]
        if is_set(&receiver._watching) and receiver._tell_confirmed():
            told = True
    return told


cdef int _retry_unknown(Rows *rows, object receivers, tuple listed, uint8_t *end,
                        bint changed) except -1:
    """Retries, in row order, the rows whose KID was unknown when the batch was planned.

    A KID stays unknown until keys have changed, so a flood of forged KIDs is not looked up again.
    """
    cdef Py_ssize_t i
    cdef sfr_frame *f
    cdef ReceiverCore receiver
    for i in range(rows.count):
        f = &rows.frames[i]
        if f.status != SFR_UNKNOWN_KEY:
            continue
        receiver = receivers if listed is None else listed[i]
        if is_set(&receiver._watching) and receiver._find_key(f.kid, changed):
            f.out_size = _end_of(rows, i, end) - f.out
            sfr_unprotect(receiver._ptr, f)
            receiver._tell_confirmed()
            changed = True
    return 0


cdef inline uint8_t *_end_of(Rows *rows, Py_ssize_t i, uint8_t *end) noexcept:
    return rows.frames[i + 1].out if i + 1 < rows.count else end


cdef inline void _settle(Rows *rows, uint8_t *end) noexcept:
    """Leaves nothing but frames and zeros in the data.

    Another thread may have changed a row during the call. If the row no longer fits its room, it is
    malformed; if it takes less of it, the rest becomes zeros.
    """
    cdef Py_ssize_t i
    cdef sfr_frame *f
    cdef uint8_t *next
    for i in range(rows.count):
        f = &rows.frames[i]
        next = _end_of(rows, i, end)
        if f.out + f.out_size == next and f.status >= 0:
            continue
        if f.status < 0:
            f.status = SFR_MALFORMED
            f.out_size = 0
        memset(f.out + f.out_size, 0, next - f.out - f.out_size)


def unprotect_many(receivers, ciphertexts, metadata=None, clear=None):
    """Many ciphertexts to a FrameBatch: see pysframe.unprotect_many."""
    cdef Rows rows
    cdef sfr_rows_in rows_in
    cdef Bytes target
    cdef int64_t[FEW] offsets
    cdef int32_t[FEW] lengths
    cdef tuple inputs = _frames(ciphertexts, "ciphertexts")
    _make_rows(&rows, len(inputs))
    try:
        listed = _owners(receivers, ReceiverCore, "receivers", rows.count)
        if metadata is None and clear is None and rows.count <= FEW and \
                _addresses_in(inputs, offsets, lengths, &rows_in):
            made = _unprotect_columns(&rows, receivers, listed, &rows_in, None, &target)
            if made is not None:
                return made
        _read_frames(&rows, "ciphertext", inputs)
        _alive = _read_extras(&rows, metadata, clear)
        _set_receivers(&rows, receivers, listed)
        return _unprotect(&rows, receivers, listed, None)
    finally:
        _free_rows(&rows)


cdef object _unprotect_columns(Rows *rows, object receivers, tuple listed,
                               const sfr_rows_in *rows_in, object out, Bytes *target):
    """The usual batch, straight from columns to columns; None if the batch is not of that kind."""
    cdef sfr_rows_out columns
    cdef size_t room
    cdef PyObject *data = NULL
    _set_receivers(rows, receivers, listed)
    if rows.watching:
        return None
    room = sfr_unprotect_columns_size(rows_in, rows.count)        # an upper bound
    if room == SIZE_MAX or not _is_short(rows, room):
        return None
    if out is not None and target.size < room:
        room = target.size
        if room < _exact_room(rows, rows_in):
            return None
    made = PyBytes_FromStringAndSize(NULL, rows.count * ROW_SIZE)
    columns_of(PyBytes_AS_STRING(made), rows.count, &columns)
    if out is None:
        data = new_bytes(NULL, room)
        target.data = <const uint8_t *>PyBytes_AS_STRING(<object>data)
    sfr_unprotect_columns(<sfr_receiver **>rows.owners, rows_in, rows.count,
                          <uint8_t *>target.data, &room, &columns)
    return _new_batch(shortened(data, room) if out is None else out, made, rows.count)


cdef size_t _exact_room(Rows *rows, const sfr_rows_in *rows_in) noexcept:
    cdef Py_ssize_t i
    cdef size_t total = 0
    for i in range(rows.count):
        total += sfr_unprotect_size(<sfr_receiver *>rows.owners[i],
                                    rows_in.data + rows_in.offsets[i], rows_in.lengths[i], 0)
    return total


cdef bint _addresses_in(tuple frames, int64_t *offsets, int32_t *lengths,
                        sfr_rows_in *rows_in) noexcept:
    """Describes bytes objects as rows from address 0 on. False if one is not, or is too long."""
    cdef Py_ssize_t i
    cdef PyObject *frame
    rows_in.data, rows_in.size = NULL, INT64_MAX
    rows_in.offsets, rows_in.lengths = offsets, lengths
    for i in range(PyTuple_GET_SIZE(frames)):
        frame = PyTuple_GET_ITEM(frames, i)
        if not PyBytes_CheckExact(<object>frame) or PyBytes_GET_SIZE(<object>frame) > INT32_MAX:
            return False
        offsets[i] = <int64_t>PyBytes_AS_STRING(<object>frame)
        lengths[i] = <int32_t>PyBytes_GET_SIZE(<object>frame)
    return True


def unprotect_batch(receivers, batch, metadata=None, clear=None, out=None):
    """A FrameBatch of ciphertexts to one of frames: see pysframe.unprotect_batch."""
    cdef Rows rows
    cdef sfr_rows_in rows_in
    cdef Bytes target
    cdef BatchCore given = _batch(batch)
    cdef bytes block = given._columns
    _make_rows(&rows, given._count)
    try:
        listed = _owners(receivers, ReceiverCore, "receivers", rows.count)
        source = given._data
        if metadata is None and clear is None and \
                _columns_in(&rows, source, block, out, &rows_in, &target):
            made = _unprotect_columns(&rows, receivers, listed, &rows_in, out, &target)
            if made is not None:
                return made
        _read_batch(&rows, source, block)
        _alive = _read_extras(&rows, metadata, clear)
        _set_receivers(&rows, receivers, listed)
        return _unprotect(&rows, receivers, listed, out)
    finally:
        _free_rows(&rows)
