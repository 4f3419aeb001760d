"""Recordings made for tests: frames of real encoders, sealed, packetized by FFmpeg's RTP muxer, and
put into files as Janus (mjr) and network captures (pcap, pcapng) have them."""

import base64
import io
import json
import struct
from contextlib import ExitStack
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import clear_media

from pysframe.media import Envelope
from pysframe.media.recordings import codecs, matroska

TYPES = {"OPUS": 111, "PCMU": 0, "VP8": 96, "VP9": 98, "H264": 102, "H265": 104, "AV1": 45}
CODECS = [codec for codec in TYPES if codec != "PCMU"]
SMALL_AV1 = Path(__file__).with_name("small_av1.json")
BEGAN = 1_700_000_000  # seconds since 1970


@cache
def media(codec):
    """[(seconds, frame)] of a real encoder; video begins with a key frame."""
    if codec == "OPUS":
        return clear_media.opus(32, "mono", application="voip")[:100]
    if codec == "PCMU":
        return clear_media.audio("pcm_mulaw", 8_000, "mono", 160)[:50]
    if codec == "AV1":
        frames = json.loads(SMALL_AV1.read_text())["frames"]
        return [(number / 30, bytes.fromhex(frame)) for number, frame in enumerate(frames)]
    return clear_media.video(codec.lower(), seconds=1)


def sealed(codec, sender, frames=None):
    """The same as they go on the wire."""
    frames = media(codec) if frames is None else frames
    return [(at, Envelope(codec).seal(sender, frame)) for at, frame in frames]


class _Sent(io.RawIOBase):
    """What the muxer writes, one packet at a time."""

    def __init__(self):
        self.packets = []

    def writable(self):
        return True

    def write(self, data):
        self.packets.append(bytes(data))
        return len(data)


def packetized(codec, frames, *, ssrc=0x1234, sequence=0, stamp=None, size=300, kind=None):
    """[(seconds, RTP packet)] of [(seconds, wire frame)], without RTCP.

    stamp: the RTP time of the first frame; FFmpeg begins anywhere.
    """
    sent, rate, packets = _Sent(), codecs.rate(codec), []
    kind = TYPES[codec] if kind is None else kind
    if codec == "PCMU":  # FFmpeg would cut it where a sealed frame has its middle
        return [
            (at, rtp(sequence + n, frame, kind=kind, ssrc=ssrc, stamp=round(at * rate)))
            for n, (at, frame) in enumerate(frames)
        ]
    options = {
        "ssrc": str(ssrc), "seq": str(sequence), "payload_type": str(kind),
        "packetsize": str(size), "strict": "experimental",
    }  # fmt: skip
    with ExitStack() as stack:
        output = av.open(sent, "w", format="rtp", options=options, buffer_size=1 << 16)
        stream = _stream(output, codec, stack)
        for at, frame in frames:
            packet = av.Packet(frame)
            packet.stream, packet.time_base = stream, Fraction(1, rate)
            packet.pts = packet.dts = round(at * rate)
            output.mux_one(packet)
            packets += [(at, data) for data in sent.packets if not 192 <= data[1] < 224]
            sent.packets.clear()
        output.close()
    return packets if stamp is None else restamped(packets, stamp)


def _stream(output, codec, stack):
    if codec == "OPUS":
        return output.add_stream("libopus", rate=codecs.rate(codec))
    shape = stack.enter_context(matroska._opened(codec, media(codec)[0][1]))
    return output.add_stream_from_template(shape.streams.video[0], opaque=True)


def restamped(packets, stamp):
    """The same packets, their RTP times beginning at `stamp`."""
    first = struct.unpack_from("!I", packets[0][1], 4)[0] if packets else 0
    return [
        (at, data[:4] + _word(struct.unpack_from("!I", data, 4)[0] - first + stamp) + data[8:])
        for at, data in packets
    ]


def renumbered(packets, first):
    """The same packets, their sequence numbers beginning at `first`; they began at 0."""
    return [
        (at, data[:2] + struct.pack("!H", (n + first) % 2**16) + data[4:])
        for n, (at, data) in enumerate(packets)
    ]


def _word(value):
    return struct.pack("!I", value % 2**32)


