"""Recordings: every frame that is whole in the file comes back as it was sealed, and what does not
is counted under a name."""

import base64
import hashlib
import io
import json
import struct
from collections import Counter
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace

import av
import pytest
import recorded
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder
from hypothesis import given
from hypothesis import strategies as st
from oracle import Oracle
from parties import GCM, new_sender
from recorded import CODECS, LINKS, TYPES, media, packetized, rebuilt, rtp, sealed

import pysframe
from pysframe.media import Envelope
from pysframe.media.recordings import Recording, RecordingError, Restorer, codecs, order, red
from pysframe.media.recordings.frames import FORMS, Assembler
from pysframe.media.recordings.opening import MOST_KIDS, OTHERS, Once
from pysframe.media.recordings.packets import parse
from pysframe.media.recordings.payloads import PayloadFault

JANUS_ROOM = Path(__file__).with_name("janus_room.json")
KEY = bytes(range(16))
NAMES = {kind: codec for codec, kind in TYPES.items()}
OPUS = {111: "opus"}
FEW = 8  # frames, where there are many examples


def key(kid=7, base_key=KEY, sender="alice", suite=GCM):
    return SimpleNamespace(sender=sender, suite=suite, kid=kid, base_key=base_key, envelope=1)


def sealer(kid=7, base_key=KEY, first=0):
    """Seals as a Sender does, which would not use the counters of one key again in each test."""
    oracle, counter = Oracle(GCM, base_key, kid, "cryptography"), iter(range(first, 1 << 40))
    return SimpleNamespace(protect=lambda frame, _=b"": oracle.seal(next(counter), bytes(frame)))


def restored(*files, keys=(), names=OPUS):
    """(frames by track, restorer): a track is (recording, SSRC, codec)."""
    recordings = [Recording(io.BytesIO(file), names) for file in files]
    restorer, found = Restorer(recordings, list(keys) or [key()]), {}
    for frame in restorer.frames():
        name = frame.track.number, frame.track.ssrc, frame.track.codec
        found.setdefault(name, []).append((frame.ticks, frame.data))
    return found, restorer


def frames(*files, **more):
    """All frames of the one track there is."""
    found, restorer = restored(*files, **more)
    assert len(found) <= 1
    return [data for rows in found.values() for _, data in rows], restorer


def plain(rows):
    return [frame for _, frame in rows]


def opus_packets(count=30, sequence=0, **more):
    wires = sealed("OPUS", sealer(), media("OPUS")[:count])
    return packetized("OPUS", wires, sequence=sequence, **more)


# ---- every codec, every container ----


@pytest.mark.parametrize("codec", [*CODECS, "PCMU"])
def test_every_frame_of_an_mjr_comes_back(engine, codec, rng, monkeypatch):
    monkeypatch.setattr(pysframe, "Receiver", engine.Receiver)
    base_key = rng.randbytes(16)
    sender = new_sender(engine, GCM, base_key)
    file = recorded.mjr(packetized(codec, sealed(codec, sender)), codec=codec.lower())
    found, restorer = frames(file, keys=[key(base_key=base_key)])
    assert found == plain(media(codec))
    flow = restorer.flows[7]
    assert (flow.opened, flow.rejected, flow.verdict) == (len(found), {}, "restored")
    assert restorer.notes == {}
    track = restorer.tracks[0]
    assert (track.lost, track.incomplete, track.repeated) == (0, 0, 0)
    assert track.seconds == pytest.approx(media(codec)[-1][0], abs=0.02)


@pytest.mark.parametrize("form", ["version 1", "pcap", "pcapng"])
@pytest.mark.parametrize("codec", CODECS)
def test_so_it_does_from_other_files(codec, form):
    packets = packetized(codec, sealed(codec, sealer()))
    made = {
        "version 1": lambda: recorded.mjr(packets, codec=codec.lower(), version=1),
        "pcap": lambda: recorded.pcap(packets),
        "pcapng": lambda: recorded.pcapng(packets),
    }
    found, restorer = frames(made[form](), names=NAMES)
    assert found == plain(media(codec))
    assert restorer.notes == {}


