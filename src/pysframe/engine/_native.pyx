# cython: language_level=3, embedsignature=True, freethreading_compatible=True
"""The native engine: Python buffers to C calls. No policy and no cryptography here.

Rules of this file:
  1. Between a call and its return no Python-level function runs while all keys are known; the
     hooks (_lease_ended, _resolve, _confirmed) are for the rare other cases.
  2. Buffers are held as raw Py_buffer for the whole call; exact bytes need not even that.
  3. The GIL is let go only for work that takes longer than taking it back.
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport SIZE_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from pysframe.engine._sfr cimport *

import os
from operator import index

from pysframe.batch import FrameBatch
from pysframe.engine._types import KeyStats
from pysframe.errors import MisuseError, misuse, rejection

cdef extern from *:
    """
    static inline void no_view(Py_buffer *view) { view->obj = NULL; }
    static inline void end_view(Py_buffer *view) { if (view->obj) PyBuffer_Release(view); }
    static inline void prefetch(const void *p) { __builtin_prefetch(p); }
    """
    void no_view(Py_buffer *)
    void end_view(Py_buffer *)
    void prefetch(const void *) noexcept nogil

cdef extern from "sfr.h":
    enum:
        SFR_MIN_BASE_KEY

# Work, in bytes with an allowance for each frame, from which on the GIL is let go: some 10 us.
cdef enum:
    FRAME_WORK = 128
    UNLOCKED_WORK = 98304
    FETCHED = 16       # confirmed KIDs at a time

VERSIONS = {"cpu": ""}
KERNELS = {}


def _init(max_isa):
    """Chooses and self-tests the kernels, once a process. max_isa: a name of the ladder, or ""."""
    cdef bytes name = max_isa.encode()
    cdef size_t i
    cdef const sfr_kernel *kernel
    sfr_init(<const char *>name if name else <const char *>NULL)
    VERSIONS["cpu"] = sfr_cpu_features().decode()
    for i in range(sfr_kernel_count()):
        kernel = sfr_kernel_at(i)
        KERNELS[sfr_kernel_name(kernel).decode()] = sfr_kernel_reason(kernel).decode()


_init(os.environ.get("PYSFRAME_MAX_ISA", ""))


cdef const sfr_kernel *_kernel_of(object obj) except NULL:
    cdef bytes name = (obj._kernel or "").encode()
    cdef const sfr_kernel *kernel = sfr_kernel_find(
        <const char *>name if name else <const char *>NULL)
    if kernel is NULL:
        raise MisuseError(f"no native kernel {obj._kernel or ''} is ready here; see backend_info()")
    return kernel


cdef const sfr_suite *_suite(int number) except NULL:
    cdef const sfr_suite *suite = sfr_suite_find(number)
    if suite is NULL:
        raise MisuseError(f"{number} is no cipher suite")
    return suite


# ---- buffers ----

cdef struct Bytes:
    const uint8_t *data
    size_t size


cdef inline int _read(object obj, Bytes *out, Py_buffer *view) except -1:
    """A readable buffer. The view is the caller's to release, whether it was needed or not."""
    no_view(view)
    if PyBytes_CheckExact(obj):
        out.data = <const uint8_t *>PyBytes_AS_STRING(obj)
        out.size = PyBytes_GET_SIZE(obj)
        return 0
    return _view(obj, out, view, PyBUF_SIMPLE)


cdef inline int _read_metadata(object obj, Bytes *out, Py_buffer *view) except -1:
    if obj is None:
        no_view(view)
        out.data = NULL
        out.size = 0
        return 0
    return _read(obj, out, view)


cdef int _view(object obj, Bytes *out, Py_buffer *view, int flags) except -1:
    no_view(view)
    if not PyObject_CheckBuffer(obj):
        raise TypeError(f"a bytes-like object is required, not {type(obj).__name__!r}")
    try:
        PyObject_GetBuffer(obj, view, flags)
    except ValueError as error:
        if isinstance(obj, memoryview):      # released
            raise
        raise BufferError(str(error)) from None      # what NumPy says of strided arrays
    out.data = <const uint8_t *>view.buf
    out.size = view.len
    return 0


cdef inline int _clear_of(Py_ssize_t clear, size_t size) except -1:
    if clear < 0 or <size_t>clear > size:
        raise MisuseError(f"clear is {clear} and the frame has {size} bytes")
    return 0


