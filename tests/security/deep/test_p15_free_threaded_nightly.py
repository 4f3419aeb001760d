"""Promise 15: a free-threaded Python imports the native engine without turning its lock on, and the
concurrency tests pass there, also where the interpreter itself is built with ThreadSanitizer, which
then sees all that orders the threads: Python's locks as well as our own.

Nightly, since these Pythons are built first: tools/free_threaded.sh.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from security.deep.builds import ROOT, Patch, extension, run
from security.deep.test_p15_races import FILES, RACY_COUNTER, TWO_THREADS

IMPORT = "import sys, pysframe; print(pysframe.backend_info().engine, sys._is_gil_enabled())"
# Another runtime than gcc's: it lies in the interpreter, which clang compiled.
CC, THREAD = "clang-14", "-O1 -g1 -std=c11 -fsanitize=thread"
ONLY = "native and not gil"  # there is none to let go of

pytestmark = pytest.mark.timeout(0)
# One worker of xdist for each Python, since it is built once.
PLAIN, SANITIZED = (pytest.mark.xdist_group(f"free-threaded {n}") for n in ("plain", "sanitized"))


@pytest.fixture(scope="module")
def python() -> str:
    """The path of an interpreter: $FREE_THREADED_PYTHON, or one built now."""
    return os.environ.get("FREE_THREADED_PYTHON") or built("free-threaded")


@pytest.fixture(scope="module")
def sanitized() -> str:
    return built("free-threaded-tsan", f"CC={CC}", "--with-thread-sanitizer")


def built(name: str, *options: str) -> str:
    return run(ROOT / "tools/free_threaded.sh", ROOT / "build" / name, *options).splitlines()[-1]


def ran(package: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{package}:{ROOT / 'tests'}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)


def in_it(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ran(extension("free-threaded", python=python), python, *arguments)


def watched(
    python: str, *arguments: str, patches: tuple[Patch, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """The same under ThreadSanitizer, without what CPython knows of its own races."""
    package = extension("free-threaded-tsan", cc=CC, flags=THREAD, patches=patches, python=python)
    known = Path(python).parents[1] / "tsan_suppressions.txt"
    tsan = f"TSAN_OPTIONS=exitcode=66 suppressions={known}"
    return ran(package, "env", tsan, "setarch", "-R", python, *arguments)


def concurrency_tests(pytestconfig) -> list[str]:
    options = ["-o", "addopts=--import-mode=importlib", "--partial", "-q", "-p", "no:cacheprovider"]
    seed = f"--seed={pytestconfig.option.seed}"
    return ["-m", "pytest", *FILES, "-k", ONLY, seed, *options]


@PLAIN
def test_the_lock_stays_off(python):
    done = in_it(python, "-c", IMPORT)
    assert (done.stdout, done.stderr) == ("native False\n", "")


@PLAIN
def test_the_concurrency_tests_pass(python, pytestconfig, figure):
    done = in_it(python, *concurrency_tests(pytestconfig))
    print(done.stdout[-800:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = int(re.findall(r"(\d+) passed", done.stdout)[-1])
    figure(f"{passed} tests passed without the GIL")
    assert passed >= 20


@SANITIZED
def test_the_concurrency_tests_are_free_of_races(sanitized, pytestconfig, figure):
    done = watched(sanitized, *concurrency_tests(pytestconfig))
    print(done.stdout[-800:])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-4000:]
    assert "WARNING: ThreadSanitizer" not in done.stderr + done.stdout
    passed = int(re.findall(r"(\d+) passed", done.stdout)[-1])
    figure(f"{passed} tests passed without the GIL and without a race")
    assert passed >= 20


@SANITIZED
def test_without_a_fault_nothing_is_said(sanitized):
    done = watched(sanitized, "-c", TWO_THREADS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "native\n", "")


@SANITIZED
def test_a_racy_counter_is_found(sanitized):
    """The seeded fault."""
    done = watched(sanitized, "-c", TWO_THREADS, patches=(RACY_COUNTER,))
    assert done.returncode == 66
    assert "ThreadSanitizer: data race" in done.stderr and "aead/run.c" in done.stderr
