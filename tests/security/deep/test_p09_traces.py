"""Promise 9, third method: the installed extension module takes the same steps for all secrets.

A tracer runs an operation one instruction at a time and writes down each address. The code is that
which users run: gcc's, optimized, at every level. Traces do not show the addresses of data: those
are for the other two methods (test_p09_secrets_followed.py).
"""

import ctypes
from array import array

import pytest
from c_core.core import CSRC, KERNELS, kernel_or_skip
from security.deep.builds import cached, compiled, run
from security.deep.shipped import addresses, name_of
from security.deep.test_p09_secrets_followed import HERE, OPERATIONS

FLAGS = "-std=gnu11 -O1 -g -DCT_IMPORTED"
IMPORTED = (
    "sfr_kernel_find", "sfr_suite_find", "sfr_secret_new", "sfr_secret_free", "sfr_key_init",
)  # fmt: skip
ROOM = 400_000  # steps
SHORT, MIXED, LONG = (300,), (40, 161, 161, 161, 161, 0, 17), (2100,)
SUITES = (4, 5, 1, 6)


class Work(ctypes.Structure):
    """ct_work of ct.h."""

    _fields_ = (
        ("kernel", ctypes.c_char_p), ("operation", ctypes.c_char_p), ("suite", ctypes.c_int),
        ("seed", ctypes.c_uint32), ("count", ctypes.c_size_t), ("aad_size", ctypes.c_size_t),
        ("sizes", ctypes.c_size_t * 9),
    )  # fmt: skip


@pytest.fixture(scope="module")
def ct():
    parts = [compiled(HERE / f"{n}.c", "gcc", FLAGS, CSRC, HERE) for n in ("ct", "tracer")]

    def build(made):
        run("gcc", "-shared", *parts, "-o", made / "ct.so")

    library = ctypes.CDLL(str(cached("ct.so", parts, build) / "ct.so"))
    imported, size = addresses(*IMPORTED), 8 * len(IMPORTED)
    held = ctypes.c_char.in_dll(library, "ct_imported")
    ctypes.memmove(ctypes.addressof(held), imported, size)
    library.trace.restype = ctypes.c_long
    warm_up(library)
    return library


def warm_up(library) -> None:
    """The key of all fingerprints is made once in a process, of randomness."""
    for operation in ("seal", "open_good"):
        work = work_of(KERNELS[-1], 4, operation, SHORT)
        assert library.ct_prepare(ctypes.byref(work))
        library.ct_run()
        library.ct_finish()


def trace(ct, work: Work) -> array:
    """Addresses of all instructions of one operation."""
    assert ct.ct_prepare(ctypes.byref(work))
    steps = (ctypes.c_uint64 * ROOM)()
    count = ct.trace(ct.ct_run, steps, ctypes.c_size_t(ROOM))
    ct.ct_finish()
    assert count > 150, "the child could not be traced"
    return array("Q", steps[:count])


def work_of(kernel, suite, operation, sizes, seed=0, aad_size=9) -> Work:
    names, room = (kernel.encode(), operation.encode()), (ctypes.c_size_t * 9)(*sizes)
    return Work(*names, suite, 1000 + seed, len(sizes), aad_size, room)


def traces(ct, kernel, suite, operation, sizes, seeds=3) -> list[array]:
    return [trace(ct, work_of(kernel, suite, operation, sizes, seed)) for seed in range(seeds)]


def difference(ct, kernel, suite, operation, sizes, seeds=3) -> str:
    """Where the traces part, or nothing."""
    return first_difference(traces(ct, kernel, suite, operation, sizes, seeds))


def first_difference(made: list[array]) -> str:
    """Where two traces part, or nothing."""
    for other in made[1:]:
        if other == made[0]:
            continue
        steps = zip(made[0], other, strict=False)
        at = next((i for i, (a, b) in enumerate(steps) if a != b), min(len(made[0]), len(other)))
        return f"step {at} of {len(made[0])}, after {name_of(made[0][at - 1])}"
    return ""


@pytest.fixture
def shapes(by_tier):
    """Sizes of the frames of one call."""
    return by_tier((), (SHORT, MIXED), (SHORT, MIXED, LONG, (0,), (1,), (160,), (161,), (1300,)))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_same_steps_for_all_secrets(ct, kernel, suite, operation, shapes, by_tier):
    kernel_or_skip(kernel)
    seeds = by_tier(2, 2, 4)
    for sizes in shapes[:1] if operation == "key_setup" else shapes:
        assert difference(ct, kernel, suite, operation, sizes, seeds) == ""


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_leaky_comparison_takes_other_steps(ct, kernel):
    """The seeded fault. The tags differ from the right ones in another byte each time."""
    kernel_or_skip(kernel)
    assert difference(ct, kernel, 4, "leaky_compare", SHORT)
    made = traces(ct, kernel, 4, "leaky_compare", SHORT)
    assert len({len(steps) for steps in made}) == 3