def rtp(sequence, payload, *, kind=111, ssrc=0x1234, stamp=0, marker=False, extension=b"", pad=0):
    """A packet by hand."""
    first = 0x80 | 0x10 * bool(extension) | 0x20 * bool(pad)
    head = struct.pack("!BBHII", first, kind | 0x80 * marker, sequence % 2**16, stamp, ssrc)
    if extension:
        assert len(extension) % 4 == 0
        head += b"\xbe\xde" + struct.pack("!H", len(extension) // 4) + extension
    return head + payload + (bytes(pad - 1) + bytes([pad]) if pad else b"")


def rebuilt(data, *, extension=b"", pad=0):
    """A packet with a header extension and padding that it did not have."""
    head = struct.unpack_from("!BBHII", data)
    return rtp(
        head[2], data[12:], kind=head[1] & 127, ssrc=head[4], stamp=head[3],
        marker=bool(head[1] & 128), extension=extension, pad=pad,
    )  # fmt: skip


# ---- files ----


def mjr(packets, *, codec="opus", version=2, **header):
    """A recording as Janus writes it."""
    kind = "v" if codec in ("vp8", "vp9", "h264", "h265", "av1") else "a"
    info = {"t": kind, "c": codec, "s": BEGAN * 10**6, "u": BEGAN * 10**6} | header
    text = json.dumps(info).encode()
    parts = [b"MJR0000%d" % version, struct.pack("!H", len(text)), text]
    for at, data in packets:
        mark = b"MEET" + struct.pack("!I", round(at * 1000)) if version == 2 else b"MEETECHO"
        parts += [mark, struct.pack("!H", len(data)), data]
    return b"".join(parts)


def datagram(data, *, source=5004, target=5006, version=4, fragment=0):
    """An IP packet around it, by dpkt."""
    import dpkt

    udp = dpkt.udp.UDP(sport=source, dport=target, data=data)
    udp.ulen = len(udp)
    if version == 6:
        return dpkt.ip6.IP6(
            src=b"\xfe\x80" + bytes(13) + b"\1", dst=b"\xfe\x80" + bytes(13) + b"\2",
            nxt=dpkt.ip.IP_PROTO_UDP, plen=len(udp), data=udp, hlim=64,
        )  # fmt: skip
    packet = dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=dpkt.ip.IP_PROTO_UDP, data=udp)
    packet.len, packet._flags_offset = len(packet), fragment
    return packet


def framed(link, packet):
    """The link layer around an IP packet: its link type, and the bytes."""
    import dpkt

    kind = 0x86DD if packet.v == 6 else 0x0800
    ethernet = dpkt.ethernet.Ethernet(data=packet, type=kind)
    if link == "ethernet":
        return 1, bytes(ethernet)
    if link in ("vlan", "two vlans"):
        tags = b"\x81\x00\x00\x2a" if link == "vlan" else b"\x88\xa8\0\1\x81\x00\x00\x2a"
        plain = bytes(ethernet)
        return 1, plain[:12] + tags + plain[12:]
    if link == "cooked":
        return 113, bytes(dpkt.sll.SLL(ethtype=kind, data=packet))
    if link == "cooked 2":
        return 276, bytes(dpkt.sll2.SLL2(ethtype=kind, data=packet))
    if link == "loopback":
        family = 2 if packet.v == 4 else 30
        return 0, bytes(dpkt.loopback.Loopback(family=family, data=packet))
    return 101, bytes(packet)


LINKS = ["ethernet", "vlan", "two vlans", "cooked", "cooked 2", "loopback", "raw"]


def pcap(packets, *, link="ethernet", version=4, snaplen=1 << 16):
    """A capture, by dpkt."""
    import dpkt

    out, writer = io.BytesIO(), None
    for at, data in packets:
        number, frame = framed(link, datagram(data, version=version))
        if writer is None:
            writer = dpkt.pcap.Writer(out, snaplen=snaplen, linktype=number)
        writer.writepkt(frame, ts=BEGAN + at)
    return out.getvalue()


def pcapng(packets, *, version=4):
    """The same in blocks, by dpkt."""
    import dpkt

    out = io.BytesIO()
    writer = dpkt.pcapng.Writer(out)
    for at, data in packets:
        writer.writepkt(framed("ethernet", datagram(data, version=version))[1], ts=BEGAN + at)
    return out.getvalue()


# ---- keys ----


def json_key(name, kid, key):
    return {"sender": name, "kid": kid, "base_key": base64.urlsafe_b64encode(key).decode()}


def keys_file(path, *rows, suite=4, send=None):
    """keys.json with rows of (sender, KID, base_key)."""
    receive = [json_key(*row) for row in rows]
    content = {"version": 1, "suite": suite, "envelope": 1, "receive": receive}
    if send:
        content["send"] = send
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path
