"""What an ELF file says of itself, as far as a wheel's check asks."""

import io
from typing import Any, NamedTuple

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

PF_X, PF_W = 1, 2
DF_BIND_NOW, DF_1_NOW = 0x8, 0x1


class Needed(NamedTuple):
    """A symbol without which the object is not loaded; version is "" when any will do."""

    name: str
    version: str


class Module(NamedTuple):
    """The facts of a shared object."""

    machine: str
    libraries: list[str]
    exports: list[str]
    needs: list[Needed]
    faults: list[str]  # of its hardening, in words


def read(data: bytes) -> Module:
    elf = ELFFile(io.BytesIO(data))
    dynamic = elf.get_section_by_name(".dynamic")
    tags = [(tag.entry.d_tag, tag) for tag in dynamic.iter_tags()]
    libraries = [tag.needed for name, tag in tags if name == "DT_NEEDED"]
    exports, needs = _symbols(elf)
    return Module(elf["e_machine"], libraries, exports, needs, _faults(elf, dict(tags)))


def _symbols(elf: ELFFile) -> tuple[list[str], list[Needed]]:
    names = _versions(elf)
    marks = elf.get_section_by_name(".gnu.version")
    exports, needs = [], []
    for i, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
        if symbol["st_shndx"] != "SHN_UNDEF":
            exports.append(symbol.name)
        elif symbol.name and symbol["st_info"]["bind"] != "STB_WEAK":
            mark = marks.get_symbol(i)["ndx"] if marks else "VER_NDX_GLOBAL"
            needs.append(Needed(symbol.name, names.get(mark, "")))
    return exports, needs


def _versions(elf: ELFFile) -> dict[Any, str]:
    """Number of a symbol version -> its name."""
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            rows = (row for _, rows in section.iter_versions() for row in rows)
            return {row["vna_other"] & 0x7FFF: row.name for row in rows}
    return {}


def _faults(elf: ELFFile, tags: dict[str, Any]) -> list[str]:
    segments = {segment["p_type"]: segment["p_flags"] for segment in elf.iter_segments()}
    marks = [("DT_FLAGS", DF_BIND_NOW), ("DT_FLAGS_1", DF_1_NOW)]
    bound = any(name in tags and tags[name]["d_val"] & bit for name, bit in marks)
    # An object without this segment has an executable stack on some kernels.
    stack = segments.get("PT_GNU_STACK", PF_X)
    both = PF_W | PF_X
    names = [section.name for section in elf.iter_sections()]
    loaded = [s["p_flags"] for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]
    found = {
        "not read-only after relocation": "PT_GNU_RELRO" not in segments,
        "bound lazily": not (bound or "DT_BIND_NOW" in tags),
        "executable stack": bool(stack & PF_X),
        "memory that can be written and run": any(flags & both == both for flags in loaded),
        "relocations in its code": "DT_TEXTREL" in tags,
        "a search path": bool({"DT_RPATH", "DT_RUNPATH"} & set(tags)),
        "not stripped": any(n == ".symtab" or n.startswith(".debug_") for n in names),
    }
    return [words for words, here in found.items() if here]
