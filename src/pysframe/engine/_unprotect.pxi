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
        if flags_of(&(<ReceiverCore>receiver)._flags) != OPEN:
            (<ReceiverCore>receiver).pointer()
            rows.watching = True
        rows.owners[i] = (<ReceiverCore>receiver)._ptr
        prefetch(rows.owners[i])
    return 0


cdef bint _set_plain_receivers(Rows *rows, object receivers, PyObject **items) noexcept:
    """Sets the owners if all of them are open receivers that nobody watches. Runs no other code.

    items: one for each row, or NULL for the same in all rows.
    """
    cdef Py_ssize_t i
    cdef PyObject *receiver = <PyObject *>receivers
    cdef const void *known = NULL
    for i in range(rows.count):
        if items is not NULL:
            receiver = items[i]
            if i + PREFETCH_ROWS < rows.count:
                prefetch(items[i + PREFETCH_ROWS])
        if type_of(receiver) != known:
            if not isinstance(<object>receiver, ReceiverCore):
                return False
            known = type_of(receiver)
        if flags_of(&(<ReceiverCore>receiver)._flags) != OPEN:
            return False
        rows.owners[i] = (<ReceiverCore>receiver)._ptr
        prefetch(rows.owners[i])
    return True


cdef object _unprotect(Rows *rows, object receivers, tuple listed, object out, BatchCore made):
    cdef size_t total, refused
    cdef uint8_t *base
    cdef bint told = False
    cdef bytes block = PyBytes_FromStringAndSize(NULL, rows.count * ROW_SIZE)
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
    return _batch_of(rows, made, data, block, base)


cdef bint _tell_receivers(Rows *rows, object receivers, tuple listed) except -1:
    """Tells policies of confirmed keys. Returns whether there were any, as more keys may follow."""
    cdef ReceiverCore receiver
    cdef Py_ssize_t i
    cdef bint told = False
    if listed is None:
        return (<ReceiverCore>receivers)._tell_confirmed()
    for i in range(rows.count):
        receiver = listed[i]
        if receiver.is_watching() and receiver._tell_confirmed():
            told = True
    return told


cdef int _retry_unknown(Rows *rows, object receivers, tuple listed, uint8_t *end,
                        bint changed) except -1:
    """Retries, in row order, the rows whose KID was unknown and may have its key derived.

    A KID stays unknown until keys have changed, so a flood of forged KIDs is not looked up again.
    """
    cdef Py_ssize_t i
    cdef sfr_frame *f
    cdef ReceiverCore receiver
    for i in range(rows.count):
        f = &rows.frames[i]
        if f.status != SFR_UNRESOLVED:
            continue
        receiver = receivers if listed is None else listed[i]
        if receiver._find_key(f.kid, f.ctr, changed):
            f.out_size = _end_of(rows, i, end) - f.out
            sfr_unprotect(receiver._ptr, f)
            receiver._tell_confirmed()
            changed = True
        if f.status == SFR_UNRESOLVED:
            sfr_receiver_give_up(receiver._ptr, f)
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
    """Opens each ciphertext under its receiver: one for all, or one per ciphertext.

    metadata and clear: None, one for all, or one per ciphertext. A rejected frame has length 0 and
    its status, and raises nothing. MisuseError and TypeError concern the arguments, and name the
    row.

    A MemoryError loses no frame: all memory is taken before the first is opened, so the call can be
    made again. That does not hold where keys are derived as frames come (add_sender_key,
    add_epoch), nor on the plain-Python engine: there, frames of the failed call may read as
    REPLAYED afterwards.
    """
    cdef Rows rows
    cdef tuple inputs
    cdef BatchCore made = <BatchCore>blank(FRAME_BATCH)      # first: it may collect garbage
    if metadata is None and clear is None and \
            _unprotect_listed(settled(receivers), settled(ciphertexts), made) is not None:
        return made
    inputs = _frames(ciphertexts, "ciphertexts")
    _make_rows(&rows, len(inputs))
    try:
        listed = _owners(receivers, ReceiverCore, "receivers", rows.count)
        _read_frames(&rows, "ciphertext", inputs)
        _alive = _read_extras(&rows, metadata, clear)
        _set_receivers(&rows, receivers, listed)
        return _unprotect(&rows, receivers, listed, None, made)
    finally:
        _free_rows(&rows)


# -- the usual batch, straight from columns to columns: see "lists" in _rows.pxi --

