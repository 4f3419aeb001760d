"""Installs a wheel into a clean environment of its own interpreter, and uses it there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from compiler import run


def trial(wheel: Path, python: Path, folder: Path, tree: Path, engine: str = "native") -> str:
    """What tools/wheel_smoke.py prints in a new environment; the end when anything fails."""
    shutil.rmtree(folder, ignore_errors=True)
    run(python, "-I", "-m", "venv", "--without-pip", folder)
    installed = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", installed,
        "install", "--quiet", "--only-binary=:all:", wheel)  # fmt: skip
    return smoke(installed, tree, engine)


def smoke(installed: Path, tree: Path, engine: str) -> str:
    """The engine of this name on all its kernels: vectors, a batch."""
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PYSFRAME_", "PYTHON"))}
    done = subprocess.run(
        [installed, "-I", tree / "tools/wheel_smoke.py", engine],
        env=given, cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"{installed}: {done.stdout}{done.stderr}")
    return done.stdout.strip().splitlines()[-1]