@pytest.mark.parametrize("codec", ["OPUS", "VP8", "H264"])
def test_what_aiortc_packetizes_comes_back(codec):
    """A packetizer of another make: picture IDs in VP8, aggregates in H.264."""
    encoder = {"OPUS": OpusEncoder, "VP8": Vp8Encoder, "H264": H264Encoder}[codec]()
    packets = []
    for at, wire in sealed(codec, sealer()):
        packet = av.Packet(wire)
        packet.pts, packet.time_base = round(at * 90_000), Fraction(1, 90_000)
        payloads, stamp = encoder.pack(packet)
        for n, payload in enumerate(payloads, 1):
            ends, number = n == len(payloads), len(packets)
            data = rtp(number, payload, kind=TYPES[codec], stamp=stamp, marker=ends)
            packets.append((at, data))
    found, restorer = frames(recorded.mjr(packets, codec=codec.lower()))
    assert found == plain(media(codec))
    assert restorer.notes == {} and restorer.tracks[0].incomplete == 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("link", LINKS)
def test_link_layers(link, version):
    found, restorer = frames(recorded.pcap(opus_packets(), link=link, version=version))
    assert found == plain(media("OPUS")[:30])
    assert restorer.notes == {}
    ends = {4: "10.0.0.1:5004 > 10.0.0.2:5006", 6: "[fe80::1]:5004 > [fe80::2]:5006"}
    assert restorer.tracks[0].flow == ends[version]


@pytest.mark.parametrize("name", ["audio.mjr", "video.mjr"])
def test_what_janus_itself_has_recorded(name):
    """No double: tests/janus_room.json says how it was made."""
    room = json.loads(JANUS_ROOM.read_text())
    base_key = base64.urlsafe_b64decode(room["base_key"] + "==")
    file = base64.b64decode("".join(room[name]))
    found, restorer = frames(file, keys=[key(room["kid"], base_key)])
    digests = [hashlib.sha256(frame).hexdigest()[:16] for frame in found]
    assert digests == room["frames"][name] and len(digests) in (60, 12)
    assert restorer.notes == {} and restorer.flows[room["kid"]].verdict == "restored"


def test_a_recording_that_janus_marks_as_encrypted_is_read():
    """Its own janus-pp-rec refuses one."""
    assert frames(recorded.mjr(opus_packets(), e=True))[0] == plain(media("OPUS")[:30])


def test_the_oldest_mjr_says_audio_or_video_alone():
    packets = opus_packets()
    file = b"MEETECHO\0\5audio" + b"".join(
        b"MEETECHO" + struct.pack("!H", len(data)) + data for _, data in packets
    )
    assert frames(file)[0] == plain(media("OPUS")[:30])


@pytest.mark.parametrize("order_", "<>")
@pytest.mark.parametrize("ticks", [6, 9])
def test_each_byte_order_and_clock_of_pcap(order_, ticks):
    magic = {6: 0xA1B2C3D4, 9: 0xA1B23C4D}[ticks]
    file = struct.pack(f"{order_}IHHiIII", magic, 2, 4, 0, 0, 65535, 101)
    for at, data in opus_packets():
        frame = bytes(recorded.datagram(data))
        file += struct.pack(f"{order_}4I", 5, round(at * 10**ticks), len(frame), len(frame)) + frame
    found, _ = restored(file)
    ((rows),) = found.values()
    assert plain(rows) == plain(media("OPUS")[:30])
    assert [ticks for ticks, _ in rows] == [960 * n for n in range(30)]


@pytest.mark.parametrize("order_", "<>")
def test_blocks_of_pcapng(order_):
    """Two sections, two interfaces of another clock and link, old and simple packets, options."""

    def block(kind, body):
        body += bytes(-len(body) % 4)
        size = struct.pack(f"{order_}I", 12 + len(body))
        return struct.pack(f"{order_}I", kind) + size + body + size

    def interface(link, resolution=None):
        option = b"" if resolution is None else struct.pack(f"{order_}HHB3xI", 9, 1, resolution, 0)
        return block(1, struct.pack(f"{order_}HHI", link, 0, 0) + option)

    section = block(0x0A0D0D0A, struct.pack(f"{order_}IHHq", 0x1A2B3C4D, 1, 0, -1))
    data = [bytes(recorded.datagram(data)) for _, data in opus_packets(4)]
    ethernet = recorded.framed("ethernet", recorded.datagram(opus_packets(4)[1][1]))[1]
    sizes = [struct.pack(f"{order_}2I", len(each), len(each)) for each in data]
    file = section + interface(101) + interface(1, 0x80 | 10) + block(5, b"statistics??")
    file += block(6, struct.pack(f"{order_}3I", 0, 0, 0) + sizes[0] + data[0])
    file += block(6, struct.pack(f"{order_}5I", 1, 0, 20, len(ethernet), len(ethernet)) + ethernet)
    file += section + interface(101)
    file += block(2, struct.pack(f"{order_}HHII", 0, 0, 0, 40_000) + sizes[2] + data[2])
    file += block(3, sizes[3][:4] + data[3])
    found, restorer = frames(file)
    assert found == plain(media("OPUS")[:4]) and restorer.notes == {}