def _misuse(int code, **known):
    if code == SFR_E_NO_MEMORY:
        return MemoryError("no memory for a key")
    return misuse(code, **known)


cdef size_t _size(str name, value) except? 0:
    """value, an integer that cannot be negative; what is too large is for the C core to say."""
    number = index(value)
    if not 0 <= number <= SIZE_MAX:
        raise MisuseError(f"{name} is {number}; it is out of range")
    return number


# ---- secrets ----

cdef object _LATER = object()      # a Secret that its maker fills


cdef class Secret:
    """sframe_secret of a base key, in wiped memory: RFC 9605 4.4.2. Never a Python object."""

    cdef sfr_secret *_ptr
    cdef int _suite

    def __cinit__(self, int suite, base_key):
        self._suite = suite
        if base_key is not _LATER:
            self._extract(base_key, -1)

    cdef int _extract(self, object base_key, int64_t ssrc) except -1:
        cdef const sfr_suite *suite = _suite(self._suite)
        cdef Bytes key
        cdef Py_buffer view
        _read(base_key, &key, &view)
        try:
            if key.size < <size_t>SFR_MIN_BASE_KEY:
                raise MisuseError(
                    f"base_key has {key.size} bytes; at least {SFR_MIN_BASE_KEY} are needed")
            if ssrc < 0:
                self._ptr = sfr_secret_new(suite, key.data, key.size)
            else:
                self._ptr = sfr_secret_new_for_ssrc(suite, key.data, key.size, <uint32_t>ssrc)
        finally:
            end_view(&view)
        if self._ptr is NULL:
            raise MemoryError
        return 0

    @classmethod
    def for_ssrc(cls, int suite, base_key, uint32_t ssrc):
        """The secret of one RTP stream: draft-ietf-avtcore-rtp-sframe."""
        cdef Secret secret = Secret.__new__(Secret, suite, _LATER)
        secret._extract(base_key, ssrc)
        return secret

    def ratchet(self, unsigned int steps=1):
        """The secret of a later ratchet_step: RFC 9605 5.1."""
        cdef Secret later = Secret.__new__(Secret, self._suite, _LATER)
        later._ptr = sfr_secret_ratchet(self.pointer(), steps)
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


# ---- sender ----

cdef inline int _seal(sfr_sender *sender, sfr_frame *f) noexcept:
    if f.in_size < UNLOCKED_WORK:
        return sfr_protect(sender, f)
    with nogil:
        return sfr_protect(sender, f)


cdef inline bytes _protect(SenderCore self, sfr_frame *f):
    cdef size_t size
    cdef bytes out
    if self._ptr is NULL:
        self.pointer()
    while True:
        # What the last frame took on top will do, until its counter needs another byte: ROOM.
        size = f.in_size + self._overhead if f.in_size <= self._max_frame else 0
        out = PyBytes_FromStringAndSize(NULL, size)
        f.out, f.out_size = <uint8_t *>PyBytes_AS_STRING(out), size
        if _seal(self._ptr, f) == SFR_OK:
            if f.rekey_due:
                self._rekey_due()
            return out
        if f.status == SFR_E_ROOM:
            self._overhead = sfr_protected_size(self._ptr, 0, 0)
        else:
            self._refused(f)


cdef class SenderCore:
    """reserve -> seal: csrc/sfr_sender.c behind the methods of the policy class."""

    cdef sfr_sender *_ptr
    cdef size_t _max_frame
    cdef size_t _overhead          # bytes of header and tag; never more than the next frame's
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
        no_view(&meta_view)
        _read(frame, &data, &data_view)
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
        """Like protect, into a buffer of the caller's; returns the bytes written."""
        cdef sfr_frame f
        cdef Bytes data, meta, room
        cdef Py_buffer data_view, meta_view, out_view
        self.pointer()
        no_view(&meta_view)
        no_view(&out_view)
        _read(frame, &data, &data_view)
        try:
            _read_metadata(metadata, &meta, &meta_view)
            _view(out, &room, &out_view, PyBUF_WRITABLE)
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
                                 size=sfr_protected_size(self._ptr, data.size, 0))
                self._refused(&f)
        finally:
            end_view(&data_view)
            end_view(&meta_view)
            end_view(&out_view)

    cdef int _refused(self, sfr_frame *f, row=None) except -1:
        """Raises for a refusal, unless the policy found a new lease of counters."""
        if f.status == SFR_E_LEASE_ENDED and self._lease_ended():
            return 0
        raise _misuse(f.status, kid=self.kid, size=f.in_size, limit=self._max_frame,
                      reason=self._reason, row=row)

    def protected_size(self, size_t n):
        """Bytes the next frame of n bytes will take."""
        return sfr_protected_size(self.pointer(), n, 0)

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

    def _set_blocks(self, uint64_t blocks):
        sfr_sender_set_blocks(self.pointer(), blocks)

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
        """Wipes the key; idempotent. Later calls raise SenderRetired."""
        if self._ptr is not NULL:
            sfr_sender_close(self._ptr)

    def __reduce_ex__(self, protocol):
        raise TypeError("a Sender cannot be copied or pickled: two would use the same counters")


