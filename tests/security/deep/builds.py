"""The code under test, built otherwise: another compiler, other flags, a copy with a fault in it.

Rule 1: a fault that a detector must find is planted in a copy made here. The source that is
        released has no switch for it.
Rule 2: a patch that no longer fits its source is an error, never a build without the fault.
Rule 3: what was built stays in build/variants/ until a source, a flag or the compiler changes.

    sources(patches)         csrc/, or a copy of it with the patches
    program(...)             an executable: files of our own and all of csrc/
    shared(...)              the same as a shared library
    extension(...)           a folder for PYTHONPATH: the package with its native engine, built so
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "src" / "pysframe"
HARNESS = ROOT / "tests" / "c_core"
VARIANTS = ROOT / "build" / "variants"

WARNINGS = "-std=c11 -Wall -Wextra -Werror"
# setup.py's flags, for what must be the code that is shipped
RELEASE = "-O3 -g1 -std=c11 -fvisibility=hidden"


class Patch(NamedTuple):
    """In `file` of csrc/, `old` (which is there exactly once) becomes `new`."""

    file: str
    old: str
    new: str


def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    """What a command printed; an AssertionError with all it said when it failed."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{said}"
    return done.stdout


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


def program(
    name: str,
    own: Sequence[Path],
    *,
    cc: str = "gcc",
    flags: str = "-O1 -g",
    patches: Sequence[Patch] = (),
) -> Path:
    """The executable `name` of our own files and of all of csrc/."""
    csrc = sources(patches)
    files = [*own, *sorted(csrc.glob("*.c"))]
    command = [cc, *WARNINGS.split(), *flags.split(), f"-I{csrc}", f"-I{HARNESS}"]
    key = command, version(cc), contents(csrc), contents(HARNESS), [f.read_bytes() for f in own]
    made = cached(name, key, lambda made: run(*command, *files, "-o", made / name))
    return made / name


def shared(name: str, own: Sequence[Path] = (), **how) -> Path:
    """The same as a shared library, for cffi or ctypes."""
    how["flags"] = f"{how.get('flags', '-O1 -g')} -fPIC -shared"
    return program(f"{name}.so", own, **how)


def extension(
    name: str,
    *,
    cc: str = "gcc",
    flags: str = "-O1 -g",
    patches: Sequence[Patch] = (),
    python: str = sys.executable,
) -> Path:
    """A folder to put first on PYTHONPATH of `python`: pysframe, its native engine built so.

    The Python files are links to the source's own.
    """
    csrc = sources(patches)
    facts = "import sysconfig as s; print(s.get_path('include'), s.get_config_var('EXT_SUFFIX'))"
    include, suffix = run(python, "-c", facts).split()
    command = [cc, "-std=c11", *flags.split(), "-fPIC", "-shared", f"-I{csrc}", f"-I{include}"]
    files = [generated(), *sorted(csrc.glob("*.c"))]
    modules = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

    def build(made: Path) -> None:
        link_modules(made / "pysframe", modules)
        run(*command, *files, "-o", made / "pysframe" / "engine" / f"_native{suffix}")

    return cached(name, (command, version(cc), suffix, contents(csrc), files[0], modules), build)


def link_modules(folder: Path, modules: Sequence[Path]) -> None:
    """Real folders, so that the extension can lie among the links."""
    for module in modules:
        (folder / module).parent.mkdir(parents=True, exist_ok=True)
        (folder / module).symlink_to(PACKAGE / module)


def generated() -> Path:
    """_native.c: what Cython makes of _native.pyx, the same for every variant and Python."""
    engine = PACKAGE / "engine"
    key = contents(engine, "*.p[yx][xd]"), (ROOT / "setup.py").read_bytes()
    directives = "-X", "freethreading_compatible=True"

    def build(made: Path) -> None:
        command = (sys.executable, "-m", "cython", "-3", *directives, "-I", ROOT / "src")
        run(*command, engine / "_native.pyx", "-o", made / "_native.c")

    return cached("cython", key, build) / "_native.c"


def sanitizer(name: str, cc: str = "gcc") -> str:
    """The path of a sanitizer's runtime (asan, ubsan, tsan), for LD_PRELOAD."""
    return run(cc, f"-print-file-name=lib{name}.so").strip()


def version(cc: str) -> str:
    return run(cc, "--version").splitlines()[0]


def contents(folder: Path, pattern: str = "*.[ch]") -> list[tuple[str, bytes]]:
    """Names and bytes of a folder's sources."""
    return [(path.name, path.read_bytes()) for path in sorted(folder.glob(pattern))]


def cached(name: str, key: object, build: Callable[[Path], object]) -> Path:
    """The folder that build() filled for this key; one process builds, the others wait."""
    key = repr((name, key, sysconfig.get_platform()))
    folder = VARIANTS / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    VARIANTS.mkdir(parents=True, exist_ok=True)
    with (VARIANTS / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=VARIANTS) as made:
                (Path(made) / "done").mkdir()
                build(Path(made) / "done")
                os.rename(Path(made) / "done", folder)
    return folder
