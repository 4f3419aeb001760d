# Part of _native.pyx: SenderCore, one frame at a time (reserve, then seal).

cdef int _seal(sfr_sender *sender, sfr_frame *f) noexcept:
    if f.in_size < UNLOCKED_WORK:
        return sfr_protect(sender, f)
    if sfr_reserve(sender, f) == SFR_OK:
        with nogil:
            sfr_seal_many(&sender, f, 1)
    return f.status


cdef inline bytes _protect(SenderCore self, sfr_frame *f):
    cdef size_t size
    cdef bytes out
    if self._ptr is NULL:
        self.pointer()
    while True:
        # The last frame's overhead suffices until a counter takes another byte, which is ROOM.
        size = f.in_size + self._overhead if f.in_size <= self._max_frame else 0
        out = PyBytes_FromStringAndSize(NULL, size)
        f.out, f.out_size = <uint8_t *>PyBytes_AS_STRING(out), size
        if _seal(self._ptr, f) == SFR_OK:
            if f.rekey_due:
                self._rekey_due()
            return out
        if f.status == SFR_E_ROOM:
            self._overhead = sfr_protect_size(self._ptr, 0, 0)
        else:
            self._refused(f)


cdef class SenderCore:
    """reserve -> seal: csrc/frame/sender.c behind the methods of the policy class."""

    cdef sfr_sender *_ptr
    cdef size_t _max_frame
    cdef size_t _overhead          # bytes of header and tag; a lower bound for the next frame
    cdef str _reason

    _kernel = None

    def _open(self, int suite, uint64_t kid, Secret secret not None, uint64_t first,
              uint64_t last, max_frame):
        if self._ptr is not NULL:
            raise MisuseError("this sender is open already")
        self._reason = "closed"
        self._max_frame = _size("max_frame", max_frame)
        if secret._suite != suite:
            raise MisuseError("the secret is of another suite")
        status = sfr_sender_new(&self._ptr, secret.pointer(), _kernel_of(self), kid, first, last,
                                self._max_frame)
        if status != SFR_OK:
            raise _misuse(status, kid=kid, reason="next_ctr or max_frame is out of range")
        _watch_memory()

    def __dealloc__(self):
        sfr_sender_free(self._ptr)

    cdef sfr_sender *pointer(self) except NULL:
        if self._ptr is NULL:
            raise MisuseError("this sender was never opened")
        return self._ptr

    # -- one frame --

    def protect(self, frame, metadata=b"", *, Py_ssize_t clear=0):
        """The SFrame ciphertext of one frame: see pysframe.Sender."""
        cdef sfr_frame f
        cdef Bytes data, meta
        cdef Py_buffer data_view, meta_view
        if _plain(frame, metadata, clear, &f):
            return _protect(self, &f)
        no_view(&meta_view)
        _read("frame", frame, &data, &data_view)
        try:
            _read_metadata(metadata, &meta, &meta_view)
            _clear_of(clear, data.size)
            f.data, f.in_size, f.clear = data.data, data.size, clear
            f.metadata, f.metadata_size = meta.data, meta.size
            return _protect(self, &f)
        finally:
            end_view(&data_view)
            end_view(&meta_view)

    def protect_into(self, frame, out, metadata=b"", *, Py_ssize_t clear=0):
        """Like protect, but writes to `out`. Returns the number of bytes written."""
        cdef sfr_frame f
        cdef Bytes data, meta, room
        cdef Py_buffer data_view, meta_view, out_view
        self.pointer()
        no_view(&meta_view)
        no_view(&out_view)
        _read("frame", frame, &data, &data_view)
        try:
            _read_metadata(metadata, &meta, &meta_view)
            _view("out", out, &room, &out_view, PyBUF_WRITABLE)
            _clear_of(clear, data.size)
            f.data, f.in_size, f.clear = data.data, data.size, clear
            f.metadata, f.metadata_size = meta.data, meta.size
            while True:
                f.out, f.out_size = <uint8_t *>room.data, room.size
                if _seal(self._ptr, &f) == SFR_OK:
                    if f.rekey_due:
                        self._rekey_due()
                    return f.out_size
                if f.status == SFR_E_ROOM:
                    raise misuse(SFR_E_ROOM, limit=room.size,
                                 size=sfr_protect_size(self._ptr, data.size, 0))
                self._refused(&f)
        finally:
            end_view(&data_view)
            end_view(&meta_view)
            end_view(&out_view)

    cdef int _refused(self, sfr_frame *f, row=None) except -1:
        """Raises, unless the policy has obtained a new lease of counters."""
        try:
            if f.status == SFR_E_LEASE_ENDED and self._lease_ended():
                return 0
        except MisuseError as error:
            raise error if row is None else type(error)(f"row {row}: {error}") from None
        raise _misuse(f.status, kid=self.kid, size=f.in_size, limit=self._max_frame,
                      reason=self._reason, row=row)

    def protected_size(self, n, /):
        """The bytes that the next frame of n bytes will take."""
        return sfr_protect_size(self.pointer(), _size("n", n), 0)

    # -- state --

    @property
    def kid(self):
        return sfr_sender_kid(self.pointer())

    @property
    def next_ctr(self):
        cdef uint64_t ctr
        status = sfr_sender_next(self.pointer(), &ctr)
        if status == SFR_OK:
            return ctr
        raise _misuse(status, kid=self.kid, reason=self._reason)

    @property
    def blocks(self):
        return sfr_sender_blocks(self.pointer())

    def _raise_blocks(self, uint64_t blocks):
        """Raises the block meter, to 2^36 at most. It never lowers the meter."""
        sfr_sender_set_blocks(self.pointer(), blocks)

    def _lease_blocks(self, uint64_t last):
        """Limits the block meter, to 2^36 at most and never below its present value."""
        sfr_sender_lease_blocks(self.pointer(), last)

    def _extend(self, uint64_t first, uint64_t last):
        status = sfr_sender_extend(self.pointer(), first, last)
        if status != SFR_OK:
            raise _misuse(status, kid=self.kid, reason="the lease does not follow the one before")

    def _lease_ended(self):
        return False

    def _rekey_due(self):
        pass

    def _retire(self, str reason):
        self._reason = reason
        sfr_sender_close(self.pointer())

    def close(self):
        """Wipes the key. Later calls raise SenderRetired; closing again does nothing."""
        if self._ptr is not NULL:
            sfr_sender_close(self._ptr)

    def __reduce_ex__(self, protocol):
        raise TypeError("a Sender cannot be copied or pickled: two would use the same counters")
