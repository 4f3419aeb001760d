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
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport UINT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from pysframe.engine._sfr cimport *

import os

from pysframe.batch import FrameBatch
from pysframe.engine._types import KeyStats
from pysframe.errors import MisuseError, misuse, rejection

cdef extern from *:
    """
    static inline void no_view(Py_buffer *view) { view->obj = NULL; }
    """
    void no_view(Py_buffer *)

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
    cdef bytes name = max_isa.encode() or None
    cdef size_t i
    cdef const sfr_kernel *kernel
    sfr_init(NULL if name is None else <const char *>name)
    VERSIONS["cpu"] = sfr_cpu_features().decode()
    for i in range(sfr_kernel_count()):
        kernel = sfr_kernel_at(i)
        KERNELS[sfr_kernel_name(kernel).decode()] = sfr_kernel_reason(kernel).decode()


_init(os.environ.get("PYSFRAME_MAX_ISA", ""))


cdef const sfr_kernel *_kernel_of(object obj) except NULL:
    cdef bytes name = None if obj._kernel is None else obj._kernel.encode()
    cdef const sfr_kernel *kernel = sfr_kernel_find(NULL if name is None else <const char *>name)
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
    PyObject_GetBuffer(obj, view, flags)
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


# ---- secrets ----

cdef class Secret:
    """sframe_secret of a base key, in wiped memory: RFC 9605 4.4.2. Never a Python object's bytes."""

    cdef sfr_secret *_ptr
    cdef int _suite

    def __cinit__(self, int suite, base_key):
        self._suite = suite
        if base_key is not None:
            self._extract(base_key, -1)

    cdef int _extract(self, object base_key, int64_t ssrc) except -1:
        cdef const sfr_suite *suite = _suite(self._suite)
        cdef Bytes key
        cdef Py_buffer view
        _read(base_key, &key, &view)
        try:
            if key.size < SFR_MIN_BASE_KEY:
                raise MisuseError(f"base_key has {key.size} bytes; at least {SFR_MIN_BASE_KEY} are needed")
            if ssrc < 0:
                self._ptr = sfr_secret_new(suite, key.data, key.size)
            else:
                self._ptr = sfr_secret_new_for_ssrc(suite, key.data, key.size, <uint32_t>ssrc)
        finally:
            PyBuffer_Release(&view)
        if self._ptr is NULL:
            raise MemoryError
        return 0

    @classmethod
    def for_ssrc(cls, int suite, base_key, uint32_t ssrc):
        """The secret of one RTP stream: draft-ietf-avtcore-rtp-sframe."""
        cdef Secret secret = Secret.__new__(Secret, suite, None)
        secret._extract(base_key, ssrc)
        return secret

    def ratchet(self, unsigned int steps=1):
        """The secret of a later ratchet_step: RFC 9605 5.1."""
        cdef Secret later = Secret.__new__(Secret, self._suite, None)
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

