"""pysframe for ARM in a real CPython for ARM, which qemu runs: see the script `interpreter`."""

import os
import subprocess
from functools import cache
from pathlib import Path

from arm64.emulated import CC, QEMU
from security.deep.builds import (
    PACKAGE,
    RELEASE,
    ROOT,
    cached,
    compiled,
    generated,
    link_modules,
    objects,
    run,
    sources,
)  # fmt: skip

MADE = ROOT / "build" / "arm64"
PYTHON = MADE / "root/usr/bin/python3.11"
SUFFIX = ".cpython-311-aarch64-linux-gnu.so"
LINK = "-shared -pthread -Wl,-z,relro,-z,now -Wl,-z,noexecstack"


@cache
def package() -> Path:
    """A folder with pysframe and its native engine for ARM, as setup.py would build it there."""
    headers = MADE / "root/usr/include"
    bound = compiled(generated(), CC, RELEASE, headers, headers / "python3.11", sources())
    parts = [bound, *objects(CC, RELEASE)]
    modules = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

    def build(made: Path) -> None:
        link_modules(made / "pysframe", modules)
        run(CC, *LINK.split(), *parts, "-o", made / "pysframe/engine" / f"_native{SUFFIX}")

    return cached("arm64-package", (LINK, parts, modules), build)


def python(*arguments: str, cpu: str = "max", **environment: str) -> subprocess.CompletedProcess:
    """Runs the interpreter. What it imports: the package; wheels for ARM; then what .venv has that
    is plain Python."""
    ours = Path(os.__file__).parent  # of a virtual environment: the one it was made from
    plain = next(ROOT.glob(".venv/lib/python3*/site-packages"), ours)
    path = os.pathsep.join(map(str, (package(), MADE / "site", plain)))
    given = {"PYTHONHOME": MADE / "root/usr", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": 1}
    asked = [
        word for name, value in (given | environment).items() for word in ("-E", f"{name}={value}")
    ]
    command = [QEMU, "-L", MADE / "root", "-cpu", cpu, *asked, PYTHON, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
