"""The machines that wheels are built for, and the interpreters that are found here."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# What an interpreter says of itself.
ASK = """
import json, platform, sys, sysconfig
config = sysconfig.get_config_vars()
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": sys.version_info[:2],
    "threads": "t" if config.get("Py_GIL_DISABLED") else "",
    "machine": platform.machine(),
    "libc": "musl" if "musl" in (config.get("SOABI") or "") else "gnu",
    "executable": sys.executable,
    "include": sysconfig.get_path("include"),
}))
"""
PYPY = "PyPy"
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.14t", "3.15", "3.15t")


@dataclass(frozen=True)
class Target:
    """A kind of Linux."""

    machine: str
    libc: str  # gnu or musl
    tags: tuple[str, ...]  # of wheels, the newest name last
    zig: str  # the compiler's name for it

    @property
    def name(self) -> str:
        return f"{self.machine}-{self.libc}"

    @property
    def musl_library(self) -> str:
        """The name of musl itself on the machines of musllinux; the compiler's is another."""
        return f"libc.musl-{self.machine}.so.1"


def _target(machine: str, libc: str) -> Target:
    if libc == "musl":
        return Target(machine, libc, (f"musllinux_1_2_{machine}",), f"{machine}-linux-musl")
    tags = (f"manylinux2014_{machine}", f"manylinux_2_17_{machine}")
    return Target(machine, libc, tags, f"{machine}-linux-gnu.2.17")


TARGETS = {
    target.name: target
    for target in (_target(m, libc) for libc in ("gnu", "musl") for m in ("x86_64", "aarch64"))
}


@dataclass(frozen=True)
class Python:
    """An interpreter that runs here, by itself or in an emulator."""

    version: str  # as VERSIONS, or PYPY
    target: str  # whose wheels it takes
    executable: Path
    include: Path | None  # where its headers are

    @property
    def tag(self) -> str:
        return "cp" + self.version.replace(".", "").rstrip("t")

    @property
    def abi(self) -> str:
        return "cp" + self.version.replace(".", "")

    def suffix(self, target: Target) -> str:
        """What its import system looks for on the target."""
        return f".cpython-{self.abi[2:]}-{target.machine}-linux-{target.libc}.so"


HERE = "x86_64-gnu"  # what this machine is; of an interpreter for it the headers are taken


def pythons_here(root: Path) -> list[Python]:
    """One of each version and target: of those on the PATH, in pyenv, under build/."""
    found: dict[tuple[str, str], Python] = {}
    for path in _candidates(root / "build"):
        python = _known(path)
        if python and python.version in (*VERSIONS, PYPY) and python.target in TARGETS:
            # One without headers gives way to one that has them.
            known = found.get((python.version, python.target))
            if not known or (python.include and not known.include):
                found[python.version, python.target] = python
    return sorted(found.values(), key=lambda python: (*VERSIONS, PYPY).index(python.version))


def with_headers(pythons: list[Python]) -> dict[str, Python]:
    """Version -> an interpreter whose headers a wheel can be compiled with."""
    return {p.version: p for p in pythons if p.include and p.target == HERE and p.version != PYPY}


def _candidates(build: Path) -> list[Path]:
    on_path = (shutil.which(f"python{version}") for version in VERSIONS)
    folders = [*sorted((Path.home() / ".pyenv/versions").glob("3.*/bin"))]
    folders += sorted((build / "pythons").glob("*/bin"))
    folders += sorted((build / "pythons").glob("*/usr/bin"))
    folders += [build / "arm64/root/usr/bin"]  # tests/arm64/interpreter
    paths = [Path(path) for path in on_path if path]
    paths += [path for folder in folders for path in sorted(folder.glob("py*3.*"))]
    return [path for path in paths if re.fullmatch(r"(python|pypy)3\.\d+t?", path.name)]


def _known(path: Path) -> Python | None:
    """None for what does not run."""
    try:
        asked = subprocess.run([path, "-I", "-c", ASK], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    said = json.loads(asked.stdout)
    include = Path(said["include"])
    version = ".".join(map(str, said["version"])) + said["threads"]
    if said["implementation"] != "cpython":
        version = PYPY
    target = f"{said['machine']}-{said['libc']}"
    has_headers = (include / "Python.h").exists()
    return Python(version, target, Path(said["executable"]), include if has_headers else None)
