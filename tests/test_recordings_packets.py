"""Recordings: what packets hold beside whole frames, and how each codec lays frames in them."""

import io
import struct
from collections import Counter

import pytest
import recorded
from hypothesis import given
from hypothesis import strategies as st
from recorded import TYPES, media, packetized, rebuilt, rtp, sealed
from reopened import NAMES, OPUS, frames, key, opus_packets, plain, restored, sealer

from pysframe.media import Envelope
from pysframe.media.recordings import red
from pysframe.media.recordings.frames import FORMS, Assembler
from pysframe.media.recordings.packets import parse
from pysframe.media.recordings.payloads import PayloadFault

# ---- what else is in packets ----


@pytest.mark.parametrize("codec", ["OPUS", "VP8"])
def test_header_extensions_padding_and_probes(codec):
    packets = []
    for at, data in packetized(codec, sealed(codec, sealer())):
        sequence = 2 * struct.unpack_from("!H", data, 2)[0]
        data = data[:2] + struct.pack("!H", sequence) + data[4:]
        packets.append((at, rebuilt(data, extension=b"\x10\xff\0\0", pad=at > 0.3 and 7)))
        packets.append((at, rtp(sequence + 1, b"", kind=TYPES[codec], pad=200)))
    found, restorer = frames(recorded.pcap(packets), names=NAMES)
    assert found == plain(media(codec)) and restorer.tracks[0].lost == 0
    assert restorer.notes == {"empty packets: padding, or silence": len(packets) // 2}


def test_other_payload_types_of_a_stream_are_told_and_are_no_loss():
    packets = [(at, data[:2] + struct.pack("!H", 2 * n) + data[4:])
               for n, (at, data) in enumerate(opus_packets())]  # fmt: skip
    events = [(at, rtp(2 * n + 1, b"\5\n\0\xa0", kind=126)) for n, (at, _) in enumerate(packets)]
    mixed = [row for pair in zip(packets, events, strict=True) for row in pair]
    for file in (recorded.mjr(packets[:1] + mixed[1:]), recorded.pcap(mixed)):
        found, restorer = frames(file)
        assert found == plain(media("OPUS")[:30])
        assert restorer.tracks[0].lost == 0
        assert restorer.notes == {"packets of payload type 126, which has no codec": 30}


def test_janus_does_not_know_the_ssrc_of_simulcast_at_first():
    packets = packetized("VP8", sealed("VP8", sealer()))
    unknown = [(at, data[:8] + bytes(4) + data[12:]) for at, data in packets[:5]]
    found, restorer = frames(recorded.mjr(unknown + packets[5:], codec="vp8"))
    assert found == plain(media("VP8"))
    assert [track.ssrc for track in restorer.tracks] == [0x1234]


def test_what_is_not_rtp_is_told():
    others = {
        b"\0\1\0\x08" + bytes(20): "datagrams that are not RTP",  # STUN
        b"\x16\xfe\xfd" + bytes(40): "datagrams that are not RTP",  # DTLS
        b"\x80\xc8\0\6" + bytes(24): "RTCP packets",
        b"\x80\x6f\0": "datagrams too short for RTP",
        b"\x8f\x6f" + bytes(10): "RTP packets whose lengths are wrong",  # 15 CSRCs
        b"\x90\x6f" + bytes(10) + b"\xbe\xde\xff\xff": "RTP packets whose lengths are wrong",
        b"\xa0\x6f" + bytes(10) + b"ab\x09": "RTP packets whose lengths are wrong",
        b"\xa0\x6f" + bytes(10) + b"ab\x00": "RTP packets whose lengths are wrong",
    }
    rows = [(0.0, data) for data in others]
    found, restorer = frames(recorded.pcap(opus_packets() + rows))
    assert found == plain(media("OPUS")[:30])
    assert restorer.notes == Counter(others.values())


def test_what_is_not_udp_is_told():
    import dpkt

    def ethernet(kind, data):
        return bytes(dpkt.ethernet.Ethernet(type=kind, data=data))

    tcp = dpkt.ip.IP(src=bytes(4), dst=bytes(4), p=6, data=dpkt.tcp.TCP())
    tcp.len = len(tcp)
    short = bytearray(ethernet(0x0800, recorded.datagram(b"x" * 40)))
    short[14 + 20 + 4 : 14 + 20 + 6] = b"\xff\xff"
    odd = bytearray(ethernet(0x0800, recorded.datagram(b"x" * 40)))
    odd[14 + 2 : 14 + 4] = b"\xff\xff"
    rows = [
        (ethernet(0x0806, b"arp"), "packets that are not IP"),
        (ethernet(0x0800, tcp), "packets that are not UDP"),
        (ethernet(0x0800, recorded.datagram(b"x" * 40, fragment=0x2000)),
         "fragments of IP packets, which are not joined"),
        (bytes(short), "UDP datagrams whose length is wrong"),
        (bytes(odd), "IP packets whose length is wrong"),
        (ethernet(0x0800, b""), "packets that are not IP"),
        (b"", "packets that are not IP"),
    ]  # fmt: skip
    out = io.BytesIO()
    writer = dpkt.pcap.Writer(out)
    for frame, _ in rows:
        writer.writepkt(frame, ts=1)
    _, restorer = frames(out.getvalue())
    assert restorer.notes == Counter(words for _, words in rows)


def test_an_ipv6_packet_with_extension_headers():
    import dpkt

    options = b"\x3c\0" + bytes(6) + b"\x11\0" + bytes(6)
    for chain, fragmented in ((options, False), (b"\x11\0\0\0" + bytes(4), True)):
        file = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, dpkt.pcap.DLT_EN10MB)
        for at, data in opus_packets():
            udp = bytes(recorded.datagram(data, version=6))
            size, following = len(udp) - 40 + len(chain), 44 if fragmented else 0
            packet = udp[:4] + struct.pack("!HB", size, following) + udp[7:40] + chain + udp[40:]
            frame = bytes(12) + b"\x86\xdd" + packet
            file += struct.pack("<4I", 5, round(at * 10**6), len(frame), len(frame)) + frame
        found, restorer = frames(file)
        assert found == ([] if fragmented else plain(media("OPUS")[:30]))
        assert bool(restorer.notes) is fragmented


