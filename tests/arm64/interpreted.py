"""pysframe for ARM in a real CPython for ARM, which qemu runs: see the script `interpreter`."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from arm64.emulated import CC
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
PYTHON = MADE / "python/bin/python"
SUFFIX = ".cpython-311-aarch64-linux-gnu.so"
LINK = "-shared -pthread -Wl,-z,relro,-z,now -Wl,-z,noexecstack"
CLONED = ("src", "csrc", "tests", "vectors", "docs", "tools")
NOT_CLONED = ("*.so", "__pycache__", "node_modules", "e2e")


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


def clone(folder: Path) -> Path:
    """A copy of the project, built as on an ARM machine; what its tests compile is for ARM, too."""
    for name in CLONED:
        ignored = shutil.ignore_patterns(*NOT_CLONED)
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for file in (path for path in ROOT.glob("*.*") if path.is_file()):
        shutil.copy(file, folder)
    module = Path("pysframe/engine") / f"_native{SUFFIX}"
    shutil.copy(package() / module, folder / "src" / module)
    (MADE / "built").mkdir(exist_ok=True)
    (folder / "build").symlink_to(MADE / "built")
    return folder


def python(
    *arguments: str, cpu: str = "max", path: Path | None = None, folder: Path = ROOT, **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs the interpreter; `path` is where it finds the package."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("PYSFRAME_", "PYTEST_"))}
    given = {
        "ARM64_CPU": cpu,
        "PATH": f"{MADE / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(path or package()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [PYTHON, *arguments], env=ours | given | more, cwd=folder, capture_output=True, text=True
    )
