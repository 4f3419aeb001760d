"""What is asked of every wheel, whether or not it can run on this machine."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import archive
import elf
from compiler import beside
from targets import TARGETS, Target

MODULE_LIMIT, WHEEL_LIMIT = 450_000, 800_000  # bytes, compressed
GLIBC = (2, 17)
# Beside the package lies the command, which starts without importing it.
TWO = ("--toplevel=pysframe,pysframe_command.py", "--ignore=W009")
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
# Beside libc: what older glibcs keep apart from it.
LIBRARIES = {"libc.so.6", "libpthread.so.0", "libm.so.6"}


def faults(wheel: Path, tree: Path) -> list[str]:
    """What is wrong with the wheel, in words; tree is where it was built."""
    found = [*_contents(wheel, tree), *_sizes(wheel), *_tool("check-wheel-contents", *TWO, wheel)]
    target = target_of(wheel)
    if target:
        found += [*_module(wheel, target, tree), *_platform(wheel, target)]
    return found


def target_of(wheel: Path) -> Target | None:
    """None for a wheel that runs everywhere."""
    tags = archive.tags_of(wheel)
    return next((t for t in TARGETS.values() if tags[0].endswith(t.tags[0])), None)


def _contents(wheel: Path, tree: Path) -> Iterator[str]:
    files = archive.contents(wheel)
    licence = next((data for name, data in files.items() if name.endswith("/LICENSE")), b"")
    if licence != (tree / "LICENSE").read_bytes():
        yield "it does not have the licence's text"
    if not {"pysframe/py.typed", "pysframe/engine/_native.pyi"} <= files.keys():
        yield "its types are missing"
    if bool(archive.module_of(wheel)) != bool(target_of(wheel)):
        yield "its name does not say whether it has a native module"


def _sizes(wheel: Path) -> Iterator[str]:
    module = archive.parts(wheel).get("native module", 0)
    if module > MODULE_LIMIT:
        yield f"its native module has {module} bytes, of {MODULE_LIMIT} at most"
    if wheel.stat().st_size > WHEEL_LIMIT:
        yield f"it has {wheel.stat().st_size} bytes, of {WHEEL_LIMIT} at most"


def _module(wheel: Path, target: Target, tree: Path) -> Iterator[str]:
    data = archive.contents(wheel)[archive.module_of(wheel) or ""]
    module = elf.read(data)
    if module.machine != MACHINES[target.machine]:
        yield f"its module is for {module.machine}"
    if module.exports != ["PyInit__native"]:
        yield f"its module exports {', '.join(module.exports)}"
    if str(tree).encode() in data:
        yield f"its module names the folder {tree}"
    yield from (f"its module has {words}" for words in module.faults)
    yield from _needs(module, target)


def _needs(module: elf.Module, target: Target) -> Iterator[str]:
    """That every machine of the target has what the module asks for."""
    allowed = {target.musl_library} if target.libc == "musl" else LIBRARIES
    yield from (f"its module needs {name}" for name in set(module.libraries) - allowed)
    for name, version in module.needs:
        if name.startswith(("Py", "_Py")) or target.libc == "musl":
            continue
        # A linker that knows newer names than the oldest libc leaves them without a version.
        if not version.startswith("GLIBC_") or _numbers(version) > GLIBC:
            yield f"its module needs {name} of {version or 'nobody'}, newer than glibc 2.17"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("GLIBC_").split("."))


def _platform(wheel: Path, target: Target) -> Iterator[str]:
    """auditwheel's opinion: a platform as old as the one of the wheel's name, or older."""
    said = subprocess.run([beside("auditwheel"), "show", wheel], capture_output=True, text=True)
    words = " ".join((said.stdout + said.stderr).split())
    kind = target.tags[-1].partition("_")[0]
    found = re.search(rf'platform tag: "{kind}_(\d+)_(\d+)_{target.machine}"', words)
    named = re.search(r"_(\d+)_(\d+)_", target.tags[-1])
    if not found or not named or tuple(map(int, found.groups())) > tuple(map(int, named.groups())):
        yield f"auditwheel: {words}"


def _tool(name: str, *arguments: str | Path) -> list[str]:
    done = subprocess.run([beside(name), *arguments], capture_output=True, text=True)
    return [f"{name}: {done.stdout}{done.stderr}"] if done.returncode else []