cdef class SenderCore:
    """reserve -> seal: csrc/sfr_sender.c behind the methods of the policy class."""

    cdef sfr_sender *_ptr
    cdef size_t _max_frame
    cdef str _reason

    _kernel = None

    def _open(self, int suite, uint64_t kid, Secret secret not None, uint64_t first,
              uint64_t last, size_t max_frame):
        if self._ptr is not NULL:
            raise MisuseError("this sender is open already")
        self._reason = "closed"
        self._max_frame = max_frame
        if secret._suite != suite:
            raise MisuseError("the secret is of another suite")
        status = sfr_sender_new(&self._ptr, secret.pointer(), _kernel_of(self), kid, first, last,
                                max_frame)
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
            return self._protect(&f)
        finally:
            PyBuffer_Release(&data_view)
            PyBuffer_Release(&meta_view)

    cdef bytes _protect(self, sfr_frame *f):
        cdef sfr_sender *sender = self.pointer()
        cdef size_t size
        cdef bytes out
        while True:
            # Exact, unless another thread takes the last counter of this header size: then ROOM.
            size = sfr_protected_size(sender, f.in_size)
            if f.in_size > self._max_frame:
                size = 0
            out = PyBytes_FromStringAndSize(NULL, size)
            f.out, f.out_size = <uint8_t *>PyBytes_AS_STRING(out), size
            if self._seal(f) == SFR_OK:
                if f.rekey_due:
                    self._rekey_due()
                return out
            if f.status != SFR_E_ROOM:
                self._refused(f)

    cdef int _seal(self, sfr_frame *f):
        if f.in_size < UNLOCKED_WORK:
            return sfr_protect(self._ptr, f)
        with nogil:
            return sfr_protect(self._ptr, f)

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
                if self._seal(&f) == SFR_OK:
                    if f.rekey_due:
                        self._rekey_due()
                    return f.out_size
                if f.status == SFR_E_ROOM:
                    raise misuse(SFR_E_ROOM, limit=room.size,
                                 size=sfr_protected_size(self._ptr, data.size))
                self._refused(&f)
        finally:
            PyBuffer_Release(&data_view)
            PyBuffer_Release(&meta_view)
            PyBuffer_Release(&out_view)

    cdef int _refused(self, sfr_frame *f, row=None) except -1:
        """Raises for a refusal, unless the policy found a new lease of counters."""
        if f.status == SFR_E_LEASE_ENDED and self._lease_ended():
            return 0
        raise _misuse(f.status, kid=self.kid, size=f.in_size, limit=self._max_frame,
                      reason=self._reason, row=row)

    def protected_size(self, size_t n):
        """Bytes the next frame of n bytes will take."""
        return sfr_protected_size(self.pointer(), n)

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

cdef class ReceiverCore:
    """parse -> resolve -> open -> commit: csrc/sfr_receiver.c behind the policy class."""

    cdef sfr_receiver *_ptr
    cdef const sfr_suite *_suite
    cdef bint _watching, _closed

    _kernel = None

    def _open(self, int suite, size_t replay_window, size_t max_frame, bint strict):
        if self._ptr is not NULL:
            raise MisuseError("this receiver is open already")
        self._suite = _suite(suite)
        status = sfr_receiver_new(&self._ptr, self._suite, _kernel_of(self), replay_window,
                                  max_frame, strict)
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
            return self._unprotect(&f)
        finally:
            PyBuffer_Release(&data_view)
            PyBuffer_Release(&meta_view)

    cdef bytes _unprotect(self, sfr_frame *f):
        cdef sfr_receiver *receiver = self.pointer()
        cdef size_t room
        cdef bytes out
        while True:
            # Another thread may be writing to the ciphertext: then the header may turn out
            # shorter (the surplus is cut) or longer (ROOM: look again).
            room = sfr_plaintext_size(receiver, f.data, f.in_size, f.clear)
            out = PyBytes_FromStringAndSize(NULL, room)
            f.out, f.out_size = <uint8_t *>PyBytes_AS_STRING(out), room
            if self._run(f, room) == SFR_OK:
                break
            if f.status != SFR_E_ROOM:
                self._rejected(f)
        if self._watching:
            self._tell_confirmed()
        return out if f.out_size == room else out[:f.out_size]

    cdef int _run(self, sfr_frame *f, size_t room) except? -1:
        """One frame; once more when its KID was unknown and the policy could derive the key."""
        if self._open_frame(f) != SFR_UNKNOWN_KEY or not self._watching:
            return f.status
        if sfr_receiver_may_derive(self._ptr) and self._resolve(f.kid):
            f.out_size = room
            return self._open_frame(f)
        return SFR_UNKNOWN_KEY

    cdef int _open_frame(self, sfr_frame *f):
        if f.in_size < UNLOCKED_WORK:
            return sfr_unprotect(self._ptr, f)
        with nogil:
            return sfr_unprotect(self._ptr, f)

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
            if self._run(&f, room.size) != SFR_OK:
                if f.status == SFR_E_ROOM:
                    raise misuse(SFR_E_ROOM, limit=room.size,
                                 size=sfr_plaintext_size(receiver, f.data, f.in_size, f.clear))
                self._rejected(&f)
            if self._watching:
                self._tell_confirmed()
            return f.out_size
        finally:
            PyBuffer_Release(&data_view)
            PyBuffer_Release(&meta_view)
            PyBuffer_Release(&out_view)

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
        for i in range(SFR_UNKNOWN_TRACKED):
            if totals.unknown_kids[i].frames:
                strangers[totals.unknown_kids[i].kid] = totals.unknown_kids[i].frames
        return totals.malformed, totals.unknown, strangers, self._key_stats(totals.keys)

    cdef list _key_stats(self, size_t room):
        cdef size_t i, count = room + 1
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

