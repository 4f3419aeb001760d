"""The package in a real CPython for ARM: what a user does, and promises of tests/security.

Those run in a copy of the project, which compiles for ARM what it compiles. An emulator takes ten
times as long, so a push has a sample of them.
"""

import re

import pytest
from arm64.emulated import BEST, KERNELS
from arm64.interpreted import clone, python
from security.deep.test_p04_emulated_cpus import IN_PYTHON

# The files that were seen to pass there. The others have not been tried.
PROMISES = (
    "p00_promises",
    "p01_vectors",
    "p05_counters",
    "p07_no_plaintext",
    "p12_keys_in_words",
    "p14_groups",
    "p15_interpreters",
)
SAMPLE = ("p07_no_plaintext",)
MOST = 3400  # seconds, for one file


def pytest_generate_tests(metafunc):
    if "promise" in metafunc.fixturenames:
        at_night = metafunc.config.option.tier == "nightly"
        metafunc.parametrize("promise", PROMISES if at_night else SAMPLE)


@pytest.fixture(scope="session")
def arm_clone(tmp_path_factory):
    return clone(tmp_path_factory.mktemp("arm") / "clone")


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


@pytest.mark.timeout(MOST)
def test_a_promise(promise, arm_clone, request, figure):
    """On every engine that there is: both kernels, and the twin over both libraries."""
    seed = request.config.option.seed
    plain = ("-n0", "-p", "no:cacheprovider", f"--seed={seed}", f"--timeout={MOST}")
    file = f"tests/security/test_{promise}.py"
    done = python("-m", "pytest", *plain, file, path=arm_clone / "src", folder=arm_clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"native:{kernel}" in done.stdout for kernel in KERNELS)
    figure(f"{promise}: {re.search(r'=+ (.* passed.*) in ', done.stdout)[1]}")
