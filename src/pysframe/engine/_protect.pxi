# Part of _native.pyx: protect_many and protect_batch.
#
# All rows are checked, then all counters are reserved, then all frames are sealed; a refusal
# therefore names its row before any frame is sealed. Where no other thread can run in between,
# reserving and sealing are one pass. Only sealing runs without the GIL.

cdef inline tuple _owners(object owners, type core, str name, Py_ssize_t count):
    """None if one owner has all rows, else one owner for each row."""
    return None if isinstance(owners, core) else _one_a_row(owners, name, count)


cdef int _set_senders(Rows *rows, object senders, tuple listed) except -1:
    cdef Py_ssize_t i
    cdef PyObject *sender
    cdef const void *known = NULL
    cdef sfr_sender *one
    if listed is None:
        one = (<SenderCore>senders).pointer()
        for i in range(rows.count):
            rows.owners[i] = one
        return 0
    for i in range(rows.count):
        sender = PyTuple_GET_ITEM(listed, i)
        if i + PREFETCH_ROWS < rows.count:
            prefetch(PyTuple_GET_ITEM(listed, i + PREFETCH_ROWS))
        if type_of(sender) != known:
            _require(<object>sender, SenderCore, "Sender", i)
            known = type_of(sender)
        rows.owners[i] = (<SenderCore>sender)._ptr
        if rows.owners[i] is NULL:
            (<SenderCore>sender).pointer()
        prefetch(rows.owners[i])
    return 0


cdef bint _set_plain_senders(Rows *rows, object senders, PyObject **items) noexcept:
    """Sets the owners if all of them are open senders. Runs no other code.

    items: one for each row, or NULL for the same in all rows.
    """
    cdef Py_ssize_t i
    cdef PyObject *sender = <PyObject *>senders
    cdef const void *known = NULL
    for i in range(rows.count):
        if items is not NULL:
            sender = items[i]
            if i + PREFETCH_ROWS < rows.count:
                prefetch(items[i + PREFETCH_ROWS])
        if type_of(sender) != known:
            if not isinstance(<object>sender, SenderCore):
                return False
            known = type_of(sender)
        rows.owners[i] = (<SenderCore>sender)._ptr
        if rows.owners[i] is NULL:
            return False
        prefetch(rows.owners[i])
    return True


cdef bint _check_all(Rows *rows, object senders, tuple listed) except -1:
    """Checks everything about a row that can be checked before a counter is taken.

    Returns whether counters may be taken and used in one pass.
    """
    cdef Py_ssize_t i
    cdef int steady = False
    i = sfr_protect_many_size(<sfr_sender **>rows.owners, rows.frames, rows.count, &steady)
    while i < rows.count:
        _refuse_row(rows, senders, listed, i)      # returns if there is a new lease
        i += sfr_protect_many_size(<sfr_sender **>rows.owners + i, rows.frames + i, rows.count - i,
                                   &steady)
        steady = False
    return steady and SERIALIZED and rows.work < UNLOCKED_WORK


cdef int _check_lengths(Rows *rows) except -1:
    """Refuses rows whose ciphertext would not fit a FrameBatch, whose lengths are int32."""
    cdef Py_ssize_t i
    for i in range(rows.count):
        if rows.frames[i].in_size > <size_t>INT32_MAX - SFR_MAX_OVERHEAD:
            raise too_long_for_a_batch(i, rows.frames[i].in_size)
    return 0


cdef int _require(object owner, type core, str name, Py_ssize_t i) except -1:
    if not isinstance(owner, core):
        raise TypeError(f"row {i}: {type(owner).__name__} is no {name} of this engine")
    return 0


cdef int _refuse_row(Rows *rows, object senders, tuple listed, Py_ssize_t i) except -1:
    cdef sfr_frame *f = &rows.frames[i]
    if f.clear > f.in_size:
        raise MisuseError(f"row {i}: clear is {f.clear} and the frame has {f.in_size} bytes")
    return (<SenderCore>(senders if listed is None else listed[i]))._refused(f, i)


cdef int _reserve_all(Rows *rows, object senders, tuple listed) except -1:
    """Takes the counters, and sets each row's out_size to the size of its ciphertext."""
    cdef Py_ssize_t i
    i = sfr_reserve_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    while i < rows.count:
        _tell_rekey(rows, senders, listed, i)
        _refuse_row(rows, senders, listed, i)
        i += sfr_reserve_many(<sfr_sender **>rows.owners + i, rows.frames + i, rows.count - i)
    return 0


cdef int _tell_rekey(Rows *rows, object senders, tuple listed, Py_ssize_t count) except -1:
    """Tells which of the first `count` rows brought a key to half of its budget."""
    cdef Py_ssize_t i
    for i in range(count):
        if rows.frames[i].rekey_due:
            rows.frames[i].rekey_due = False
            (senders if listed is None else listed[i])._rekey_due()
    return 0


