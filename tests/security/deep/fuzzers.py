"""The libFuzzer targets of csrc/fuzz/: built with ASan, UBSan and coverage, run, and counted."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from security.deep.builds import CSRC, ROOT, Patch, program, run

TARGETS = ("fuzz_header", "fuzz_unprotect", "fuzz_batch")
CC = "clang-14"
COVERAGE = "-fprofile-instr-generate -fcoverage-mapping"
FLAGS = (
    "-O1 -g1 -std=c11 -fsanitize=address,undefined,fuzzer-no-link "
    f"-fno-sanitize-recover=undefined {COVERAGE}"
)
# The unrolled kernels hold no shifts or indices that vary: ASan alone, its checks as calls.
UNROLLED = (
    "-O1 -g1 -std=c11 -fsanitize=address,fuzzer-no-link -fno-sanitize-coverage=trace-cmp "
    f"-mllvm -asan-instrumentation-with-call-threshold=50 {COVERAGE}"
)


class Outcome(NamedTuple):
    code: int
    executions: int
    opened: int
    said: str


def built(target: str, patches: Sequence[Patch] = ()) -> Path:
    own = [CSRC / "fuzz" / f"{target}.c", CSRC / "fuzz" / "fuzz.c"]
    how = {"cc": CC, "flags": FLAGS, "unrolled": UNROLLED, "patches": patches}
    return program(target, own, link="-fsanitize=fuzzer", **how)


# libFuzzer looks at a process's peak, and that comes through fork and exec from the test run: 3 GB.
MEMORY = "-rss_limit_mb=8192"


def fuzz(binary: Path, folder: Path, seed: int, *options: str) -> Outcome:
    """One run from an empty corpus; its coverage lies in folder/NAME.profraw afterwards."""
    corpus = folder / f"{binary.name}.corpus"
    corpus.mkdir(exist_ok=True)
    command = [binary, corpus, f"-seed={seed % 2**32}", MEMORY, "-max_len=4096", "-len_control=0"]
    where = {"LLVM_PROFILE_FILE": str(folder / f"{binary.name}.profraw")}
    done = subprocess.run(
        [*command, *options, "-print_final_stats=1", f"-artifact_prefix={folder}/"],
        env=where | {"ASAN_OPTIONS": "detect_leaks=0", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        cwd=folder,
    )
    counts = re.findall(r"fuzz: (\d+) executions, (\d+) opened", done.stderr) or [(0, 0)]
    return Outcome(done.returncode, *map(int, counts[-1]), done.stderr)


def c_tests(folder: Path, *files: str) -> Path:
    """Tests of c_core over a library with coverage; returns that library."""
    environment = {
        "SFR_CC": CC,
        "SFR_CFLAGS": f"-O1 -Wno-error {COVERAGE}",
        "LLVM_PROFILE_FILE": str(folder / "c-%p.profraw"),
        "PYTHONPATH": str(ROOT / "tests"),
        "HYPOTHESIS_PROFILE": "desk",
    }
    names = [f"tests/c_core/test_{file}.py" for file in files]
    options = ["-q", "--partial", "--timeout=600", "-p", "no:cacheprovider"]
    run(sys.executable, "-m", "pytest", *names, *options, **environment)
    where = "from c_core.core import built; print(built() / 'libsfr.so')"
    return Path(run(sys.executable, "-c", where, **environment).strip())


def line_coverage(binaries: Sequence[Path], profiles: Sequence[Path], into: Path):
    """{file of csrc/: (lines, lines that ran)} over all the runs together."""
    merged = into / "merged.profdata"
    run("llvm-profdata-14", "merge", "-sparse", *profiles, "-o", merged)
    objects = [part for binary in binaries[1:] for part in ("-object", binary)]
    command = ["llvm-cov-14", "export", "-summary-only", f"-instr-profile={merged}"]
    report = json.loads(run(*command, binaries[0], *objects))
    found = {}
    for file in report["data"][0]["files"]:
        path = Path(file["filename"])
        if path.is_relative_to(CSRC) and path.parent.name not in ("fuzz", "tests"):
            lines = file["summary"]["lines"]
            found[str(path.relative_to(CSRC))] = lines["count"], lines["covered"]
    return found