# ---- receiver ----

cdef inline int _open_frame(sfr_receiver *receiver, sfr_frame *f) noexcept:
    if f.in_size < UNLOCKED_WORK:
        return sfr_unprotect(receiver, f)
    with nogil:
        return sfr_unprotect(receiver, f)


cdef inline int _run(ReceiverCore self, sfr_frame *f, size_t room) except? -1:
    if _open_frame(self._ptr, f) == SFR_UNKNOWN_KEY and self._watching:
        return self._again(f, room)
    return f.status


cdef inline bytes _unprotect_one(ReceiverCore self, sfr_frame *f):
    cdef size_t room
    cdef bytes out
    if self._ptr is NULL or self._closed:
        self.pointer()
    while True:
        # Another thread may be writing to the ciphertext: then the header may turn out shorter
        # (the surplus is cut) or longer (ROOM: look again).
        room = sfr_plaintext_size(self._ptr, f.data, f.in_size, f.clear)
        out = PyBytes_FromStringAndSize(NULL, room)
        f.out, f.out_size = <uint8_t *>PyBytes_AS_STRING(out), room
        if _run(self, f, room) == SFR_OK:
            break
        if f.status != SFR_E_ROOM:
            self._rejected(f)
    if self._watching:
        self._tell_confirmed()
    return out if f.out_size == room else out[:f.out_size]