# ---- retransmissions and redundancy ----


def rtx(data, sequence, ssrc, kind=97):
    """The packet again, as RFC 4588 has it."""
    head = struct.unpack_from("!BBHII", data)
    payload = struct.pack("!H", head[2]) + data[12:]
    return rtp(sequence, payload, kind=kind, ssrc=ssrc, stamp=head[3], marker=bool(head[1] & 128))


@pytest.mark.parametrize("layers", [1, 3])
def test_what_was_sent_again_fills_the_holes(layers):
    """Also beside other streams of that payload type (simulcast): the hole tells whose it is."""
    rows, keys, names = [], [], {96: "VP8", 97: "rtx/96"}
    for layer in range(layers):
        wires = sealed("VP8", sealer(7 + layer))
        packets = packetized("VP8", wires, ssrc=10 + layer, sequence=1000 * layer)
        keys.append(key(7 + layer))
        lost = packets[5:60:9]
        rows += [(at + layer / 1000, data) for at, data in packets if (at, data) not in lost]
        again = [(at + 0.1, rtx(data, n, 20 + layer)) for n, (at, data) in enumerate(lost)]
        rows += again + again[:2] + [(0.2, rtp(len(lost), b"", kind=97, ssrc=20 + layer, pad=50))]
    rows.sort(key=lambda row: row[0])
    found, restorer = restored(recorded.pcap(rows), keys=keys, names=names)
    for layer in range(layers):
        assert plain(found[0, 10 + layer, "VP8"]) == plain(media("VP8"))
    assert [track.lost for track in restorer.tracks] == [0] * layers


