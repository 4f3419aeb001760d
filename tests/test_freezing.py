"""Frozen applications: what follows imports finds every part that may be wanted at run time."""

import warnings
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
from isolated import SRC

PACKAGE = Path(SRC) / "pysframe"
COMMANDS = ("pysframe.cli", "pysframe.demo", "pysframe.__main__")
# Imported by those who use them.
RECORDINGS = "pysframe.media.recordings"
MEDIA, SOURCE, ADAPTERS = "pysframe.media", "pysframe.source", "pysframe.adapters"
KEYSERVICE = "pysframe.keyservice"
SERVICE = tuple(f"{KEYSERVICE}.{part}" for part in ("rooms", "store", "wire"))


def found_by_imports(code: str, tmp_path) -> set[str]:
    """What of this package a freezer collects for an application of this code."""
    (tmp_path / "app.py").write_text(code)
    finder = ModuleFinder(path=[str(SRC)])
    finder.run_script(str(tmp_path / "app.py"))
    return {name for name in finder.modules if name.startswith("pysframe")}


@pytest.fixture(autouse=True)
def _no_old_news():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def test_every_module_is_found(tmp_path):
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("_native*.so")]
    parts = [(*file.relative_to(SRC).parts[:-1], file.name.split(".")[0]) for file in files]
    wanted = {".".join(part).removesuffix(".__init__") for part in parts}
    others = (*COMMANDS, MEDIA, SOURCE, KEYSERVICE, ADAPTERS)
    core = {name for name in wanted if not name.startswith(others)}
    media = {n for n in wanted if n.startswith(MEDIA) and not n.startswith(RECORDINGS)}
    source = {name for name in wanted if name.startswith(SOURCE)}
    service = {name for name in wanted if name.startswith(SERVICE)}
    keyservice = {name for name in wanted if name.startswith(KEYSERVICE)} - service
    adapters = {name for name in wanted if name.startswith(ADAPTERS)}
    assert {"pysframe.engine.twin._cores", "pysframe.engine._aead_pycryptodome"} < core
    assert found_by_imports("import pysframe", tmp_path) == core
    assert found_by_imports("import pysframe.media", tmp_path) == core | media
    assert found_by_imports("import pysframe.source", tmp_path) == core | media | source
    with_keys = core | media | source | keyservice
    assert found_by_imports("import pysframe.keyservice", tmp_path) == with_keys
    parts = f"import {KEYSERVICE}.rooms, {KEYSERVICE}.store_sqlite"
    assert found_by_imports(parts, tmp_path) == with_keys | service
    assert (
        found_by_imports("import pysframe.__main__", tmp_path)
        == wanted - adapters - keyservice - service
    )


def test_a_computed_name_is_not_found(tmp_path):
    """The seeded fault."""
    code = "from importlib import import_module\nimport_module('pysframe' + '.keys')"
    assert found_by_imports(code, tmp_path) == set()
