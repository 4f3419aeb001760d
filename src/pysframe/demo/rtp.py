"""Just enough RTP (RFC 3550) to number frames, and a buffer that puts them back in order."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from .digits import FRAME

_HEADER = struct.Struct("!BBHII")
_VERSION, _OPUS = 0x80, 111  # version 2, no extras; the payload type browsers use for Opus
DEPTH = 5  # frames a listener waits for a late one: 100 ms


class Packet(NamedTuple):
    """An RTP packet: which stream, which 20 ms of it, and what it carries."""

    ssrc: int
    seq: int
    payload: bytes

    def encode(self) -> bytes:
        """The bytes on the wire; seq is 0..65535, about 20 minutes of audio."""
        timestamp = self.seq * FRAME & 0xFFFFFFFF
        return _HEADER.pack(_VERSION, _OPUS, self.seq, timestamp, self.ssrc) + self.payload

    @staticmethod
    def parse(data: bytes) -> Packet:
        _version, _type, seq, _timestamp, ssrc = _HEADER.unpack_from(data)
        return Packet(ssrc, seq, data[_HEADER.size :])


class JitterBuffer:
    """Frames of one stream in order; None stands for one that did not come in time."""

    def __init__(self) -> None:
        self._waiting: dict[int, bytes] = {}
        self._next = 0
        self._newest = -1

    def push(self, seq: int, frame: bytes) -> None:
        """A frame that comes twice, or after its time, changes nothing."""
        if seq >= self._next:
            self._waiting[seq] = frame
            self._newest = max(self._newest, seq)

    def pull(self, depth: int = DEPTH) -> Iterator[tuple[int, bytes | None]]:
        """What is due: every frame that is next, and the missing ones that are too late."""
        while self._next in self._waiting or self._newest - self._next >= depth:
            yield self._next, self._waiting.pop(self._next, None)
            self._next += 1