cdef class _Rows:
    """The rows of one batch call: frames, their owners, and the buffers held for them."""

    cdef sfr_frame *frames
    cdef void **owners             # sfr_sender * or sfr_receiver *, one a row
    cdef Py_buffer *views
    cdef Py_ssize_t count, held, room
    cdef size_t work               # bytes, with an allowance for each frame
    cdef object alive              # keeps owners and bytes alive

    def __cinit__(self, Py_ssize_t count):
        self.count = count
        self.work = count * FRAME_WORK
        self.frames = <sfr_frame *>PyMem_Calloc(count + 1, sizeof(sfr_frame))
        self.owners = <void **>PyMem_Malloc((count + 1) * sizeof(void *))
        if self.frames is NULL or self.owners is NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.held):
            PyBuffer_Release(&self.views[i])
        PyMem_Free(self.views)
        PyMem_Free(self.frames)
        PyMem_Free(self.owners)

    cdef int read(self, object obj, Bytes *out, int flags) except -1:
        """Like _read; what needs a view is held until the batch is over."""
        cdef Py_buffer *views
        if flags == PyBUF_SIMPLE and PyBytes_CheckExact(obj):
            out.data = <const uint8_t *>PyBytes_AS_STRING(obj)
            out.size = PyBytes_GET_SIZE(obj)
            return 0
        if self.held == self.room:
            self.room = 2 * self.room + 4
            views = <Py_buffer *>PyMem_Realloc(self.views, self.room * sizeof(Py_buffer))
            if views is NULL:
                raise MemoryError
            self.views = views
        _view(obj, out, &self.views[self.held], flags)
        self.held += 1
        return 0

    cdef int set_extras(self, object metadata, object clear) except -1:
        """metadata: None, one bytes-like for all rows, or one a row; clear: None, int, or one a row."""
        cdef Py_ssize_t i, number
        cdef Bytes meta
        if metadata is not None:
            if PyObject_CheckBuffer(metadata):
                self.read(metadata, &meta, PyBUF_SIMPLE)
                for i in range(self.count):
                    self.frames[i].metadata, self.frames[i].metadata_size = meta.data, meta.size
            else:
                metadata = self.listed(metadata, "metadata")
                for i in range(self.count):
                    if metadata[i] is None:
                        continue
                    self.read(metadata[i], &meta, PyBUF_SIMPLE)
                    self.frames[i].metadata, self.frames[i].metadata_size = meta.data, meta.size
        if clear is not None:
            one = isinstance(clear, int)
            if not one:
                clear = self.listed(clear, "clear")
            for i in range(self.count):
                number = clear if one else clear[i]
                if number < 0:
                    raise MisuseError(f"row {i}: clear is {number}")
                self.frames[i].clear = number
        return 0

    cdef object listed(self, object values, str name):
        values = values if isinstance(values, (list, tuple)) else list(values)
        if len(values) != self.count:
            raise MisuseError(f"{len(values)} {name} for {self.count} frames; one a frame is needed")
        self.alive = (self.alive, values)
        return values


cdef _Rows _rows_of_list(object frames):
    """Rows over a sequence of bytes-like objects."""
    if not isinstance(frames, (list, tuple)):
        frames = list(frames)
    cdef Py_ssize_t i, count = len(frames)
    cdef _Rows rows = _Rows(count)
    cdef Bytes data
    rows.alive = frames
    for i in range(count):
        try:
            rows.read(frames[i], &data, PyBUF_SIMPLE)
        except (TypeError, BufferError) as error:
            raise type(error)(f"row {i}: {error}") from None
        rows.frames[i].data, rows.frames[i].in_size = data.data, data.size
        rows.work += data.size
    return rows