# ---- numbers and times ----


@pytest.mark.parametrize("codec", ["OPUS", "VP8", "H264"])
@pytest.mark.parametrize("sequence", [65_520, 65_535])
def test_sequence_numbers_wrap(codec, sequence):
    packets = packetized(codec, sealed(codec, sealer()), sequence=sequence)
    found, restorer = frames(recorded.pcap(packets), names=NAMES)
    assert found == plain(media(codec)) and restorer.tracks[0].lost == 0


@pytest.mark.parametrize("stamp", [0, 2**31 - 5000, 2**32 - 5000, 2**32 - 1])
def test_times_wrap(stamp):
    found, _ = restored(recorded.mjr(opus_packets(stamp=stamp)))
    ((rows),) = found.values()
    assert [ticks for ticks, _ in rows] == [960 * n for n in range(30)]


@pytest.mark.parametrize("version", [1, 2])
def test_times_never_go_back_and_do_not_run_away(version):
    stamps = [0, 2880, 960, 1920, 3840, 6720, 4800, 5760, 7680]
    wires = sealed("OPUS", sealer(), media("OPUS")[: len(stamps)])
    rows = [(at, rtp(n, wire, stamp=stamps[n])) for n, (at, wire) in enumerate(wires)]
    ((found),) = restored(recorded.mjr(rows, version=version))[0].values()
    assert [ticks for ticks, _ in found] == [
        0, 2880, 2880, 2880, 3840, 6720, 6720, 6720, 7680,
    ]  # fmt: skip


def test_a_clock_that_was_set_back_goes_on():
    """Nothing says how long that took where arrivals are not recorded."""
    wires = sealed("OPUS", sealer(), media("OPUS")[:4])
    stamps = [3_000_000, 3_000_960, 5, 965]
    rows = [(at, rtp(n, wire, stamp=stamps[n])) for n, (at, wire) in enumerate(wires)]
    ((found),) = restored(recorded.mjr(rows, version=1))[0].values()
    assert [ticks for ticks, _ in found] == [0, 960, 960, 1920]


def test_a_stream_that_begins_later_stays_later():
    first = packetized("OPUS", sealed("OPUS", sealer()), ssrc=1)
    later = [(at + 0.5, data) for at, data in packetized("VP8", sealed("VP8", sealer(8)), ssrc=2)]
    found, _ = restored(recorded.pcap(first + later), keys=[key(), key(8)], names=NAMES)
    assert found[0, 1, "OPUS"][0][0] == 0
    assert found[0, 2, "VP8"][0][0] == 45_000


def test_a_leap_of_the_time_is_a_new_beginning():
    """As after a sender's restart under the same SSRC; times never go back."""
    one = opus_packets(10, stamp=3_000_000_000)
    wires = sealed("OPUS", sealer(first=10), media("OPUS")[10:20])
    more = packetized("OPUS", wires, stamp=5, sequence=10)
    file = recorded.mjr(one + [(at + 1, data) for at, data in more])
    found, _ = restored(file)
    ((rows),) = found.values()
    ticks = [ticks for ticks, _ in rows]
    assert plain(rows) == plain(media("OPUS")[:20]) and ticks == sorted(ticks)
    assert ticks[10] - ticks[9] == round(1.02 * 48_000)


