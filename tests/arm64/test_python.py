"""The package in a real CPython for ARM: what a user does.

The suite itself has not run there: it compiles the C core, and an emulator takes ten times as long.
"""

import pytest
from arm64.emulated import BEST, KERNELS
from arm64.interpreted import python
from security.deep.test_p04_emulated_cpus import IN_PYTHON


@pytest.mark.parametrize("cpu", BEST)
def test_the_package(cpu):
    """Import, self-test of all suites, and some frames: no word of a fallback."""
    done = python("-W", "error", "-c", IN_PYTHON, cpu=cpu)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["native", BEST[cpu]]


def test_doctor_knows_the_kernels():
    done = python("-m", "pysframe", "doctor")
    assert done.returncode == 0 and "All is well." in done.stdout, done.stdout + done.stderr
    assert f"native, kernel {KERNELS[0]}" in done.stdout
    assert "aes pmull sha2 sha3 sha512" in done.stdout


def test_a_cap_and_a_name_choose_the_kernel():
    asked = "import pysframe; print(pysframe.backend_info().kernel, pysframe.engine.ladder())"
    ladder = str(("none", *reversed(KERNELS)))
    for switch in ("PYSFRAME_MAX_ISA", "PYSFRAME_KERNEL"):
        done = python("-c", asked, **{switch: "armv8"})
        assert done.stdout.strip() == f"armv8 {ladder}", done.stderr
