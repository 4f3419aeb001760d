"""Installs a wheel into a clean environment of its own interpreter, and uses it there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from compiler import run
from targets import Python

CALLERS = (
    "3.11",
    "3.12",
    "3.13",
    "3.14",
    "3.14t",
)  # the CPythons that PyAV and NumPy have wheels for
UNTIMED = ("--budget-us", "1e9")  # the machine may be busy
FREEZER, ZIPPER = "pyinstaller==6.22.3", "shiv==1.0.8"


def trial(wheel: Path, python: Python, folder: Path, tree: Path, engine: str = "native") -> str:
    """What tools/wheel_smoke.py prints in a new environment; the end when anything fails."""
    shutil.rmtree(folder, ignore_errors=True)
    run(python.executable, "-I", "-m", "venv", "--without-pip", folder)
    installed = folder / "bin" / "python"
    _install(installed, wheel)
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


def has_pyav(version: str) -> bool:
    return version in CALLERS


def call(wheel: Path, folder: Path) -> str:
    """What `pysframe call` says in the environment of the trial that `folder` holds."""
    _install(folder / "bin/python", f"pysframe[call] @ {wheel.resolve().as_uri()}")
    said = json.loads(run(folder / "bin/pysframe", "call", "--json", *UNTIMED, folder=Path("/")))
    if not said["ok"]:
        sys.exit(f"{wheel.name}: a call failed: {said}")
    return f"call: {said['engine']}, {said['spoken']} was spoken and {said['answered']} answered"


def applications(wheel: Path, python: Path, folder: Path) -> list[str]:
    """What `pysframe doctor` says in an application that was frozen, and in one that was zipped, in
    the environment of the trial that `folder` holds."""
    _install(folder / "bin/python", FREEZER, ZIPPER)
    code, zipped = folder / "app.py", folder / "app.pyz"
    code.write_text("from pysframe_command import main\nraise SystemExit(main())\n")
    run(folder / "bin/pyinstaller", "--noconfirm", "--log-level=ERROR", code, folder=folder)
    # Native modules cannot be loaded from a zip archive. One of shiv's unpacks itself.
    run(folder / "bin/shiv", "-e", "pysframe_command:main", "-o", zipped, wheel)
    place = str(folder / "unpacked")
    return [
        f"frozen: {_engine(run(folder / 'dist/app/app', 'doctor', '--json', folder=Path('/')))}",
        f"zipped: {_engine(run(python, '-I', zipped, 'doctor', '--json', SHIV_ROOT=place))}",
    ]


def _engine(said: str) -> str:
    found = json.loads(said)
    if not found["ok"] or found["engine"] != "native":
        sys.exit(f"an application made from the wheel has no native engine: {said}")
    return f"{found['engine']}:{found['kernel']}, self-test {found['self_test']}"


def _install(python: Path, *what: Path | str) -> None:
    """With this program's pip, which works on an environment that has none."""
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install",
        "--quiet", "--only-binary=:all:", *what)  # fmt: skip
