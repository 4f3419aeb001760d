"""Promise 4: a kernel that computes wrongly is never used; the next one takes its place.

Each operation of each kernel is spoiled once, in builds whose dispatch takes orders (saboteur.c),
and once more as a compiler or CPU would do it: one instruction of one file computes something else.
"""

import os
import random
import subprocess
from pathlib import Path

import pytest
from c_core.core import CSRC, KERNELS, kernel_or_skip
from security.deep import known_answers
from security.deep.builds import RELEASE, Patch, cached, compiled, objects, sources
from security.deep.linking import linked
from security.deep.test_p04_emulated_cpus import FLAGS, HERE, SECURITY, all_right
from security.natively import native
from security.test_p04_self_tests import NO_FAULT, SUITES, faults

TAKES_ORDERS = (
    Patch(
        "aead/dispatch.c",
        "/* ---- the ladder ---- */",
        "void sabotage(sfr_kernel *, size_t);\n\n/* ---- the ladder ---- */",
    ),
    Patch(
        "aead/dispatch.c",
        "for (size_t i = 0; i < KERNELS; i++) admit(i, detected, max_isa);",
        "sabotage(kernels, KERNELS);\n"
        "    for (size_t i = 0; i < KERNELS; i++) admit(i, detected, max_isa);",
    ),
)


@pytest.fixture(scope="module")
def frames(tmp_path_factory, request):
    """(file, number of records): few, since it is about which kernel is used."""
    path = tmp_path_factory.mktemp("answers") / "frames"
    return path, known_answers.write(path, random.Random(request.config.option.seed), 60)


def said_by(program: Path, path: Path, **environment: str) -> list[str]:
    done = subprocess.run(
        [program, path], capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def assert_dropped(said: list[str], kernel: str, suite: int, count: int) -> None:
    """One kernel is out, with its reason; the widest of the others takes its place."""
    others = [name for name in KERNELS if name != kernel]
    assert said[0] == f"best: {others[0]}"
    assert f"{kernel}: the self-test of suite {suite} gave a wrong answer" in said
    for other in others:
        assert f"{other}: ready" in said and all_right(other, count) in said
    assert len(said) == 6


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_broken_operation(kernel, frames):
    kernel_or_skip(kernel)
    path, count = frames
    own = [HERE / "answers.c", SECURITY / "saboteur.c"]
    program = linked("answers", own, "gcc", FLAGS, objects("gcc", RELEASE, TAKES_ORDERS))
    honest = said_by(program, path, SABOTAGE=f"{kernel}/0/{NO_FAULT}")
    assert [line for line in honest if "ready" in line] == [f"{name}: ready" for name in KERNELS]
    known = faults(native("saboteur"))[1:]
    for family, suite in enumerate(SUITES):
        for fault in known:
            said = said_by(program, path, SABOTAGE=f"{kernel}/{family}/{fault}")
            assert_dropped(said, kernel, suite, count)
    print(f"{kernel}: {len(known) * len(SUITES)} faults, each seen to drop it")


# ---- as a compiler or a CPU would do it ----

# (kernel, file, instruction, what it computes instead, suite that finds it out)
HIGH_ZERO = "_mm512_inserti64x4(_mm512_setzero_si512(), _mm512_castsi512_si256({}), 0)"
MISCOMPILED = [
    ("vaes512", "aead/gcm_vaes512.c", "_mm512_aesenc_epi128(a, b)", HIGH_ZERO, 4),
    ("vaes512", "aead/ctr_vaes.c", "_mm512_aesenc_epi128(a, b)", HIGH_ZERO, 1),
    ("vaes256", "aead/gcm_vaes256.c", "_mm256_aesenc_epi128(a, b)",
     "_mm256_inserti128_si256({}, _mm_setzero_si128(), 1)", 4),
    ("vaes256", "aead/ctr_vaes.c", "_mm256_aesenc_epi128(a, b)",
     "_mm256_inserti128_si256({}, _mm_setzero_si128(), 1)", 1),
    ("aesni", "aead/gcm_aesni.c", "_mm_testz_si128(a, b)", "({}, 1)", 4),
]  # fmt: skip


def miscompiled(file: str, call: str, instead: str) -> list[Path]:
    """All of csrc/, one file of it with another meaning for one instruction."""
    name = call.partition("(")[0]
    assert f"{name}(" in (CSRC / file).read_text() + headers(), f"{file} has no {name}"
    text = f"#include <immintrin.h>\n#define {call} {instead.format(call)}\n"
    header = cached("fault", text, lambda made: (made / "fault.h").write_text(text)) / "fault.h"
    flags = f"{RELEASE} -Wno-unused-value -include {header}"
    spoiled = compiled(CSRC / file, "gcc", flags, sources())
    return [part for part in objects("gcc", RELEASE) if part.stem != Path(file).stem] + [spoiled]


def headers() -> str:
    return "".join(path.read_text() for path in CSRC.rglob("*.h"))


@pytest.mark.parametrize("case", MISCOMPILED, ids=lambda case: f"{case[1]}-{case[2].split('(')[0]}")
def test_a_miscompiled_kernel(case, frames):
    kernel, file, call, instead, suite = case
    kernel_or_skip(kernel)
    path, count = frames
    parts = miscompiled(file, call, instead)
    program = linked("answers", [HERE / "answers.c"], "gcc", FLAGS, parts)
    assert_dropped(said_by(program, path), kernel, suite, count)


# ---- in the code of one length only ----

VARIANTS = {
    "four frames of two quads": Patch(
        "aead/gcm_vaes512_short.h",
        "if (j < frames)\n",
        "if (j < frames && (width != 2 || frames != 4))\n",
    ),
    "streams that end in seven": Patch(
        "aead/gcm_vaes512_long.h",
        "if (r <= known) hash_turn",
        "if (r <= known && known != 7) hash_turn",
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fault_in_one_variant(variant, frames):
    kernel_or_skip("vaes512")
    path, count = frames
    parts = objects("gcc", RELEASE, (VARIANTS[variant],))
    program = linked("answers", [HERE / "answers.c"], "gcc", FLAGS, parts)
    assert_dropped(said_by(program, path), "vaes512", 4, count)
