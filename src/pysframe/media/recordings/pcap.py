"""Network captures: pcap and pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).

Rule: every length is checked against the file and against a bound before anything of that size is
read. A block that cannot be right ends the file, with a note: nothing behind it can be found.

No library reads these: the maintained one is under the GPL, and dpkt was last released in 2022.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from . import links
from ._source import Captured, RecordingError, Source

LARGEST = 1 << 18  # bytes of a packet; libpcap's own bound
LARGEST_BLOCK = 1 << 24
SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, PACKET = 0x0A0D0D0A, 1, 2, 3, 6
BYTE_ORDER = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
TICKS = {  # of the four kinds of pcap: byte order, ticks in a second
    b"\xa1\xb2\xc3\xd4": (">", 10**6),
    b"\xd4\xc3\xb2\xa1": ("<", 10**6),
    b"\xa1\xb2\x3c\x4d": (">", 10**9),
    b"\x4d\x3c\xb2\xa1": ("<", 10**9),
}
NEXT_GENERATION = SECTION.to_bytes(4, "big")
MAGIC = (*TICKS, NEXT_GENERATION)
RESOLUTION = 9  # the option if_tsresol


class Interface(NamedTuple):
    """What its block says: link type, ticks in a second, and bytes kept of each packet (0: all)."""

    link: int
    ticks: int
    kept: int


def read(source: Source) -> Iterator[Captured]:
    """The UDP datagrams of a capture; everything else is noted."""
    magic = source.take(4)
    if magic in TICKS:
        frames = _classic(source, *TICKS[magic])
    else:
        source.go_to(0)
        frames = _blocks(source)
    for link, at, frame in frames:
        try:
            flow, data = links.datagram(link, frame)
        except links.NotUDP as other:
            source.notes[str(other)] += 1
        else:
            yield Captured(data, at, flow)


Frames = Iterator[tuple[int, float | None, bytes]]  # link type, time, bytes


def _classic(source: Source, order: str, ticks: int) -> Frames:
    head = source.whole(20, "the header")
    if head is None:
        raise RecordingError("this pcap file ends in its header")
    link = struct.unpack(f"{order}I", head[16:])[0] & 0x0FFF_FFFF
    while record := source.whole(16, "a packet"):
        seconds, rest, kept, length = struct.unpack(f"{order}4I", record)
        if kept > LARGEST:
            source.notes[f"a packet of {kept} bytes: the file is damaged from here on"] += 1
            return
        frame = source.whole(kept, "a packet")
        if frame is None:
            return
        if _uncut(source, frame, length):
            yield link, seconds + rest / ticks, frame


def _uncut(source: Source, frame: bytes, length: int) -> bool:
    if len(frame) < length:
        source.notes["packets that the capture cut short (snaplen)"] += 1
    return len(frame) >= length


# ---- pcapng ----


def _blocks(source: Source) -> Frames:
    order, interfaces = "<", list[Interface]()
    while head := source.whole(12, "a block"):
        if head[:4] == NEXT_GENERATION:
            if head[8:] not in BYTE_ORDER:
                _damaged(source)
                return
            order, interfaces = BYTE_ORDER[head[8:]], []
        kind, size = struct.unpack(f"{order}2I", head[:8])
        body = _body(source, order, size, head[8:])
        if body is None:
            return
        try:
            if kind == INTERFACE:
                interfaces.append(_interface(body, order))
            else:
                yield from _packet(source, kind, body, order, interfaces)
        except (struct.error, IndexError):
            source.notes["blocks whose lengths are wrong"] += 1


def _body(source: Source, order: str, size: int, begun: bytes) -> bytes | None:
    """The body of a block, between its two length fields; the first 4 bytes have been read."""
    if not 12 <= size <= LARGEST_BLOCK or size % 4:
        _damaged(source)
        return None
    rest = begun if size == 12 else source.whole(size - 12, "a block")
    if rest is None:
        return None
    whole = rest if size == 12 else begun + rest
    if struct.unpack(f"{order}I", whole[-4:])[0] != size:
        _damaged(source)
        return None
    return whole[:-4]


def _damaged(source: Source) -> None:
    source.notes["a block whose length is wrong: the file is damaged from here on"] += 1


def _interface(body: bytes, order: str) -> Interface:
    link, _, kept = struct.unpack_from(f"{order}HHI", body)
    at, ticks = 8, 10**6
    while at + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}HH", body, at)
        if code == RESOLUTION and size:
            power = body[at + 4]
            ticks = 2 ** (power & 0x7F) if power & 0x80 else 10**power
        at += 4 + size + -size % 4
    return Interface(link, ticks, kept)


def _packet(
    source: Source, kind: int, body: bytes, order: str, interfaces: list[Interface]
) -> Frames:
    if kind == SIMPLE_PACKET:
        (length,) = struct.unpack_from(f"{order}I", body)
        link, _, most = interfaces[0]
        frame, at = body[4 : 4 + min(length, most or length)], None
    elif kind in (PACKET, OLD_PACKET):
        head = f"{order}5I" if kind == PACKET else f"{order}HH4I"
        number, *_, high, low, kept, length = struct.unpack_from(head, body)
        link, ticks, _ = interfaces[number]
        frame, at = body[20 : 20 + kept], (high << 32 | low) / ticks
        if len(frame) < kept:
            raise IndexError
    else:
        return
    if _uncut(source, frame, length):
        yield link, at, frame