@pytest.mark.parametrize("codec", CODECS)
@given(first=st.integers(0, 65_535), seed=st.integers(0, 2**64))
def test_reordered_and_repeated_packets_change_nothing(codec, first, seed):
    packets, rng = recorded.renumbered(_packets(codec)[0], first), Random(seed)
    keyed = [(n + rng.uniform(0, 25), rng.random(), row) for n, row in enumerate(packets)]
    keyed += rng.choices(keyed, k=len(keyed) // 4)
    file = recorded.mjr([row for *_, row in sorted(keyed)], codec=codec.lower())
    found, restorer = frames(file)
    assert found == plain(media(codec)[:FEW])
    assert restorer.flows[7].repeated == 0, "copies of packets are no copies of frames"
    assert restorer.tracks[0].repeated == len(keyed) - len(packets)


@cache
def _packets(codec):
    """The packets of a few frames, and how many each frame has."""
    wires = sealed(codec, sealer(), media(codec)[:FEW])
    return packetized(codec, wires), [len(packetized(codec, [wire])) for wire in wires]


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_of_lost_packets_no_other_frame_is_lost(codec, data):
    packets, counts = _packets(codec)
    lost = data.draw(st.sets(st.integers(0, len(packets) - 1), max_size=6))
    kept = [row for n, row in enumerate(packets) if n not in lost]
    found, restorer = frames(recorded.mjr(kept, codec=codec.lower()))
    hit, at = set(), 0
    for number, own in enumerate(counts):
        hit |= {number} if lost & set(range(at, at + own)) else set()
        at += own
    whole = [frame for n, (_, frame) in enumerate(media(codec)[:FEW]) if n not in hit]
    # A parameter set or sequence header may be lost alone: the ciphertext holds it again.
    assert [frame for frame in found if frame in whole] == whole
    assert set(found) <= set(plain(media(codec)[:FEW])) and restorer.flows[7].rejected == {}
    inner = {n for n in lost if min(lost ^ set(range(len(packets))), default=0) < n}
    assert restorer.tracks == [] or restorer.tracks[0].lost <= len(inner)


def test_a_lost_middle_is_counted():
    packets = packetized("VP8", sealed("VP8", sealer()), size=300)
    begins = [n for n, (_, data) in enumerate(packets) if data[12] & 0x10]
    del packets[begins[3] + 1]
    found, restorer = frames(recorded.mjr(packets, codec="vp8"))
    assert found == [frame for n, frame in enumerate(plain(media("VP8"))) if n != 3]
    assert (restorer.tracks[0].lost, restorer.tracks[0].incomplete) == (1, 1)


def test_a_stream_that_begins_anew_and_a_stranger():
    wires = sealed("OPUS", sealer(first=20), media("OPUS")[20:40])
    one, two = opus_packets(20, sequence=100), packetized("OPUS", wires, sequence=40_000)
    stranger = (0.1, rtp(20_000, b"noise"))
    found, restorer = frames(recorded.mjr([*one[:10], stranger, *one[10:], *two]))
    assert found == plain(media("OPUS")[:40])
    assert restorer.tracks[0].lost == 0 and restorer.flows[7].rejected == {}


@given(st.lists(st.integers(0, 65_535), max_size=80), st.randoms(use_true_random=False))
def test_order_tells_each_packet_once_and_in_order(sequences, rng):
    sorter, told = order.Order(), []
    for sequence in sequences:
        told += sorter.push(parse(rtp(sequence, b"x")))
    told += sorter.flush()
    numbers = [number for number, _ in told]
    assert numbers == sorted(set(numbers))
    assert Counter(p.sequence for _, p in told) <= Counter(sequences)
    assert len(told) + sorter.repeated + sorter.late >= len(sequences) - 1


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


# ---- keys ----


def test_keys_change_and_senders_are_many():
    """Five KIDs of two senders in one file, changed in the middle of a stream."""
    keys = [key(300 + n, bytes([n]) * 16, "alice" if n < 3 else "bob") for n in range(5)]
    seals = [sealer(each.kid, each.base_key) for each in keys]

    def stream(codec, kids, ssrc):
        rows = media(codec)[:30]
        used = [seals[kids[n * len(kids) // 30]] for n in range(30)]
        wires = [sealed(codec, used[n], [row])[0] for n, row in enumerate(rows)]
        return packetized(codec, wires, ssrc=ssrc)

    rows = stream("OPUS", (0, 1, 2), 1) + stream("VP8", (0, 1, 2), 2) + stream("OPUS", (3, 4), 3)
    rows.sort(key=lambda row: row[0])
    found, restorer = restored(recorded.pcap(rows), keys=keys, names=NAMES)
    assert {name: plain(rows) for name, rows in found.items()} == {
        (0, 1, "OPUS"): plain(media("OPUS")[:30]),
        (0, 2, "VP8"): plain(media("VP8")[:30]),
        (0, 3, "OPUS"): plain(media("OPUS")[:30]),
    }
    assert [(f.sender, f.opened) for f in restorer.flows.values()] == [
        ("alice", 20), ("alice", 20), ("alice", 20), ("bob", 15), ("bob", 15),
    ]  # fmt: skip
    assert [sorted(track.kids) for track in restorer.tracks] == [[300, 301, 302]] * 2 + [[303, 304]]


def test_counters_of_one_key_may_be_far_apart():
    """One sender's audio and video share counters; read one after the other they go back by more
    than any window for live media."""
    seal = sealer(first=50_000)
    late = packetized("OPUS", sealed("OPUS", seal, media("OPUS")[:30]), ssrc=1)
    early = packetized("OPUS", sealed("OPUS", sealer(), media("OPUS")[:30]), ssrc=2)
    found, _ = restored(recorded.pcap(late + early))
    assert [plain(rows) for rows in found.values()] == [plain(media("OPUS")[:30])] * 2


def test_a_frame_is_opened_once():
    """The same recording twice, and a forwarder's copy under another SSRC."""
    packets = opus_packets()
    copied = packetized("OPUS", sealed("OPUS", sealer(), media("OPUS")[:30]), ssrc=99, sequence=7)
    for files in ([recorded.mjr(packets)] * 2, [recorded.pcap(packets + copied)]):
        found, restorer = restored(*files)
        assert [plain(rows) for rows in found.values()] == [plain(media("OPUS")[:30])]
        flow = restorer.flows[7]
        assert (flow.opened, flow.repeated, flow.verdict) == (30, 30, "restored")


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 300)))
def test_once(some, near):
    once, seen = Once(), set()
    for ctr in [*some, *near, *some[:3]]:
        assert (ctr in once) is (ctr in seen)
        once.add(ctr)
        seen.add(ctr)


@pytest.mark.parametrize(
    ("held", "verdict", "reason"),
    [(key(base_key=bytes(16)), "wrong key", "not authentic"), (key(8), "no key", "no key")],
)
def test_the_wrong_key_and_none(held, verdict, reason):
    found, restorer = frames(recorded.mjr(opus_packets()), keys=[held])
    assert found == []
    assert restorer.flows[7].verdict == verdict
    assert restorer.flows[7].rejected == {reason: 30}


def test_altered_frames_are_left_out_and_told(rng):
    packets = opus_packets()
    for n in (3, 4, 20):
        at, data = packets[n]
        packets[n] = at, data[:-1] + bytes([data[-1] ^ 1])
    found, restorer = frames(recorded.mjr(packets))
    assert found == [f for n, f in enumerate(plain(media("OPUS")[:30])) if n not in (3, 4, 20)]
    flow = restorer.flows[7]
    assert (flow.verdict, flow.rejected) == ("in part", {"not authentic": 3})


def test_made_up_kids_and_streams_are_bounded():
    count = 3 * MOST_KIDS
    wires = [Oracle(GCM, KEY, 1000 + n, "cryptography").seal(0, b"x") for n in range(count)]
    kids = [(0, rtp(n, wire)) for n, wire in enumerate(wires)]
    streams = [(0, rtp(0, b"noise noise noise", ssrc=n)) for n in range(1200)]
    _, restorer = restored(recorded.pcap(kids + streams))
    assert len(restorer.flows) <= MOST_KIDS + 3
    assert restorer.flows[OTHERS].rejected.total() > MOST_KIDS
    assert restorer.notes["packets of streams beyond the first 1000"] == 201


def test_no_keys_and_an_unknown_envelope_are_refused():
    with pytest.raises(pysframe.MisuseError, match="no key to open with"):
        Restorer([], [])
    strange = key()
    strange.envelope = 2
    with pytest.raises(pysframe.MisuseError, match="envelope version 2"):
        Restorer([], [strange])


# ---- files that are damaged, or none ----


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "neither"), (b"MJR", "neither"), (b"RIFF" + bytes(60), "neither"),
        (b"MJR00002", "damaged"), (b"MJR00002\0\x09{\"t\":\"a\"}", "damaged"),
        (b"MJR00002\xff\xff{}", "damaged"), (b"MJR00002\0\2[]", "damaged"),
        (b"MJR00002\0\x13" + b'{"t":"d","c":"txt"}', "data channels"),
        (b"MJR00002\0\x14" + b'{"t":"a","c":"g722"}', "g722"),
        (b"MEETECHO\0\4data", "does not say"), (b"\xa1\xb2\xc3\xd4\0\2", "header"),
    ],
)  # fmt: skip
def test_what_is_no_recording_is_refused_in_words(content, words):
    with pytest.raises(RecordingError, match=words):
        restored(content)


