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

KID, NEW, NEW_IN_ENGINE, NEW_IN_CLI = (
    f"src/pysframe/{name}" for name in ("keys/layouts.py", "new.py", "engine/new.py", "cli/new.py")
)
C_FILE, ROSTER = "csrc/frame/header.c", "src/pysframe/keyservice/roster.py"
STUB, PUBLIC = "src/pysframe/engine/_native.pyi", "tests/typing/public_api.py"
STUBTEST = "python -m mypy.stubtest pysframe.engine._native --allowlist tests/typing/unstubbed.txt"
TYPING = "mypy --config-file tests/typing/mypy.ini tests/typing/public_api.py"
WRONG_TYPE = "\ndef seeded(sender: Sender) -> int:\n    return sender.protect(b'')\n"
WORKFLOW = ".github/workflows/bench.yml"
JOB = "\n  seeded:\n    runs-on: ubuntu-24.04\n    steps: [{ uses: actions/checkout@v7 }]\n"
NO_SUCH = JOB.replace("24", "0")
UPWARD = "\nimport pysframe.receiver\n"
IMPORTS, CRYPTO = "Imports point down BROKEN", "Only the engine touches a crypto library BROKEN"
NUMPY = "The core does not import NumPy BROKEN"
JOSE = "Only the key service's credentials touch JOSE BROKEN"
KEYS_IO = "The key service does no I/O BROKEN"

# What is planted, in which file (a new one, if there is none), which linter must say what of it.
FAULTS = [
    ("an upward import", KID, UPWARD, "lint-imports", IMPORTS),
    ("crypto outside the engine", KID, "\nimport Crypto\n", "lint-imports", CRYPTO),
    ("a new module without a floor", NEW, "", "lint-imports", "pysframe.new"),
    ("an upward import in a new module", NEW_IN_ENGINE, UPWARD, "lint-imports", IMPORTS),
    ("crypto in a new module", NEW, "import cryptography\n", "lint-imports", CRYPTO),
    ("crypto in a new command", NEW_IN_CLI, "import Crypto\n", "lint-imports", CRYPTO),
    ("NumPy in a new module", NEW, "import numpy\n", "lint-imports", NUMPY),
    ("JOSE in a new module", NEW, "import joserfc\n", "lint-imports", JOSE),
    ("a clock in the key service", ROSTER, "\nimport time\n", "lint-imports", KEYS_IO),
    ("an untyped def", KID, "\n\ndef seeded(x):\n    return x\n", "mypy", "no-untyped-def"),
    ("a stub of nothing", STUB, "\ndef seeded() -> int: ...\n", STUBTEST, "seeded"),
    ("a wrong type of the public API", PUBLIC, WRONG_TYPE, TYPING, "return-value"),
    ("the same", PUBLIC, WRONG_TYPE, "pyright -p tests/typing", "reportReturnType"),
    ("an unused import", KID, "\nimport sched\n", f"ruff check {KID}", "sched"),
    ("C out of style", C_FILE, "\nint  x ;\n", f"clang-format --dry-run --Werror {C_FILE}", ""),
    ("a runner that is not", WORKFLOW, NO_SUCH, f"actionlint {WORKFLOW}", "ubuntu-0"),
    ("an action without a pin", WORKFLOW, JOB, f"zizmor --offline {WORKFLOW}", "unpinned-uses"),
]
NOT_COPIED = shutil.ignore_patterns(".*_cache", ".git", ".venv", "build")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        for linter in dict.fromkeys(fault[3] for fault in FAULTS):
            if said := complaint(tree, linter):
                print(f"WITHOUT A FAULT: {said}")
                return 1
        missed = [what for what, *fault in FAULTS if not finds(tree, *fault)]
    for what in missed:
        print(f"NOT FOUND: {what}")
    print(f"{len(FAULTS) - len(missed)} of {len(FAULTS)} planted faults were found")
    return 1 if missed else 0


def finds(tree: Path, file: str, fault: str, linter: str, words: str) -> bool:
    """Whether the linter, in a tree that it passes, finds the fault and says these words."""
    path = tree / file
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + fault)
    said = complaint(tree, linter)
    path.unlink() if before is None else path.write_text(before)
    return bool(said) and words in said


def complaint(tree: Path, linter: str) -> str:
    """What the linter says of a tree that it fails, and its name; nothing if it passes."""
    paths = {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(tree / "src")}
    done = subprocess.run(
        linter.split(), cwd=tree, env=os.environ | paths, capture_output=True, text=True
    )
    return f"{linter}: {done.stdout}{done.stderr}" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
