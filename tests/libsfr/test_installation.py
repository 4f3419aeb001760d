"""What `make install-c` installs: files, symbols, hardening, and programs that use it."""

import os
import re
import shutil

import pytest
from c_core.core import CSRC, run
from libsfr.installed import COMPILERS, declared, flags, here, installed, make

from pysframe import __version__

SHARED = f"libsfr.so.{__version__}"
EVERY_COMPILER = pytest.mark.parametrize("compiler", COMPILERS)
# The last line that each prints.
PROGRAMS = {
    "example": "refused: status 4",
    "sfu_loop": "4950 frames passed on, 50 refused",
}
# For C++: that the names are those of C, which only a link shows.
IN_CPP = '#include <sfr_batch.h>\n#include <sfr_keys.h>\nint main() { return !sfr_init("none"); }\n'


def functions() -> set[str]:
    return set(re.findall(r"\b(sfr_\w+)\(", declared()))


def names(listed: str) -> set[str]:
    return set(run(f"nm --defined-only --format=just-symbols {listed}").split())


@EVERY_COMPILER
def test_every_file_has_its_place(compiler):
    root = here(compiler)
    found = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    assert found == {
        *(f"include/sfr/{name}" for name in ("sfr.h", "sfr_keys.h", "sfr_batch.h")),
        *(f"lib/{name}" for name in ("libsfr.a", "libsfr.so", "libsfr.so.0", SHARED)),
        *("lib/pkgconfig/libsfr.pc", "share/man/man3/libsfr.3"),
        *(f"share/doc/libsfr/{name}" for name in ("README.md", "LICENSE")),
        *(f"share/doc/libsfr/{name}.c" for name in PROGRAMS),
    }
    assert os.readlink(root / "lib/libsfr.so") == "libsfr.so.0"
    assert os.readlink(root / "lib/libsfr.so.0") == SHARED


@EVERY_COMPILER
def test_both_libraries_have_the_symbols_of_the_headers_alone(compiler):
    assert len(functions()) > 50
    assert names(f"-D {here(compiler)}/lib/libsfr.so") == functions()
    assert names(f"-g {here(compiler)}/lib/libsfr.a") - {"whole.o:"} == functions()


def test_an_archive_whose_hidden_symbols_stay_global_has_more(tmp_path):
    """The seeded fault: all that is public is still there, and no longer alone."""
    shutil.copytree(installed("gcc") / "build", tmp_path / "build")
    (tmp_path / "build/libsfr.a").unlink()
    make(f"OBJCOPY=true {tmp_path}/build/libsfr.a", tmp_path / "build", CSRC)
    assert names(f"-g {tmp_path}/build/libsfr.a") - {"whole.o:"} > functions()


@EVERY_COMPILER
def test_the_shared_library_is_named_and_hardened(compiler):
    told = run(f"readelf --wide --dynamic --program-headers {here(compiler)}/lib/libsfr.so")
    assert re.search(r"\(SONAME\).*\[libsfr\.so\.0\]", told)
    assert set(re.findall(r"\(NEEDED\).*\[(.*)\]", told)) <= {"libc.so.6", "libc.so"}
    assert re.search(r"GNU_RELRO", told) and re.search(r"\(FLAGS_1\).*NOW", told)
    assert re.search(r"GNU_STACK.* RW ", told) and "TEXTREL" not in told


@pytest.mark.parametrize("linked", ["shared", "static"])
@EVERY_COMPILER
def test_programs(compiler, linked, tmp_path):
    strict = "-std=c11 -O1 -Wall -Wextra -Wpedantic -Werror"
    static = ["--static"] if linked == "static" else []
    using = flags(compiler, *static)
    path = f"-Wl,-rpath,{here(compiler)}/lib" if linked == "shared" else "-static"
    for name, last in PROGRAMS.items():
        source = here(compiler) / f"share/doc/libsfr/{name}.c"
        run(f"{COMPILERS[compiler]} {strict} {source} {using} {path} -o {tmp_path}/{name}")
        assert run(f"{tmp_path}/{name}").splitlines()[-1] == last
        needed = "libsfr.so.0" in run(f"readelf --dynamic {tmp_path}/{name}")
        assert needed == (linked == "shared")


def test_the_loop_is_short():
    assert len((CSRC / "tests/sfu_loop.c").read_text().splitlines()) <= 80


def test_cpp(tmp_path):
    (tmp_path / "program.cc").write_text(IN_CPP)
    strict = "-std=c++11 -Wall -Wextra -Wpedantic -Werror -nostdlib++"
    path = f"-Wl,-rpath,{here('gcc')}/lib"
    run(f"clang++ {strict} {tmp_path}/program.cc {flags('gcc')} {path} -o {tmp_path}/program")
    assert run(f"{tmp_path}/program; echo $?").split() == ["1"]  # no kernel was allowed


def test_the_prefix_is_in_the_pkg_config_file():
    told = (here("gcc") / "lib/pkgconfig/libsfr.pc").read_text()
    assert "prefix=/opt/sfr\n" in told and "libdir=/opt/sfr/lib\n" in told
    assert f"Version: {__version__}\n" in told and "@" not in told


def test_the_manual_page_is_set_without_a_warning(tmp_path):
    page = here("gcc") / "share/man/man3/libsfr.3"
    assert run(f"groff -mandoc -Tutf8 -ww {page} 2>&1 >{tmp_path}/page") == ""
    assert "sfr_protect" in run(f"sed 's/.\\x08//g; s/\\x1b\\[[0-9;]*m//g' {tmp_path}/page")