cdef _Rows _rows_of_batch(object batch):
    """Rows over a FrameBatch; its columns are checked against its data as it is now."""
    if type(batch) is not FrameBatch:
        raise TypeError(f"a FrameBatch is required, not {type(batch).__name__!r}")
    cdef Py_ssize_t i, count = batch._count
    cdef _Rows rows = _Rows(count)
    cdef Bytes data
    cdef Columns columns
    cdef bytes block = bytes(batch._columns)
    rows.alive = (batch.data, block)
    rows.read(batch.data, &data, PyBUF_SIMPLE)
    if len(block) != count * ROW_SIZE:
        raise MisuseError("the columns of this FrameBatch are damaged")
    columns_of(PyBytes_AS_STRING(block), count, &columns)
    for i in range(count):
        if not 0 <= columns.offsets[i] <= <int64_t>data.size or columns.lengths[i] < 0 or \
                columns.lengths[i] > <int64_t>data.size - columns.offsets[i]:
            raise MisuseError(f"row {i} leaves the data of {data.size} bytes")
        rows.frames[i].data = data.data + columns.offsets[i]
        rows.frames[i].in_size = columns.lengths[i]
        rows.work += columns.lengths[i]
    return rows


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


cdef object _batch_of(_Rows rows, object data, const uint8_t *base):
    """The FrameBatch of what was run. `base` is where the rows' `out` count from."""
    cdef Py_ssize_t i, count = rows.count
    cdef object block = PyBytes_FromStringAndSize(NULL, count * ROW_SIZE)
    cdef sfr_frame *f
    cdef Columns columns
    columns_of(PyBytes_AS_STRING(block), count, &columns)
    for i in range(count):
        f = &rows.frames[i]
        columns.offsets[i] = f.out - base
        columns.lengths[i] = <int32_t>f.out_size
        columns.status[i] = <uint8_t>f.status
        columns.kid[i] = f.kid if f.status == SFR_OK else 0
        columns.ctr[i] = f.ctr if f.status == SFR_OK else 0
    batch = FrameBatch.__new__(FrameBatch)
    batch.data = data
    batch._columns = block
    batch._count = count
    return batch


cdef object _out_buffer(_Rows rows, object out, size_t size, uint8_t **base):
    """Where the rows go: fresh bytes, or the caller's buffer, apart from everything read."""
    cdef Bytes room
    cdef Py_ssize_t i
    cdef sfr_frame *f
    if out is None:
        out = PyBytes_FromStringAndSize(NULL, size)
        base[0] = <uint8_t *>PyBytes_AS_STRING(out)
        return out
    rows.read(out, &room, PyBUF_WRITABLE)
    if room.size < size:
        raise misuse(SFR_E_ROOM, size=size, limit=room.size)
    for i in range(rows.count):
        f = &rows.frames[i]
        if overlaps(f.data, f.in_size, room.data, room.size) or \
                overlaps(f.metadata, f.metadata_size, room.data, room.size):
            raise misuse(SFR_E_OVERLAP, row=i)
    base[0] = <uint8_t *>room.data
    return out


cdef inline bint overlaps(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) noexcept:
    return a_size > 0 and b_size > 0 and a < b + b_size and b < a + a_size


# -- protect --

cdef object _set_senders(_Rows rows, object senders):
    """One Sender for all rows, or one a row. Returns the list of the rows' senders."""
    cdef Py_ssize_t i
    cdef void *one
    if isinstance(senders, SenderCore):
        one = (<SenderCore>senders).pointer()
        for i in range(rows.count):
            rows.owners[i] = one
        rows.alive = (rows.alive, senders)
        return None
    senders = rows.listed(senders, "senders")
    for i in range(rows.count):
        if not isinstance(senders[i], SenderCore):
            raise TypeError(f"row {i}: a native Sender is required, "
                            f"not {type(senders[i]).__name__!r}")
        rows.owners[i] = (<SenderCore>senders[i]).pointer()
    return senders


