"""The code under test, built otherwise: another compiler, other flags, a copy with a fault in it.

Rule 1: a fault that a detector must find is planted in a copy made here. The source that is
        released has no switch for it.
Rule 2: a patch that no longer fits its source is an error, never a build without the fault.
Rule 3: what was built stays in build/variants/ until a source, a flag or the compiler changes. An
        object is named by the headers that its source really includes, so a variant with one file
        patched compiles that file, or those that include it.
Rule 4: two processes that need the same objects share the work: neither waits while there is one
        that nobody compiles.

    sources(patches)   csrc/, or a copy of it with the patches
    objects(...)       the object files of csrc/
    program(...)       an executable of files of our own and csrc/
    shared(...)        the same as a shared library
    extension(...)     a folder for PYTHONPATH: the package with its native engine, built so
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from c_core.core import library_files, untimed

ROOT = Path(__file__).parents[3]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "src" / "pysframe"
HARNESS = ROOT / "tests" / "c_core"
VARIANTS = ROOT / "build" / "variants"

# As setup.py: for what must be what is shipped.
RELEASE = "-O3 -g1 -std=c11 -fvisibility=hidden -fno-plt -DSFR_PRIVATE"
DEBUG = "-O1 -g -std=c11"
# Wide and unrolled: with every sanitizer at once these take minutes, so they may have other flags.
UNROLLED = ("gcm_aesni.c", "gcm_vaes256.c", "gcm_vaes512.c", "ctr_vaes.c")


class Patch(NamedTuple):
    """In `file` of csrc/, `old` (which is there exactly once) becomes `new`."""

    file: str
    old: str
    new: str


class Recipe(NamedTuple):
    """How one object file is made; `name` and `key` say which it is."""

    name: str
    key: tuple
    build: Callable[[Path], object]


def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    """What a command printed; an AssertionError with all it said when it failed."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{said}"
    return done.stdout


# ---- C ----


def sources(patches: Sequence[Patch] = ()) -> Path:
    """csrc/ itself when there is nothing to patch."""
    if not patches:
        return CSRC
    return cached("csrc", (patches, contents(CSRC)), lambda made: patched_copy(made, patches))


def patched_copy(made: Path, patches: Sequence[Patch]) -> None:
    shutil.copytree(CSRC, made, dirs_exist_ok=True)
    for patch in patches:
        text = (made / patch.file).read_text()
        found = text.count(patch.old)
        assert found == 1, f"{patch.file}: {found} times, not once: {patch.old}"
        (made / patch.file).write_text(text.replace(patch.old, patch.new))


def objects(
    cc: str = "gcc", flags: str = DEBUG, patches: Sequence[Patch] = (), unrolled: str = ""
) -> list[Path]:
    """All of csrc/, position-independent; `unrolled`: other flags for the UNROLLED files."""
    return together(recipes(cc, flags, patches, unrolled))


def recipes(cc: str, flags: str, patches: Sequence[Patch], unrolled: str) -> list[Recipe]:
    """Of a patched copy only what the patches change: an object tells where its source lay."""
    csrc = sources(patches)
    wide = dict.fromkeys(UNROLLED, unrolled or flags)
    found = [
        recipe(path, cc, wide.get(path.name, flags), csrc)
        for path in sorted(library_files(csrc), key=lambda path: path.name not in UNROLLED)
    ]
    ours = {each.key: each for each in recipes(cc, flags, (), unrolled)} if patches else {}
    return [ours.get(each.key, each) for each in found]


def compiled(source: Path, cc: str, flags: str, *headers: Path) -> Path:
    """The object file of one source; `headers` are the folders it includes from."""
    return together([recipe(source, cc, flags, *headers)])[0]


def together(wanted: Sequence[Recipe]) -> list[Path]:
    """The object files; first those that no other process is compiling, then the rest."""
    for each in wanted:
        cached(*each, wait=False)
    return [cached(*each) / f"{each.name}.o" for each in wanted]


@cache
def recipe(source: Path, cc: str, flags: str, *headers: Path) -> Recipe:
    root = next((folder for folder in headers if folder in source.parents), source.parent)
    command = cc, *flags.split(), "-fPIC", "-c", str(source.relative_to(root))
    includes = [f"-I{folder}" for folder in headers]
    key = command, version(cc), included(command, includes, root)

    def build(made: Path) -> None:
        run(*command, *includes, "-o", made / f"{source.stem}.o", folder=root)

    return Recipe(source.stem, key, build)


