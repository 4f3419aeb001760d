"""Promise 4 for whom a CPU's wide registers are not safe: what a cap forbids is never executed.

PYSFRAME_MAX_ISA takes instructions away, wherever the code chooses by the CPU: kernels, the hashes
of the key schedule, those of AES-CTR with HMAC. The installed module runs under each cap, one
instruction at a time, and the first byte of each says what it is: on x86-64, C4 and C5 begin a VEX
instruction (AVX, AVX2, BMI2, VAES), 62 an EVEX instruction (AVX-512), and nothing else.
"""

import json
import os
from pathlib import Path

import pytest
from c_core.core import KERNELS, kernel_or_skip
from isolated import SRC, python
from security.deep import shipped, stepped
from security.deep.builds import RELEASE, Patch, extension

SIZES = {  # of what each operation is done to: as many rows as there are lanes; many blocks
    "key_setup": ((0,),),
    "seal": ((17,) * 9, (700,)),
    "open_good": ((17,) * 9, (700,)),
}
SUITES = (1, 4, 5, 6)  # one for each family
FIRST_BYTES = {0xC4: "VEX", 0xC5: "VEX", 0x62: "EVEX"}
MAY = {"vaes256": {"VEX"}, "aesni": set()}

# What code would do that asks the CPU itself.
DEAF = {
    "batches of HMAC-SHA-512": Patch(
        "aead/ctr_hmac.c",
        "return sfr_cpu() & SFR_CPU_AVX2;",
        'return __builtin_cpu_supports("avx2");',
    ),
    "single hashes": Patch(
        "hash/sha2.c",
        "nh == 64 && cpu & SFR_CPU_AVX2",
        'nh == 64 && __builtin_cpu_supports("avx2")',
    ),
    "the ladder": Patch(
        "aead/dispatch.c", "cpu_bits = below(rung(max_isa), detected);", "cpu_bits = detected;"
    ),
}


def report(*kernels: str) -> None:
    """In a process of its own: {kernel: {suite: kinds()}}, in JSON."""
    ct = stepped.library()
    found = {kernel: {suite: kinds(ct, kernel, suite) for suite in SUITES} for kernel in kernels}
    print(json.dumps(found))


def kinds(ct, kernel: str, suite: int) -> dict[str, str]:
    """Each kind, and where an instruction of it was run."""
    found = {}
    for operation, shapes in SIZES.items():
        for sizes in shapes:
            ran = stepped.kinds(ct, stepped.work_of(kernel, suite, operation, sizes))
            found |= {FIRST_BYTES[b]: shipped.name_of(ran[b]) for b in ran.keys() & FIRST_BYTES}
    return found


def executed(
    cap: str | None, *kernels: str, package: Path = SRC
) -> dict[str, dict[str, dict[str, str]]]:
    code = f"from security.deep.test_p04_caps import report; report(*{kernels})"
    path = os.pathsep.join(map(str, (package, Path(__file__).parents[2])))
    done = python(code, PYSFRAME_MAX_ISA=cap, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("cap", KERNELS[1:])
def test_what_a_cap_forbids_is_never_executed(cap):
    kernel_or_skip(cap)
    found = executed(cap, *KERNELS[KERNELS.index(cap) :])
    for kernel, suites in found.items():
        for suite, seen in suites.items():
            assert seen.keys() <= MAY[cap], (kernel, suite, seen)
    assert set().union(*found[cap].values()) == MAY[cap]  # a cap takes no more than it says


def test_a_wide_kernel_is_seen_to_be_wide():
    kernel_or_skip("vaes512")
    seen = executed(None, "vaes512")["vaes512"]
    assert all("EVEX" in kinds for kinds in seen.values())


def test_without_a_cap_a_narrow_kernel_hashes_with_all_that_the_cpu_has():
    """So the first test can tell: the same kernel runs AVX2 here."""
    kernel_or_skip("vaes256")
    found = executed(None, "aesni")["aesni"]
    assert set(found["6"]) == {"VEX"}
    assert found["1"] == found["4"] == {}


@pytest.mark.timeout(600)  # it compiles
@pytest.mark.parametrize("place", DEAF)
def test_code_that_asks_the_cpu_itself_is_found_out(place):
    kernel_or_skip("vaes256")
    package = extension("deaf", flags=RELEASE, patches=[DEAF[place]], link="-pthread")
    found = executed("aesni", "aesni", package=package)
    assert any(found["aesni"].values())