cdef size_t _reserve_all(_Rows rows, object senders, object listed) except? 0:
    """All checks, then all counters. Returns the bytes that the ciphertexts will take."""
    cdef Py_ssize_t i
    cdef size_t total = 0
    cdef sfr_frame *f
    cdef SenderCore sender
    for i in range(rows.count):
        f = &rows.frames[i]
        f.status = sfr_check(<sfr_sender *>rows.owners[i], f)
        if f.status != SFR_OK and f.status != SFR_E_LEASE_ENDED:
            _refuse_row(senders if listed is None else listed[i], f, i)
    for i in range(rows.count):
        f = &rows.frames[i]
        while sfr_reserve(<sfr_sender *>rows.owners[i], f) != SFR_OK:
            _refuse_row(senders if listed is None else listed[i], f, i)
        total += f.out_size
    return total


cdef int _refuse_row(object owner, sfr_frame *f, Py_ssize_t i) except -1:
    if f.clear > f.in_size:
        raise MisuseError(f"row {i}: clear is {f.clear} and the frame has {f.in_size} bytes")
    return (<SenderCore>owner)._refused(f, i)


cdef int _seal_all(_Rows rows, object senders, object listed) except -1:
    cdef Py_ssize_t i
    if rows.work < UNLOCKED_WORK:
        sfr_seal_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    else:
        with nogil:
            sfr_seal_many(<sfr_sender **>rows.owners, rows.frames, rows.count)
    for i in range(rows.count):
        if rows.frames[i].status != SFR_OK:   # closed by another thread since it was reserved
            _refuse_row(senders if listed is None else listed[i], &rows.frames[i], i)
        if rows.frames[i].rekey_due:
            (senders if listed is None else listed[i])._rekey_due()
    return 0


def protect_many(senders, frames, metadata=None, clear=None):
    """The ciphertexts of many frames: see pysframe.protect_many."""
    cdef _Rows rows = _rows_of_list(frames)
    cdef Py_ssize_t i
    cdef object ciphertext
    rows.set_extras(metadata, clear)
    listed = _set_senders(rows, senders)
    _reserve_all(rows, senders, listed)
    cdef list out = []
    for i in range(rows.count):
        ciphertext = PyBytes_FromStringAndSize(NULL, rows.frames[i].out_size)
        rows.frames[i].out = <uint8_t *>PyBytes_AS_STRING(ciphertext)
        out.append(ciphertext)
    _seal_all(rows, senders, listed)
    return out


def protect_batch(senders, batch, metadata=None, clear=None, out=None):
    """The ciphertexts of a FrameBatch as another: see pysframe.protect_batch."""
    cdef _Rows rows = _rows_of_batch(batch)
    cdef Py_ssize_t i
    cdef uint8_t *base = NULL
    cdef uint8_t *at
    rows.set_extras(metadata, clear)
    listed = _set_senders(rows, senders)
    if out is not None:
        _check_room(rows, out)
    cdef size_t total = _reserve_all(rows, senders, listed)
    data = _out_buffer(rows, out, total, &base)
    at = base
    for i in range(rows.count):
        rows.frames[i].out = at
        at += rows.frames[i].out_size
    _seal_all(rows, senders, listed)
    return _batch_of(rows, data, base)


cdef int _check_room(_Rows rows, object out) except -1:
    """Before a counter is taken: `out` as it is must do."""
    cdef uint8_t *base
    cdef Py_ssize_t i
    cdef size_t total = 0
    for i in range(rows.count):
        total += sfr_protected_size(<sfr_sender *>rows.owners[i], rows.frames[i].in_size)
    _out_buffer(rows, out, total, &base)
    return 0


# -- unprotect --

cdef object _set_receivers(_Rows rows, object receivers):
    cdef Py_ssize_t i
    cdef void *one
    if isinstance(receivers, ReceiverCore):
        one = (<ReceiverCore>receivers).pointer()
        for i in range(rows.count):
            rows.owners[i] = one
        rows.alive = (rows.alive, receivers)
        return None
    receivers = rows.listed(receivers, "receivers")
    for i in range(rows.count):
        if not isinstance(receivers[i], ReceiverCore):
            raise TypeError(f"row {i}: a native Receiver is required, "
                            f"not {type(receivers[i]).__name__!r}")
        rows.owners[i] = (<ReceiverCore>receivers[i]).pointer()
    return receivers


cdef inline size_t _room_of(sfr_frame *f, size_t tag) noexcept:
    """What a ciphertext can open to at most: its header is one byte or more."""
    return f.in_size - tag - 1 if f.in_size > tag else 0


