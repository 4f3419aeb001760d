"""No file of code is longer than what one reads at a sitting."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("src", "csrc", "tests", "bench", "tools", "web", "examples")
CODE = {".py", ".pyx", ".pxi", ".pxd", ".pyi", ".c", ".h", ".ts", ".mjs"}
MADE = {"node_modules", "dist", "build", "_native.c"}
MOST = 500  # lines


def code():
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.suffix in CODE and not MADE & set(path.relative_to(ROOT).parts):
                yield path


def test_no_file_is_longer():
    files = {path: path.read_bytes().count(b"\n") for path in code()}
    assert len(files) > 400
    assert {path: lines for path, lines in files.items() if lines > MOST} == {}