FILES = {
    "mjr": lambda: recorded.mjr(opus_packets(6)),
    "mjr 1": lambda: recorded.mjr(opus_packets(6), version=1),
    "pcap": lambda: recorded.pcap(opus_packets(6)),
    "pcapng": lambda: recorded.pcapng(opus_packets(6)),
}


@pytest.mark.parametrize("form", FILES)
def test_a_file_cut_anywhere_gives_what_is_whole(form):
    file, counts = FILES[form](), []
    for size in range(len(file)):
        try:
            found, restorer = frames(file[:size])
        except RecordingError:
            counts.append(0)
            continue
        assert found == plain(media("OPUS")[: len(found)])
        counts.append(len(found))
        assert len(found) < 6 and (not restorer.notes or "the file ends" in str(restorer.notes))
    assert counts == sorted(counts) and counts[-1] == 5


_file = cache(lambda form: FILES[form]())


@pytest.mark.parametrize("form", FILES)
@given(data=st.data())
def test_a_damaged_file_gives_no_false_frame(form, data):
    """Bytes changed, cut out or put in anywhere: a crash is a failure, a wrong frame is worse."""
    file = bytearray(_file(form))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file) - 1))
        cut = data.draw(st.integers(0, 9))
        file[at : at + cut] = data.draw(st.binary(max_size=9))
    try:
        found, restorer = restored(bytes(file), names=NAMES)
    except RecordingError:
        return
    good = plain(media("OPUS")[:6])
    opened = [frame for rows in found.values() for frame in plain(rows)]
    assert Counter(opened) <= Counter(good)
    assert len(restorer.flows) < 20


