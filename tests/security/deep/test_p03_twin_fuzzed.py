"""Promise 3, the twin: headers and frames at the plain-Python engine under atheris.

Rules: nothing but a FrameRejected comes out of it; at least one execution in five opens. A parser
that takes a short header for a whole one is found.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from security.deep.builds import ROOT
from security.deep.fuzzers import MEMORY

TARGET = Path(__file__).with_name("fuzz_twin.py")

pytestmark = pytest.mark.timeout(0)


def fuzz(folder: Path, seed: int, *options: str, source: Path = ROOT / "src"):
    """(exit code, executions, opened, what was said)"""
    done = subprocess.run(
        [sys.executable, TARGET, f"-seed={seed % 2**32}", "-max_len=400", MEMORY, *options],
        env=os.environ | {"PYTHONPATH": str(source)},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    counts = re.findall(r"fuzz: (\d+) executions, (\d+) opened", done.stderr) or [(0, 0)]
    return done.returncode, *map(int, counts[-1]), done.stdout + done.stderr


def test_nothing_is_found(tmp_path, by_tier, figure, pytestconfig):
    runs = by_tier(0, 100_000, 4_000_000)
    code, executions, opened, said = fuzz(tmp_path, pytestconfig.option.seed, f"-runs={runs}")
    figure(f"twin: {executions} executions, {opened} opened")
    assert code == 0, said[-3000:]
    assert executions >= runs
    assert opened >= executions / 5


def test_a_header_past_the_end_is_found(tmp_path, pytestconfig):
    """The seeded fault: a header parser that does not ask whether the bytes are there."""
    shutil.copytree(ROOT / "src" / "pysframe", tmp_path / "pysframe")
    header = tmp_path / "pysframe" / "header.py"
    text = header.read_text()
    assert text.count("if size > len(data):") == 1
    header.write_text(text.replace("if size > len(data):", "if False:"))
    code, *_, said = fuzz(tmp_path, pytestconfig.option.seed, "-runs=20000", source=tmp_path)
    assert code != 0 and "assert len(encoded) <= header.size <= len(data)" in said
