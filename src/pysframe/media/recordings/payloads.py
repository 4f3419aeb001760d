"""What each codec's RTP payload format says of one packet: which pieces of which units it carries.

VP8 RFC 7741, VP9 RFC 9628, H.264 RFC 6184, H.265 RFC 7798, and the RTP payload format of AV1 (AOM).
A unit is a frame of VP8 or VP9, a NAL unit, or an OBU. Rules of this file:
  1. What is read here is no secret and no truth: a tag decides later whether a frame is whole.
  2. Sizes that point past the end of a packet are a PayloadFault; nothing of the packet is used.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..av1 import read_leb128


class PayloadFault(Exception):
    """The payload does not follow its codec's payload format."""


class Piece(NamedTuple):
    """A part of a unit: whether it is the first of it, and the last."""

    first: bool
    last: bool
    data: bytes


Reader = Callable[[bytes, bool], list[Piece]]  # (payload, marker bit)


def whole(payload: bytes, marker: bool) -> list[Piece]:
    """Audio: a packet is a frame."""
    return [Piece(True, True, payload)]


def vp8(payload: bytes, marker: bool) -> list[Piece]:
    """RFC 7741 4.2. A frame ends with the marker bit."""
    first, at = payload[0], 1
    if first & 0x80:
        extension, at = _byte(payload, at), at + 1
        if extension & 0x80:
            at += 2 if _byte(payload, at) & 0x80 else 1
        at += bool(extension & 0x40) + bool(extension & 0x30)
    starts = bool(first & 0x10) and not first & 0x07
    return [Piece(starts, marker, _rest(payload, at))]


def vp9(payload: bytes, marker: bool) -> list[Piece]:
    """RFC 9628 4.2. Each layer of a picture is a frame of its own, from B to E."""
    first, at = payload[0], 1
    if first & 0x80:
        at += 2 if _byte(payload, at) & 0x80 else 1
    if first & 0x20:
        at += 1 if first & 0x10 else 2
    if first & 0x50 == 0x50:
        at = _after_references(payload, at)
    if first & 0x02:
        at = _after_structure(payload, at)
    return [Piece(bool(first & 0x08), bool(first & 0x04), _rest(payload, at))]


def _after_references(payload: bytes, at: int) -> int:
    for _ in range(3):
        at += 1
        if not _byte(payload, at - 1) & 1:
            return at
    raise PayloadFault("more than three references")


def _after_structure(payload: bytes, at: int) -> int:
    head, at = _byte(payload, at), at + 1
    if head & 0x10:
        at += 4 * ((head >> 5) + 1)
    if head & 0x08:
        pictures, at = _byte(payload, at), at + 1
        for _ in range(pictures):
            at += 1 + (_byte(payload, at) >> 2 & 3)
    return at


def h264(payload: bytes, marker: bool) -> list[Piece]:
    """RFC 6184 5.6 to 5.8: single units, STAP-A and FU-A, as WebRTC has them."""
    kind = payload[0] & 0x1F
    if kind == 24:
        return _aggregated(payload, 1)
    if kind == 28:
        head = _byte(payload, 1)
        begun = bytes([payload[0] & 0xE0 | head & 0x1F])
        return _fragment(head, begun, payload[2:])
    if not 1 <= kind <= 23:
        raise PayloadFault(f"a packet of type {kind}, which WebRTC does not use")
    return [Piece(True, True, payload)]


def h265(payload: bytes, marker: bool) -> list[Piece]:
    """RFC 7798 4.4: single units, AP and FU, without decoding order numbers."""
    layer, kind = _byte(payload, 1), payload[0] >> 1 & 0x3F
    if kind == 48:
        return _aggregated(payload, 2)
    if kind == 49:
        head = _byte(payload, 2)
        begun = bytes([payload[0] & 0x81 | (head & 0x3F) << 1, layer])
        return _fragment(head, begun, payload[3:])
    if kind > 47:
        raise PayloadFault(f"a packet of type {kind}, which WebRTC does not use")
    return [Piece(True, True, payload)]


def _fragment(head: int, begun: bytes, body: bytes) -> list[Piece]:
    first = bool(head & 0x80)
    return [Piece(first, bool(head & 0x40), begun + body if first else body)]


def _aggregated(payload: bytes, at: int) -> list[Piece]:
    found = []
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        if not size or at + 2 + size > len(payload):
            raise PayloadFault("a unit that ends past the packet")
        found.append(Piece(True, True, payload[at + 2 : at + 2 + size]))
        at += 2 + size
    return found


def av1(payload: bytes, marker: bool) -> list[Piece]:
    """OBU elements (4.3, 4.4 of the format): Z Y W W N 0 0 0, then elements with their sizes."""
    head, at, elements = payload[0], 1, list[bytes]()
    count = head >> 4 & 3
    while at < len(payload):
        size = len(payload) - at
        if not count or len(elements) + 1 < count:
            size, at = _leb128(payload, at)
        if at + size > len(payload):
            raise PayloadFault("an OBU that ends past the packet")
        elements.append(payload[at : at + size])
        at += size
    last = len(elements) - 1
    return [
        Piece(not (head & 0x80 and i == 0), not (head & 0x40 and i == last), element)
        for i, element in enumerate(elements)
    ]


def _leb128(payload: bytes, at: int) -> tuple[int, int]:
    try:
        return read_leb128(payload, at)
    except ValueError as error:
        raise PayloadFault(str(error)) from None


def _byte(payload: bytes, at: int) -> int:
    if at >= len(payload):
        raise PayloadFault("a header that ends past the packet")
    return payload[at]


def _rest(payload: bytes, at: int) -> bytes:
    if at > len(payload):
        raise PayloadFault("a header that ends past the packet")
    return payload[at:]
