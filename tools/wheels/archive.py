"""Wheels as archives: a pure wheel with a native module added, written the same each time."""

import base64
import hashlib
import re
import zipfile
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date that a zip file can say
MODULE_FOLDER = "pysframe/engine"


def contents(wheel: Path) -> dict[str, bytes]:
    """Name -> content of each file."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}


def write(files: dict[str, bytes], tags: Sequence[str], folder: Path) -> Path:
    """A wheel of these files, which have a dist-info, for these tags: python-abi-platform."""
    info = next(name.partition("/")[0] for name in files if ".dist-info/" in name)
    python, abi, _ = tags[0].split("-")
    platforms = ".".join(tag.split("-")[2] for tag in tags)
    files = {name: data for name, data in files.items() if name != f"{info}/RECORD"}
    files[f"{info}/WHEEL"] = _about(tags, pure=abi == "none").encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD").encode()
    wheel = folder / f"{info.removesuffix('.dist-info')}-{python}-{abi}-{platforms}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        # The dist-info last, as the specification recommends.
        for name in sorted(files, key=lambda name: (name.startswith(info), name)):
            archive.writestr(_entry(name), files[name])
    return wheel


def _about(tags: Sequence[str], pure: bool) -> str:
    lines = ["Wheel-Version: 1.0", "Generator: pysframe tools/wheels"]
    lines += [f"Root-Is-Purelib: {'true' if pure else 'false'}", *(f"Tag: {tag}" for tag in tags)]
    return "\n".join(lines) + "\n"


def _record(files: dict[str, bytes], itself: str) -> str:
    def digest(data: bytes) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

    rows = [f"{name},sha256={digest(data)},{len(data)}" for name, data in sorted(files.items())]
    return "\n".join([*rows, f"{itself},,"]) + "\n"


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, whose modes follow
    entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
    return entry


def tags_of(wheel: Path) -> list[str]:
    """What the wheel says of itself."""
    about = next(data for name, data in contents(wheel).items() if name.endswith("/WHEEL"))
    return HeaderParser().parsestr(about.decode()).get_all("Tag", [])


def module_of(wheel: Path) -> str | None:
    """The name of its native module."""
    names = [name for name in contents(wheel) if re.search(r"\.(so|pyd)$", name)]
    return names[0] if names else None


def parts(wheel: Path) -> dict[str, int]:
    """What of the wheel's size is whose, in bytes as they lie in the archive."""
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            part = _part(entry.filename)
            sizes[part] = sizes.get(part, 0) + entry.compress_size
    sizes["the archive itself"] = wheel.stat().st_size - sum(sizes.values())
    return sizes


def _part(name: str) -> str:
    if name.endswith((".so", ".pyd")):
        return "native module"
    if name.startswith("pysframe/web/"):
        return "browser files"
    return "names and licence" if ".dist-info/" in name else "Python"