cdef class ReceiverCore:
    """parse -> resolve -> open -> commit: csrc/sfr_receiver.c behind the policy class."""

    cdef sfr_receiver *_ptr
    cdef const sfr_suite *_suite
    cdef bint _watching, _closed

    _kernel = None

    def _open(self, int suite, replay_window, max_frame, bint strict):
        if self._ptr is not NULL:
            raise MisuseError("this receiver is open already")
        self._suite = _suite(suite)
        status = sfr_receiver_new(&self._ptr, self._suite, _kernel_of(self),
                                  _size("replay_window", replay_window),
                                  _size("max_frame", max_frame), strict)
        if status != SFR_OK:
            raise _misuse(status, reason="replay_window or max_frame is out of range")

    def __dealloc__(self):
        sfr_receiver_free(self._ptr)

    cdef sfr_receiver *pointer(self) except NULL:
        if self._ptr is NULL or self._closed:
            raise MisuseError("this receiver is closed")
        return self._ptr

    # -- keys --

    def _add(self, uint64_t kid, Secret secret not None, bint provisional):
        status = sfr_receiver_add(self.pointer(), kid, secret.pointer(), provisional)
        if status != SFR_OK:
            raise _misuse(status, kid=kid, reason="the secret is of another suite")

    def _remove(self, uint64_t kid):
        return sfr_receiver_remove(self.pointer(), kid) == SFR_OK

    def _watch(self, bint on):
        self._watching = on

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
        no_view(&meta_view)
        _read(ciphertext, &data, &data_view)
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
        """Once more when the KID was unknown and the policy could derive its key."""
        if not self._find_key(f.kid):
            return SFR_UNKNOWN_KEY
        f.out_size = room
        return _open_frame(self._ptr, f)

    cdef bint _find_key(self, uint64_t kid) except? -1:
        """Whether an unknown KID has a key by now: an earlier row or the policy brought it."""
        return sfr_receiver_knows(self._ptr, kid) or (
            sfr_receiver_may_derive(self._ptr) and self._resolve(kid))

    def unprotect_into(self, ciphertext, out, metadata=b"", *, Py_ssize_t clear=0):
        """Like unprotect, into a buffer of the caller's; returns the bytes written."""
        cdef sfr_frame f
        cdef Bytes data, meta, room
        cdef Py_buffer data_view, meta_view, out_view
        cdef sfr_receiver *receiver = self.pointer()
        no_view(&meta_view)
        no_view(&out_view)
        _read(ciphertext, &data, &data_view)
        try:
            _read_metadata(metadata, &meta, &meta_view)
            _view(out, &room, &out_view, PyBUF_WRITABLE)
            if clear < 0:
                _clear_of(clear, data.size)
            f.data, f.in_size, f.clear = data.data, data.size, clear
            f.metadata, f.metadata_size = meta.data, meta.size
            f.out, f.out_size = <uint8_t *>room.data, room.size
            if _run(self, &f, room.size) != SFR_OK:
                if f.status == SFR_E_ROOM:
                    raise misuse(SFR_E_ROOM, limit=room.size,
                                 size=sfr_plaintext_size(receiver, f.data, f.in_size, f.clear))
                self._rejected(&f)
            if self._watching:
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
            raise rejection(f.status)
        raise rejection(f.status, f.kid, f.ctr)

    cdef int _tell_confirmed(self) except -1:
        cdef uint64_t kids[FETCHED]
        cdef size_t count = sfr_receiver_confirmed(self._ptr, kids, FETCHED)
        if count:
            self._confirmed([kids[i] for i in range(count)])
        return 0

    # -- reports --

    def _stats(self):
        cdef sfr_receiver_stats totals
        cdef sfr_receiver *receiver = self.pointer()
        cdef size_t i
        sfr_receiver_totals(receiver, &totals)
        strangers = {}
        for i in range(<size_t>SFR_UNKNOWN_TRACKED):
            if totals.unknown_kids[i].frames:
                strangers[totals.unknown_kids[i].kid] = totals.unknown_kids[i].frames
        return totals.malformed, totals.unknown, strangers, self._key_stats(totals.keys)

    cdef list _key_stats(self, size_t room):
        cdef size_t count = room + 1
        cdef sfr_key_stats *stats = NULL
        try:
            while count > room:   # a key was added meanwhile
                room = count + 8
                PyMem_Free(stats)
                stats = <sfr_key_stats *>PyMem_Malloc(room * sizeof(sfr_key_stats))
                if stats is NULL:
                    raise MemoryError
                count = sfr_receiver_keys(self._ptr, stats, room)
            return [
                KeyStats(s.kid, s.opened, s.auth_failed, s.replayed, s.too_old, s.last_ctr,
                         bool(s.provisional), bool(s.closed))
                for s in stats[:count]
            ]
        finally:
            PyMem_Free(stats)

    def close(self):
        """Wipes all keys; idempotent. Later calls raise MisuseError."""
        self._closed = True
        if self._ptr is not NULL:
            sfr_receiver_close(self._ptr)

    def __reduce_ex__(self, protocol):
        raise TypeError("a Receiver cannot be copied or pickled: its replay window is one")


# ---- batches ----
#
# Three steps, as in C: all rows are read and checked; all counters are reserved; all frames are
# run. Only the last may happen without the GIL.

cdef enum:
    FEW = 64                       # rows that need no memory of their own

cdef struct Rows:
    Py_ssize_t count
    size_t work                    # bytes, with an allowance for each frame
    sfr_frame *frames
    void **owners                  # sfr_sender * or sfr_receiver *, one a row
    sfr_frame few_frames[FEW]
    void *few_owners[FEW]


cdef int _make_rows(Rows *rows, Py_ssize_t count) except -1:
    rows.count = count
    rows.work = count * FRAME_WORK
    rows.frames = rows.few_frames
    rows.owners = rows.few_owners
    if count > FEW:
        rows.frames = <sfr_frame *>PyMem_Malloc(count * sizeof(sfr_frame))
        rows.owners = <void **>PyMem_Malloc(count * sizeof(void *))
        if rows.frames is NULL or rows.owners is NULL:
            _free_rows(rows)
            raise MemoryError
    return 0


cdef void _free_rows(Rows *rows) noexcept:
    if rows.count > FEW:
        PyMem_Free(rows.frames)
        PyMem_Free(rows.owners)


cdef inline void _set_row(Rows *rows, Py_ssize_t i, const uint8_t *data, size_t size) noexcept:
    cdef sfr_frame *f = &rows.frames[i]
    f.data, f.in_size = data, size
    f.metadata, f.metadata_size = NULL, 0
    f.clear = 0
    rows.work += size


