"""What RTP packetizers, depacketizers and SFUs do with frames, from the RFCs, without any key.

Each packetizes a frame, and each depacketizer reads what an SFU reads and joins the frame again, in
the form that browsers give it: four-byte start codes, sizes on every OBU, no temporal delimiter.
"""

from typing import NamedTuple

MTU = 300  # small, so that everything is fragmented


class Seen(NamedTuple):
    """What a server has read on the way, and the frame as it comes out."""

    key: bool
    frame: bytes
    pps: list[int]
    layers: tuple[int, int]  # temporal, spatial
    size: tuple[int, int]  # width, height; VP8 alone


def exp_golomb(bits: str) -> tuple[int, str]:
    zeros = bits.index("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1, bits[2 * zeros + 1 :]


def bits_of(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


def split_at_start_codes(frame: bytes) -> list[bytes]:
    """As libwebrtc does: from one start code to the next, whatever lies between."""
    found, start = [], None
    for at in range(len(frame) - 2):
        if frame[at : at + 3] == b"\0\0\1":
            if start is not None:
                found.append(frame[start : at - (frame[at - 1] == 0)])
            start = at + 3
    return found if start is None else [*found, frame[start:]]


# ---- RFC 6184 (H.264) and RFC 7798 (H.265) ----


def h264_packets(frame: bytes) -> list[bytes]:
    packets = []
    for unit in split_at_start_codes(frame):
        if len(unit) <= MTU:
            packets.append(unit)
            continue
        body = unit[1:]
        for at in range(0, len(body), MTU):  # FU-A, 5.8
            flags = 0x80 * (at == 0) | 0x40 * (at + MTU >= len(body))
            fu = bytes([unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F])
            packets.append(fu + body[at : at + MTU])
    return packets


def h264(frame: bytes) -> Seen:
    units: list[bytearray] = []
    for packet in h264_packets(frame):
        if packet[0] & 0x1F != 28:
            units.append(bytearray(packet))
            continue
        if packet[1] & 0x80:
            units.append(bytearray([packet[0] & 0xE0 | packet[1] & 0x1F]))
        units[-1] += packet[2:]
    types = [unit[0] & 0x1F for unit in units]
    slices = [unit for unit in units if unit[0] & 0x1F in (1, 5)]
    for unit in slices:
        assert exp_golomb(bits_of(unit[1:5]))[0] == 0, "not the first slice of a picture"
    key = 5 in types and 7 in types  # what Janus, mediasoup and libwebrtc ask for
    joined = b"".join(b"\0\0\0\1" + unit for unit in units)
    return Seen(key, joined, [h264_pps(unit) for unit in slices], (0, 0), (0, 0))


def h264_pps(unit: bytes) -> int:
    _, rest = exp_golomb(bits_of(bytes(unit[1:12]).replace(b"\0\0\3", b"\0\0")))
    kind, rest = exp_golomb(rest)
    assert kind <= 9
    return exp_golomb(rest)[0]


def h265(frame: bytes) -> Seen:
    units: list[bytearray] = []
    for unit in split_at_start_codes(frame):
        body, kind = unit[2:], unit[0] >> 1
        for at in range(0, len(body), MTU):  # FU, 4.4.3
            if at == 0:
                units.append(bytearray([kind << 1 | unit[0] & 0x81, unit[1]]))
            units[-1] += body[at : at + MTU]
    pictures = [unit for unit in units if unit[0] >> 1 < 32]
    irap = all(16 <= unit[0] >> 1 <= 23 for unit in pictures)
    pps = []
    for unit in pictures:
        bits = bits_of(bytes(unit[2:12]).replace(b"\0\0\3", b"\0\0"))
        assert bits[0] == "1", "not the first slice of a picture"
        pps.append(exp_golomb(bits[2 if irap else 1 :])[0])
    first = pictures[0]
    layers = (first[1] & 7) - 1, (first[0] & 1) << 5 | first[1] >> 3
    types = {unit[0] >> 1 for unit in units}
    key = irap and {32, 33, 34} <= types
    return Seen(key, b"".join(b"\0\0\0\1" + unit for unit in units), pps, layers, (0, 0))


# ---- RFC 7741 (VP8) ----


def vp8(frame: bytes) -> Seen:
    packets = [bytes([0x10 * (at == 0)]) + frame[at : at + MTU] for at in range(0, len(frame), MTU)]
    payload = b"".join(packet[1:] for packet in packets)
    start = packets[0][1:]
    key, size = not start[0] & 1, (0, 0)  # 4.3: P, inverse key frame flag
    if key:
        assert start[3:6] == b"\x9d\x01\x2a"
        size = tuple(int.from_bytes(start[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return Seen(key, payload, [], (0, 0), size)


# ---- RTP Payload Format for AV1 ----


def leb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def obu_elements(frame: bytes) -> list[bytes]:
    """Without sizes and temporal delimiters, as they go into packets."""
    found, at = [], 0
    while at < len(frame):
        head, extended = frame[at], frame[at] & 4 != 0
        begin = at + 1 + extended
        size, begin = leb(frame, begin) if head & 2 else (len(frame) - begin, begin)
        element = bytes([head & ~2]) + frame[at + 1 : at + 1 + extended]
        if head >> 3 & 15 not in (2, 8, 15):
            found.append(element + frame[begin : begin + size])
        at = begin + size
    return found


def av1(frame: bytes) -> Seen:
    elements = obu_elements(frame)
    types = [element[0] >> 3 for element in elements]
    carrier = next((e for e in elements if e[0] >> 3 in (3, 6)), b"\0")
    layers = (carrier[1] >> 5, carrier[1] >> 3 & 3) if carrier[0] & 4 else (0, 0)
    joined = b""
    for element in elements:
        extended = 1 + (element[0] & 4 != 0)
        size, rest = len(element) - extended, b""
        while size > 0x7F:
            rest, size = rest + bytes([size & 0x7F | 0x80]), size >> 7
        joined += bytes([element[0] | 2]) + element[1:extended] + rest + bytes([size])
        joined += element[extended:]
    return Seen(1 in types, joined, [], layers, (0, 0))


READERS = {"VP8": vp8, "H264": h264, "H265": h265, "AV1": av1}
