# Part of _native.pyx: ReceiverCore, one frame at a time (parse, resolve, open, commit).

cdef int _open_frame(sfr_receiver *receiver, sfr_frame *f) noexcept:
    cdef size_t room = f.out_size
    if f.in_size < UNLOCKED_WORK:
        return sfr_unprotect(receiver, f)
    if sfr_screen(receiver, f) == SFR_OK:
        f.out_size = room
        with nogil:
            sfr_open_many(&receiver, f, 1)
        sfr_commit_many(&receiver, f, 1)
    return f.status


cdef inline int _run(ReceiverCore self, sfr_frame *f, size_t room) except? -1:
    if _open_frame(self._ptr, f) == SFR_UNRESOLVED:
        return self._again(f, room)
    return f.status


cdef inline bytes _unprotect_one(ReceiverCore self, sfr_frame *f):
    cdef size_t room
    cdef bytes out
    if not flags_of(&self._flags) & OPEN:     # inlined, because a call of pointer() takes longer
        self.pointer()
    # As long as frame and header together, whatever the header says, because another thread may
    # write to the ciphertext meanwhile. What is too long for any frame gets no room.
    room = f.in_size - self._suite.nt if f.in_size > self._suite.nt else 0
    if room > self._max_frame + SFR_MAX_OVERHEAD:
        room = 0
    out = PyBytes_FromStringAndSize(NULL, room)
    f.out, f.out_size = <uint8_t *>PyBytes_AS_STRING(out), room
    if _run(self, f, room) != SFR_OK:
        self._rejected(f)
    if self.is_watching():
        self._tell_confirmed()
    shorten(out, f.out_size)
    return out


cdef enum:                         # bits of ReceiverCore._flags
    OPEN = 1
    WATCHING = 2                   # the policy wants to hear of unknown KIDs and confirmed keys


