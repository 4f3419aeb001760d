"""libsfr as `make install-c` leaves it, with each compiler in a folder of its own (a DESTDIR).

What was installed stays in build/ until a source changes.
"""

import os
from functools import cache, partial
from pathlib import Path

from c_core.core import CSRC, ROOT, declarations, kept, run
from cffi import FFI

PREFIX = "/opt/sfr"
COMPILERS = {"gcc": "gcc", "clang": "clang", "musl": "musl-gcc"}
HEADERS = ("sfr.h", "sfr_keys.h", "sfr_batch.h")  # in the order in which they include each other
INSTALLED = [CSRC / name for name in ("Makefile", "libsfr.pc.in", "libsfr.map", "libsfr.3")]
# What an outer make, or the developer, has set for another program.
OTHERS = ("MAKEFLAGS", "MAKELEVEL", "CFLAGS", "LDFLAGS", "LIBDIR", "BUILD")


@cache
def installed(compiler: str) -> Path:
    """The DESTDIR that this compiler's library was installed under; objects are in its build/."""
    more = [*INSTALLED, Path(__file__), *CSRC.glob("tests/*.c")]
    return kept(f"installed-{compiler}", more, partial(install, compiler))


def install(compiler: str, destdir: Path) -> None:
    make(f"install-c CC={COMPILERS[compiler]} PREFIX={PREFIX} DESTDIR={destdir}", destdir / "build")


def make(what: str, build: Path, folder: Path = ROOT) -> str:
    """-O1: all of the library in each test's time. The kernels are the same."""
    clean = f"env {' '.join(f'-u {name}' for name in OTHERS)}"
    return run(f"{clean} make -j2 {what} CFLAGS=-O1 BUILD={build}", folder)


def here(compiler: str) -> Path:
    """The prefix within the DESTDIR."""
    return installed(compiler) / PREFIX.lstrip("/")


def flags(compiler: str, *options: str) -> str:
    """What pkg-config says to a program that uses the library."""
    root = installed(compiler)
    paths = {"PKG_CONFIG_LIBDIR": here(compiler) / "lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": root}
    given = " ".join(f"{name}={path}" for name, path in paths.items())
    return run(f"{given} pkg-config {' '.join(options)} --cflags --libs libsfr").strip()


def declared(compiler: str = "gcc") -> str:
    """What the installed headers declare, for cffi."""
    headers = [here(compiler) / "include/sfr" / name for name in HEADERS]
    return "\n".join(declarations(path.read_text()) for path in headers)


@cache
def library(compiler: str):
    """(ffi, lib) of the installed shared library, loaded by its SONAME's file."""
    ffi = FFI()
    ffi.cdef(declared(compiler))
    lib = ffi.dlopen(str(here(compiler) / "lib/libsfr.so.0"), os.RTLD_LOCAL | os.RTLD_NOW)
    assert lib.sfr_init(ffi.NULL) > 0
    return ffi, lib
