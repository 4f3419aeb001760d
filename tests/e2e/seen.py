"""What a server on the way saw: frames out of Janus's recordings and the SFU's dumps."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aiortc.codecs.vpx import VpxPayloadDescriptor


class Packet(NamedTuple):
    number: int  # its sequence number, counted on past 65535
    timestamp: int
    payload: bytes


def packets_of(path: Path) -> list[Packet]:
    """The packets of a file in the order in which they were sent, each once, without padding."""
    raw = janus_recording(path) if path.suffix == ".mjr" else sfu_dump(path)
    packets: dict[int, Packet] = {}
    last = None
    for content in raw:
        number, timestamp, payload = parsed(content)
        if last is not None:
            number = last + ((number - last + 0x8000) & 0xFFFF) - 0x8000
        last = number
        if payload:
            packets.setdefault(number, Packet(number, timestamp, payload))
    return [packets[number] for number in sorted(packets)]


def sfu_dump(path: Path) -> Iterator[bytes]:
    content, at = path.read_bytes(), 0
    while at + 2 <= len(content):
        size = int.from_bytes(content[at : at + 2], "big")
        yield content[at + 2 : at + 2 + size]
        at += 2 + size


def janus_recording(path: Path) -> Iterator[bytes]:
    """RTP packets of an mjr file: "MJR00002", a JSON header, then for each "MEET" and a time."""
    content = path.read_bytes()
    assert content[:8] == b"MJR00002", f"{path} is no recording of Janus"
    at = 10 + int.from_bytes(content[8:10], "big")
    while at + 10 <= len(content):
        assert content[at : at + 4] == b"MEET", f"{path} is broken at byte {at}"
        size = int.from_bytes(content[at + 8 : at + 10], "big")
        yield content[at + 10 : at + 10 + size]
        at += 10 + size


def parsed(packet: bytes) -> tuple[int, int, bytes]:
    """Sequence number, timestamp and payload: RFC 3550 5.1."""
    flags, _, number, timestamp, _ = struct.unpack_from(">BBHII", packet)
    start = 12 + 4 * (flags & 0x0F)
    if flags & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    end = len(packet) - (packet[-1] if flags & 0x20 else 0)
    return number, timestamp, packet[start:end]


def audio_frames(path: Path) -> list[bytes]:
    return [packet.payload for packet in packets_of(path)]


def vp8_frames(path: Path) -> list[bytes]:
    """Frames of which no packet is missing in the middle: RFC 7741."""
    frames: list[tuple[int, int, bytes]] = []  # timestamp, last number, bytes
    for number, timestamp, payload in packets_of(path):
        descriptor, rest = VpxPayloadDescriptor.parse(payload)
        if frames and frames[-1][:2] == (timestamp, number - 1):
            frames[-1] = timestamp, number, frames[-1][2] + rest
        elif descriptor.partition_start:
            frames.append((timestamp, number, rest))
    return [frame for _, _, frame in frames]
