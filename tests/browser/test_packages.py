"""What is shipped of web/ in a wheel and an sdist, and what a build says with nothing to ship."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_A_BUILD = ["src", "web", "tools", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md"]
FILES = {"frame-worker.js", "page.js"} | {
    f"types/{name}.d.ts" for name in ("page", "messages", "frame-worker")
}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def clone(tmp_path):
    """A copy of the sources with what `make web` built; nothing of another build."""
    leave = shutil.ignore_patterns("node_modules", "build", "*.so", "*.egg-info", "__pycache__")
    for name in [*OF_A_BUILD, "LICENSE"]:
        source, copy = ROOT / name, tmp_path / "clone" / name
        copy.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=leave)
        else:
            shutil.copy(source, copy)
    return tmp_path / "clone"


def built(clone: Path, kind: str) -> tuple[Path, str]:
    """The file that a plain-Python build makes, and what it says."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}('out'))"
    environment = {**os.environ, "PYSFRAME_BUILD": "none"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=clone, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return clone / "out" / done.stdout.splitlines()[-1], done.stderr


def test_a_wheel_has_the_files_of_the_browser(clone):
    wheel, said = built(clone, "wheel")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        worker = archive.read("pysframe/web/frame-worker.js")
    assert {f"pysframe/web/{name}" for name in FILES} <= names
    assert worker == (ROOT / "web/dist/frame-worker.js").read_bytes()
    assert "NO BROWSER FILES" not in said


def test_an_sdist_has_them_too(clone):
    sdist, _ = built(clone, "sdist")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"web/dist/{name}" for name in FILES} <= names
    assert "web/frame-worker.ts" in names
    assert not [name for name in names if "node_modules" in name or name.startswith("web/build/")]


def test_a_build_without_them_leaves_them_out_and_says_so(clone):
    shutil.rmtree(clone / "web/dist")
    wheel, said = built(clone, "wheel")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if "/web/" in name]
    assert "NO BROWSER FILES" in said
    assert "`make web`" in said
