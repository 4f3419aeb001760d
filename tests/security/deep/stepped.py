"""Operations of the module that is installed, one instruction at a time.

trace() has the address of each, in a child that a tracer follows (tracer.c); kinds() only looks at
the first byte of each, in this process (kinds.c), which is many times faster.
"""

import ctypes
from array import array
from pathlib import Path

from c_core.core import CSRC, KERNELS
from security.deep.builds import cached, compiled, run
from security.deep.shipped import MODULE, addresses, base

HERE = Path(__file__).parent
FLAGS = "-std=gnu11 -O1 -g -DCT_IMPORTED"
IMPORTED = (
    "sfr_kernel_find", "sfr_suite_find", "sfr_secret_new", "sfr_secret_free", "sfr_key_init",
)  # fmt: skip
PARTS = ("ct", "tracer", "kinds")
ROOM = 400_000  # steps
SHORT = (300,)


class Work(ctypes.Structure):
    """ct_work of ct.h."""

    _fields_ = (
        ("kernel", ctypes.c_char_p), ("operation", ctypes.c_char_p), ("suite", ctypes.c_int),
        ("seed", ctypes.c_uint32), ("count", ctypes.c_size_t), ("aad_size", ctypes.c_size_t),
        ("sizes", ctypes.c_size_t * 9),
    )  # fmt: skip


def work_of(kernel, suite, operation, sizes, seed=0, aad_size=9) -> Work:
    names, room = (kernel.encode(), operation.encode()), (ctypes.c_size_t * 9)(*sizes)
    return Work(*names, suite, 1000 + seed, len(sizes), aad_size, room)


def library() -> ctypes.CDLL:
    """The C files of PARTS over the functions of the installed module."""
    parts = [compiled(HERE / f"{n}.c", "gcc", FLAGS, CSRC, HERE) for n in PARTS]

    def build(made):
        run("gcc", "-shared", *parts, "-o", made / "ct.so")

    ct = ctypes.CDLL(str(cached("ct.so", parts, build) / "ct.so"))
    imported, size = addresses(*IMPORTED), 8 * len(IMPORTED)
    held = ctypes.c_char.in_dll(ct, "ct_imported")
    ctypes.memmove(ctypes.addressof(held), imported, size)
    ct.trace.restype, ct.kinds.restype = ctypes.c_long, ctypes.c_uint64
    _warm_up(ct)
    return ct


def _warm_up(ct) -> None:
    """The key of all fingerprints is made once in a process, of randomness."""
    for operation in ("seal", "open_good"):
        work = work_of(KERNELS[-1], 4, operation, SHORT)
        assert ct.ct_prepare(ctypes.byref(work))
        ct.ct_run()
        ct.ct_finish()


def trace(ct, work: Work) -> array:
    """Addresses of all instructions of one operation."""
    assert ct.ct_prepare(ctypes.byref(work))
    steps = (ctypes.c_uint64 * ROOM)()
    count = ct.trace(ct.ct_run, steps, ctypes.c_size_t(ROOM))
    ct.ct_finish()
    assert count > 150, "the child could not be traced"
    return array("Q", steps[:count])


def kinds(ct, work: Work) -> dict[int, int]:
    """First byte -> the address of an instruction of the module with it, of one operation."""
    assert ct.ct_prepare(ctypes.byref(work))
    found, start = (ctypes.c_uint64 * 256)(), base()
    ends = ctypes.c_void_p(start), ctypes.c_void_p(start + MODULE.stat().st_size)
    count = ct.kinds(ct.ct_run, *ends, found)
    ct.ct_finish()
    assert count > 150, "nothing was traced"
    return {byte: at for byte, at in enumerate(found) if at}
