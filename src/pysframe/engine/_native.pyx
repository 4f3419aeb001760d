# cython: language_level=3, embedsignature=True, freethreading_compatible=True
"""The native engine: Python buffers become C calls. It holds no policy and no cryptography.

Theory of operation. One translation unit is split along its ideas: _buffers reads what callers
pass; _secrets holds keys; _sender and _receiver handle one frame; _rows, _room, _protect and
_unprotect handle many; _frame_batch and _headers hold what batches and headers are. The policy
classes of pysframe.sender and pysframe.receiver derive from the cores defined here, so that
ordinary method look-up finds their hooks.

Rules of this module:
  1. While all keys are known, no Python-level function runs between a call and its return. The
     hooks (_lease_ended, _resolve, _confirmed) serve the rare other cases.
  2. A buffer is held through a raw Py_buffer for the whole call. Exact bytes are immutable and are
     not held at all.
  3. The GIL is released only for work that takes longer than reacquiring it. It also serializes
     the callers of senders and receivers (sfr_serialize_callers), so only sealing and opening may
     run without it. Nothing else is declared nogil, and Cython refuses to call it there.
"""

from cpython.buffer cimport (
    PyBUF_ND, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_INCREF, PyObject
from libc.math cimport INFINITY
from libc.stdint cimport (
    INT32_MAX, INT64_MAX, SIZE_MAX, UINT16_MAX, UINT32_MAX, UINT64_MAX,
    int32_t, int64_t, uint8_t, uint32_t, uint64_t,
)
from libc.string cimport memcpy, memset

cimport cython

from pysframe.engine._sfr cimport *

import sys
from collections.abc import Sequence      # noqa: F401 (in annotations)
from operator import index
from os import urandom
from sys import maxsize

from pysframe._buffers import ReadableBuffer, byte_view, writable_view      # noqa: F401 (in annotations)
from pysframe._rows import as_rows, clear_per_row, integers
from pysframe._tracebacks import without_locals
from pysframe.batch import FrameBatch as BatchFace
from pysframe.batch import (
    damaged, filled_already, gone, never_filled, outside, too_long_for_a_batch, too_long_for_a_row,
    uneven,
)
from pysframe.engine._types import completed
from pysframe.errors import MisuseError, misuse, rejection
from pysframe.header import Header as HeaderFace
from pysframe.header import HeaderColumns as ColumnsFace
from pysframe.header import negative_clear, parse_header, why_malformed
from pysframe.limits import checked
from pysframe.stats import KeyStats, ReceiverStats, StrangerStats
from pysframe.suites import CipherSuite

include "_shims.pxi"

cdef extern from "sfr.h":
    enum:
        SFR_MIN_BASE_KEY
        SFR_MAX_HEADER
        SFR_MAX_OVERHEAD

# From UNLOCKED_WORK bytes on, FRAME_WORK of them for each frame, the GIL is released: some 20 us,
# since waiting until another core hands the GIL back takes 11.
cdef enum:
    FRAME_WORK = 128
    UNLOCKED_WORK = 163840
    FETCHED = 16                   # confirmed KIDs are read in groups of this size

VERSIONS = {"cpu": ""}
KERNELS = dict.fromkeys(
    [sfr_kernel_name(sfr_kernel_at(number)).decode() for number in range(sfr_kernel_count())],
    "not asked to run",
)
cdef bint SERIALIZED = False


def init(max_isa):
    """Chooses and tests the kernels, once per process.

    max_isa is one of KERNELS, "none", or "" for no limit.
    """
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
        CipherSuite(number)      # raises, and lists the valid numbers
    return number


cdef const sfr_suite *_suite(int number) except NULL:
    cdef const sfr_suite *suite = sfr_suite_find(number)
    if suite is NULL:
        raise MisuseError(f"{number} is no cipher suite")
    return suite


include "_registry.pxi"
include "_buffers.pxi"
include "_secrets.pxi"
include "_sender.pxi"
include "_receiver.pxi"
include "_rows.pxi"
include "_frame_batch.pxi"
include "_headers.pxi"
include "_room.pxi"
include "_protect.pxi"
include "_unprotect.pxi"
include "_key_flow.pxi"