cdef class _Views:
    """The buffers a batch holds; exact bytes are not among them."""

    cdef Py_buffer *views
    cdef Py_ssize_t held, room

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.held):
            PyBuffer_Release(&self.views[i])
        PyMem_Free(self.views)

    cdef int hold(self, object obj, Bytes *out, int flags) except -1:
        cdef Py_buffer *views
        if self.held == self.room:
            self.room = 2 * self.room + 4
            views = <Py_buffer *>PyMem_Realloc(self.views, self.room * sizeof(Py_buffer))
            if views is NULL:
                raise MemoryError
            self.views = views
        _view(obj, out, &self.views[self.held], flags)
        self.held += 1
        return 0

    cdef inline int read(self, object obj, Bytes *out) except -1:
        if PyBytes_CheckExact(obj):
            out.data = <const uint8_t *>PyBytes_AS_STRING(obj)
            out.size = PyBytes_GET_SIZE(obj)
            return 0
        return self.hold(obj, out, PyBUF_SIMPLE)


# Sequences become tuples: a list that another thread changes must not free what a row points to.

cdef tuple _one_a_row(object values, str name, Py_ssize_t count):
    cdef tuple listed = values if type(values) is tuple else tuple(values)
    if len(listed) != count:
        raise MisuseError(f"{len(listed)} {name} for {count} frames; one a frame is needed")
    return listed


cdef tuple _clears(object clear, Py_ssize_t count):
    """One integer of any kind for all rows, or one a row."""
    try:
        return (index(clear),) * count
    except TypeError:
        return _one_a_row(clear, "clear", count)


cdef int _read_frames(Rows *rows, tuple frames, _Views views) except -1:
    cdef Py_ssize_t i
    cdef Bytes data
    for i in range(rows.count):
        try:
            views.read(frames[i], &data)
        except (TypeError, BufferError) as error:
            raise type(error)(f"row {i}: {error}") from None
        _set_row(rows, i, data.data, data.size)
    return 0


cdef int _read_batch(Rows *rows, object data, bytes block, _Views views) except -1:
    """Rows of a FrameBatch; its columns are checked against its data as it is now."""
    cdef Py_ssize_t i
    cdef int64_t start, size
    cdef Bytes room
    cdef Columns columns
    if len(block) != rows.count * ROW_SIZE:
        raise MisuseError("the columns of this FrameBatch are damaged")
    views.read(data, &room)
    columns_of(PyBytes_AS_STRING(block), rows.count, &columns)
    for i in range(rows.count):
        start, size = columns.offsets[i], columns.lengths[i]
        if start < 0 or size < 0 or start > <int64_t>room.size - size:
            raise MisuseError(f"row {i} leaves the data of {room.size} bytes")
        _set_row(rows, i, room.data + start, size)
    return 0


cdef tuple _read_extras(Rows *rows, object metadata, object clear, _Views views):
    """metadata: None, one bytes-like for all rows, or one a row; clear: None, int, or one a row.

    Returns what must live as long as the rows.
    """
    cdef Py_ssize_t i, number
    cdef Bytes meta
    cdef tuple listed = None
    if metadata is not None and PyObject_CheckBuffer(metadata):
        views.read(metadata, &meta)
        for i in range(rows.count):
            rows.frames[i].metadata, rows.frames[i].metadata_size = meta.data, meta.size
    elif metadata is not None:
        listed = _one_a_row(metadata, "metadata", rows.count)
        for i in range(rows.count):
            if listed[i] is not None:
                views.read(listed[i], &meta)
                rows.frames[i].metadata, rows.frames[i].metadata_size = meta.data, meta.size
    if clear is not None:
        clears = _clears(clear, rows.count)
        for i in range(rows.count):
            number = clears[i]
            if number < 0:
                raise MisuseError(f"row {i}: clear is {number}")
            rows.frames[i].clear = number
    return listed


# -- the columns of a FrameBatch, see pysframe.batch --

cdef enum:
    ROW_SIZE = 8 + 8 + 8 + 4 + 1

cdef struct Columns:
    int64_t *offsets
    uint64_t *kid
    uint64_t *ctr
    int32_t *lengths
    uint8_t *status


