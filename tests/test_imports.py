"""What import-linter cannot see: the native module is no Python file."""

import ast
from pathlib import Path

import isolated
import pytest

import pysframe
from pysframe import engine as engines

PACKAGE = Path(pysframe.__file__).parent
MODULES = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "engine"]


def imported(tree: ast.AST) -> set[str]:
    """What runs of its imports: those for type checkers do not."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module or ''}.{alias.name}" for alias in node.names}
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            found |= imported(node)
    return found


def test_only_the_engine_imports_the_native_module():
    found = {path: imported(ast.parse(path.read_text())) for path in MODULES}
    assert len(found) > 30
    assert [path for path, names in found.items() if any("_native" in name for name in names)] == []


def test_an_import_of_it_is_seen():
    code = "def f():\n    from .engine import _native\n"
    assert imported(ast.parse(code)) == {"engine._native"}
    assert imported(ast.parse(f"if TYPE_CHECKING:\n    {code.splitlines()[1]}")) == set()


# None of these is needed to seal and open frames, and each costs more than half a millisecond.
LAZY = {
    "Crypto", "cryptography", "dataclasses", "hashlib", "inspect", "json", "logging", "numpy",
    "platform", "pysframe.counters", "pysframe.engine._self_test", "pysframe.engine.twin",
    "pysframe.keys", "secrets", "tempfile", "traceback",
}  # fmt: skip
SHOW = "import sys; before = set(sys.modules); import pysframe; print(*set(sys.modules) - before)"


@pytest.mark.parametrize("native", [n for n in engines.available() if n.startswith("native")][:1])
def test_the_import_brings_what_frames_need_alone(native):
    ran = isolated.python(SHOW)
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stdout.split())
    assert "pysframe.engine._native" in loaded, native
    assert LAZY & loaded == set()


def test_what_is_loaded_later_is_there():
    code = (
        "import pysframe; names = dir(pysframe); from pysframe import CounterStore; "
        "print('CounterStore' in names, CounterStore is pysframe.counters.CounterStore, "
        "issubclass(pysframe.CounterStoreError, pysframe.MisuseError), "
        "pysframe.SenderKeyLayout is pysframe.keys.layouts.SenderKeyLayout, "
        "{'MLSLayout', 'ratchet_base_key'} <= set(names) & set(pysframe.__all__))"
    )
    assert isolated.python(code).stdout.split() == ["True"] * 5
    with pytest.raises(AttributeError, match="module 'pysframe' has no attribute 'Senders'"):
        pysframe.Senders  # noqa: B018