def included(command: Sequence[str], includes: Sequence[str], root: Path) -> tuple:
    """Names and bytes of a source and of all that it includes, but for the system's headers."""
    rule = run(*command, *includes, "-MM", folder=root)
    names = rule.replace("\\\n", " ").split()[1:]
    return tuple((Path(name).name, (root / name).read_bytes()) for name in names)


def program(
    name: str,
    own: Sequence[Path],
    *,
    cc: str = "gcc",
    flags: str = DEBUG,
    link: str = "",
    patches: Sequence[Patch] = (),
    unrolled: str = "",
) -> Path:
    """The executable `name` of files of our own and csrc/; `link`: flags for the last step only."""
    headers = sources(patches), HARNESS
    parts = [compiled(path, cc, flags, *headers) for path in own]
    parts += objects(cc, flags, patches, unrolled)
    command = [cc, *flags.split(), *parts, *link.split()]
    made = cached(name, command, lambda made: run(*command, "-o", made / name))
    return made / name


def shared(name: str, own: Sequence[Path] = (), *, link: str = "", **how) -> Path:
    """The same as a shared library, for cffi or ctypes."""
    return program(f"{name}.so", own, link=f"{link} -shared", **how)


# ---- the package ----


def extension(
    name: str,
    *,
    cc: str = "gcc",
    flags: str = DEBUG,
    patches: Sequence[Patch] = (),
    python: str = sys.executable,
    unrolled: str = "",
    own: Sequence[Path] = (),
    link: str = "",
) -> Path:
    """A folder to put first on PYTHONPATH of `python`: pysframe, its native engine built so, with
    files of our own in it.

    The Python files, and the stubs that tests read, are links to the source's own.
    """
    facts = "import sysconfig as s; print(s.get_path('include'), s.get_config_var('EXT_SUFFIX'))"
    include, suffix = run(python, "-c", facts).split()
    headers = Path(include), sources(patches)
    bound = [recipe(path, cc, flags, *headers) for path in (generated(), *own)]
    parts = together([*bound, *recipes(cc, flags, patches, unrolled)])
    command = [cc, *flags.split(), "-shared", *parts, *link.split()]
    found = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]
    modules = sorted(path.relative_to(PACKAGE) for path in found)

    def build(made: Path) -> None:
        link_modules(made / "pysframe", modules)
        run(*command, "-o", made / "pysframe" / "engine" / f"_native{suffix}")

    return cached(name, (command, suffix, modules), build)


def link_modules(folder: Path, modules: Sequence[Path]) -> None:
    """Real folders, so that the extension can lie among the links."""
    for module in modules:
        (folder / module).parent.mkdir(parents=True, exist_ok=True)
        (folder / module).symlink_to(PACKAGE / module)


def generated() -> Path:
    """_native.c: what Cython makes of _native.pyx, the same for every variant and Python."""
    engine = PACKAGE / "engine"
    key = contents(engine, "*.p[yx][xdi]"), (ROOT / "setup.py").read_bytes()
    directives = "-X", "freethreading_compatible=True"

    def build(made: Path) -> None:
        command = (sys.executable, "-m", "cython", "-3", *directives, "-I", ROOT / "src")
        run(*command, engine / "_native.pyx", "-o", made / "_native.c")

    return cached("cython", key, build) / "_native.c"


# ---- tools ----


def runtime(sanitizer: str, cc: str = "gcc") -> str:
    """The path of a sanitizer's library (asan, ubsan, tsan), for LD_PRELOAD."""
    return run(cc, f"-print-file-name=lib{sanitizer}.so").strip()


@cache
def version(cc: str) -> str:
    return run(cc, "--version").splitlines()[0]


def contents(folder: Path, pattern: str = "*.[ch]") -> list[tuple[str, bytes]]:
    """Names and bytes of a folder's sources."""
    found = sorted(folder.rglob(pattern))
    return [(str(path.relative_to(folder)), path.read_bytes()) for path in found]


def cached(
    name: str, key: object, build: Callable[[Path], object], wait: bool = True
) -> Path | None:
    """The folder that build() filled for this key. One process builds; the others wait for it, or
    get nothing at once."""
    digest = hashlib.sha256(repr((name, key)).encode()).hexdigest()[:16]
    folder = VARIANTS / f"{name}-{digest}"
    if folder.exists():
        return folder
    VARIANTS.mkdir(parents=True, exist_ok=True)
    with untimed(), (VARIANTS / f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return None
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=VARIANTS) as made:
                (Path(made) / "done").mkdir()
                build(Path(made) / "done")
                os.rename(Path(made) / "done", folder)
    return folder
