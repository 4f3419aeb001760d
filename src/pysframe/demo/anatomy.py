"""Names the parts of an SFrame ciphertext, bit by bit, even when they make no sense.

Rule: the library decides what is well-formed; this module shows where and why it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import Header

SHOWN = 4  # bytes of a field shown in hex before the dots


@dataclass(frozen=True)
class Field:
    """Some bytes and their meaning; `bits` explains them further."""

    start: int
    data: bytes
    means: str
    style: str = ""
    bits: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def end(self) -> int:
        return self.start + self.size

    @property
    def shown(self) -> str:
        return self.data[:SHOWN].hex() + (".." if self.size > SHOWN else "")


@dataclass
class Anatomy:
    """The meaning of a ciphertext's bytes; kid, ctr and size are None when unreadable."""

    fields: list[Field] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    config: int | None = None
    kid: int | None = None
    ctr: int | None = None
    size: int | None = None  # of the header, in bytes
    clear: int = 0
    payload: int | None = None  # bytes of ciphertext between header and tag
    tag: int | None = None

    @staticmethod
    def of(data: bytes, *, clear: int = 0, tag: int | None = None) -> Anatomy:
        """tag: bytes of the suite's tag, when the suite is known."""
        anatomy = Anatomy(clear=clear)
        if clear:
            anatomy._clear_bytes(data)
        if len(data) > clear:
            anatomy._header(data)
        else:
            anatomy.problems.append("there is no header: no byte is left to read")
        if anatomy.size is not None:
            anatomy._rest(data, tag)
        return anatomy

    def numbers(self) -> dict[str, Any]:
        """All numbers; KID and CTR also in hex, since JSON readers lose 64-bit precision."""
        bits = None if self.config is None else dict(zip("XKYC", _split(self.config), strict=True))
        return {
            "config_byte": self.config,
            "config_bits": bits,
            "kid": self.kid,
            "kid_hex": None if self.kid is None else f"{self.kid:x}",
            "ctr": self.ctr,
            "ctr_hex": None if self.ctr is None else f"{self.ctr:x}",
            "clear_size": self.clear,
            "header_size": self.size,
            "payload_size": self.payload,
            "tag_size": self.tag,
        }

    # ---- part by part ----

    def _clear_bytes(self, data: bytes) -> None:
        part = data[: self.clear]
        self.fields.append(Field(0, part, "clear: readable by forwarders, authenticated", "dim"))
        if len(part) < self.clear:
            self.problems.append(f"{self.clear} clear bytes were named, and it has {len(data)}")

    def _header(self, data: bytes) -> None:
        self.config = config = data[self.clear]
        x, k, y, c = _split(config)
        kid_size, ctr_size = (k + 1 if x else 0), (c + 1 if y else 0)
        self.fields.append(_config_field(self.clear, config))
        if x:
            self.kid = self._number(data, "KID", self.clear + 1, kid_size)
        else:
            self.kid = k
        at = self.clear + 1 + kid_size
        self.ctr = self._number(data, "CTR", at, ctr_size) if y else c
        if self.kid is not None and self.ctr is not None:
            self.size = 1 + kid_size + ctr_size
            self._compare_with_shortest(data)

    def _number(self, data: bytes, name: str, start: int, size: int) -> int | None:
        part = data[start : start + size]
        if len(part) < size:
            shown = Field(min(start, len(data)), part, f"{name}, cut off", "red")
            self.fields.append(shown)
            self.problems.append(f"the {name} has {size} bytes, and only {len(part)} are there")
            return None
        value = int.from_bytes(part)
        wrong = _too_long(name, part)
        if wrong:
            self.problems.append(wrong)
        means = f"{name} = {value} ({value:#x})"
        self.fields.append(Field(start, part, means, "red" if wrong else "cyan"))
        return value

    def _compare_with_shortest(self, data: bytes) -> None:
        assert self.kid is not None and self.ctr is not None and self.size is not None
        shortest = Header(self.kid, self.ctr).encode()
        given = data[self.clear : self.clear + self.size]
        if given != shortest:
            self.problems.append(
                f"RFC 9605 4.3 demands the shortest form, {shortest.hex()}; this is {given.hex()}"
            )

    def _rest(self, data: bytes, tag: int | None) -> None:
        assert self.size is not None
        start = self.clear + self.size
        rest = data[start:]
        if tag is None:
            self.fields.append(Field(start, rest, "ciphertext and tag", "dim"))
            return
        if len(rest) < tag:
            self.fields.append(Field(start, rest, "the tag, cut off", "red"))
            self.problems.append(f"the tag has {tag} bytes, and only {len(rest)} are there")
            return
        self.payload, self.tag = len(rest) - tag, tag
        body, end = rest[: self.payload], rest[self.payload :]
        self.fields.append(Field(start, body, "ciphertext", "dim"))
        self.fields.append(Field(start + len(body), end, "tag", "dim"))


def _split(config: int) -> tuple[int, int, int, int]:
    """X, K, Y, C of a config byte."""
    return config >> 7, config >> 4 & 7, config >> 3 & 1, config & 7


def _config_field(start: int, config: int) -> Field:
    x, k, y, c = _split(config)
    bits = (
        (f"{x}... ....", f"X = {x}: the KID {_place(x)}"),
        (f".{k:03b} ....", f"K = {k}: {_meaning('KID', x, k)}"),
        (f".... {y}...", f"Y = {y}: the CTR {_place(y)}"),
        (f".... .{c:03b}", f"C = {c}: {_meaning('CTR', y, c)}"),
    )
    return Field(start, bytes((config,)), "config byte", "cyan", bits)


def _place(extended: int) -> str:
    return "has bytes of its own" if extended else "is in this byte"


def _meaning(name: str, extended: int, value: int) -> str:
    if not extended:
        return f"{name} = {value}"
    return f"{name} length - 1, so {value + 1} byte{'s' if value else ''}"


def _too_long(name: str, part: bytes) -> str:
    """What is wrong with a number stored in bytes of its own; empty when nothing is."""
    value = int.from_bytes(part)
    if value < 8:
        return f"the {name} {value} has its own bytes; values 0-7 go into the config byte"
    if part[0] == 0:
        return f"the {name} {value:#x} starts with a zero byte"
    return ""
