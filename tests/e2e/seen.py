"""What a server on the way saw: frames out of Janus's recordings and the SFU's dumps."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aiortc.codecs.vpx import VpxPayloadDescriptor


class Packet(NamedTuple):
    number: int  # its sequence number, counted on past 65535
    timestamp: int
    payload: bytes  # without padding
    marker: bool


def packets_of(path: Path) -> list[Packet]:
    """The packets of a file in the order in which they were sent, each once."""
    raw = janus_recording(path) if path.suffix == ".mjr" else sfu_dump(path)
    packets: dict[int, Packet] = {}
    last = None
    for packet in map(parsed, raw):
        number = packet.number
        if last is not None:
            number = last + ((number - last + 0x8000) & 0xFFFF) - 0x8000
        last = number
        packets.setdefault(number, packet._replace(number=number))
    return [packets[number] for number in sorted(packets)]


def sfu_dump(path: Path) -> Iterator[bytes]:
    """RTP packets of a pcap as sfu/dump.go writes it: behind 24 bytes for each 16 with its size at
    the ninth, then those of IP and UDP."""
    content, at = path.read_bytes(), 24
    while at + 16 <= len(content):
        size = int.from_bytes(content[at + 8 : at + 12], "little")
        yield content[at + 16 + 28 : at + 16 + size]
        at += 16 + size


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


def parsed(packet: bytes) -> Packet:
    """RFC 3550 5.1."""
    flags, kind, number, timestamp, _ = struct.unpack_from(">BBHII", packet)
    start = 12 + 4 * (flags & 0x0F)
    if flags & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    end = len(packet) - (packet[-1] if flags & 0x20 else 0)
    return Packet(number, timestamp, packet[start:end], bool(kind & 0x80))


def audio_frames(path: Path) -> list[bytes]:
    return [packet.payload for packet in packets_of(path) if packet.payload]


def whole_pictures(path: Path) -> int:
    """How many pictures are there from their first packet to their last, whatever their codec: the
    last one is marked. (Of the file's first picture nobody can tell.)"""
    whole, intact, last = 0, False, None
    for packet in packets_of(path):
        intact = intact and packet.number - 1 == last
        last = packet.number
        if packet.marker and packet.payload:
            whole += intact
            intact = True
    return whole


def vp8_frames(path: Path) -> list[bytes]:
    """Frames of which no packet is missing in the middle: RFC 7741."""
    frames: list[tuple[int, int, bytes]] = []  # timestamp, last number, bytes
    for packet in packets_of(path):
        if not packet.payload:
            continue
        descriptor, rest = VpxPayloadDescriptor.parse(packet.payload)
        if frames and frames[-1][:2] == (packet.timestamp, packet.number - 1):
            frames[-1] = packet.timestamp, packet.number, frames[-1][2] + rest
        elif descriptor.partition_start:
            frames.append((packet.timestamp, packet.number, rest))
    return [frame for _, _, frame in frames]
