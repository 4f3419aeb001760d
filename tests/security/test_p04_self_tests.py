"""Promise 4, the self-test: each kernel, with each thing that it could do wrongly, is found out.

What becomes of a kernel that was found out is shown in deep/test_p04_broken_kernels.py.
"""

import ctypes
import re
from time import perf_counter_ns

import pytest
from c_core.core import CSRC, KERNELS
from oracle import aead_seal
from parties import GCM, fresh_sender
from security.natively import kernel_or_skip, native

from pysframe import CipherSuite
from pysframe import engine as engines

SUITES = (4, 5, 1, 6)  # that a failed self-test names: one for each family, in sfr_family's order
FAMILIES = ("GCM_128", "GCM_256", "CTR_HMAC_128", "CTR_HMAC_256")
NO_FAULT = "nothing"
LARGE = 4 << 20  # bytes


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


def test_a_self_test_takes_less_than_sealing_a_large_frame(saboteur, kernel):
    """Each import runs it. On the same kernel, since a time alone would judge the machine."""
    times = (ctypes.c_double * 300)()
    saboteur.self_test_times(kernel.encode(), times, ctypes.c_size_t(len(times)))
    sealing = best_of_sealing(engines.bind(f"native:{kernel}"))
    print(f"{kernel}: a self-test takes {min(times):.0f} ns, a frame {sealing} ns")
    assert sealing / 1000 < min(times) < sealing


def best_of_sealing(engine) -> int:
    sender, frame = fresh_sender(engine, GCM), bytes(LARGE)
    out, times = bytearray(LARGE + 100), []
    for _ in range(20):
        start = perf_counter_ns()
        sender.protect_into(frame, out)
        times.append(perf_counter_ns() - start)
    return min(times)


# ---- what it knows ----


def numbers(pattern: str) -> list[int]:
    (found,) = re.findall(pattern, (CSRC / "aead/self_test.c").read_text(), flags=re.DOTALL)
    return [int(number, 0) for number in re.findall(r"0x\w+|\d+", found)]


def filled(size: int, step: int, start: int) -> bytes:
    return bytes((step * i + start) % 256 for i in range(size))


def folded(suite: CipherSuite, sizes: list[int], turned: int) -> list[int]:
    """What an independent library's tags come to."""
    fold = [0] * 16
    for i, (size, aad) in enumerate(zip(sizes, numbers(r"aads\[ROWS\] = {(.*?)}"), strict=False)):
        key, nonce = filled(suite.Nk, 1, 0), bytes([0x50 + i]) * 12
        row = filled(aad, 3, i), filled(size, 7, i)
        sealed = aead_seal(suite, key, nonce, *row, "cryptography")
        for j, byte in enumerate(sealed[size:]):
            fold[(i + turned + j) % 16] ^= byte
    return fold


@pytest.mark.parametrize("suite", SUITES)
def test_what_it_knows_is_from_an_independent_library(suite):
    family, suite = FAMILIES[SUITES.index(suite)], CipherSuite(suite)
    known = numbers(rf"\[SFR_{family}\] = {{\d+, \d+, (.*?}}(?:, {{0}}|,\s*{{.*?}})}})")
    assert known[:16] == folded(suite, numbers(r"sizes\[ROWS\] = {(.*?)}"), 0)
    if suite.is_gcm:
        alike = [0] * 16
        for n, size in enumerate(numbers(r"lengths\[LENGTHS\] = {(.*?)}")):
            alike = [a ^ b for a, b in zip(alike, folded(suite, [size] * 5, n), strict=True)]
        assert known[16:] == alike
