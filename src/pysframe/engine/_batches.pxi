# Batches: a part of _native.pyx. FrameBatch and sequences to rows of C, and back.
#
# All that the caller gives is read first, since that may run code of theirs; owners are asked then.
# Sending: all rows are checked; all counters are reserved; all frames are sealed. Where no other
# thread can come between, the last two are one pass. Receiving: parse, resolve and open; commit.
# Only sealing and opening may happen without the GIL.

cdef enum:
    FEW = 64                       # rows that need no memory of their own
    PREFETCH_ROWS = 32             # rows: owners lie all over memory and are fetched early

cdef struct Rows:
    Py_ssize_t count
    size_t work                    # bytes, with an allowance for each frame
    sfr_frame *frames
    void **owners                  # sfr_sender * or sfr_receiver *, one a row
    bint watching                  # a receiver whose policy wants to hear of keys is among them
    Py_buffer *views               # the buffers that are held; exact bytes are not among them
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
    """A buffer that lives as long as the rows; exact bytes need none."""
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


# Sequences become tuples: a list that another thread changes must not free what a row points to.

cdef tuple _one_a_row(object values, str name, Py_ssize_t count):
    cdef tuple listed = values if type(values) is tuple else tuple(values)
    if len(listed) != count:
        raise MisuseError(
            f"{name} has {len(listed)} rows for {count} frames; give one, or one each")
    return listed


cdef tuple _frames(object given, str name):
    """One object a frame; a buffer is refused, whose items would pass for frames."""
    if type(given) is tuple:
        return given
    return tuple(given) if type(given) is list else tuple(as_rows(name, given))


cdef tuple _clears(object clear, Py_ssize_t count):
    """One integer of any kind for all rows, or one a row."""
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
        raise MisuseError(f"row {i} leaves the data of {room} bytes")
    return 0


cdef int _read_batch(Rows *rows, object data, bytes block) except -1:
    """Rows of a FrameBatch; its columns are checked against its data as it is now."""
    cdef Py_ssize_t i
    cdef int64_t start, size
    cdef Bytes room
    cdef sfr_rows_out columns
    if len(block) != rows.count * ROW_SIZE:
        raise MisuseError("the columns of this FrameBatch are damaged")
    _read_held(rows, "data", data, &room)
    columns_of(PyBytes_AS_STRING(block), rows.count, &columns)
    for i in range(rows.count):
        start, size = columns.offsets[i], columns.lengths[i]
        _check_row(i, start, size, room.size)
        _set_row(rows, i, room.data + start, size)
    return 0


cdef tuple _read_extras(Rows *rows, object metadata, object clear):
    """metadata: None, one bytes-like for all rows, or one a row; clear: None, int, or one a row.

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


# -- the columns of a FrameBatch, see pysframe.batch --

cdef enum:
    ROW_SIZE = 8 + 8 + 8 + 4 + 1

cdef inline void columns_of(char *block, Py_ssize_t count, sfr_rows_out *out) noexcept:
    out.offsets = <int64_t *>block
    out.kid = <uint64_t *>(block + 8 * count)
    out.ctr = <uint64_t *>(block + 16 * count)
    out.lengths = <int32_t *>(block + 24 * count)
    out.status = <uint8_t *>(block + 28 * count)


cdef object _batch_of(Rows *rows, object data, const uint8_t *base):
    """The FrameBatch of what was run. `base` is where the rows' `out` count from."""
    cdef Py_ssize_t i, count = rows.count
    cdef object block = PyBytes_FromStringAndSize(NULL, count * ROW_SIZE)
    cdef sfr_frame *f
    cdef uint64_t authentic        # all ones where the row is
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
    return _new_batch(data, block, count)


# A FrameBatch has three slots. Their descriptors tell where they lie: a look-up by name is slower.

cdef object SLOT_DATA = FrameBatch.data
cdef object SLOT_COLUMNS = FrameBatch._columns
cdef object SLOT_COUNT = FrameBatch._count


cdef object _new_batch(object data, object block, Py_ssize_t count):
    cdef object batch = PyType_GenericAlloc(<type>FrameBatch, 0)
    fill_slot(SLOT_DATA, batch, data)
    fill_slot(SLOT_COLUMNS, batch, block)
    fill_slot(SLOT_COUNT, batch, count)
    return batch


cdef bytes _columns_of(object batch):
    if not isinstance(batch, FrameBatch):
        raise TypeError(f"batch must be a FrameBatch, not {type(batch).__name__}")
    block = get_slot(SLOT_COLUMNS, batch)
    return block if type(block) is bytes else bytes(block)