def test_retransmissions_of_nobody_are_told():
    again = [(0.1, rtx(data, n, 99)) for n, (_, data) in enumerate(opus_packets(3))]
    _, restorer = frames(recorded.pcap(again), names=OPUS | {97: "rtx/111"})
    assert restorer.notes == {"retransmissions for a stream that is not known": 3}


def redundant(frames_, depth=2):
    """Each Opus frame in RED, behind copies of the two before it; RTP times are 960 apart."""
    for n, frame in enumerate(frames_):
        copies = [(960 * back, frames_[n - back]) for back in range(min(depth, n), 0, -1)]
        words = (1 << 31 | 111 << 24 | before << 10 | len(copy) for before, copy in copies)
        heads = b"".join(struct.pack("!I", word) for word in words)
        yield heads + bytes([111]) + b"".join(copy for _, copy in copies) + frame


@pytest.mark.parametrize("form", ["mjr", "pcap"])
def test_red_gives_what_it_has_copies_of(form):
    clear = plain(media("OPUS")[:40])
    seal = sealer()
    packets = [
        (n / 50, rtp(n, Envelope("red").seal(seal, frame), kind=63, stamp=960 * n))
        for n, frame in enumerate(redundant(clear))
    ]
    kept = [row for n, row in enumerate(packets) if n not in (7, 15, 16, 25, 26, 27)]
    if form == "mjr":
        plain_opus = [(2, rtp(100 + n, b"", kind=111, pad=4)) for n in range(50)]
        file = recorded.mjr([*kept, *plain_opus], **{"or": 63})
    else:
        file = recorded.pcap(kept)
    found, restorer = restored(file, names={63: "red"})
    ((rows),) = found.values()
    assert plain(rows) == clear[:25] + clear[26:]  # of three in a row the first has no copy
    assert [ticks for ticks, _ in rows] == [960 * n for n in range(40) if n != 25]
    assert restorer.tracks[0].recovered == 5


def test_red_cut_anywhere():
    """RFC 2198 3: headers of 4 bytes for copies and of 1 for the last frame, then the frames."""
    whole = bytes.fromhex("ef 0f0002 6f aabb cc")
    assert red.blocks(whole) == [(960, b"\xaa\xbb"), (0, b"\xcc")]
    assert red.blocks(whole[:7]) == [(960, b"\xaa\xbb"), (0, b"")]
    for size in range(7):
        words = "a block header is cut short" if size < 5 else "a block ends past the frame"
        with pytest.raises(ValueError, match=f"^{words}$"):
            red.blocks(whole[:size])


@given(st.binary(max_size=40))
def test_red_is_parsed_or_refused(data):
    try:
        blocks = red.blocks(data)
    except ValueError:
        return
    assert sum(len(block.data) for block in blocks) <= len(data) and blocks[-1].before == 0


# ---- payload formats ----


def pieces(codec, *payloads):
    """What an Assembler tells of these payloads, marker on the last."""
    assembler = Assembler(FORMS[codec], notes := Counter())
    told = []
    for n, payload in enumerate(payloads):
        packet = parse(rtp(n, payload, marker=n == len(payloads) - 1))
        told += [wire.data for wire in assembler.push(n, packet)]
    told += [wire.data for wire in assembler.flush()]
    return told, assembler.incomplete, notes


@pytest.mark.parametrize(
    "head",
    ["10", "9080 11", "9080 9111", "9040 05", "9020 40", "9010 40", "90e0 110540", "b0f0 91110540"],
)
def test_descriptors_of_vp8(head):
    """RFC 7741 4.2: every combination of I, L, T, K and the two sizes of the picture ID."""
    assert pieces("VP8", bytes.fromhex(head) + b"frame")[0] == [b"frame"]


@pytest.mark.parametrize(
    "head",
    [
        "0c", "8c 11", "8c 91 11", "2c 01 05", "3c 01", "bc 91 11 01",
        "5c 02", "5c 03 02", "5c 03 03 02", "dc 91 11 03 02",
        "0e 00", "0e 08 01 00", "0e 38 00a00060 014000c0 03 00 04 01 08 01 02",
    ],
)  # fmt: skip
def test_descriptors_of_vp9(head):
    """RFC 9628 4.2; the last has a scalability structure of two sizes and three pictures."""
    assert pieces("VP9", bytes.fromhex(head) + b"frame")[0] == [b"frame"]