cdef inline void columns_of(char *block, Py_ssize_t count, Columns *out) noexcept:
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
    cdef bint ok
    cdef Columns columns
    columns_of(PyBytes_AS_STRING(block), count, &columns)
    for i in range(count):
        f = &rows.frames[i]
        ok = f.status == SFR_OK
        columns.offsets[i] = f.out - base
        columns.lengths[i] = <int32_t>f.out_size
        columns.status[i] = <uint8_t>f.status
        columns.kid[i] = f.kid if ok else 0
        columns.ctr[i] = f.ctr if ok else 0
    batch = FrameBatch.__new__(FrameBatch)
    batch.data = data
    batch._columns = block
    batch._count = count
    return batch


cdef uint8_t *_callers_out(Rows *rows, object out, size_t size, _Views views) except NULL:
    """The caller's buffer for the rows: large enough, and apart from everything that is read."""
    cdef Bytes room
    cdef Py_ssize_t i
    cdef sfr_frame *f
    views.hold(out, &room, PyBUF_WRITABLE)
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

cdef int _set_senders(Rows *rows, object senders, tuple listed) except -1:
    """The rows' senders, and all of a row that can be judged before a counter is taken."""
    cdef Py_ssize_t i
    cdef type known = None
    cdef sfr_sender *one
    if listed is None:
        one = (<SenderCore>senders).pointer()
        for i in range(rows.count):
            rows.owners[i] = one
    else:
        for i in range(rows.count):
            sender = listed[i]
            if type(sender) is not known:
                known = _owner_type(sender, SenderCore, "Sender", i)
            rows.owners[i] = (<SenderCore>sender)._ptr
            if rows.owners[i] is NULL:
                (<SenderCore>sender).pointer()
            prefetch(rows.owners[i])
    i = sfr_check_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    while i < rows.count:
        _refuse_row(rows, senders, listed, i)      # returns when a new lease came
        i += sfr_check_many(<sfr_sender **>rows.owners + i, rows.frames + i, rows.count - i)
    return 0


cdef type _owner_type(object owner, type core, str name, Py_ssize_t i):
    if not isinstance(owner, core):
        raise TypeError(f"row {i}: a native {name} is required, not {type(owner).__name__!r}")
    return type(owner)


cdef int _refuse_row(Rows *rows, object senders, tuple listed, Py_ssize_t i) except -1:
    cdef sfr_frame *f = &rows.frames[i]
    if f.clear > f.in_size:
        raise MisuseError(f"row {i}: clear is {f.clear} and the frame has {f.in_size} bytes")
    return (<SenderCore>(senders if listed is None else listed[i]))._refused(f, i)


cdef size_t _reserve_all(Rows *rows, object senders, tuple listed) except? 0:
    """Takes the counters. Returns the bytes that the ciphertexts will take."""
    cdef Py_ssize_t i
    cdef size_t total = 0
    i = sfr_reserve_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    while i < rows.count:
        _refuse_row(rows, senders, listed, i)
        i += sfr_reserve_many(<sfr_sender **>rows.owners + i, rows.frames + i, rows.count - i)
    for i in range(rows.count):
        total += rows.frames[i].out_size
    return total


cdef int _seal_all(Rows *rows, object senders, tuple listed) except -1:
    cdef Py_ssize_t i
    cdef sfr_frame *f
    cdef SenderCore sender
    if rows.work < UNLOCKED_WORK:
        sfr_seal_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    else:
        with nogil:
            sfr_seal_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    for i in range(rows.count):
        f = &rows.frames[i]
        if f.status != SFR_OK or f.rekey_due:
            sender = senders if listed is None else listed[i]
            if f.status != SFR_OK:   # closed by another thread since it was reserved
                sender._refused(f, i)
            if f.rekey_due:
                sender._rekey_due()
    return 0


cdef inline tuple _owners(object owners, type core, str name, Py_ssize_t count):
    """None when one owner has all rows, else one a row."""
    return None if isinstance(owners, core) else _one_a_row(owners, name, count)


