"""Promise 15: a free-threaded Python imports the native engine without turning its lock on, and the
concurrency tests pass there. Nightly, since that Python is built first: tools/free_threaded.sh.
"""

import os
import re
import subprocess

import pytest
from security.deep.builds import ROOT, extension, run

FOLDER = ROOT / "build" / "free-threaded"
FILES = ("tests/test_threads.py", "tests/security/test_p14_groups.py")
IMPORT = "import sys, pysframe; print(pysframe.backend_info().engine, sys._is_gil_enabled())"

pytestmark = pytest.mark.timeout(0)


@pytest.fixture(scope="module")
def python() -> str:
    """The path of an interpreter: $FREE_THREADED_PYTHON, or one built now."""
    given = os.environ.get("FREE_THREADED_PYTHON")
    return given or run(ROOT / "tools" / "free_threaded.sh", FOLDER).splitlines()[-1]


def in_it(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    package = extension("free-threaded", python=python)
    environment = os.environ | {"PYTHONPATH": f"{package}:{ROOT / 'tests'}"}
    return subprocess.run(
        [python, *arguments], env=environment, capture_output=True, text=True, cwd=ROOT
    )


def test_the_lock_stays_off(python):
    done = in_it(python, "-c", IMPORT)
    assert (done.stdout, done.stderr) == ("native False\n", "")


def test_the_concurrency_tests_pass(python, pytestconfig):
    options = ["-o", "addopts=--import-mode=importlib", "--partial", "-q", "-p", "no:cacheprovider"]
    only = "native and not gil"  # there is none to let go of
    seed = f"--seed={pytestconfig.option.seed}"
    done = in_it(python, "-m", "pytest", *FILES, "-k", only, seed, *options)
    print(done.stdout[-800:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) >= 20
