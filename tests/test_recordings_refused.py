"""Recordings: keys that change, are wrong or missing, and files that are damaged or none."""

import io
import struct
from collections import Counter
from functools import cache

import pytest
import recorded
from hypothesis import given
from hypothesis import strategies as st
from oracle import Oracle
from parties import GCM
from recorded import media, packetized, rtp, sealed
from reopened import KEY, NAMES, frames, key, opus_packets, plain, restored, sealer

import pysframe
from pysframe.media.recordings import Recording, RecordingError, Restorer, codecs
from pysframe.media.recordings.opening import MOST_KIDS, OTHERS, Once

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