def protect_many(senders, frames, metadata=None, clear=None):
    """The ciphertexts of many frames: see pysframe.protect_many."""
    cdef Rows rows
    cdef Py_ssize_t i
    cdef _Views views = _Views.__new__(_Views)
    cdef tuple inputs = frames if type(frames) is tuple else tuple(frames)
    cdef list out = []
    cdef object ciphertext
    _make_rows(&rows, len(inputs))
    try:
        listed = _owners(senders, SenderCore, "senders", rows.count)
        _read_frames(&rows, inputs, views)
        _alive = _read_extras(&rows, metadata, clear, views)
        _set_senders(&rows, senders, listed)
        _reserve_all(&rows, senders, listed)
        for i in range(rows.count):
            ciphertext = PyBytes_FromStringAndSize(NULL, rows.frames[i].out_size)
            rows.frames[i].out = <uint8_t *>PyBytes_AS_STRING(ciphertext)
            out.append(ciphertext)
        _seal_all(&rows, senders, listed)
    finally:
        _free_rows(&rows)
    return out


def protect_batch(senders, batch, metadata=None, clear=None, out=None):
    """The ciphertexts of a FrameBatch as another: see pysframe.protect_batch."""
    cdef Rows rows
    cdef Py_ssize_t i
    cdef size_t total, expected = 0
    cdef uint8_t *base = NULL
    cdef uint8_t *at
    cdef _Views views = _Views.__new__(_Views)
    cdef bytes block = _columns_of(batch)
    _make_rows(&rows, batch._count)
    try:
        listed = _owners(senders, SenderCore, "senders", rows.count)
        source = batch.data
        _read_batch(&rows, source, block, views)
        _alive = _read_extras(&rows, metadata, clear, views)
        _set_senders(&rows, senders, listed)
        if out is not None:          # before a counter is taken
            expected = _expected(&rows)
            base = _callers_out(&rows, out, expected, views)
        total = _reserve_all(&rows, senders, listed)
        data = out if out is not None else PyBytes_FromStringAndSize(NULL, total)
        if out is None:
            base = <uint8_t *>PyBytes_AS_STRING(data)
        elif total > expected:       # other threads took counters across a header size meanwhile
            raise misuse(SFR_E_ROOM, size=total, limit=expected)
        at = base
        for i in range(rows.count):
            rows.frames[i].out = at
            at += rows.frames[i].out_size
        _seal_all(&rows, senders, listed)
        return _batch_of(&rows, data, base)
    finally:
        _free_rows(&rows)


cdef bytes _columns_of(object batch):
    if type(batch) is not FrameBatch:
        raise TypeError(f"a FrameBatch is required, not {type(batch).__name__!r}")
    block = batch._columns
    return block if type(block) is bytes else bytes(block)


cdef size_t _expected(Rows *rows) noexcept:
    """Bytes that will do for all ciphertexts, however long a header turns out."""
    cdef Py_ssize_t i
    cdef size_t total = 0
    for i in range(rows.count):
        total += sfr_protected_size(<sfr_sender *>rows.owners[i], rows.frames[i].in_size,
                                    rows.count)
    return total


# -- unprotect --

cdef int _set_receivers(Rows *rows, object receivers, tuple listed) except -1:
    """The rows' receivers, and the room of each row: a header has one byte at least."""
    cdef Py_ssize_t i
    cdef type known = None
    cdef ReceiverCore receiver = receivers if listed is None else None
    for i in range(rows.count):
        if listed is not None:
            owner = listed[i]
            if type(owner) is not known:
                known = _owner_type(owner, ReceiverCore, "Receiver", i)
            receiver = <ReceiverCore>owner
        if receiver._ptr is NULL or receiver._closed:
            receiver.pointer()
        rows.owners[i] = receiver._ptr
        prefetch(rows.owners[i])
        rows.frames[i].out_size = _room_of(&rows.frames[i], receiver._suite.nt)
    return 0


cdef inline size_t _room_of(sfr_frame *f, size_t tag) noexcept:
    return f.in_size - tag - 1 if f.in_size > tag else 0


cdef object _unprotect(Rows *rows, object receivers, tuple listed, object out, _Views views):
    cdef Py_ssize_t i
    cdef size_t total = 0
    cdef uint8_t *base
    cdef uint8_t *at
    for i in range(rows.count):
        total += rows.frames[i].out_size
    if out is None:
        data = PyBytes_FromStringAndSize(NULL, total)
        base = <uint8_t *>PyBytes_AS_STRING(data)
    else:
        data = out
        base = _callers_out(rows, out, total, views)
    at = base
    for i in range(rows.count):
        rows.frames[i].out = at
        _clear_end(at, rows.frames[i].out_size)
        at += rows.frames[i].out_size
    if rows.work < UNLOCKED_WORK:
        sfr_unprotect_many(<sfr_receiver **>rows.owners, rows.frames, rows.count)
    else:
        with nogil:
            sfr_unprotect_many(<sfr_receiver **>rows.owners, rows.frames, rows.count)
    _tell_all(rows, receivers, listed)
    _retry_unknown(rows, receivers, listed)
    _settle(rows, base + total)
    return _batch_of(rows, data, base)


