"""Just enough RTP (RFC 3550) to number frames, and a buffer that reorders them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from .digits import FRAME

_HEADER = struct.Struct("!BBHII")
_VERSION, _OPUS = 0x80, 111  # version 2, no extras; the payload type browsers use for Opus
DEPTH = 5  # frames that a listener waits for a late one: 100 ms


class Packet(NamedTuple):
    """An RTP packet: its stream, its 20 ms of it, and its payload."""

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
    """The frames of one stream in order; None stands for one that did not arrive in time."""

    def __init__(self) -> None:
        self._waiting: dict[int, bytes] = {}
        self._next = 0
        self._newest = -1

    def push(self, seq: int, frame: bytes) -> None:
        """Accepts a frame; one that is repeated or too late changes nothing."""
        if seq >= self._next:
            self._waiting[seq] = frame
            self._newest = max(self._newest, seq)

    def pull(self, depth: int = DEPTH) -> Iterator[tuple[int, bytes | None]]:
        """The frames that are due, and None for missing ones that are too late."""
        while self._next in self._waiting or self._newest - self._next >= depth:
            yield self._next, self._waiting.pop(self._next, None)
            self._next += 1