cdef inline size_t _room(Rows *rows) noexcept:
    cdef Py_ssize_t i
    cdef size_t total = 0
    for i in range(rows.count):
        total += rows.frames[i].out_size
    return total


cdef inline void _lay_out(Rows *rows, uint8_t *at) noexcept:
    """Back to back, each row in its room."""
    cdef Py_ssize_t i
    for i in range(rows.count):
        rows.frames[i].out = at
        at += rows.frames[i].out_size


cdef uint8_t *_callers_out(Rows *rows, object out, size_t size) except NULL:
    """The caller's buffer for the rows: large enough, and apart from everything that is read."""
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


# -- protect --

cdef inline tuple _owners(object owners, type core, str name, Py_ssize_t count):
    """None when one owner has all rows, else one a row."""
    return None if isinstance(owners, core) else _one_a_row(owners, name, count)


cdef int _set_senders(Rows *rows, object senders, tuple listed) except -1:
    cdef Py_ssize_t i
    cdef PyObject *sender
    cdef PyObject *known = NULL
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
        if Py_TYPE(sender) != known:
            _require(<object>sender, SenderCore, "Sender", i)
            known = Py_TYPE(sender)
        rows.owners[i] = (<SenderCore>sender)._ptr
        if rows.owners[i] is NULL:
            (<SenderCore>sender).pointer()
        prefetch(rows.owners[i])
    return 0


cdef bint _check_all(Rows *rows, object senders, tuple listed) except -1:
    """All of a row that can be judged before a counter is taken. Whether counters may be taken
    and used in one pass."""
    cdef Py_ssize_t i
    cdef int steady = False
    i = sfr_protect_many_size(<sfr_sender **>rows.owners, rows.frames, rows.count, &steady)
    while i < rows.count:
        _refuse_row(rows, senders, listed, i)      # returns when a new lease came
        i += sfr_protect_many_size(<sfr_sender **>rows.owners + i, rows.frames + i, rows.count - i,
                                   &steady)
        steady = False
    return steady and SERIALIZED and rows.work < UNLOCKED_WORK


cdef int _check_lengths(Rows *rows) except -1:
    """The columns of a FrameBatch have int32 for the length of a ciphertext."""
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
    """Takes the counters; each row's out_size is then what its ciphertext will take."""
    cdef Py_ssize_t i
    i = sfr_reserve_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    while i < rows.count:
        _tell_rekey(rows, senders, listed, i)
        _refuse_row(rows, senders, listed, i)
        i += sfr_reserve_many(<sfr_sender **>rows.owners + i, rows.frames + i, rows.count - i)
    return 0


cdef int _tell_rekey(Rows *rows, object senders, tuple listed, Py_ssize_t count) except -1:
    """Tells which of the first rows brought a key to half its budget, whatever comes after them."""
    cdef Py_ssize_t i
    for i in range(count):
        if rows.frames[i].rekey_due:
            rows.frames[i].rekey_due = False
            (senders if listed is None else listed[i])._rekey_due()
    return 0


cdef int _seal_all(Rows *rows, object senders, tuple listed, bint at_once) except -1:
    """Seals what was reserved, or reserves and seals `at_once`."""
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
        if rows.frames[i].status != SFR_OK:   # closed by another thread since it was reserved
            (<SenderCore>(senders if listed is None else listed[i]))._refused(&rows.frames[i], i)
    return 0


def protect_many(senders, frames, metadata=None, clear=None):
    """The ciphertexts of many frames: see pysframe.protect_many."""
    cdef Rows rows
    cdef Py_ssize_t i
    cdef bint at_once
    cdef tuple inputs = _frames(frames, "frames")
    cdef list out
    cdef object ciphertext
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


cdef bint _columns_in(Rows *rows, object source, bytes block, object out, sfr_rows_in *rows_in,
                      Bytes *target) except -1:
    """The rows as they lie in their columns. False where they have to be looked at one by one: a
    buffer of the caller's that overlaps the source, or columns that are not whole."""
    cdef Bytes data
    cdef sfr_rows_out columns
    if len(block) != rows.count * ROW_SIZE:
        return False
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
                             object out):
    """The usual batch, straight from columns to columns; None where it is not that."""
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
    made = PyBytes_FromStringAndSize(NULL, rows.count * ROW_SIZE)
    columns_of(PyBytes_AS_STRING(made), rows.count, &columns)
    if sfr_protect_columns(<sfr_sender **>rows.owners, &rows_in, rows.count,
                           <uint8_t *>target.data, room, &columns) != <size_t>rows.count:
        raise MisuseError("a sender was used by somebody else during the call")
    return _new_batch(out, made, rows.count)


