# Part of _native.pyx: Header and parse_headers, whose public face is pysframe.header.
#
# The C core parses. What is wrong with a malformed header is said by pysframe.header.parse_header,
# which both engines share.

@cython.auto_pickle(False)
cdef class HeaderCore:
    """The engine's half of pysframe.Header."""

    cdef readonly uint64_t kid, ctr
    cdef readonly Py_ssize_t size

    def __init__(self, kid, ctr, size=0):
        if self.size:
            raise made_already(self)
        cdef uint64_t kid_value = _header_value("kid", kid), ctr_value = _header_value("ctr", ctr)
        cdef uint64_t size_value = _header_value("size", size, SFR_MAX_HEADER)
        self.size = size_value or sfr_header_size(kid_value, ctr_value)
        self.kid, self.ctr = kid_value, ctr_value

    @staticmethod
    @cython.annotation_typing(False)
    def parse(ciphertext: ReadableBuffer, *, strict: bool = True) -> Header:
        """The header at the start of an SFrame ciphertext.

        strict refuses encodings that are not minimal, which no sender may produce (RFC 9605 4.3).
        Raises MalformedFrame with what is wrong, where, and in which bytes.
        """
        cdef Bytes data
        cdef Py_buffer view
        cdef sfr_header header
        cdef bint minimal = strict
        _read("ciphertext", ciphertext, &data, &view)
        try:
            if sfr_header_parse(data.data, data.size, minimal, &header) == SFR_OK:
                return _new_header(&header)
        finally:
            end_view(&view)
        return HEADER(*parse_header(byte_view(ciphertext, "ciphertext"), minimal))


cdef object HEADER = completed(HeaderFace, HeaderCore)
cdef object HEADER_COLUMNS = completed(ColumnsFace, ColumnsCore)
Header, HeaderColumns = HEADER, HEADER_COLUMNS


cdef object _new_header(const sfr_header *parsed):
    cdef HeaderCore header = <HeaderCore>blank(HEADER)
    header.kid, header.ctr, header.size = parsed.kid, parsed.ctr, parsed.size
    return header


cdef uint64_t _header_value(str name, object value, uint64_t last=UINT64_MAX) except? 0:
    number = index(value)
    return number if 0 <= number <= last else checked(name, number, 0, last)      # which raises


@cython.annotation_typing(False)
def parse_headers(
    batch: BatchFace | Sequence[ReadableBuffer],
    *,
    clear: int | Sequence[int] | None = None,
    strict: bool = True,
) -> HeaderColumns:
    """What a forwarder can see of many ciphertexts without any key; it never raises for a frame.

    clear is how many bytes lie before each header: one number, or one for each row. Raises
    TypeError for a row that is not bytes-like, MisuseError for a clear below 0.

    >>> parse_headers([bytes.fromhex("9901234567"), b""]).status.tolist()
    [0, 1]
    """
    cdef bint minimal = strict
    if isinstance(batch, BatchCore) or isinstance(batch, BatchFace):
        return _headers_of_batch(_batch(batch), clear, minimal)
    return _headers_of_frames(_frames(batch, "batch"), clear, minimal)


cdef object _headers_of_batch(BatchCore batch, object clear, bint strict):
    cdef Py_ssize_t i, count = batch._count
    cdef bytes columns = batch._columns, block = _header_block(count)
    cdef list starts = _starts(clear, count)
    cdef sfr_rows_out rows
    cdef HeaderRow at
    cdef Bytes data
    cdef Py_buffer view
    columns_of(PyBytes_AS_STRING(columns), count, &rows)
    _first_header(block, count, &at)
    _read("data", batch._data, &data, &view)
    try:
        for i in range(count):
            _check_row(i, rows.offsets[i], rows.lengths[i], data.size)
            _parse_row(data.data + rows.offsets[i], rows.lengths[i],
                       0 if starts is None else _start(starts, i), strict, i, &at)
    finally:
        end_view(&view)
    return _new_header_columns(block, count)


cdef object _headers_of_frames(tuple frames, object clear, bint strict):
    cdef Py_ssize_t i, count = len(frames)
    cdef bytes block = _header_block(count)
    cdef list starts = _starts(clear, count)
    cdef size_t start = 0
    cdef HeaderRow at
    cdef Bytes data
    cdef Py_buffer view
    _first_header(block, count, &at)
    for i in range(count):
        if starts is not None:
            start = _start(starts, i)
        _read("ciphertext", <object>PyTuple_GET_ITEM(frames, i), &data, &view)
        _parse_row(data.data, data.size, start, strict, i, &at)
        end_view(&view)
    return _new_header_columns(block, count)


# -- the columns of parsed headers --
#
# kid uint64[n] | ctr uint64[n] | size uint8[n] | status uint8[n]

cdef struct HeaderRow:
    uint64_t *kid
    uint64_t *ctr
    uint8_t *size
    uint8_t *status


cdef bytes _header_block(Py_ssize_t count):
    return PyBytes_FromStringAndSize(NULL, count * (8 + 8 + 1 + 1))


cdef inline void _first_header(bytes block, Py_ssize_t count, HeaderRow *at) noexcept:
    cdef char *start = PyBytes_AS_STRING(block)
    at.kid = <uint64_t *>start
    at.ctr = <uint64_t *>(start + 8 * count)
    at.size = <uint8_t *>(start + 16 * count)
    at.status = <uint8_t *>(start + 17 * count)


cdef inline void _parse_row(const uint8_t *data, size_t size, size_t clear, bint strict,
                            Py_ssize_t i, HeaderRow *at) noexcept:
    cdef sfr_header header
    cdef int status = SFR_MALFORMED
    if clear <= size:
        status = read_header(data + clear, size - clear, strict, &header)
    if status != SFR_OK:
        header.kid, header.ctr, header.size = 0, 0, 0
    at.kid[i], at.ctr[i] = header.kid, header.ctr
    at.size[i], at.status[i] = <uint8_t>header.size, <uint8_t>status


cdef list _starts(object clear, Py_ssize_t count):
    """The clear bytes of every row, none of them negative; None if no row has any."""
    cdef list starts
    if clear is None:
        return None
    starts = [index(start) for start in clear_per_row(clear, count)]
    if min(starts, default=0) < 0:
        raise negative_clear(min(starts))
    return starts


cdef size_t _start(list starts, Py_ssize_t i) except? 0:
    """No frame has as many bytes as the largest size."""
    return min(starts[i], maxsize)


cdef object _new_header_columns(bytes block, Py_ssize_t count):
    cdef ColumnsCore columns = <ColumnsCore>blank(HEADER_COLUMNS)
    columns._columns, columns._count = block, count
    return columns