def test_bytes_between_packets_are_skipped():
    packets = opus_packets(6)
    head, middle = recorded.mjr(packets[:3]), recorded.mjr(packets[3:])
    noise = b"MEE" + bytes(70_000) + b"MEE"
    found, restorer = frames(head + noise + middle[middle.index(b"MEET") :])
    assert found == plain(media("OPUS")[:6])
    assert restorer.notes == {"bytes that are no packet, skipped": len(noise) - 1}


def test_lengths_past_the_end():
    mjr = bytearray(recorded.mjr(opus_packets(6)))
    at = mjr.rindex(b"MEET") + 8
    mjr[at : at + 2] = b"\xff\xff"
    pcap = bytearray(recorded.pcap(opus_packets(6)))
    size = len(pcap) - 24 - 16
    pcap[24 + 8 : 24 + 12] = struct.pack("<I", size + 1)
    for file, kept, words in ((mjr, 5, "ends in the middle"), (pcap, 0, "ends in the middle")):
        found, restorer = frames(bytes(file))
        assert found == plain(media("OPUS")[:kept]) and words in str(restorer.notes)
    pcap[24 + 8 : 24 + 12] = b"\xff\xff\xff\x7f"
    assert "damaged from here on" in str(frames(bytes(pcap))[1].notes)


def test_what_a_capture_cut_short_is_told():
    file = bytearray(recorded.pcap(opus_packets(6)))
    for field in (24 + 12,):
        file[field : field + 4] = struct.pack("<I", 9000)
    found, restorer = frames(bytes(file))
    assert found == plain(media("OPUS")[1:6])
    assert restorer.notes == {"packets that the capture cut short (snaplen)": 1}


def test_what_payload_types_may_be_called():
    named = codecs.meanings({96: "VP8", 97: "rtx/96", 63: "audio/red", 45: "video/av1"})
    assert named[97].rtx_of == 96 and named[63].red and named[45].codec == "AV1"
    for wrong in ({128: "opus"}, {96: "text/plain"}, {96: "g722"}, {97: "rtx/200"}, {97: "rtx"}):
        with pytest.raises(pysframe.MisuseError):
            codecs.meanings(wrong)


def test_what_nobody_has_named_is_found():
    recording = Recording(io.BytesIO(recorded.pcap(opus_packets(9, ssrc=5))))
    assert recording.unnamed() == {(111, 5): 9}