cdef int _seal_all(Rows *rows, object senders, tuple listed, bint at_once) except -1:
    """Seals the reserved rows; or, if `at_once`, reserves and seals in one pass."""
    cdef Py_ssize_t i
    cdef bint rekey_due = False
    if at_once:
        i = sfr_protect_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
        if i < rows.count:
            _tell_rekey(rows, senders, listed, i)
            _refuse_row(rows, senders, listed, i)
            raise MisuseError(f"row {i}: its lease was changed during the call")
    elif rows.work < UNLOCKED_WORK:
        sfr_seal_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    else:
        with nogil:
            sfr_seal_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    for i in range(rows.count):
        rekey_due |= rows.frames[i].rekey_due | (rows.frames[i].status != SFR_OK)
    return _tell_senders(rows, senders, listed) if rekey_due else 0


cdef int _tell_senders(Rows *rows, object senders, tuple listed) except -1:
    cdef Py_ssize_t i
    _tell_rekey(rows, senders, listed, rows.count)
    for i in range(rows.count):
        if rows.frames[i].status != SFR_OK:   # another thread has closed the sender
            (<SenderCore>(senders if listed is None else listed[i]))._refused(&rows.frames[i], i)
    return 0


def protect_many(senders, frames, metadata=None, clear=None):
    """Protects each frame under its sender: one for all, or one per frame.

    metadata and clear: None, one for all, or one per frame. Raises what protect raises, prefixed
    with the row's number, and then nothing has been sealed.
    """
    cdef Rows rows
    cdef Py_ssize_t i
    cdef bint at_once
    cdef tuple inputs
    cdef list out
    cdef object ciphertext
    if metadata is None and clear is None:
        out = _protect_listed(senders, frames)
        if out is not None:
            return out
    inputs = _frames(frames, "frames")
    _make_rows(&rows, len(inputs))
    try:
        listed = _owners(senders, SenderCore, "senders", rows.count)
        _read_frames(&rows, "frame", inputs)
        _alive = _read_extras(&rows, metadata, clear)
        _set_senders(&rows, senders, listed)
        at_once = _check_all(&rows, senders, listed)
        if not at_once:
            _reserve_all(&rows, senders, listed)
        out = PyList_New(rows.count)
        for i in range(rows.count):
            ciphertext = PyBytes_FromStringAndSize(NULL, rows.frames[i].out_size)
            rows.frames[i].out = <uint8_t *>PyBytes_AS_STRING(ciphertext)
            Py_INCREF(ciphertext)
            PyList_SET_ITEM(out, i, ciphertext)
        _seal_all(&rows, senders, listed, at_once)
    finally:
        _free_rows(&rows)
    return out


cdef struct Places:
    int64_t *offsets               # of the frames
    uint8_t **outs                 # of their ciphertexts
    int32_t *lengths
    int32_t *sizes


cdef list _protect_listed(object senders, object frames):
    """The usual batch, lists of bytes; None if the batch is not of that kind. See _rows.pxi."""
    cdef Rows rows
    cdef Places at
    cdef int64_t[3 * FEW] few
    cdef Py_ssize_t count
    cdef list out
    if not SERIALIZED or not _is_listed(frames):
        return None
    count = PySequence_Fast_GET_SIZE(frames)
    out = PyList_New(count)              # first, because it may collect garbage
    if count == 0 or PySequence_Fast_GET_SIZE(frames) != count:
        return None
    _make_rows(&rows, count)
    at.offsets = &few[0]
    if count > FEW:
        at.offsets = <int64_t *>PyMem_Malloc(3 * count * sizeof(int64_t))
    try:
        if at.offsets is NULL:
            raise MemoryError
        at.outs = <uint8_t **>(at.offsets + count)
        at.lengths = <int32_t *>(at.outs + count)
        at.sizes = at.lengths + count
        return out if _protect_rows(&rows, senders, frames, &at, out) else None
    finally:
        if count > FEW:
            PyMem_Free(at.offsets)
        _free_rows(&rows)


