# cython: language_level=3, embedsignature=True, freethreading_compatible=True
"""The native engine: Python buffers to C calls. No policy and no cryptography here.

Rules of this file:
  1. Between a call and its return no Python-level function runs while all keys are known; the
     hooks (_lease_ended, _resolve, _confirmed) are for the rare other cases.
  2. Buffers are held as raw Py_buffer for the whole call; exact bytes need not even that.
  3. The GIL is let go only for work that takes longer than taking it back. It is also the lock of
     senders and receivers (sfr_serialize_callers), so of the C core only sealing and opening may
     run without it: nothing else is declared nogil, and Cython refuses to call it there.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_INCREF, PyObject
from libc.math cimport INFINITY
from libc.stdint cimport (
    INT32_MAX, INT64_MAX, SIZE_MAX, UINT16_MAX, UINT32_MAX,
    int32_t, int64_t, uint8_t, uint32_t, uint64_t,
)
from libc.string cimport memset

from pysframe.engine._sfr cimport *

import logging
import sys
from operator import index
from secrets import token_bytes
from sys import maxsize

from pysframe._buffers import byte_view, writable_view
from pysframe._rows import as_rows
from pysframe._tracebacks import without_locals
from pysframe.batch import FrameBatch, too_long_for_a_batch
from pysframe.errors import MisuseError, misuse, rejection
from pysframe.stats import KeyStats, ReceiverStats, StrangerStats
from pysframe.suites import CipherSuite

cdef extern from *:
    """
    #include <structmember.h>
    static inline void no_view(Py_buffer *view) { view->obj = NULL; }
    static inline void end_view(Py_buffer *view) { if (view->obj) PyBuffer_Release(view); }
    static inline void prefetch(const void *p) { __builtin_prefetch(p); }
    static inline PyObject **place_of(PyObject *slot, PyObject *obj) {
        return (PyObject **)((char *)obj + ((PyMemberDescrObject *)slot)->d_member->offset);
    }
    static inline PyObject *get_slot(PyObject *slot, PyObject *obj) {
    #ifndef Py_GIL_DISABLED
        PyObject *value = *place_of(slot, obj);
        if (value) return Py_NewRef(value);
    #endif
        return Py_TYPE(slot)->tp_descr_get(slot, obj, (PyObject *)Py_TYPE(obj));
    }
    static inline void fill_slot(PyObject *slot, PyObject *obj, PyObject *value) {
        *place_of(slot, obj) = Py_NewRef(value);
    }
    static inline PyObject *shortened(PyObject *data, Py_ssize_t size) {
        if (PyBytes_GET_SIZE(data) != size) _PyBytes_Resize(&data, size);
        return data;
    }
    /* Flags that a thread sets while others look: where no GIL orders them, they must be atomic. */
    static inline int is_set(const int *flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }
    static inline void set_flag(int *flag, int on) {
        __atomic_store_n(flag, on, __ATOMIC_RELAXED);
    }
    #ifdef Py_GIL_DISABLED
    static inline int serialize_callers(void) { return 0; }
    #else
    static inline int serialize_callers(void) { sfr_serialize_callers(); return 1; }
    #endif
    """
    void no_view(Py_buffer *)
    void end_view(Py_buffer *)
    void prefetch(const void *)
    PyObject *PyTuple_GET_ITEM(tuple, Py_ssize_t)      # borrowed
    Py_ssize_t PyTuple_GET_SIZE(tuple)
    PyObject *Py_TYPE(PyObject *)
    object PyType_GenericAlloc(type, Py_ssize_t)
    object get_slot(object slot, object obj)
    void fill_slot(object slot, object obj, object value)      # of a new object, once
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *, Py_ssize_t) except NULL
    object shortened(PyObject *data, Py_ssize_t size)       # takes `data`, of which nobody knows
    bint is_set(const bint *)
    void set_flag(bint *, bint)
    bint serialize_callers()

cdef extern from "sfr.h":
    enum:
        SFR_MIN_BASE_KEY
        SFR_MAX_OVERHEAD

# Work, in bytes with an allowance for each frame, from which on the GIL is let go: some 10 us.
cdef enum:
    FRAME_WORK = 128
    UNLOCKED_WORK = 98304
    FETCHED = 16       # confirmed KIDs at a time

VERSIONS = {"cpu": ""}
KERNELS = dict.fromkeys(
    [sfr_kernel_name(sfr_kernel_at(number)).decode() for number in range(sfr_kernel_count())],
    "not asked to run",
)
cdef bint SERIALIZED = False


def init(max_isa):
    """Chooses and tests the kernels, once a process. max_isa: one of KERNELS, "none", or ""."""
    global SERIALIZED
    cdef bytes name = max_isa.encode()
    cdef size_t i
    cdef const sfr_kernel *kernel
    sfr_init(<const char *>name if name else <const char *>NULL)
    SERIALIZED = serialize_callers()
    VERSIONS["cpu"] = sfr_cpu_features().decode()
    for i in range(sfr_kernel_count()):
        kernel = sfr_kernel_at(i)
        KERNELS[sfr_kernel_name(kernel).decode()] = sfr_kernel_reason(kernel).decode()


# ---- the senders of this process ----

class SenderRegistry:
    """The C core's table, for senders of the twin that live beside native ones.

    It is what engine/twin/_registry.py describes, and takes its place once it is there.
    """

    __slots__ = ("library", "secret")

    def __init__(self, bytes secret):
        if len(secret) != 32 or not sfr_registry_secret(<const uint8_t *><char *>secret):
            raise MemoryError("no memory for the names of keys, or they are named already")
        self.secret = secret
        self.library = <size_t>&sfr_registry_open      # which of two copies of the C core

    def open(self, bytes name, uint64_t next_ctr):
        cdef uint64_t blocks
        status = sfr_registry_open(_name(name), next_ctr, &blocks)
        if status == SFR_E_NO_MEMORY:
            raise MemoryError("no memory to remember another key")
        return None if status == SFR_E_DUPLICATE else blocks

    def close(self, bytes name, uint64_t next_ctr, bint spent, uint64_t blocks):
        sfr_registry_close(_name(name), next_ctr, spent, blocks)


cdef const uint8_t *_name(bytes name) except NULL:
    if len(name) != 16:
        raise ValueError("a fingerprint has 16 bytes")
    return <const uint8_t *><char *>name


def _keep_the_registry():
    """From here on the C core's table is the one of this process, with all that is known so far."""
    before = getattr(sys, "_pysframe_senders", None)
    library = getattr(before, "library", None)
    if library is None:
        after = SenderRegistry(token_bytes(32) if before is None else before.secret)
        if before is not None:
            before.hand_over(after)
        sys._pysframe_senders = after
    elif library != <size_t>&sfr_registry_open:
        raise ImportError(
            "another copy of pysframe's native engine runs in this process: senders of two would "
            "not know of each other, and could use the same counter twice")


