"""tests/e2e/matrix.toml: every cell is shown or says why not; `make e2e` runs what is shown."""

import ast
import importlib.util
from pathlib import Path

FOLDER = Path(__file__).parent / "e2e"


def load(name):
    spec = importlib.util.spec_from_file_location(f"e2e_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys_of(file, table):
    """Of a dict that is written out in a file which needs the call's libraries to import."""
    for node in ast.walk(ast.parse((FOLDER / file).read_text())):
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if any(isinstance(target, ast.Name) and target.id == table for target in targets):
            return [ast.literal_eval(key) for key in node.value.keys]
    raise AssertionError(f"{file} has no {table}")


matrix = load("matrix")


def test_no_cell_is_empty():
    assert not [cell for cell in matrix.cells() if not cell.says.strip()]


def test_a_cell_that_is_not_shown_says_why():
    reasons = [cell.says for cell in matrix.cells() if not cell.is_shown]
    assert all(len(reason.split()) >= 4 for reason in reasons), reasons


def test_lines_and_measures_are_those_that_run():
    content = matrix.content()
    assert list(content["lines"]) == keys_of("lines.py", "SCENARIOS")
    assert list(content["measures"]) == keys_of("measures.py", "MEASURES")
    for name, line in content["lines"].items():
        assert set(line["cells"]) == set(content["measures"]), name


def test_every_measure_is_shown_somewhere():
    shown = {cell.measure for cell in matrix.cells() if cell.is_shown}
    assert shown == set(matrix.content()["measures"])


def test_an_empty_cell_is_seen(monkeypatch, tmp_path):
    changed = tmp_path / "matrix.toml"
    changed.write_text(matrix.FILE.read_text().replace('"tone" = "shown"', "", 1))
    monkeypatch.setattr(matrix, "FILE", changed)
    assert [cell.measure for cell in matrix.cells() if not cell.says] == ["tone"]
