# Part of _native.pyx: sframe_secret, and how the pages that hold keys are kept.
#
# No key is ever a Python object: a Secret is a handle to memory of the C core, which is locked if
# the system allows it, left out of core dumps, and wiped when it is freed.

# ---- the memory of keys ----

cdef bint unlocked_told = False


def memory():
    """How the pages that hold keys are kept, of those allocated so far."""
    faults = []
    if sfr_memory_unlocked():
        faults.append(f"{sfr_memory_unlocked() >> 10} KiB of pages for keys could not be locked "
                      "and may be swapped out; raise RLIMIT_MEMLOCK (ulimit -l)")
    if sfr_memory_dumped():
        faults.append(f"{sfr_memory_dumped() >> 10} KiB of pages for keys may be in core dumps")
    return "; ".join(faults) or "locked, and left out of core dumps"


cdef inline int _watch_memory() except -1:
    """Called after a key was made, which may have allocated pages."""
    return _tell_unlocked() if sfr_memory_unlocked() and not unlocked_told else 0


cdef int _tell_unlocked() except -1:
    global unlocked_told
    unlocked_told = True
    import logging      # here, because an application may never need it

    logging.getLogger("pysframe").warning("%s; this is said once", memory())
    return 0


cdef object _LATER = object()      # marks a Secret that its maker fills


cdef class Secret:
    """The sframe_secret of a base key (RFC 9605 4.4.2), in memory that is wiped when freed."""

    cdef sfr_secret *_ptr
    cdef int _suite

    def __cinit__(self, suite, base_key):
        self._suite = _number_of_suite(suite)
        if base_key is not _LATER:
            self._extract(base_key, -1)

    cdef int _extract(self, object base_key, int64_t ssrc) except -1:
        cdef const sfr_suite *suite = _suite(self._suite)
        cdef Bytes key
        cdef Py_buffer view
        _read("base_key", base_key, &key, &view)
        try:
            if key.size < <size_t>SFR_MIN_BASE_KEY:
                raise MisuseError(
                    f"base_key has {key.size} bytes; it needs at least {SFR_MIN_BASE_KEY}")
            if ssrc < 0:
                self._ptr = sfr_secret_new(suite, key.data, key.size)
            else:
                self._ptr = sfr_secret_new_for_ssrc(suite, key.data, key.size, <uint32_t>ssrc)
        finally:
            end_view(&view)
        if self._ptr is NULL:
            raise MemoryError
        return _watch_memory()

    @classmethod
    def for_ssrc(cls, suite, base_key, ssrc):
        """The secret of one RTP stream: draft-ietf-avtcore-rtp-sframe."""
        cdef Secret secret = Secret.__new__(Secret, suite, _LATER)
        secret._extract(base_key, _size("ssrc", ssrc, UINT32_MAX))
        return secret

    def ratchet(self, steps=1):
        """The secret of a later ratchet_step: RFC 9605 5.1."""
        cdef Secret later = Secret.__new__(Secret, self._suite, _LATER)
        later._ptr = sfr_secret_ratchet(self.pointer(), _size("steps", steps, UINT16_MAX))
        if later._ptr is NULL:
            raise MemoryError
        return later

    cdef sfr_secret *pointer(self) except NULL:
        if self._ptr is NULL:
            raise MisuseError("this secret is closed")
        return self._ptr

    def close(self):
        """Wipes the secret; idempotent."""
        sfr_secret_free(self._ptr)
        self._ptr = NULL

    def __dealloc__(self):
        sfr_secret_free(self._ptr)

    def __reduce_ex__(self, protocol):
        raise TypeError("a Secret cannot be copied or pickled")

    def __repr__(self):
        return f"<Secret suite={self._suite}>"