_keep_the_registry()


cdef const sfr_kernel *_kernel_of(object obj) except NULL:
    cdef bytes name = (obj._kernel or "").encode()
    cdef const sfr_kernel *kernel = sfr_kernel_find(
        <const char *>name if name else <const char *>NULL)
    if kernel is NULL:
        raise MisuseError(f"no native kernel {obj._kernel or ''} is ready here; see backend_info()")
    return kernel


cdef int _number_of_suite(object suite) except -1:
    number = index(suite)
    if not 0 <= number <= UINT16_MAX or sfr_suite_find(number) is NULL:
        CipherSuite(number)      # says which there are
    return number


cdef const sfr_suite *_suite(int number) except NULL:
    cdef const sfr_suite *suite = sfr_suite_find(number)
    if suite is NULL:
        raise MisuseError(f"{number} is no cipher suite")
    return suite


# ---- buffers ----

cdef struct Bytes:
    const uint8_t *data
    size_t size


cdef inline int _read(str name, object obj, Bytes *out, Py_buffer *view) except -1:
    """A readable buffer. The view is the caller's to release, whether it was needed or not."""
    no_view(view)
    if PyBytes_CheckExact(obj):
        out.data = <const uint8_t *>PyBytes_AS_STRING(obj)
        out.size = PyBytes_GET_SIZE(obj)
        return 0
    return _view(name, obj, out, view, PyBUF_SIMPLE)


