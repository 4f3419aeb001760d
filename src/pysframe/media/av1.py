"""AV1: sequence headers in the clear, then one OBU_FRAME that holds the ciphertext.

OBUs in the low-overhead format (AV1 specification, 5.3):

    header      0 | type (4 bits) | has_extension | has_size | 0
    extension   temporal layer (3 bits) | spatial layer (2 bits) | 0 (3 bits)

Packetizers (RTP Payload Format for AV1) drop temporal delimiters and sizes, and depacketizers put
sizes back, so nothing but the payload of the OBU_FRAME is taken from a wire frame.
"""

from typing import NamedTuple

from ._carrier import Codec, NoCarrier, only

SEQUENCE_HEADER, FRAME_HEADER, FRAME = 1, 3, 6
LONGEST_LEB128 = 8  # bytes


class OBU(NamedTuple):
    """One open bitstream unit; extension: its byte, or None."""

    type: int
    extension: int | None
    payload: bytes

    def encode(self) -> bytes:
        """The unit with its size."""
        flags = 0x02 if self.extension is None else 0x06
        head = bytes(
            [self.type << 3 | flags, *([] if self.extension is None else [self.extension])]
        )
        return head + leb128(len(self.payload)) + self.payload


def leb128(value: int) -> bytes:
    """The shortest code of a size (AV1 specification, 4.10.5).

    >>> leb128(300).hex(" ")
    'ac 02'
    """
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def obus(data: bytes) -> list[OBU]:
    """All units of a temporal unit. Raises ValueError when it is none, or cut short."""
    found, at = [], 0
    while at < len(data):
        head, at = data[at], at + 1
        if head & 0x80:
            raise ValueError("the forbidden bit is set")
        extension = None
        if head & 0x04:
            extension, at = _byte(data, at), at + 1
        size = len(data) - at
        if head & 0x02:
            size, at = read_leb128(data, at)
        if size > len(data) - at:
            raise ValueError("an OBU is cut short")
        found.append(OBU(head >> 3, extension, data[at : at + size]))
        at += size
    return found


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise ValueError("an OBU is cut short")
    return data[at]


def read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """A size and where it ends; ValueError when it is cut short or longer than 8 bytes."""
    value = 0
    for number in range(LONGEST_LEB128):
        byte = _byte(data, at + number)
        value |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            return value, at + number + 1
    raise ValueError("a size is longer than 8 bytes")


def _wrap(frame: bytes, ciphertext: bytes) -> bytes:
    try:
        units = obus(frame)
    except ValueError:
        units = []
    shown = [unit for unit in units if unit.type == SEQUENCE_HEADER]
    layers = [unit.extension for unit in units if unit.type in (FRAME, FRAME_HEADER)]
    carrier = OBU(FRAME, layers[0] if layers else None, ciphertext)
    return b"".join(unit.encode() for unit in (*shown, carrier))


def _unwrap(wire: bytes) -> bytes:
    try:
        units = obus(wire)
    except ValueError as fault:
        raise NoCarrier(f"this is no AV1 temporal unit: {fault}") from None
    return only([unit.payload for unit in units if unit.type == FRAME], "an OBU_FRAME")


AV1 = Codec("AV1", _wrap, _unwrap)