cdef object _unprotect_listed(object receivers, object ciphertexts, BatchCore made):
    """Lists of bytes; None if the batch is not of that kind."""
    cdef Rows rows
    cdef sfr_rows_in rows_in
    cdef sfr_rows_out columns
    cdef size_t total
    if not _is_listed(ciphertexts):
        return None
    _make_rows(&rows, PySequence_Fast_GET_SIZE(ciphertexts))
    try:
        block = PyBytes_FromStringAndSize(NULL, rows.count * ROW_SIZE)
        columns_of(PyBytes_AS_STRING(block), rows.count, &columns)
        total = _addresses_in(PySequence_Fast_ITEMS(ciphertexts), rows.count, columns.offsets,
                              columns.lengths)
        # Each row is read before its result is written, so that the same columns can hold both.
        rows_in.data, rows_in.size = NULL, INT64_MAX
        rows_in.offsets, rows_in.lengths = columns.offsets, columns.lengths
        return _unprotect_columns(&rows, receivers, &rows_in, total, None, NULL, made, block)
    finally:
        _free_rows(&rows)


cdef object _unprotect_columns(Rows *rows, object receivers, const sfr_rows_in *rows_in,
                               size_t total, object out, Bytes *target, BatchCore made,
                               bytes block):
    """total: bytes of all rows, SIZE_MAX if they are not of that kind. made, block: the result."""
    cdef sfr_rows_out columns
    cdef PyObject **items = NULL
    cdef size_t room = total
    if rows.count == 0 or total == SIZE_MAX or not _is_short(rows, total):
        return None
    if _is_for_each(receivers, rows.count):
        items = PySequence_Fast_ITEMS(receivers)
    if not _set_plain_receivers(rows, receivers, items):
        return None
    if out is not None and target.size < room:
        room = target.size
        if room < _exact_room(rows, rows_in):
            return None
    columns_of(PyBytes_AS_STRING(block), rows.count, &columns)
    if out is not None:
        sfr_unprotect_columns(<sfr_receiver **>rows.owners, rows_in, rows.count,
                              <uint8_t *>target.data, &room, &columns)
        return _filled_batch(made, out, block, rows.count)
    data = PyBytes_FromStringAndSize(NULL, room)
    sfr_unprotect_columns(<sfr_receiver **>rows.owners, rows_in, rows.count,
                          <uint8_t *>PyBytes_AS_STRING(data), &room, &columns)
    shorten(data, room)
    return _filled_batch(made, data, block, rows.count)


cdef size_t _exact_room(Rows *rows, const sfr_rows_in *rows_in) noexcept:
    cdef Py_ssize_t i
    cdef size_t total = 0
    for i in range(rows.count):
        total += sfr_unprotect_size(<sfr_receiver *>rows.owners[i],
                                    rows_in.data + rows_in.offsets[i], rows_in.lengths[i], 0)
    return total


def unprotect_batch(receivers, batch, metadata=None, clear=None, out=None):
    """unprotect_many from columns to columns: rows back to back, in `out` or a new buffer.

    A rejected row leaves zeros. Raises MisuseError saying the bytes needed when `out` is too small.
    """
    cdef Rows rows
    cdef sfr_rows_in rows_in
    cdef Bytes target
    cdef size_t total
    cdef BatchCore given = _batch(batch)
    cdef BatchCore made = <BatchCore>blank(FRAME_BATCH)      # first: it may collect garbage
    cdef bytes block = given._columns
    _make_rows(&rows, given._count)
    try:
        source = given._data
        receivers = settled(receivers)
        if not _is_for_each(receivers, rows.count):
            listed = _owners(receivers, ReceiverCore, "receivers", rows.count)
            receivers = receivers if listed is None else listed
        if metadata is None and clear is None and \
                _columns_in(&rows, source, block, out, &rows_in, &target):
            total = sfr_unprotect_columns_size(&rows_in, rows.count)     # an upper bound
            columns = PyBytes_FromStringAndSize(NULL, rows.count * ROW_SIZE)
            if _unprotect_columns(&rows, receivers, &rows_in, total, out, &target, made,
                                  columns) is not None:
                return made
        listed = _owners(receivers, ReceiverCore, "receivers", rows.count)
        _read_batch(&rows, source, block)
        _alive = _read_extras(&rows, metadata, clear)
        _set_receivers(&rows, receivers, listed)
        return _unprotect(&rows, receivers, listed, out, made)
    finally:
        _free_rows(&rows)