cdef int _retry_unknown(Rows *rows, object receivers, tuple listed) except -1:
    """Rows whose KID was unknown at plan time, in row order, while the allowance lasts."""
    cdef Py_ssize_t i
    cdef sfr_frame *f
    cdef ReceiverCore receiver
    for i in range(rows.count):
        f = &rows.frames[i]
        if f.status != SFR_UNKNOWN_KEY:
            continue
        receiver = receivers if listed is None else listed[i]
        if receiver._watching and receiver._find_key(f.kid):
            f.out_size = _room_of(f, receiver._suite.nt)
            sfr_unprotect(receiver._ptr, f)
            receiver._tell_confirmed()
    return 0


cdef inline void _clear_end(uint8_t *out, size_t room) noexcept:
    """Nothing but frames in the data. A frame ends up to 16 bytes before its room does (a header
    is 1 to 17 bytes): zeros now, which the frame overwrites as far as it goes."""
    memset(out if room < 16 else out + room - 16, 0, room if room < 16 else 16)


cdef void _settle(Rows *rows, uint8_t *end) noexcept:
    """A row that another thread changed during the call, so that it no longer fits its room, is
    malformed."""
    cdef Py_ssize_t i
    cdef sfr_frame *f
    cdef uint8_t *next
    for i in range(rows.count):
        f = &rows.frames[i]
        if f.status < 0:
            next = rows.frames[i + 1].out if i + 1 < rows.count else end
            memset(f.out, 0, next - f.out)
            f.status = SFR_MALFORMED
            f.out_size = 0


cdef int _tell_all(Rows *rows, object receivers, tuple listed) except -1:
    cdef Py_ssize_t i
    if listed is None:
        if (<ReceiverCore>receivers)._watching:
            (<ReceiverCore>receivers)._tell_confirmed()
        return 0
    for i in range(rows.count):
        if (<ReceiverCore>listed[i])._watching:
            (<ReceiverCore>listed[i])._tell_confirmed()
    return 0


def unprotect_many(receivers, ciphertexts, metadata=None, clear=None):
    """Many ciphertexts to a FrameBatch: see pysframe.unprotect_many."""
    cdef Rows rows
    cdef _Views views = _Views.__new__(_Views)
    cdef tuple inputs = ciphertexts if type(ciphertexts) is tuple else tuple(ciphertexts)
    _make_rows(&rows, len(inputs))
    try:
        listed = _owners(receivers, ReceiverCore, "receivers", rows.count)
        _read_frames(&rows, inputs, views)
        _alive = _read_extras(&rows, metadata, clear, views)
        _set_receivers(&rows, receivers, listed)
        return _unprotect(&rows, receivers, listed, None, views)
    finally:
        _free_rows(&rows)


def unprotect_batch(receivers, batch, metadata=None, clear=None, out=None):
    """A FrameBatch of ciphertexts to one of frames: see pysframe.unprotect_batch."""
    cdef Rows rows
    cdef _Views views = _Views.__new__(_Views)
    cdef bytes block = _columns_of(batch)
    _make_rows(&rows, batch._count)
    try:
        listed = _owners(receivers, ReceiverCore, "receivers", rows.count)
        source = batch.data
        _read_batch(&rows, source, block, views)
        _alive = _read_extras(&rows, metadata, clear, views)
        _set_receivers(&rows, receivers, listed)
        return _unprotect(&rows, receivers, listed, out, views)
    finally:
        _free_rows(&rows)


def to_list(data, columns, Py_ssize_t count):
    """The rows of a FrameBatch as bytes: the fast half of FrameBatch.to_list."""
    cdef Rows rows
    cdef Py_ssize_t i
    cdef _Views views = _Views.__new__(_Views)
    cdef list out = []
    _make_rows(&rows, count)
    try:
        _read_batch(&rows, data, columns if type(columns) is bytes else bytes(columns), views)
        for i in range(count):
            out.append(PyBytes_FromStringAndSize(<const char *>rows.frames[i].data,
                                                 rows.frames[i].in_size))
    finally:
        _free_rows(&rows)
    return out
