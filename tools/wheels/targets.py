"""The machines that wheels are built for, and the interpreters that are found here."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# What an interpreter says of itself.
ASK = """
import json, sys, sysconfig
config = sysconfig.get_config_vars()
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": sys.version_info[:2],
    "threads": "t" if config.get("Py_GIL_DISABLED") else "",
    "executable": sys.executable,
    "include": sysconfig.get_path("include"),
}))
"""
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
    """A CPython with headers."""

    version: str  # as VERSIONS
    executable: Path
    include: Path

    @property
    def tag(self) -> str:
        return "cp" + self.version.replace(".", "").rstrip("t")

    @property
    def abi(self) -> str:
        return "cp" + self.version.replace(".", "")

    def suffix(self, target: Target) -> str:
        """What its import system looks for on the target."""
        return f".cpython-{self.abi[2:]}-{target.machine}-linux-{target.libc}.so"


def pythons_here(folder: Path) -> dict[str, Python]:
    """Version -> an interpreter of it: of those on the PATH, of pyenv's, of those in the folder."""
    found: dict[str, Python] = {}
    for path in _candidates(folder):
        python = _known(path)
        if python and python.version in VERSIONS:
            found.setdefault(python.version, python)
    return {version: found[version] for version in VERSIONS if version in found}


def _candidates(folder: Path) -> list[Path]:
    on_path = (shutil.which(f"python{version}") for version in VERSIONS)
    pyenv = (Path.home() / ".pyenv/versions").glob("3.*/bin/python3.*")
    paths = [*(Path(path) for path in on_path if path), *sorted(pyenv), *_programs(folder)]
    return [path for path in paths if re.fullmatch(r"python3\.\d+t?", path.name)]


def _programs(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*/bin/python3.*"), *folder.glob("*/usr/bin/python3.*")])


def _known(path: Path) -> Python | None:
    """None for what does not run, is no CPython, or has no headers."""
    try:
        asked = subprocess.run([path, "-I", "-c", ASK], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    said = json.loads(asked.stdout)
    include = Path(said["include"])
    if said["implementation"] != "cpython" or not (include / "Python.h").exists():
        return None
    version = ".".join(map(str, said["version"])) + said["threads"]
    return Python(version, Path(said["executable"]), include)
