"""The kernels for ARM on CPUs as qemu makes them: known answers, caps, and what is broken.

The frames are those of security/deep/known_answers.py: every length, the public vectors, one by one
and in batches, in place and not, and with a spoiled tag.
"""

import random
import re
import subprocess

import pytest
from arm64.emulated import BEST, CC, DEEP, HERE, KERNELS, QEMU, SECURITY, answers, on, program
from c_core.core import CSRC, run
from security.deep import known_answers
from security.deep.builds import RELEASE, Patch
from security.deep.test_p04_broken_kernels import TAKES_ORDERS
from security.deep.test_p04_emulated_cpus import all_right

SUITES = (4, 5, 1, 6)  # one for each family, in sfr_family's order
CPUS = pytest.mark.parametrize("cpu", BEST)


@pytest.fixture(scope="module")
def frames(tmp_path_factory, request):
    """(file, number of records)"""
    path = tmp_path_factory.mktemp("answers") / "frames"
    most = {"quick": 330}.get(request.config.option.tier, 1100)
    return path, known_answers.write(path, random.Random(request.config.option.seed), most)


@pytest.fixture(scope="module")
def few_frames(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("answers") / "few"
    return path, known_answers.write(path, random.Random(request.config.option.seed), 20)


def test_the_table_has_the_kernels_that_are_expected():
    assert KERNELS == ("armv8_sha3", "armv8")
    assert set(BEST.values()) == set(KERNELS)


@CPUS
def test_known_answers(cpu, frames, figure):
    path, count = frames
    said = on(cpu, answers(), path)
    best = KERNELS.index(BEST[cpu])
    expected = [f"best: {BEST[cpu]}"]
    expected += [
        f"{name}: this CPU or operating system lacks what {name} needs" for name in KERNELS[:best]
    ]
    for name in KERNELS[best:]:
        expected += [f"{name}: ready", all_right(name, count)]
    assert said == expected
    figure(f"{cpu}: {count} frames on {', '.join(KERNELS[best:])}")


def test_a_cap_takes_away_all_above_it(few_frames):
    path, count = few_frames
    said = on("max", answers(), path, "armv8")
    capped = "armv8_sha3: capped by max_isa=armv8"
    assert said == ["best: armv8", capped, "armv8: ready", all_right("armv8", count)]
    assert on("max", answers(), path, "none")[0] == "best: none"


def test_every_fault_is_noticed_by_the_self_test(figure):
    """Each thing that a kernel could do wrongly, in each family of each kernel."""
    said = on("max", program("arm64-broken", [HERE / "broken.c", SECURITY / "saboteur.c"]))
    found = {}
    for line in said:
        name, _, suite = line.rpartition(": ")
        found[tuple(name.split("/"))] = int(suite)
    assert len(found) == len(said) == 2 * 4 * 16
    for (_, family, fault), suite in found.items():
        assert suite == (0 if fault == "nothing" else SUITES[int(family)]), (family, fault)
    figure(f"{sum(suite != 0 for suite in found.values())} faults, each noticed")


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_broken_kernel_is_dropped_and_another_takes_its_place(kernel, few_frames):
    path, count = few_frames
    own = [DEEP / "answers.c", SECURITY / "saboteur.c"]
    orders = program("arm64-answers", own, TAKES_ORDERS)
    said = on("max", orders, path, SABOTAGE=f"{kernel}/0/sealed tag")
    (other,) = (name for name in KERNELS if name != kernel)
    assert said[0] == f"best: {other}"
    assert f"{kernel}: the self-test of suite 4 gave a wrong answer" in said
    assert f"{other}: ready" in said and all_right(other, count) in said


def test_a_miscompiled_kernel_is_dropped(few_frames):
    """As a compiler or a CPU would do it: one kind of product is wrong."""
    path, count = few_frames
    wrong = Patch(
        "aead/gcm_armv8_sha3.c",
        '#include "aead/aes.h"\n',
        "#include <arm_neon.h>\n"
        "#define vmull_high_p64(a, b) vmull_p64(vgetq_lane_p64(a, 0), vgetq_lane_p64(b, 0))\n"
        '#include "aead/aes.h"\n',
    )
    said = on("max", answers(wrong), path)
    assert said[0] == "best: armv8"
    assert "armv8_sha3: the self-test of suite 4 gave a wrong answer" in said
    assert said[-1] == all_right("armv8", count)


@pytest.mark.parametrize("kernel", ["gcm_armv8", "gcm_armv8_sha3"])
def test_all_that_a_kernel_leaves_on_the_stack_is_wiped(kernel, tmp_path):
    flags = f"{RELEASE} -fPIC -fstack-usage -I{CSRC}"
    run(f"{CC} {flags} -c {CSRC}/aead/{kernel}.c -o {tmp_path}/kernel.o")
    lines = [line.split("\t") for line in (tmp_path / "kernel.su").read_text().splitlines()]
    stack = {place.rsplit(":", 1)[1]: int(size) for place, size, _how in lines}
    assert len(stack) > 50
    assert {name for name, size in stack.items() if size > stack["wipe_stack"]} == set()


# ---- what a cap forbids is never executed ----

IN_ASM = re.compile(r"^0x[0-9a-f]+:\s+([0-9a-f]{8})\s", re.MULTILINE)
ASKS_THE_CPU = Patch("hash/sha2.c", "nh == 64 && cpu & SFR_CPU_ARMV8_SHA3", "nh == 64")


def uses_sha3(made, path, folder, *cap) -> bool:
    """Whether code of armv8_sha3 was run: instructions for SHA-512 and SHA-3 begin with CE."""
    log = folder / "in_asm"
    done = subprocess.run([QEMU, "-cpu", "max", "-d", "in_asm", "-D", log, made, path, *cap])
    words = IN_ASM.findall(log.read_text())
    assert done.returncode == 0 and len(words) > 10_000
    return any(word.startswith("ce") for word in words)


def test_a_cap_holds_for_hashes_too(few_frames, tmp_path):
    path, _ = few_frames
    assert uses_sha3(answers(), path, tmp_path)
    assert not uses_sha3(answers(), path, tmp_path, "armv8")
    assert uses_sha3(answers(ASKS_THE_CPU), path, tmp_path, "armv8")