cdef inline int _read_metadata(object obj, Bytes *out, Py_buffer *view) except -1:
    if obj is None:
        no_view(view)
        out.data = NULL
        out.size = 0
        return 0
    return _read("metadata", obj, out, view)


cdef int _refuse_buffer(str name, object obj, int flags) except -1:
    """Raises what every engine says of such an object; returns where the exporter knows more."""
    without_locals(byte_view if flags == PyBUF_SIMPLE else writable_view)(obj, name)
    return 0


cdef int _view(str name, object obj, Bytes *out, Py_buffer *view, int flags) except -1:
    no_view(view)
    try:
        PyObject_GetBuffer(obj, view, flags)
    except Exception:
        _refuse_buffer(name, obj, flags)
        raise
    out.data = <const uint8_t *>view.buf
    out.size = view.len
    return 0


cdef inline bint _plain(object data, object metadata, Py_ssize_t clear, sfr_frame *f) noexcept:
    """Fills the frame's input where it is exact bytes, the usual case: nothing is held then."""
    if clear != 0 or not PyBytes_CheckExact(data) or not PyBytes_CheckExact(metadata):
        return False
    f.data, f.in_size = <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
    f.metadata = <const uint8_t *>PyBytes_AS_STRING(metadata)
    f.metadata_size, f.clear = PyBytes_GET_SIZE(metadata), 0
    return True


cdef inline int _clear_of(Py_ssize_t clear, size_t size) except -1:
    if clear < 0 or <size_t>clear > size:
        raise MisuseError(f"clear is {clear} and the frame has {size} bytes")
    return 0


def _misuse(int code, **known):
    if code == SFR_E_NO_MEMORY:
        return MemoryError("no memory for a key")
    return misuse(code, **known)


cdef size_t _size(str name, value, last=maxsize) except? 0:
    """value, a size that memory can have; what is too large all the same the C core says."""
    number = index(value)
    if not 0 <= number <= last:
        raise MisuseError(f"{name} is {number}; it must be 0..{last}")
    return number


# ---- the memory of keys ----

cdef bint unlocked_told = False


def memory():
    """How the pages of keys are kept, those that there are so far."""
    faults = []
    if sfr_memory_unlocked():
        faults.append(f"{sfr_memory_unlocked() >> 10} KiB of pages for keys could not be locked "
                      "and may be swapped out; raise RLIMIT_MEMLOCK (ulimit -l)")
    if sfr_memory_dumped():
        faults.append(f"{sfr_memory_dumped() >> 10} KiB of pages for keys may be in core dumps")
    return "; ".join(faults) or "locked, and left out of core dumps"


cdef inline int _watch_memory() except -1:
    """After a key was made, which may have taken new pages."""
    return _tell_unlocked() if sfr_memory_unlocked() and not unlocked_told else 0


cdef int _tell_unlocked() except -1:
    global unlocked_told
    unlocked_told = True
    logging.getLogger("pysframe").warning("%s; this is said once", memory())
    return 0


# ---- secrets ----

cdef object _LATER = object()      # a Secret that its maker fills


cdef class Secret:
    """sframe_secret of a base key, in wiped memory: RFC 9605 4.4.2. Never a Python object."""

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


