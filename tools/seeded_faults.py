"""Shows that the linters see: plants one fault for each in a copy of the tree, expects it found.

Run by `make lint` with the linters of .venv. A linter that passes a planted fault fails the run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

# What is planted, in which file, which linter must say so.
KID, C_FILE = "src/pysframe/kid.py", "csrc/sfr_header.c"
FAULTS = [
    ("an upward import", KID, "\nimport pysframe.receiver\n", "lint-imports"),
    ("crypto outside the engine", KID, "\nimport Crypto\n", "lint-imports"),
    ("an untyped def", KID, "\n\ndef seeded(x):\n    return x\n", "mypy"),
    ("an unused import", KID, "\nimport sched\n", f"ruff check {KID}"),
    ("C out of style", C_FILE, "\nint  x ;\n", f"clang-format --dry-run --Werror {C_FILE}"),
]
NOT_COPIED = shutil.ignore_patterns(".*_cache", ".git", ".venv", "build")


def finds(file: str, fault: str, linter: str) -> bool:
    """Whether the linter passes a copy of the tree, and fails it once the fault is planted."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "tree")
        shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
        clean = passes(copy, linter)
        with open(copy / file, "a") as planted:
            planted.write(fault)
        return clean and not passes(copy, linter)


def passes(tree: Path, linter: str) -> bool:
    paths = {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(tree / "src")}
    command = linter.split()
    return not subprocess.run(
        command, cwd=tree, env=os.environ | paths, capture_output=True
    ).returncode


def main() -> int:
    missed = [what for what, file, fault, linter in FAULTS if not finds(file, fault, linter)]
    for what in missed:
        print(f"NOT FOUND: {what}")
    print(f"{len(FAULTS) - len(missed)} of {len(FAULTS)} planted faults were found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
