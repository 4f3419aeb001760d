"""csrc/ compiles for macOS and Windows, by the compiler in ziglang. Nothing of it is run: neither
system is here.

For macOS it is linked as well. For Windows it is not, since ziglang would first have to compile the
C library of MinGW: there the names that are left to the system are compared with a list.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from c_core.core import CSRC, ROOT, kept, library_files, public_declarations, run

MACOS, WINDOWS = ("aarch64-macos", "x86_64-macos"), "x86_64-windows-gnu"
ON_MACOS = pytest.mark.parametrize("target", MACOS)
ZIG = f"ZIG_GLOBAL_CACHE_DIR={ROOT}/build/zig {sys.executable} -m ziglang cc"
# At -O1 clang keeps a loop that it was asked to unroll, and says so.
STRICT = "-std=c11 -O1 -Wall -Wextra -Wpedantic -Werror -Wno-pass-failed -fvisibility=hidden"
# What a linker for macOS adds to every library.
LINKERS_OWN = {"__dso_handle", "_mh_dylib_header"}
OF_WINDOWS = {
    *("Sleep", "SwitchToThread", "VirtualAlloc", "VirtualFree", "VirtualLock"),
    "BCryptGenRandom",
}
OF_C = {
    *("calloc", "free", "realloc", "memcmp", "memcpy", "memmove", "memset", "snprintf", "strcmp"),
    "___chkstk_ms",  # the compiler's own
}


def functions() -> set[str]:
    return set(re.findall(r"\b(sfr_\w+)\(", public_declarations()))


@cache
def crossed(target: str) -> Path:
    """The folder with what was compiled for this target."""
    more = [Path(__file__), *CSRC.glob("tests/*.c")]
    return kept(f"crossed-{target}", more, lambda folder: cross(target, folder))


def cross(target: str, folder: Path) -> None:
    sources = sorted(library_files(CSRC), key=lambda path: -path.stat().st_size)
    zig = f"{ZIG} -target {target} {STRICT} -I{CSRC}"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: run(f"{zig} -c {path} -o {folder}/{path.stem}.o"), sources))
    assert len(list(folder.glob("*.o"))) == len(sources) > 30
    if target == WINDOWS:
        return
    named = "-Wl,-install_name,@rpath/libsfr.0.dylib"
    run(f"{zig} -shared {folder}/*.o {named} -o {folder}/libsfr.dylib")
    for name in ("example", "sfu_loop"):
        run(f"{zig} {CSRC}/tests/{name}.c {folder}/libsfr.dylib -o {folder}/{name}")


def names(target: str, kind: str) -> set[str]:
    told = run(f"llvm-nm --{kind}-only --format=just-symbols {crossed(target)}/*.o")
    return {line for line in told.split() if not line.endswith(":")}


@ON_MACOS
def test_macos_gets_the_functions_of_the_headers_alone(target):
    library = crossed(target) / "libsfr.dylib"
    told = run(f"llvm-objdump --macho --exports-trie {library}")
    exported = set(re.findall(r"^0x\w+ +_(\w+)$", told, re.M))
    assert exported - LINKERS_OWN == functions()
    assert f"Arch: {target.split('-')[0]}" in run(f"llvm-readobj --file-headers {library}")


@ON_MACOS
def test_macos_needs_its_own_library_alone(target):
    for name in ("example", "sfu_loop", "libsfr.dylib"):
        told = run(f"llvm-objdump --macho --dylibs-used {crossed(target)}/{name}")
        used = set(re.findall(r"^\t(\S+) \(compat", told, re.M))
        assert used == {"/usr/lib/libSystem.B.dylib", "@rpath/libsfr.0.dylib"}


def test_windows_is_left_with_its_own_names():
    left = names(WINDOWS, "undefined") - names(WINDOWS, "defined")
    assert {name.removeprefix("__imp_") for name in left} <= OF_WINDOWS | OF_C
    assert {name.removeprefix("__imp_") for name in left} >= OF_WINDOWS
    assert functions() <= names(WINDOWS, "defined")
    told = run(f"llvm-readobj --file-headers {crossed(WINDOWS)}/pages.o")
    assert "COFF-x86-64" in told
