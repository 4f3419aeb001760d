"""RTP packets (RFC 3550 5.1), and retransmissions (RFC 4588)."""

import struct
from typing import NamedTuple

_HEADER = struct.Struct("!BBHII")
RTCP = range(192, 224)  # RFC 5761 4: what these second bytes say that it is not RTP


class NotRTP(Exception):
    """The datagram is not an RTP packet; the message becomes a note."""


class Packet(NamedTuple):
    """One packet without header extensions and padding; at: when it came, in seconds, or None."""

    ssrc: int
    sequence: int
    timestamp: int
    payload_type: int
    marker: bool
    payload: bytes
    at: float | None = None


def parse(data: bytes, at: float | None = None) -> Packet:
    """The packet. Its payload is empty where it holds padding alone."""
    if len(data) < _HEADER.size:
        raise NotRTP("datagrams too short for RTP")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:  # RFC 7983: STUN, DTLS, TURN
        raise NotRTP("datagrams that are not RTP")
    if second in RTCP:
        raise NotRTP("RTCP packets")
    begin = _HEADER.size + 4 * (first & 15)
    if first & 0x10:
        begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4], "big")
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if begin > end or (first & 0x20 and not data[-1]):
        raise NotRTP("RTP packets whose lengths are wrong")
    marker, kind = bool(second & 0x80), second & 0x7F
    return Packet(ssrc, sequence, timestamp, kind, marker, data[begin:end], at)


def retransmitted(packet: Packet, ssrc: int, payload_type: int) -> Packet | None:
    """What an RTX packet repeats; None when it is padding."""
    if len(packet.payload) < 2:
        return None
    original = int.from_bytes(packet.payload[:2], "big")
    return packet._replace(
        ssrc=ssrc, sequence=original, payload_type=payload_type, payload=packet.payload[2:]
    )
