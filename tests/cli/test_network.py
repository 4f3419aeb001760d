"""RTP, the jitter buffer and the forwarder's bad manners."""

import random
from collections import Counter

from pysframe.demo.listening import Eavesdropper
from pysframe.demo.network import Forwarder
from pysframe.demo.rtp import DEPTH, JitterBuffer, Packet


def test_a_packet_comes_back_as_it_was():
    packet = Packet(0xDEADBEEF, 65_535, b"payload")
    assert Packet.parse(packet.encode()) == packet
    assert packet.encode()[:4] == bytes((0x80, 111, 0xFF, 0xFF))


def test_frames_leave_the_jitter_buffer_in_order():
    buffer, out = JitterBuffer(), []
    for seq in (1, 0, 2, 4, 3, 3, 0):
        buffer.push(seq, bytes((seq,)))
        out += buffer.pull()
    assert out == [(seq, bytes((seq,))) for seq in range(5)]


def test_a_lost_frame_is_given_up_when_enough_others_came():
    buffer, out = JitterBuffer(), []
    for seq in range(1, DEPTH + 1):
        assert not out
        buffer.push(seq, b"x")
        out += buffer.pull()
    assert out == [(0, None), *((seq, b"x") for seq in range(1, DEPTH + 1))]


def test_the_end_flushes_what_waits():
    buffer = JitterBuffer()
    buffer.push(2, b"x")
    assert list(buffer.pull(depth=0)) == [(0, None), (1, None), (2, b"x")]


def test_of_fifty_packets_one_is_lost_one_doubled_and_three_late(rng):
    forwarder = Forwarder(random.Random(rng.random()), {5: Eavesdropper({})})
    came = []
    for seq in range(150):
        forwarder.push("publisher", Packet(5, seq, b"\x07").encode())
        came += [(leg, Packet.parse(packet).seq) for leg, packet in forwarder.pull()]
    while not forwarder.idle:
        came += [(leg, Packet.parse(packet).seq) for leg, packet in forwarder.pull()]
    assert {leg for leg, _ in came} == {"publisher"}
    counts = Counter(seq for _, seq in came)
    assert len(counts) == 147 and sorted(counts.values())[-3:] == [2, 2, 2]
    fates = {fate: forwarder.fates[fate, "publisher"] for fate in ("lost", "twice", "late")}
    assert fates == {"lost": 3, "twice": 3, "late": 9}
    assert forwarder.passed["publisher"] == len(came) == 150
    seqs = [seq for _, seq in came]
    assert seqs != sorted(seqs)
