"""csrc/ without Cython: the library that the README's build line makes, and cffi over it.

The declarations are those of the public headers, so a test that calls a function also shows that
they are enough. The tests reach inside, so their library, built(), is made by the README's line but
for the visibility of its symbols, and has the formats of toy/ in it; released() is made by the line
but for the level of optimization, since one library at -O3 takes long enough. What was built stays
in build/ until a source changes.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from sysconfig import get_path

import pytest
from cffi import FFI

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CSRC = ROOT / "csrc"
MACRO = {"x86_64": "SFR_X86", "aarch64": "SFR_ARM64"}  # how csrc/ calls a machine


def kernels(machine: str) -> tuple[str, ...]:
    """Its table in aead/dispatch.c, widest first, read without compiling it."""
    text = (CSRC / "aead/dispatch.c").read_text()
    part = re.search(rf"defined\({MACRO[machine]}\)\n(.*?)^#el", text, re.M | re.S)[1]
    return tuple(re.findall(r'^    \{"(\w+)", SFR_CPU', part, re.M))


KERNELS = kernels(platform.machine())
# In the order in which they include each other.
PUBLIC = tuple(CSRC / name for name in ("sfr.h", "sfr_keys.h", "sfr_batch.h"))
MODULE = "sfr_core"
# Another compiler, and flags behind the README's: for sanitizers and coverage (security/deep).
CC = os.environ.get("SFR_CC", "gcc")
FLAGS = os.environ.get("SFR_CFLAGS", "")


def library_files(csrc: Path) -> list[Path]:
    """The sources of libsfr: every room of csrc/ but those of tests and fuzzers."""
    found = csrc.glob("*/*.c")
    return sorted(path for path in found if path.parent.name not in ("fuzz", "tests"))


@cache
def load():
    """(ffi, lib) of the compiled core, its kernels chosen."""
    module = imported(built() / f"{MODULE}.so")
    module.lib.sfr_init(module.ffi.NULL)
    return module.ffi, module.lib


@cache
def built() -> Path:
    """The folder with our libsfr.so, whose internal symbols can be linked to, and our module."""
    return kept("c_core", [*HERE.glob("*.[ch]"), *HERE.glob("toy/*"), Path(__file__)], build)


@cache
def released() -> Path:
    """The folder with libsfr.so, which exports what the README's build line makes it export."""
    line = build_line()
    assert line.count(" -O3 ") == 1
    return kept("libsfr", [Path(__file__)], lambda to: library(line.replace("-O3", "-O1"), to))


def kept(name: str, more_sources: list[Path], build: Callable[[Path], None]) -> Path:
    """What build() made of csrc/ and these, in build/; another Python needs another module."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    sources = [*CSRC.glob("*.h"), *CSRC.glob("*/*.[ch]"), CSRC / "README.md", *more_sources]
    content = b"".join(path.name.encode() + path.read_bytes() for path in sorted(sources))
    digest = hashlib.sha256(content + f"{sys.version} {CC} {FLAGS}".encode()).hexdigest()[:16]
    folder = ROOT / "build" / name / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    with untimed(), (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process compiles, the others wait for it
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as made:
                (Path(made) / "done").mkdir()
                build(Path(made) / "done")
                os.rename(Path(made) / "done", folder)
    return folder


@contextmanager
def untimed() -> Iterator[None]:
    """The alarm of pytest-timeout waits: on a busy machine one test after the other would kill the
    compiler, and the next begin again."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)


def library(line: str, folder: Path) -> None:
    run(line.replace("gcc", CC, 1).replace("-o libsfr.so", f"{FLAGS} -o {folder}/libsfr.so"))


def build(folder: Path) -> None:
    """gcc also says how much stack each function takes, for test_stack.py."""
    line = build_line().replace("-fvisibility=hidden", "-fno-semantic-interposition")
    toys = " ".join(map(str, HERE.glob("toy/*.c")))
    line = line.replace("-pthread", f"-I{HERE} {toys} -pthread")
    library(line.replace("-shared", "-shared -fstack-usage") if CC == "gcc" else line, folder)
    ffi = FFI()
    ffi.cdef(public_declarations())
    ffi.cdef(declarations((HERE / "harness.h").read_text()))
    ffi.set_source(MODULE, '#include "sfr_batch.h"\n#include "sfr_keys.h"\n#include "harness.h"')
    with redirect_stdout(StringIO()):  # cffi says what it makes; who asks for a figure hears us
        ffi.emit_c_code(str(folder / "glue.c"))
    includes = f"-I{CSRC} -I{HERE} -I{get_path('include')}"
    link = f"-L{folder} -lsfr -Wl,-rpath,'$ORIGIN'"
    sources = f"{folder}/glue.c {HERE}/harness.c"
    run(f"gcc -O1 -fPIC -shared {includes} {sources} {link} -o {folder}/{MODULE}.so")


def build_line() -> str:
    """The one build line that csrc/README.md gives."""
    text = (CSRC / "README.md").read_text()
    (line,) = re.findall(r"^ {4}gcc .*?libsfr\.so$", text, flags=re.MULTILINE | re.DOTALL)
    return line


def run(command: str, folder: Path = ROOT) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def public_declarations() -> str:
    """Everything that the public headers, sfr*.h, declare."""
    return "\n".join(declarations(path.read_text()) for path in PUBLIC)


def declarations(header: str) -> str:
    """What cffi understands of a header: C, no comments, no directives but plain numbers."""
    text = re.sub(r"/\*.*?\*/|^#ifdef __cplusplus$.*?^#endif$", "", header, flags=re.DOTALL | re.M)
    numbers = re.findall(r"^#define (SFR_\w+) (\d+)\s*$", text, flags=re.MULTILINE)
    rest = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join([*(f"#define {name} {value}" for name, value in numbers), *rest])


def imported(library: Path):
    spec = importlib.util.spec_from_file_location(MODULE, library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kernel_or_skip(name: str) -> str:
    """The name of a ready kernel; a skip where this CPU cannot run it."""
    ffi, lib = load()
    for index in range(lib.sfr_kernel_count()):
        kernel = lib.sfr_kernel_at(index)
        if ffi.string(lib.sfr_kernel_name(kernel)).decode() != name:
            continue
        if lib.sfr_kernel_state(kernel) == lib.SFR_KERNEL_NO_CPU:
            pytest.skip(ffi.string(lib.sfr_kernel_reason(kernel)).decode())
        assert lib.sfr_kernel_state(kernel) == lib.SFR_KERNEL_READY, name
        return name
    raise AssertionError(f"csrc has no kernel {name}")
