"""Promise 9, first and second method: no branch and no address depends on a secret.

MemorySanitizer follows "undefined" bits through the kernels as clang compiles them, at every
level; valgrind through what gcc compiles, as far as it knows the instructions (AES-NI). Both are
told that base_key and plaintext are undefined; public are only verdict, ciphertext and tag.
"""

import re
import subprocess
from pathlib import Path

import pytest
from c_core.core import CSRC, KERNELS, kernel_or_skip
from security.deep.builds import RELEASE, Patch, objects
from security.deep.linking import linked

HERE = Path(__file__).parent
SUITES = (4, 5, 1, 6)
OPERATIONS = ("key_setup", "seal", "open_good", "open_bad")
FOUND = 77  # exit status of a run that found something
HOOK = f"-include {HERE}/verdicts.h"

# Parameters by value would be taken for used; a value barrier of inline assembler is a use, too.
MSAN = f"-O1 -g -std=gnu11 -fsanitize=memory -fno-sanitize-memory-param-retval -DCT_MSAN {HOOK}"
VALGRIND = f"{RELEASE.replace('c11', 'gnu11')} -DCT_VALGRIND {HOOK}"

VERDICT = "return (int)(((uint32_t)differing - 1) >> 31);"
PUBLIC_VERDICT = Patch(
    "platform/secrets.c", VERDICT, f"ct_public(&differing, sizeof differing);\n    {VERDICT}"
)
LEAKY = Patch(
    "platform/secrets.c",
    "differing |= (uint8_t)(a[i] ^ b[i]);",
    "if (a[i] != b[i]) return 0;",
)


@pytest.fixture(params=SUITES)
def suite(request):
    return request.param


def ct(cc: str, flags: str, *patches: Patch) -> Path:
    return linked("ct", [HERE / "ct.c"], cc, flags, objects(cc, flags, patches))


def followed(*command, suite: int, fault: str = "none") -> tuple[int, list[str], str]:
    """(exit status, what it says it has done, what the tool says)"""
    done = subprocess.run([*command, str(suite), fault], capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines(), done.stderr


def msan(kernel: str, suite: int, fault: str = "none", *patches: Patch):
    program = ct("clang-14", MSAN, PUBLIC_VERDICT, *patches)
    command = "env", f"MSAN_OPTIONS=exit_code={FOUND}", program, kernel
    return followed(*command, suite=suite, fault=fault)


def valgrind(suite: int, fault: str = "none", *patches: Patch):
    program = ct("gcc", VALGRIND, PUBLIC_VERDICT, *patches)
    tool = "valgrind", "-q", f"--error-exitcode={FOUND}"
    return followed(*tool, program, "aesni", suite=suite, fault=fault)


def names(kernel: str, suite: int) -> list[str]:
    return [f"{kernel} {suite} {operation}" for operation in OPERATIONS]


def test_where_a_verdict_is_made_public():
    """The hooks of verdicts.h are on the comparisons of tags and on nothing else."""
    used = [line for path in CSRC.rglob("*.[ch]") for line in path.read_text().splitlines()]
    tests = [line for line in used if "_mm_testz_si128" in line]
    masks = [line for line in used if "_mm512_cmpneq_epi64_mask" in line]
    zeros = [line for line in used if "sfr_block_is_zero" in line]
    assert len(tests) == 2 and sum("!_mm_testz_si128(wrong, wrong)" in line for line in tests) == 1
    assert sum("bool sfr_block_is_zero(sfr_block b)" in line for line in tests) == 1
    # It is defined for two instruction sets, and used for tags.
    assert len(zeros) == 3 and sum("!sfr_block_is_zero(wrong)" in line for line in zeros) == 1
    assert len(masks) == 1 and "(tags, claimed)" in masks[0]
    # It is declared and defined, and used for tags, a key's fingerprint and the registry's secret.
    assert len(re.findall(r"[^_]sfr_equal\(", "\n".join(used))) == 5


@pytest.mark.parametrize("kernel", KERNELS)
def test_memory_sanitizer_finds_nothing(kernel, suite):
    status, done, said = msan(kernel_or_skip(kernel), suite)
    assert (status, done) == (0, names(kernel, suite)), said


@pytest.mark.parametrize("fault", ["leaky_compare", "secret_index"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_memory_sanitizer_finds_a_seeded_leak(kernel, fault):
    status, done, said = msan(kernel_or_skip(kernel), 4, fault)
    assert (status, done) == (FOUND, names(kernel, 4)), said
    assert fault in said


def test_valgrind_finds_nothing(suite):
    status, done, said = valgrind(suite)
    assert (status, done) == (0, names("aesni", suite)), said


@pytest.mark.parametrize("fault", ["leaky_compare", "secret_index"])
def test_valgrind_finds_a_seeded_leak(fault):
    status, done, said = valgrind(4, fault)
    assert (status, done) == (FOUND, names("aesni", 4)), said
    assert fault in said


@pytest.mark.parametrize("tool", [lambda *a: msan("aesni", *a), valgrind], ids=["msan", "valgrind"])
def test_a_comparison_that_ends_early_is_found(tool):
    """The seeded fault in the library's own comparison: the HMAC suites' tags."""
    status, done, said = tool(1, "none", LEAKY)
    assert status == FOUND and "sfr_equal" in said, said
    assert done[:2] == names("aesni", 1)[:2]  # no tag is compared before
