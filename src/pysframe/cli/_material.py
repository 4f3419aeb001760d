"""Bytes from the command line: hex digits, a file of hex or raw bytes, or standard input."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import BinaryIO

from ._console import CommandError
from ._streams import named

MOST = 1 << 26  # bytes read: the largest frame, 16 MiB, as hex with a separator after each byte

_HEX = re.compile(rb"(?:0x)?[0-9a-fA-F]+(?:[\s:,_-]+(?:0x)?[0-9a-fA-F]+)*\s*")


def given(text: str) -> tuple[bytes, str]:
    """The bytes, and their origin in words. A file of that name takes precedence over hex."""
    if text == "-":
        return _bytes(_standard_input(), "standard input")
    is_hex = _is_hex(os.fsencode(text))
    if os.path.exists(text) and not (is_hex and os.path.isdir(text)):
        return _bytes(_file(text), named(text))
    if not is_hex:
        raise CommandError(f"{_short(text)} is neither a file nor hex digits")
    return _bytes(os.fsencode(text), "the command line")


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise CommandError("standard input is closed")
    return _content(sys.stdin.buffer, "standard input")


def _file(name: str) -> bytes:
    """Reads anything readable, including pipes and devices."""
    try:
        with Path(name).open("rb") as file:
            return _content(file, named(name))
    except OSError as error:
        raise CommandError(f"{named(name)} cannot be read: {error.strerror or error}") from None


def _content(file: BinaryIO, name: str) -> bytes:
    try:
        content = file.read(MOST + 1)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or error}") from None
    if len(content) > MOST:
        raise CommandError(f"{name} holds more than {MOST >> 20} MiB, which is no single frame")
    return content


def _bytes(content: bytes, source: str) -> tuple[bytes, str]:
    """Decoded hex when everything is hex, otherwise the bytes themselves."""
    if not _is_hex(content):
        return content, source
    digits = re.sub(rb"0x|[^0-9a-fA-F]", b"", content).decode()
    if len(digits) % 2:
        raise CommandError(f"an odd number of hex digits, {len(digits)}: each byte has two")
    return bytes.fromhex(digits), f"{source}, as hex"


def _is_hex(content: bytes) -> bool:
    """Whether the text is only hex digits and the usual separators."""
    return not content.strip() or _HEX.fullmatch(content.strip()) is not None


def _short(text: str) -> str:
    """Enough of the text to recognize it."""
    return repr(text if len(text) <= 60 else f"{text[:50]}...")
