"""From the ordered packets of one stream to its wire frames: what an Envelope opens.

Rules of this file:
  1. A frame is told when all of its pieces are there, and never otherwise: a hole in the numbers
     ends whatever is open, and `incomplete` counts it.
  2. Where one picture holds several sealed frames (layers), each is told alone, because an
     envelope holds one ciphertext.
  3. What no sealed frame can be is told, too, unless it is known to be harmless: the receiver then
     counts media in the clear instead of not seeing it.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from .. import av1 as obu
from ..annexb import START
from ..h26x import H264_SYNTAX, H265_SYNTAX, Syntax
from . import payloads
from .packets import Packet
from .payloads import Piece


class Wire(NamedTuple):
    """A frame as it was on the wire, with the RTP time and the arrival of its last packet."""

    data: bytes
    timestamp: int
    at: float | None


class Form(NamedTuple):
    """How the units of a codec make frames.

    carries: a unit holds a ciphertext, so that a frame ends with it. harmless: a unit that is no
    media by itself. joined: units to the bytes of a frame.
    """

    read: payloads.Reader
    carries: Callable[[bytes], bool] = lambda unit: True
    harmless: Callable[[bytes], bool] = lambda unit: False
    joined: Callable[[list[bytes]], bytes] = b"".join


def _nal_units(read: payloads.Reader, syntax: Syntax, idle: range) -> Form:
    """idle: delimiters, SEI and the like."""

    def carries(unit: bytes) -> bool:
        return len(unit) >= syntax.header and syntax.type_of(unit) in syntax.slices

    def harmless(unit: bytes) -> bool:
        kind = syntax.type_of(unit)
        return kind in idle or kind in syntax.parameter_sets

    def joined(units: list[bytes]) -> bytes:
        return b"".join(START + unit for unit in units)

    return Form(read, carries, harmless, joined)


def _obu_type(unit: bytes) -> int:
    return unit[0] >> 3 & 15


def _low_overhead(units: list[bytes]) -> bytes:
    """Joins OBUs and adds their sizes, which RTP leaves out."""
    return b"".join(_sized(unit) for unit in units)


def _sized(unit: bytes) -> bytes:
    if unit[0] & 0x02:
        return unit
    extended = 2 if unit[0] & 0x04 else 1
    body = unit[extended:]
    return bytes([unit[0] | 0x02]) + unit[1:extended] + obu.leb128(len(body)) + body


AUDIO = Form(payloads.whole)
FORMS = {
    "VP8": Form(payloads.vp8),
    "VP9": Form(payloads.vp9),
    "H264": _nal_units(payloads.h264, H264_SYNTAX, range(6, 14)),
    "H265": _nal_units(payloads.h265, H265_SYNTAX, range(35, 41)),
    "AV1": Form(
        payloads.av1,
        carries=lambda unit: _obu_type(unit) == obu.FRAME,
        harmless=lambda unit: _obu_type(unit) in (1, 2, 5, 15),
        joined=_low_overhead,
    ),
}


class Assembler:
    """Joins the packets of one stream in the order of their numbers."""

    def __init__(self, form: Form, notes: Counter[str]) -> None:
        self.incomplete = 0
        self._form, self._notes = form, notes
        self._number: int | None = None
        self._packet: Packet | None = None  # the last one with a payload
        self._units: list[bytes] = []
        self._open: list[bytes] | None = None  # pieces of a unit that has begun
        self._counted = False  # the frame whose pieces pass by, beginning lost, is in `incomplete`

    def push(self, number: int, packet: Packet) -> list[Wire]:
        """The frames that this packet completes."""
        if self._number is not None and number != self._number + 1:
            self._abandon()
        self._number = number
        if not packet.payload:
            return []
        told = self._leftover() if self._is_another(packet) else []
        self._packet = packet
        try:
            pieces = self._form.read(packet.payload, packet.marker)
        except payloads.PayloadFault as fault:
            self._notes[f"packets with {fault}"] += 1
            self._abandon()
            return told
        for piece in pieces:
            told += self._add(piece)
        return told

    def flush(self) -> list[Wire]:
        """What is left at the end."""
        told = self._leftover()
        self._abandon()
        return told

    def _is_another(self, packet: Packet) -> bool:
        return self._packet is not None and packet.timestamp != self._packet.timestamp

    def _abandon(self) -> None:
        """Drops the open frame, because a packet of it is missing."""
        if self._open is not None:
            self.incomplete += 1
            self._counted = True
        self._open = None

    def _add(self, piece: Piece) -> list[Wire]:
        if piece.first:
            if self._open is not None:
                self.incomplete += 1
            self._open, self._counted = [], False
        if self._open is None:
            self.incomplete += not self._counted
            self._counted = True
            return []
        self._open.append(piece.data)
        return self._end_unit() if piece.last else []

    def _end_unit(self) -> list[Wire]:
        unit = b"".join(self._open or ())
        self._open = None
        if not unit:
            return []
        self._units.append(unit)
        return self._tell() if self._form.carries(unit) else []

    def _leftover(self) -> list[Wire]:
        """Units behind the last frame of a picture."""
        if all(self._form.harmless(unit) for unit in self._units):
            self._units = []
            return []
        return self._tell()

    def _tell(self) -> list[Wire]:
        assert self._packet is not None
        units, self._units = self._units, []
        return [Wire(self._form.joined(units), self._packet.timestamp, self._packet.at)]
