"""Recordings: every frame that is whole in the file comes back as it was sealed."""

import base64
import hashlib
import json
import struct
from collections import Counter
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random

import av
import pytest
import recorded
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder
from hypothesis import given
from hypothesis import strategies as st
from parties import GCM, new_sender
from recorded import CODECS, LINKS, TYPES, media, packetized, rtp, sealed
from reopened import FEW, NAMES, frames, key, opus_packets, plain, restored, sealer

import pysframe
from pysframe.media.recordings import order
from pysframe.media.recordings.packets import parse

JANUS_ROOM = Path(__file__).with_name("janus_room.json")

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
