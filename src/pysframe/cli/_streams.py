"""The standard streams as every command uses them.

Rules of this file:
  1. No name, argument or variable can steer a terminal: `visible` shows control characters as
     escapes.
  2. A character that a stream's encoding lacks becomes a plain mark, never an exception.
  3. A standard output that takes nothing raises WriteFailed, which main() puts into words. A
     standard error that takes nothing is left alone: nobody is there to be told.
"""

from __future__ import annotations

import codecs
import errno
import os
import shutil
import sys
from contextlib import suppress
from typing import TextIO

NARROWEST = 20  # columns: a line is never wrapped to fewer

_MARKS = {"…": "~", "─": "-", "━": "-", "╸": "-", "╺": "-", "│": "|", "µ": "u"}


class WriteFailed(Exception):
    """Standard output is closed, full, or has no reader, which `no_reader` marks."""

    def __init__(self, why: str, *, no_reader: bool = False) -> None:
        super().__init__(f"nothing can be written to standard output: {why}")
        self.no_reader = no_reader


class Output:
    """A text stream that writes as much as possible; a file for print() and rich."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        return self._open().fileno()

    def write(self, text: str) -> int:
        plain = text.encode(self.encoding, "pysframe.plain").decode(self.encoding)
        try:
            return self._open().write(plain)
        except OSError as error:
            raise _failed(error) from None

    def flush(self) -> None:
        try:
            self._open().flush()
        except OSError as error:
            raise _failed(error) from None

    def _open(self) -> TextIO:
        """The stream; Python has None for one that was closed at the start of the process."""
        if self._stream is None or self._stream.closed:
            raise WriteFailed("it is closed")
        return self._stream


def _failed(error: OSError) -> WriteFailed:
    return WriteFailed(error.strerror or str(error), no_reader=error.errno == errno.EPIPE)


def write(text: str) -> None:
    """Writes to standard output, unbuffered."""
    output = Output(sys.stdout)
    output.write(text)
    output.flush()


def complain(text: str) -> None:
    """Writes to standard error."""
    with suppress(WriteFailed):
        output = Output(sys.stderr)
        output.write(f"{visible(text)}\n")
        output.flush()


def settle() -> None:
    """Discards what a stream could not take: at exit Python would retry, complain, and return
    status 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            Output(stream).flush()
        except WriteFailed:
            with suppress(OSError, AttributeError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def visible(text: str, keep: str = "\n") -> str:
    """The text with unprintable characters escaped, except those in keep."""
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def named(path: object) -> str:
    """A file's name for display: on one line, whatever it contains."""
    return visible(str(path), keep="")


def _escape(character: str) -> str:
    """Restores bytes that are not UTF-8, which Python maps to U+DC80..U+DCFF (PEP 383)."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _plain_marks(error: UnicodeError) -> tuple[str, int]:
    """A codec error handler: marks of one column each, so that tables stay in line."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_MARKS.get(character, "?") for character in lost), error.end


codecs.register_error("pysframe.plain", _plain_marks)


def columns() -> int:
    """The columns of the terminal, or COLUMNS; 100 when neither is known."""
    return max(shutil.get_terminal_size((100, 24)).columns or 80, NARROWEST)


def limit() -> int | None:
    """The width for lines better left unwrapped: unlimited except on a terminal."""
    return columns() if Output(sys.stdout).isatty() else None


def forget_odd_sizes() -> None:
    """Drops invalid COLUMNS and LINES: rich calls int() on whatever isdigit() accepts."""
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "")
        if not (value.isascii() and value.isdecimal() and len(value) < 5 and int(value)):
            os.environ.pop(name, None)