cdef object _unprotect(_Rows rows, object receivers, object listed, object out):
    cdef Py_ssize_t i
    cdef size_t total = 0
    cdef uint8_t *base = NULL
    cdef uint8_t *at
    cdef sfr_frame *f
    cdef ReceiverCore receiver = receivers if listed is None else None
    for i in range(rows.count):
        f = &rows.frames[i]
        f.out_size = _room_of(f, (receiver if listed is None else <ReceiverCore>listed[i])._suite.nt)
        total += f.out_size
    data = _out_buffer(rows, out, total, &base)
    at = base
    for i in range(rows.count):
        rows.frames[i].out = at
        at += rows.frames[i].out_size
    if rows.work < UNLOCKED_WORK:
        sfr_unprotect_many(<sfr_receiver **>rows.owners, rows.frames, rows.count)
    else:
        with nogil:
            sfr_unprotect_many(<sfr_receiver **>rows.owners, rows.frames, rows.count)
    _retry_unknown(rows, receivers, listed)
    _clear_gaps(rows, base + total)
    batch = _batch_of(rows, data, base)
    _tell_all(rows, receivers, listed)
    return batch


cdef int _retry_unknown(_Rows rows, object receivers, object listed) except -1:
    """Rows whose KID was unknown at plan time, in row order, while the allowance lasts."""
    cdef Py_ssize_t i
    cdef sfr_frame *f
    cdef ReceiverCore receiver
    for i in range(rows.count):
        f = &rows.frames[i]
        if f.status != SFR_UNKNOWN_KEY:
            continue
        receiver = receivers if listed is None else listed[i]
        if receiver._watching and sfr_receiver_may_derive(receiver._ptr) and \
                receiver._resolve(f.kid):
            f.out_size = _room_of(f, receiver._suite.nt)
            sfr_unprotect(receiver._ptr, f)
    return 0


cdef void _clear_gaps(_Rows rows, uint8_t *end) noexcept:
    """Nothing but frames in the data: the bytes between them are zeros. A row that another thread
    changed during the call, so that it no longer fits its room, is malformed."""
    cdef Py_ssize_t i
    cdef sfr_frame *f
    cdef uint8_t *next
    for i in range(rows.count):
        f = &rows.frames[i]
        next = rows.frames[i + 1].out if i + 1 < rows.count else end
        if f.status < 0:
            f.status = SFR_MALFORMED
            f.out_size = 0
        memset(f.out + f.out_size, 0, next - f.out - f.out_size)


cdef int _tell_all(_Rows rows, object receivers, object listed) except -1:
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
    cdef _Rows rows = _rows_of_list(ciphertexts)
    rows.set_extras(metadata, clear)
    listed = _set_receivers(rows, receivers)
    return _unprotect(rows, receivers, listed, None)


def unprotect_batch(receivers, batch, metadata=None, clear=None, out=None):
    """A FrameBatch of ciphertexts to one of frames: see pysframe.unprotect_batch."""
    cdef _Rows rows = _rows_of_batch(batch)
    rows.set_extras(metadata, clear)
    listed = _set_receivers(rows, receivers)
    return _unprotect(rows, receivers, listed, out)


def to_list(data, columns, Py_ssize_t count):
    """The rows of a FrameBatch as bytes: the fast half of FrameBatch.to_list."""
    cdef Columns c
    cdef Bytes room
    cdef Py_buffer view
    cdef Py_ssize_t i
    cdef list out = []
    columns = bytes(columns)
    if len(columns) != count * ROW_SIZE:
        raise MisuseError("the columns of this FrameBatch are damaged")
    _read(data, &room, &view)
    try:
        columns_of(PyBytes_AS_STRING(columns), count, &c)
        for i in range(count):
            if c.offsets[i] < 0 or c.lengths[i] < 0 or \
                    c.offsets[i] + c.lengths[i] > <int64_t>room.size:
                raise MisuseError(f"row {i} leaves the data of {room.size} bytes")
            out.append(PyBytes_FromStringAndSize(<const char *>room.data + c.offsets[i],
                                                 c.lengths[i]))
    finally:
        PyBuffer_Release(&view)
    return out
