"""A library exports the functions of the public headers, and no others."""

import importlib.util
import re
from pathlib import Path

import pytest
from c_core.core import build_line, library, public_declarations, released, run

SPEC = importlib.util.find_spec("pysframe.engine._native")
EXTENSIONS = [Path(SPEC.origin)] if SPEC else []


def exported(path: Path) -> set[str]:
    return set(run(f"nm -D --defined-only --format=just-symbols {path}").split())


def declared() -> set[str]:
    """Every name in the public headers that is followed by arguments."""
    return set(re.findall(r"\b(\w+)\(", public_declarations()))


def test_the_library_exports_what_its_header_declares():
    assert len(declared()) > 50
    assert exported(released() / "libsfr.so") == declared()


@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda path: path.name)
def test_the_extension_exports_its_initialiser_alone(extension):
    assert exported(extension) == {"PyInit__native"}


def test_a_line_without_the_flag_exports_more(tmp_path):
    """The seeded fault, in one file of the library."""
    line = re.sub(r"( csrc/\w+/\*\.c)+", " csrc/frame/header.c csrc/hash/sha2.c", build_line())
    library(line, tmp_path)
    assert exported(tmp_path / "libsfr.so") <= declared()
    library(line.replace("-fvisibility=hidden", ""), tmp_path)
    assert exported(tmp_path / "libsfr.so") - declared()
