"""csrc/ compiles for macOS and Windows, by the compiler in ziglang. Nothing of it is run: neither
system is here.

What links has found every call to the operating system under its right name; the library exports
what its headers declare.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from c_core.core import CSRC, ROOT, kept, library_files, public_declarations, run

ZIG = f"{sys.executable} -m ziglang cc"
STRICT = "-std=c11 -O1 -Wall -Wextra -Wpedantic -Werror -fvisibility=hidden"


@dataclass(frozen=True)
class System:
    library: str
    program: str
    magic: bytes  # how their files begin
    more: str  # that is linked
    imports: str  # the tool that tells which libraries are used
    used: frozenset[str]


MACOS = System(
    "libsfr.dylib",
    "",
    b"\xcf\xfa\xed\xfe",
    "-Wl,-install_name,@rpath/libsfr.0.dylib",
    "llvm-objdump --macho --dylibs-used",
    frozenset({"/usr/lib/libSystem.B.dylib"}),
)
WINDOWS = System(
    "sfr.dll",
    ".exe",
    b"MZ",
    "-lbcrypt",
    "llvm-readobj --coff-imports",
    frozenset({"bcrypt.dll", "KERNEL32.dll"}),
)
TARGETS = {"aarch64-macos": MACOS, "x86_64-macos": MACOS, "x86_64-windows-gnu": WINDOWS}
EVERY_TARGET = pytest.mark.parametrize("target", TARGETS)


def functions() -> set[str]:
    return set(re.findall(r"\b(sfr_\w+)\(", public_declarations()))


@cache
def crossed(target: str) -> Path:
    """The folder with what was compiled for this target."""
    more = [Path(__file__), *CSRC.glob("tests/*.c")]
    return kept(f"crossed-{target}", more, lambda folder: cross(target, folder))


def cross(target: str, folder: Path) -> None:
    system, zig = TARGETS[target], f"ZIG_GLOBAL_CACHE_DIR={ROOT}/build/zig {ZIG} -target {target}"
    sources = sorted(library_files(CSRC), key=lambda path: -path.stat().st_size)
    objects = [folder / f"{path.stem}.o" for path in sources]
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(
                lambda source, made: run(f"{zig} {STRICT} -I{CSRC} -c {source} -o {made}"),
                *(sources, objects),
            )
        )
    joined = " ".join(map(str, objects))
    exports = definition(folder) if system is WINDOWS else ""
    run(f"{zig} -shared {joined} {exports} {system.more} -o {folder}/{system.library}")
    for name in ("example", "sfu_loop"):
        source, made = CSRC / f"tests/{name}.c", folder / f"{name}{system.program}"
        bcrypt = system.more if system is WINDOWS else ""
        run(f"{zig} {STRICT} -I{CSRC} {source} {joined} {bcrypt} -o {made}")


def definition(folder: Path) -> Path:
    """Windows asks for a list where others go by a symbol's visibility."""
    path = folder / "sfr.def"
    path.write_text("EXPORTS\n" + "".join(f"    {name}\n" for name in sorted(functions())))
    return path


def exported(target: str) -> set[str]:
    path = crossed(target) / TARGETS[target].library
    if TARGETS[target] is WINDOWS:
        return set(re.findall(r"^ *Name: (\w+)$", run(f"llvm-readobj --coff-exports {path}"), re.M))
    found = run(f"llvm-nm --extern-only --defined-only --format=just-symbols {path}").split()
    return {name.removeprefix("_") for name in found}


@EVERY_TARGET
def test_it_is_for_that_system(target):
    system = TARGETS[target]
    for name in (system.library, f"example{system.program}", f"sfu_loop{system.program}"):
        assert (crossed(target) / name).read_bytes().startswith(system.magic)
    told = run(f"llvm-readobj --file-headers {crossed(target)}/{system.library}")
    assert ("Arch: aarch64" if "aarch64" in target else "Arch: x86_64") in told


@EVERY_TARGET
def test_it_exports_what_its_headers_declare(target):
    assert exported(target) == functions()


@EVERY_TARGET
def test_it_uses_the_libraries_of_the_system_alone(target):
    system = TARGETS[target]
    told = run(f"{system.imports} {crossed(target)}/{system.library}")
    used = set(re.findall(r"^ *Name: (\S+)$|^\t(\S+) \(compat", told, re.M))
    names = {a or b for a, b in used} - {"@rpath/libsfr.0.dylib"}
    assert system.used <= names
    assert all(name in system.used or name.startswith("api-ms-win-crt-") for name in names), names