def test_layers_of_vp9_are_frames_of_their_own():
    told, incomplete, _ = pieces("VP9", b"\x08lay", b"\x04er", b"\x0csecond")
    assert told == [b"layer", b"second"] and incomplete == 0


def test_h264_in_aggregates_and_fragments():
    sps, pps, idr = b"\x67sps", b"\x68pps", b"\x65carrier"
    stap = b"\x18" + b"".join(struct.pack("!H", len(unit)) + unit for unit in (sps, pps))
    fragments = [b"\x7c\x85" + idr[1:4], b"\x7c\x05" + idr[4:6], b"\x7c\x45" + idr[6:]]
    told, incomplete, notes = pieces("H264", stap, *fragments)
    assert told == [b"\0\0\0\1" + b"\0\0\0\1".join([sps, pps, idr])]
    assert (incomplete, notes) == (0, {})


def test_h265_in_aggregates_and_fragments():
    vps, idr = b"\x40\1vps", b"\x26\1carrier"
    aggregate = b"\x60\1" + b"".join(struct.pack("!H", len(unit)) + unit for unit in (vps, vps))
    fragments = [b"\x62\1\x93" + idr[2:4], b"\x62\1\x13" + idr[4:6], b"\x62\1\x53" + idr[6:]]
    told, *_ = pieces("H265", aggregate, *fragments)
    assert told == [b"\0\0\0\1" + b"\0\0\0\1".join([vps, vps, idr])]


def test_layers_of_av1_are_frames_of_their_own():
    """W = 2 and W = 0; what goes on in the next packet; sizes are put back."""
    header, one, two = b"\x08seq", b"\x34\x00one", b"\x34\x08two"
    first = b"\x68" + bytes([len(header)]) + header + one[:3]  # Y, W = 2, N
    second = b"\x80" + bytes([2]) + one[3:] + bytes([len(two)]) + two  # Z, W = 0
    told, incomplete, _ = pieces("AV1", first, second)
    assert told == [b"\x0a\x03seq\x36\x00\x03one", b"\x36\x08\x03two"] and incomplete == 0


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        ("VP8", "90"), ("VP8", "9080"), ("VP8", "90f0"), ("VP9", "8c"), ("VP9", "5c010101"),
        ("VP9", "0e"), ("VP9", "0e08ff"), ("H264", "18ffff00"), ("H264", "1d00"), ("H264", "7c"),
        ("H264", "180000"), ("H265", "62"), ("H265", "6001ffff"), ("H265", "6401"), ("AV1", "00ff"),
        ("AV1", "0005aa"), ("AV1", "20ffffffffffffffffff"),
    ],
)  # fmt: skip
def test_sizes_past_the_end_are_told(codec, payload):
    told, _, notes = pieces(codec, bytes.fromhex(payload))
    assert told == [] and notes.total() == 1


@pytest.mark.parametrize("codec", list(FORMS))
@given(payload=st.binary(min_size=1, max_size=30), marker=st.booleans())
def test_a_payload_is_read_or_refused(codec, payload, marker):
    try:
        found = FORMS[codec].read(payload, marker)
    except PayloadFault as fault:
        assert str(fault)
    else:
        assert sum(len(piece.data) for piece in found) <= len(payload)


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "H265", "AV1"])
def test_media_in_the_clear_is_told(codec):
    found, restorer = frames(recorded.mjr(packetized(codec, media(codec)), codec=codec.lower()))
    assert found == []
    assert sum(flow.rejected.total() for flow in restorer.flows.values()) >= len(media(codec)) * 0.9
    assert {flow.verdict for flow in restorer.flows.values() if flow.rejected} <= {
        "not SFrame", "no key", "wrong key",
    }  # fmt: skip
