"""csrc/ as a Python module of its own, without Cython: compiled with cffi when it has changed.

The declarations are those of sfr.h itself, so a test that calls it also shows that the header
is enough to use the library.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from sysconfig import get_path

import pytest
from cffi import FFI

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CSRC = ROOT / "csrc"
BUILD = ROOT / "build" / "c_core"
KERNELS = ("vaes512", "vaes256", "aesni")

# The README's flags: what is tested is what its readers get.
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC"]
INCLUDES = [f"-I{CSRC}", f"-I{HERE}", f"-I{get_path('include')}"]
MODULE = "sfr_core"


@cache
def load():
    """(ffi, lib) of the compiled core, its kernels chosen."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    library = BUILD / f"{MODULE}-{digest()}.so"
    if not library.exists():
        build(library)
    module = imported(library)
    module.lib.sfr_init(module.ffi.NULL)
    return module.ffi, module.lib


def digest() -> str:
    sources = [*sorted(CSRC.glob("*.[ch]")), *sorted(HERE.glob("*.[ch]")), Path(__file__)]
    content = b"".join(path.name.encode() + path.read_bytes() for path in sources)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()[:16]


def build(library: Path) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        folder = Path(name)
        glue = written_glue(folder)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sources = [*sorted(CSRC.glob("*.c")), HERE / "harness.c"]
            objects = list(pool.map(lambda source: compiled(source, folder, FLAGS), sources))
        objects.append(compiled(glue, folder, ["-O1", "-fPIC"]))
        run("gcc", "-shared", *map(str, objects), "-o", str(folder / "made.so"))
        os.replace(folder / "made.so", library)


def written_glue(folder: Path) -> Path:
    ffi = FFI()
    ffi.cdef(declarations((CSRC / "sfr.h").read_text()))
    ffi.cdef(declarations((HERE / "harness.h").read_text()))
    ffi.set_source(MODULE, '#include "sfr.h"\n#include "harness.h"')
    ffi.emit_c_code(str(folder / "glue.c"))
    return folder / "glue.c"


def compiled(source: Path, folder: Path, flags: list[str]) -> Path:
    target = folder / f"{source.stem}.o"
    run("gcc", *flags, *INCLUDES, "-c", str(source), "-o", str(target))
    return target


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def declarations(header: str) -> str:
    """What cffi understands of a header: no comments, no directives but plain numbers."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
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