def protect_batch(senders, batch, metadata=None, clear=None, out=None):
    """The ciphertexts of a FrameBatch as another: see pysframe.protect_batch."""
    cdef Rows rows
    cdef bint at_once
    cdef size_t expected = 0
    cdef uint8_t *base = NULL
    cdef bytes block = _columns_of(batch)
    _make_rows(&rows, get_slot(SLOT_COUNT, batch))
    try:
        listed = _owners(senders, SenderCore, "senders", rows.count)
        source = get_slot(SLOT_DATA, batch)
        if metadata is None and clear is None:
            made = _protect_columns(&rows, senders, listed, source, block, out)
            if made is not None:
                return made
        _read_batch(&rows, source, block)
        _alive = _read_extras(&rows, metadata, clear)
        _set_senders(&rows, senders, listed)
        at_once = _check_all(&rows, senders, listed)
        _check_lengths(&rows)
        if out is not None:          # before a counter is taken
            expected = _room(&rows)
            base = _callers_out(&rows, out, expected)
        if not at_once:
            _reserve_all(&rows, senders, listed)
        if out is None:
            data = PyBytes_FromStringAndSize(NULL, _room(&rows))
            base = <uint8_t *>PyBytes_AS_STRING(data)
        else:
            data = out
            if not at_once and _room(&rows) > expected:      # a lease began at larger counters
                raise misuse(SFR_E_ROOM, size=_room(&rows), limit=expected)
        _lay_out(&rows, base)
        _seal_all(&rows, senders, listed, at_once)
        return _batch_of(&rows, data, base)
    finally:
        _free_rows(&rows)


# -- unprotect --

cdef int _set_receivers(Rows *rows, object receivers, tuple listed) except -1:
    cdef Py_ssize_t i
    cdef PyObject *receiver = <PyObject *>receivers
    cdef PyObject *known = NULL if listed is not None else Py_TYPE(receiver)
    for i in range(rows.count):
        if listed is not None:
            receiver = PyTuple_GET_ITEM(listed, i)
            if i + PREFETCH_ROWS < rows.count:
                prefetch(PyTuple_GET_ITEM(listed, i + PREFETCH_ROWS))
        if Py_TYPE(receiver) != known:
            _require(<object>receiver, ReceiverCore, "Receiver", i)
            known = Py_TYPE(receiver)
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
    """Whether a key was confirmed: then the policy may have brought others."""
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
    """Rows whose KID was unknown at plan time, in row order. Until keys have changed a KID stays
    unknown: a flood of forged ones is not looked up again."""
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
    """Nothing but frames and zeros in the data. A row that another thread changed during the call,
    so that it no longer fits its room, is malformed; or it fills less of it."""
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
    """The usual batch, straight from columns to columns; None where it is not that."""
    cdef sfr_rows_out columns
    cdef size_t room
    cdef PyObject *data = NULL
    _set_receivers(rows, receivers, listed)
    if rows.watching:
        return None
    room = sfr_unprotect_columns_size(rows_in, rows.count)  # at most
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
    """Bytes objects as the rows of no buffer. False when one is something else, or too long."""
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
    cdef bytes block = _columns_of(batch)
    _make_rows(&rows, get_slot(SLOT_COUNT, batch))
    try:
        listed = _owners(receivers, ReceiverCore, "receivers", rows.count)
        source = get_slot(SLOT_DATA, batch)
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


def to_list(data, bytes columns, Py_ssize_t count):
    """The rows of a FrameBatch as bytes: the fast half of FrameBatch.to_list."""
    cdef Py_ssize_t i
    cdef int64_t start, size
    cdef Bytes room
    cdef sfr_rows_out column
    cdef Py_buffer view
    cdef object row
    cdef list out
    _read("data", data, &room, &view)
    try:
        if len(columns) != count * ROW_SIZE:
            raise MisuseError("the columns of this FrameBatch are damaged")
        columns_of(PyBytes_AS_STRING(columns), count, &column)
        out = PyList_New(count)
        for i in range(count):
            start, size = column.offsets[i], column.lengths[i]
            _check_row(i, start, size, room.size)
            row = PyBytes_FromStringAndSize(<const char *>room.data + start, size)
            Py_INCREF(row)
            PyList_SET_ITEM(out, i, row)
    finally:
        end_view(&view)
    return out
