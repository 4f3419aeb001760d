"""Promise 4, the self-test: each kernel, with each thing that it could do wrongly, is found out.

What becomes of a kernel that was found out is shown in deep/test_p04_broken_kernels.py.
"""

import ctypes

import pytest
from c_core.core import KERNELS
from security.natively import kernel_or_skip, native

SUITES = (4, 5, 1, 6)  # that a failed self-test names: one for each family, in sfr_family's order
NO_FAULT = "nothing"
LIMIT_NS = 100_000


@pytest.fixture(params=KERNELS)
def kernel(request):
    return kernel_or_skip(request.param)


@pytest.fixture
def saboteur():
    return native("saboteur")


def faults(saboteur) -> list[str]:
    saboteur.fault_name.restype = ctypes.c_char_p
    saboteur.fault_name.argtypes = [ctypes.c_size_t]
    names = iter(saboteur.fault_name(number) for number in range(100))
    return [name.decode() for name in iter(lambda: next(names), None)]


def test_every_fault_is_noticed(saboteur, kernel):
    known = faults(saboteur)
    assert len(known) == 16 and known[0] == NO_FAULT
    missed = []
    for family, suite in enumerate(SUITES):
        for fault in known:
            said = saboteur.self_test_of(kernel.encode(), family, fault.encode())
            if said != (0 if fault == NO_FAULT else suite):
                missed.append((suite, fault, said))
    assert missed == []


def test_a_self_test_takes_less_than_a_tenth_of_a_millisecond(saboteur, kernel, by_tier):
    runs = by_tier(300, 3000, 3000)
    times = (ctypes.c_double * runs)()
    saboteur.self_test_times(kernel.encode(), times, ctypes.c_size_t(runs))
    print(f"self-test of {kernel}: {min(times) / 1000:.1f} us, the first {times[0] / 1000:.1f} us")
    assert 1_000 < min(times) < LIMIT_NS