cdef bint _protect_rows(Rows *rows, object senders, object frames, Places *at, list out) except -1:
    """Fills the list; False, and no counter is taken, if the batch is not of that kind."""
    cdef sfr_rows_in rows_in
    cdef PyObject **items = NULL
    cdef PyObject *made
    cdef Py_ssize_t i
    cdef size_t total = _addresses_in(PySequence_Fast_ITEMS(frames), rows.count, at.offsets,
                                      at.lengths)
    if total == SIZE_MAX or not _is_short(rows, total):
        return False
    if _is_for_each(senders, rows.count):
        items = PySequence_Fast_ITEMS(senders)
    if not _set_plain_senders(rows, senders, items):
        return False
    rows_in.data, rows_in.size = NULL, INT64_MAX
    rows_in.offsets, rows_in.lengths = at.offsets, at.lengths
    if sfr_protect_rows_size(<sfr_sender **>rows.owners, &rows_in, rows.count, at.sizes) == 0:
        return False
    for i in range(rows.count):
        made = new_bytes(NULL, at.sizes[i])
        at.outs[i] = <uint8_t *>PyBytes_AS_STRING(<object>made)
        set_item(out, i, made)
    if sfr_protect_rows(<sfr_sender **>rows.owners, &rows_in, rows.count, at.outs,
                        at.sizes) != <size_t>rows.count:
        raise MisuseError("a sender was used by somebody else during the call")
    return True


cdef bint _columns_in(Rows *rows, object source, bytes block, object out, sfr_rows_in *rows_in,
                      Bytes *target) except -1:
    """Fills rows_in with the columns as they lie. False if the rows must be read one by one,
    because `out` overlaps the source."""
    cdef Bytes data
    cdef sfr_rows_out columns
    _read_held(rows, "data", source, &data)
    columns_of(PyBytes_AS_STRING(block), rows.count, &columns)
    rows_in.data, rows_in.size = data.data, data.size
    rows_in.offsets, rows_in.lengths = columns.offsets, columns.lengths
    if out is None:
        return True
    _hold(rows, "out", out, target, PyBUF_WRITABLE)
    return not overlaps(data.data, data.size, target.data, target.size)


cdef inline bint _is_short(Rows *rows, size_t room) noexcept:
    return room + rows.count * FRAME_WORK < UNLOCKED_WORK


cdef object _protect_columns(Rows *rows, object senders, tuple listed, object source, bytes block,
                             object out, BatchCore made):
    """The usual batch, straight from columns to columns; None if the batch is not of that kind."""
    cdef sfr_rows_in rows_in
    cdef sfr_rows_out columns
    cdef size_t room
    cdef Bytes target
    if not SERIALIZED or not _columns_in(rows, source, block, out, &rows_in, &target):
        return None
    _set_senders(rows, senders, listed)
    room = sfr_protect_columns_size(<sfr_sender **>rows.owners, &rows_in, rows.count)
    if room == 0 or not _is_short(rows, room) or (out is not None and target.size < room):
        return None
    if out is None:
        out = PyBytes_FromStringAndSize(NULL, room)
        target.data = <const uint8_t *>PyBytes_AS_STRING(out)
    result = PyBytes_FromStringAndSize(NULL, rows.count * ROW_SIZE)
    columns_of(PyBytes_AS_STRING(result), rows.count, &columns)
    if sfr_protect_columns(<sfr_sender **>rows.owners, &rows_in, rows.count,
                           <uint8_t *>target.data, room, &columns) != <size_t>rows.count:
        raise MisuseError("a sender was used by somebody else during the call")
    return _filled_batch(made, out, result, rows.count)


def protect_batch(senders, batch, metadata=None, clear=None, out=None):
    """protect_many from columns to columns: rows back to back, in `out` or a new buffer.

    Raises MisuseError saying the bytes needed when `out` is too small.
    """
    cdef Rows rows
    cdef bint at_once
    cdef size_t expected = 0
    cdef uint8_t *base = NULL
    cdef BatchCore given = _batch(batch)
    cdef BatchCore made = <BatchCore>blank(FRAME_BATCH)      # first: it may collect garbage
    cdef bytes block = given._columns
    _make_rows(&rows, given._count)
    try:
        listed = _owners(senders, SenderCore, "senders", rows.count)
        source = given._data
        if metadata is None and clear is None:
            if _protect_columns(&rows, senders, listed, source, block, out, made) is not None:
                return made
        _read_batch(&rows, source, block)
        _alive = _read_extras(&rows, metadata, clear)
        _set_senders(&rows, senders, listed)
        at_once = _check_all(&rows, senders, listed)
        _check_lengths(&rows)
        if out is not None:          # before any counter is taken
            expected = _room(&rows)
            base = _callers_out(&rows, out, expected)
        if not at_once:
            _reserve_all(&rows, senders, listed)
        if out is None:
            data = PyBytes_FromStringAndSize(NULL, _room(&rows))
            base = <uint8_t *>PyBytes_AS_STRING(data)
        else:
            data = out
            if not at_once and _room(&rows) > expected:      # a new lease has longer counters
                raise misuse(SFR_E_ROOM, size=_room(&rows), limit=expected)
        _lay_out(&rows, base)
        result = PyBytes_FromStringAndSize(NULL, rows.count * ROW_SIZE)
        _seal_all(&rows, senders, listed, at_once)
        return _batch_of(&rows, made, data, result, base)
    finally:
        _free_rows(&rows)
