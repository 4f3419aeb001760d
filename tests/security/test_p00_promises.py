"""Every promise of SECURITY.md has its tests, and every test file its promise."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECURITY = HERE.parents[1] / "SECURITY.md"
PROMISES = range(1, 17)
LIMITS = 0  # not a promise: what is stated there as not given


def stated(text: str) -> list[int]:
    """The numbers of the table's rows, each of which names its own tests."""
    rows = re.findall(r"^\| (\d+) \| (.+) \| `test_p(\d\d)_\*` \|$", text, re.MULTILINE)
    assert all(
        int(number) == int(pattern) and len(promise) > 20 for number, promise, pattern in rows
    )
    return [int(number) for number, *_ in rows]


def shown(files: list[Path]) -> dict[int, list[Path]]:
    """The promise of each file that has a test in it."""
    found: dict[int, list[Path]] = {}
    for file in files:
        number = re.fullmatch(r"test_p(\d\d)_\w+\.py", file.name)
        assert number, f"{file.name} says no promise"
        tests = [node for node in ast.walk(ast.parse(file.read_text())) if is_test(node)]
        assert tests, f"{file.name} has no test"
        found.setdefault(int(number[1]), []).append(file)
    return found


def is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def test_all_promises_are_stated_once_and_in_order():
    assert stated(SECURITY.read_text()) == [*PROMISES]


def test_every_promise_has_tests_and_every_test_file_a_promise():
    assert sorted(shown([*HERE.rglob("test_*.py")])) == [LIMITS, *PROMISES]


def test_a_missing_row_and_a_row_for_other_tests_are_noticed():
    text = SECURITY.read_text()
    assert stated(re.sub(r"^\| 7 .*\n", "", text, flags=re.MULTILINE)) != [*PROMISES]
    with pytest.raises(AssertionError):
        stated(text.replace("`test_p07_*`", "`test_p08_*`"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("test_p03_x.py", "x = 1\n"), ("test_fences.py", "def test_a(): pass\n")],
)
def test_a_file_without_tests_or_number_is_noticed(tmp_path, name, content):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(AssertionError):
        shown([file])