# ---- sender ----

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
        # What the last frame took on top will do, until its counter needs another byte: ROOM.
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
        """Like protect, into a buffer of the caller's; returns the bytes written."""
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
        """Raises for a refusal, unless the policy found a new lease of counters."""
        try:
            if f.status == SFR_E_LEASE_ENDED and self._lease_ended():
                return 0
        except MisuseError as error:
            raise error if row is None else type(error)(f"row {row}: {error}") from None
        raise _misuse(f.status, kid=self.kid, size=f.in_size, limit=self._max_frame,
                      reason=self._reason, row=row)

    def protected_size(self, n, /):
        """Bytes the next frame of n bytes will take."""
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
        """Raises the meter, never lowers it; beyond 2^36 it stays there."""
        sfr_sender_set_blocks(self.pointer(), blocks)

    def _lease_blocks(self, uint64_t last):
        """How far the meter may go, 2^36 at most and at first; never below where it is."""
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
        """Wipes the key; idempotent. Later calls raise SenderRetired."""
        if self._ptr is not NULL:
            sfr_sender_close(self._ptr)

    def __reduce_ex__(self, protocol):
        raise TypeError("a Sender cannot be copied or pickled: two would use the same counters")


# ---- receiver ----

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
    if _open_frame(self._ptr, f) == SFR_UNKNOWN_KEY and is_set(&self._watching):
        return self._again(f, room)
    return f.status


cdef inline bytes _unprotect_one(ReceiverCore self, sfr_frame *f):
    cdef size_t room
    cdef bytes out
    if self._ptr is NULL or is_set(&self._closed):
        self.pointer()
    while True:
        # Another thread may be writing to the ciphertext: then the header may turn out shorter
        # (the surplus is cut) or longer (ROOM: look again).
        room = sfr_unprotect_size(self._ptr, f.data, f.in_size, f.clear)
        out = PyBytes_FromStringAndSize(NULL, room)
        f.out, f.out_size = <uint8_t *>PyBytes_AS_STRING(out), room
        if _run(self, f, room) == SFR_OK:
            break
        if f.status != SFR_E_ROOM:
            self._rejected(f)
    if is_set(&self._watching):
        self._tell_confirmed()
    return out if f.out_size == room else out[:f.out_size]


cdef class ReceiverCore:
    """parse -> resolve -> open -> commit: csrc/frame/receiver.c behind the policy class."""

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
        if self._ptr is NULL or is_set(&self._closed):
            raise MisuseError("this receiver is closed")
        return self._ptr

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
        set_flag(&self._watching, on)

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
        """Once more when the KID was unknown and the policy could derive its key."""
        if not self._find_key(f.kid, True):
            return SFR_UNKNOWN_KEY
        f.out_size = room
        return _open_frame(self._ptr, f)

    cdef bint _find_key(self, uint64_t kid, bint changed) except? -1:
        """Whether an unknown KID has a key by now: an earlier row brought it, if keys have
        changed since, or the policy does."""
        cdef bint found = (changed and sfr_receiver_kind(self._ptr, kid) >= 0) or (
            sfr_receiver_may_derive(self._ptr, kid) and self._resolve(kid))
        if found:
            sfr_receiver_recognize(self._ptr, kid)
        return found

    def unprotect_into(self, ciphertext, out, metadata=b"", *, Py_ssize_t clear=0):
        """Like unprotect, into a buffer of the caller's; returns the bytes written."""
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
            if is_set(&self._watching):
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

    cdef bint _tell_confirmed(self) except -1:
        """Whether there was something to tell."""
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
            while count > room:   # a key was added meanwhile
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
        """Wipes all keys; idempotent. Later calls raise MisuseError."""
        set_flag(&self._closed, True)
        if self._ptr is not NULL:
            sfr_receiver_close(self._ptr)

    def __reduce_ex__(self, protocol):
        raise TypeError("a Receiver cannot be copied or pickled: its replay window is one")


include "_batches.pxi"
include "_key_flow.pxi"
