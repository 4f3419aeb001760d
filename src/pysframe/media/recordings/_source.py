"""Bounded reads of a file, and the error for what is no recording."""

from collections import Counter
from typing import BinaryIO, NamedTuple

CHUNK = 1 << 16


class RecordingError(Exception):
    """The file is not a readable recording; the message says why."""


class Captured(NamedTuple):
    """One datagram of a recording.

    at: seconds since 1970 when it was recorded, or None where the file does not say. flow: between
    which addresses it went; empty where the file does not say.
    """

    data: bytes
    at: float | None
    flow: str = ""


class Source:
    """Reads a file from its beginning. notes: what was met on the way, in words, and how often."""

    def __init__(self, file: BinaryIO, notes: Counter[str]) -> None:
        self._file, self.notes = file, notes
        self.position = 0

    def take(self, size: int) -> bytes:
        """The next bytes; fewer at the end of the file."""
        data = self._file.read(size)
        self.position += len(data)
        return data

    def whole(self, size: int, what: str) -> bytes | None:
        """As many bytes, or None at the end of the file, with a note when it cuts `what` short."""
        data = self.take(size)
        if len(data) == size:
            return data
        if data:
            self.notes[f"the file ends in the middle of {what}"] += 1
        return None

    def skip_to(self, mark: bytes) -> bool:
        """Moves on to the next occurrence of the mark; False when there is none."""
        start = self.position
        kept = b""
        while chunk := self.take(CHUNK):
            kept += chunk
            found = kept.find(mark)
            if found >= 0:
                self.go_to(self.position - len(kept) + found)
                self.notes["bytes that are no packet, skipped"] += self.position - start
                return True
            kept = kept[-len(mark) :]
        self.notes["bytes that are no packet, skipped"] += self.position - start
        return False

    def go_to(self, position: int) -> None:
        self._file.seek(position)
        self.position = position
