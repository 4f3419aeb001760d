"""The package with its C code under a sanitizer, in a Python of its own.

The interpreter is the ordinary one, so the sanitizer's library comes first by LD_PRELOAD, and
Python's own pools give way to malloc, where each object has its own fences.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from security.deep.builds import ROOT, Patch, extension, runtime

# In the unrolled kernels the checks are calls: inline they take the compiler minutes.
CALLS = "-O1 -g1 -std=c11 -fsanitize=address --param asan-instrumentation-with-call-threshold=50"
ADDRESS = "-O1 -g1 -std=c11 -fsanitize=address,undefined -fno-sanitize-recover=undefined"
THREAD = "-O1 -g1 -std=c11 -fsanitize=thread"


def with_asan(patches: Sequence[Patch] = ()) -> Path:
    return extension("asan", flags=ADDRESS, unrolled=CALLS, patches=patches)


def with_tsan(patches: Sequence[Patch] = ()) -> Path:
    return extension("tsan", flags=THREAD, patches=patches)


def python(
    package: Path, *arguments: str | Path, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Runs `python ARGUMENTS` with the sanitizer that the package was built with."""
    thread = package.name.startswith("tsan")
    libraries = ("tsan",) if thread else ("asan", "ubsan")
    environment = os.environ | {
        "LD_PRELOAD": " ".join(map(runtime, libraries)),
        "PYTHONPATH": f"{package}:{ROOT / 'tests'}",
        "PYTHONMALLOC": "malloc",
        "PYSFRAME_BACKEND": "native",
        "HYPOTHESIS_PROFILE": "desk",  # in CI, too: it is about memory, and each example is slow
        "PYCRYPTODOME_DISABLE_DEEPBIND": "1",  # ASan refuses libraries that bind so
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "exitcode=66",
    }
    where = ["setarch", "-R"] if thread else []  # TSan wants its addresses where they always are
    command = [*where, python, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)


def suite(package: Path, *files: str, only: str = "native", seed: int = 1):
    """The native part of some files of the suite; hypothesis as at the desk."""
    options = ["-q", "-p", "no:cacheprovider", "--partial", "--timeout=600", f"--seed={seed}"]
    return python(package, "-m", "pytest", *files, "-k", only, *options)