cdef class ReceiverCore:
    """parse -> resolve -> open -> commit: csrc/frame/receiver.c behind the policy class."""

    cdef sfr_receiver *_ptr
    cdef const sfr_suite *_suite
    cdef size_t _max_frame
    cdef bint _strict
    cdef int _flags

    _kernel = None

    def _open(self, int suite, replay_window, max_frame, bint strict):
        if self._ptr is not NULL:
            raise MisuseError("this receiver is open already")
        self._suite, self._strict = _suite(suite), strict
        self._max_frame = _size("max_frame", max_frame)
        status = sfr_receiver_new(&self._ptr, self._suite, _kernel_of(self),
                                  _size("replay_window", replay_window), self._max_frame, strict)
        if status != SFR_OK:
            raise _misuse(status, reason="replay_window or max_frame is out of range")
        change_flag(&self._flags, OPEN, True)

    def __dealloc__(self):
        sfr_receiver_free(self._ptr)

    cdef sfr_receiver *pointer(self) except NULL:
        if not flags_of(&self._flags) & OPEN:
            raise MisuseError("this receiver is closed")
        return self._ptr

    @cython.final
    cdef inline bint is_watching(self) noexcept:
        return (flags_of(&self._flags) & WATCHING) != 0

    # -- keys --

    def _add(self, uint64_t kid, Secret secret not None, int kind):
        status = sfr_receiver_add(self.pointer(), kid, secret.pointer(), kind)
        if status != SFR_OK:
            raise _misuse(status, kid=kid, reason="the secret is of another suite, or of no kind")
        _watch_memory()

    def _remove(self, uint64_t kid):
        return sfr_receiver_remove(self.pointer(), kid) == SFR_OK

    def _kind(self, uint64_t kid):
        cdef int kind = sfr_receiver_kind(self.pointer(), kid)
        return None if kind < 0 else kind

    def _reach(self, reach):
        cdef sfr_reach given
        given.mask, given.group, given.numbers, given.shift = reach[:4]
        given.first, given.total, given.few = reach[4:]
        status = sfr_receiver_reach(self.pointer(), &given)
        if status != SFR_OK:
            raise _misuse(status, reason="a reach is of another layout, or of none")

    def _forget(self, uint64_t mask, uint64_t group):
        sfr_receiver_forget(self.pointer(), mask, group)

    def _watch(self, bint on):
        change_flag(&self._flags, WATCHING, on)
        sfr_receiver_defer(self.pointer(), on)

    def _resolve(self, kid):
        return False

    def _confirmed(self, kids):
        pass

    # -- one frame --

    def unprotect(self, ciphertext, metadata=b"", *, Py_ssize_t clear=0):
        """The frame in clear, if it is authentic: see pysframe.Receiver."""
        cdef sfr_frame f
        cdef Bytes data, meta
        cdef Py_buffer data_view, meta_view
        if _plain(ciphertext, metadata, clear, &f):
            return _unprotect_one(self, &f)
        no_view(&meta_view)
        _read("ciphertext", ciphertext, &data, &data_view)
        try:
            _read_metadata(metadata, &meta, &meta_view)
            if clear < 0:
                _clear_of(clear, data.size)
            f.data, f.in_size, f.clear = data.data, data.size, clear
            f.metadata, f.metadata_size = meta.data, meta.size
            return _unprotect_one(self, &f)
        finally:
            end_view(&data_view)
            end_view(&meta_view)

    cdef int _again(self, sfr_frame *f, size_t room) except? -1:
        """Tries again if the policy can derive the key of the unknown KID."""
        if self._find_key(f.kid, f.ctr, True):
            f.out_size = room
            _open_frame(self._ptr, f)
        if f.status == SFR_UNRESOLVED:
            sfr_receiver_give_up(self._ptr, f)
        return f.status

    cdef bint _find_key(self, uint64_t kid, uint64_t ctr, bint changed) except? -1:
        """Whether an unknown KID has a key by now.

        Either an earlier row of the batch brought it (`changed`), or the policy derives it.
        """
        return (changed and sfr_receiver_kind(self._ptr, kid) >= 0) or (
            sfr_receiver_may_derive(self._ptr, kid, ctr) and self._resolve(kid))

    def unprotect_into(self, ciphertext, out, metadata=b"", *, Py_ssize_t clear=0):
        """Like unprotect, but writes to `out`. Returns the number of bytes written."""
        cdef sfr_frame f
        cdef Bytes data, meta, room
        cdef Py_buffer data_view, meta_view, out_view
        cdef sfr_receiver *receiver = self.pointer()
        no_view(&meta_view)
        no_view(&out_view)
        _read("ciphertext", ciphertext, &data, &data_view)
        try:
            _read_metadata(metadata, &meta, &meta_view)
            _view("out", out, &room, &out_view, PyBUF_WRITABLE)
            if clear < 0:
                _clear_of(clear, data.size)
            f.data, f.in_size, f.clear = data.data, data.size, clear
            f.metadata, f.metadata_size = meta.data, meta.size
            f.out, f.out_size = <uint8_t *>room.data, room.size
            if _run(self, &f, room.size) != SFR_OK:
                if f.status == SFR_E_ROOM:
                    raise misuse(SFR_E_ROOM, limit=room.size,
                                 size=sfr_unprotect_size(receiver, f.data, f.in_size, f.clear))
                self._rejected(&f)
            if self.is_watching():
                self._tell_confirmed()
            return f.out_size
        finally:
            end_view(&data_view)
            end_view(&meta_view)
            end_view(&out_view)

    cdef int _rejected(self, sfr_frame *f) except -1:
        if f.status < 0:
            raise _misuse(f.status, reason="this receiver is closed")
        if f.status == SFR_MALFORMED:
            raise self._malformed(f)
        raise rejection(f.status, f.kid, f.ctr, self._detail(f.status))

    cdef object _malformed(self, sfr_frame *f):
        """Reads the header again, in Python, which has words for what is wrong."""
        cdef size_t tag_size = self._suite.nt, before = f.clear + tag_size, size = 0
        if f.in_size > before and before >= f.clear:
            size = min(f.in_size - before, <size_t>SFR_MAX_HEADER)
        head = PyBytes_FromStringAndSize(<const char *>f.data + f.clear if size else NULL, size)
        return why_malformed(head, f.in_size, f.clear, tag_size, self._max_frame, self._strict)

    cdef str _detail(self, int status):
        cdef sfr_receiver_stats totals
        if status != SFR_UNKNOWN_KEY:
            return ""
        sfr_receiver_totals(self._ptr, &totals)
        return f"{totals.keys} keys are known"

    cdef bint _tell_confirmed(self) except -1:
        """Tells the policy of confirmed KIDs. Returns whether there were any."""
        cdef uint64_t kids[FETCHED]
        cdef size_t count = FETCHED
        cdef list told = []
        while count == FETCHED:
            count = sfr_receiver_confirmed(self._ptr, kids, FETCHED)
            told += [kids[i] for i in range(count)]
        if told:
            self._confirmed(told)
        return len(told) > 0

    # -- reports --

    def _stats(self):
        cdef sfr_receiver_stats totals
        cdef sfr_receiver *receiver = self.pointer()
        cdef size_t i
        cdef sfr_stranger stranger
        sfr_receiver_totals(receiver, &totals)
        strangers = {}
        for i in range(<size_t>SFR_UNKNOWN_TRACKED):
            stranger = totals.unknown_kids[i]
            if stranger.frames:
                strangers[stranger.kid] = StrangerStats(stranger.frames, stranger.advanced)
        keys = self._key_stats(totals.keys)
        return ReceiverStats(totals.malformed, totals.unknown, strangers, keys)

    cdef list _key_stats(self, size_t room):
        cdef size_t count = room + 1
        cdef sfr_key_stats *stats = NULL
        try:
            while count > room:   # until no key was added meanwhile
                room = count + 8
                PyMem_Free(stats)
                stats = <sfr_key_stats *>PyMem_Malloc(room * sizeof(sfr_key_stats))
                if stats is NULL:
                    raise MemoryError
                count = sfr_receiver_keys(self._ptr, stats, room)
            return [
                KeyStats(s.kid, s.opened, s.auth_failed, s.replayed, s.too_old, s.last_ctr,
                         bool(s.provisional), bool(s.closed), s.advanced)
                for s in stats[:count]
            ]
        finally:
            PyMem_Free(stats)

    def close(self):
        """Wipes all keys. Later calls raise MisuseError; closing again does nothing."""
        change_flag(&self._flags, OPEN, False)
        if self._ptr is not NULL:
            sfr_receiver_close(self._ptr)

    def __reduce_ex__(self, protocol):
        raise TypeError("a Receiver cannot be copied or pickled: its replay window is one")
