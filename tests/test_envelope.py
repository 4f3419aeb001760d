"""One envelope per codec: the figures, a second implementation, real encoders, packet readers."""

import warnings
from functools import cache

import av
import envelope_oracle as oracle
import packet_readers
import pytest
from clear_media import av1, opus, video
from figures import load
from hypothesis import given
from hypothesis import strategies as st
from oracle import Oracle, library_for
from parties import GCM, fresh_sender, new_receiver, new_sender, pair, status_of

from pysframe import FrameRejected, FrameStatus, Header, KeyState, MalformedFrame, MisuseError
from pysframe.media import VERSION, Envelope, envelope, seal_many
from pysframe.media.annexb import escape, unescape

CODECS = ["VP8", "VP9", "H264", "H265", "AV1", "opus"]
DRESSED = ["VP8", "H264", "H265", "AV1"]
FIGURES = load("envelope")
SUITE, BASE_KEY = FIGURES["suite"], bytes.fromhex(FIGURES["base_key"])
START = b"\0\0\0\1"


def named(part):
    return pytest.mark.parametrize("row", FIGURES[part], ids=[r["name"] for r in FIGURES[part]])


def made(codec: str) -> Envelope:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Envelope(codec)


@cache
def real(codec: str) -> list[bytes]:
    """Frames of a real encoder, key frame first."""
    if codec == "AV1":
        return [frame for _, frame in av1()]
    if codec == "opus":
        return [frame for _, frame in opus(32, "mono", application="voip")]
    return [frame for _, frame in video(codec.lower(), seconds=0.4)]


def short(codec: str) -> bytes:
    return min((frame for frame in real(codec)[1:] if len(frame) > 60), key=len)


# ---- figures, and a second implementation ----


@named("frames")
def test_wire_frames_are_those_of_the_figures(engine, row):
    frame, wire = bytes.fromhex(row["frame"]), bytes.fromhex(row["wire"])
    ciphertext = bytes.fromhex(row["ciphertext"])  # a Sender would not use these counters twice
    assert made(row["codec"])._wrap(memoryview(frame), ciphertext) == wire
    receiver = new_receiver(engine, SUITE, BASE_KEY, row["kid"])
    assert made(row["codec"]).open(receiver, wire) == frame
    assert bytes(made(row["codec"]).ciphertext(wire)).hex() == row["ciphertext"]
    assert oracle.dressed(row["codec"], frame, ciphertext) == wire


@named("rewritten")
def test_what_servers_rewrite_opens(engine, row):
    receiver = new_receiver(engine, SUITE, BASE_KEY)
    opened = made(row["codec"]).open(receiver, bytes.fromhex(row["wire"]))
    assert opened.hex() == row["frame"]


@named("refused")
def test_what_is_no_sealed_frame_is_malformed_and_counted(engine, row):
    receiver = new_receiver(engine, SUITE, BASE_KEY)
    with pytest.raises(MalformedFrame) as raised:
        Envelope(row["codec"]).open(receiver, bytes.fromhex(row["wire"]))
    assert len(str(raised.value)) > 20
    assert receiver._stats().malformed == 1
    with pytest.raises(MalformedFrame):
        Envelope(row["codec"]).ciphertext(bytes.fromhex(row["wire"]))


def test_by_hand():
    """The page's sentences, byte by byte, with a ciphertext of two zeros and a one."""
    sealed = bytes.fromhex("1700000100")
    sps, pps, idr = b"\x67sps", b"\x68pps", b"\x65\x88\x84"
    wrapped = {
        "VP8": [(b"\xf1rest", "11"), (b"\xf0ab\x9d\x01\x2a\5\0\3\0", "1000009d012a05000300")],
        "VP9": [(b"rest", "")],
        "AV1": [(b"\x12\0\x0a\1\7\x36\x48\1\1", "0a0107 36 48 05")],
    }
    for codec, cases in wrapped.items():
        for frame, clear in cases:
            wire = Envelope(codec)._wrap(memoryview(frame), sealed)
            assert wire == bytes.fromhex(clear) + sealed, codec
    frame = b"\0\0\1".join([b"", sps, pps, idr])
    carrier = bytes.fromhex("65 88ff 170000 03 0100 80")  # a 03 inside, a stop bit behind
    wire = Envelope("H264")._wrap(memoryview(frame), sealed)
    assert wire == START + sps + START + pps + START + carrier
    tsa = bytes.fromhex("0203 d0")
    wire = Envelope("H265")._wrap(memoryview(START + tsa), sealed)
    assert wire == START + bytes.fromhex("0203 ff 170000 03 0100 80")


NAL_LIKE = st.sampled_from([b"\0\0\1", b"\0\0\3", b"\0", b"\x65", b"\x67", b"\x26\1", b"\x40\1"])
OBU_LIKE = st.sampled_from([b"\x12\0", b"\x0a\2ab", b"\x32\5", b"\x36\x48", b"\x80", b"\xff"])
VP8_LIKE = st.sampled_from([b"\x10\2\0\x9d\1\x2a", b"\x11", b"\x10\2\0"])
FRAMES = st.lists(st.one_of(NAL_LIKE, OBU_LIKE, VP8_LIKE, st.binary(max_size=40)), max_size=12).map(
    b"".join
)


@pytest.mark.parametrize("codec", CODECS)
@given(frame=FRAMES.filter(len), ciphertext=st.one_of(FRAMES, st.binary(min_size=17)).filter(len))
def test_whatever_the_bytes_only_what_the_page_says_is_shown(codec, frame, ciphertext):
    """Every byte of a wire frame is one of the ciphertext or one that the page names."""
    subject = Envelope(codec)
    wire = subject._wrap(memoryview(frame), ciphertext)
    assert wire == oracle.dressed(codec, frame, ciphertext)
    assert bytes(subject.ciphertext(wire)) == ciphertext


@pytest.mark.parametrize("codec", CODECS)
@given(wire=FRAMES)
def test_a_parser_never_crashes(codec, wire):
    try:
        found = bytes(Envelope(codec).ciphertext(wire))
    except MalformedFrame:
        return
    assert len(found) <= len(wire)


@given(data=FRAMES)
def test_no_start_code_in_what_is_escaped(data):
    escaped = escape(b"\xff" + data + b"\x80")
    assert not any(bytes([0, 0, n]) in escaped for n in range(3))
    assert unescape(escaped) == b"\xff" + data + b"\x80" == oracle.without_prevention(escaped)
    assert escaped == oracle.with_prevention(b"\xff" + data + b"\x80")


# ---- real encoders ----


@pytest.mark.parametrize("codec", CODECS)
def test_real_frames_come_back_the_same(engine, codec, rng):
    sender, receiver = pair(engine, GCM, rng)
    subject = Envelope(codec)
    for frame in real(codec)[:30]:
        assert subject.open(receiver, subject.seal(sender, frame)) == frame


@pytest.mark.parametrize("codec", ["opus", "VP9", "audio/red", "audio/nothing-known"])
def test_plain_codecs_are_plain_sframe(engine, codec, rng):
    key = rng.randbytes(16)
    with new_sender(engine, GCM, key) as sender:
        wire = Envelope(codec).seal(sender, b"a frame", b"metadata")
    assert wire == Oracle(GCM, key, 7, library_for(engine)).seal(0, b"a frame", b"metadata")


@pytest.mark.parametrize("codec", DRESSED)
def test_servers_see_what_they_must_and_rewrite_what_they_will(engine, codec, rng):
    """Through packets and back: the sealed frame shows what the frame in the clear shows."""
    sender, receiver = pair(engine, GCM, rng)
    subject, reader, keys = Envelope(codec), packet_readers.READERS[codec], 0
    for number, frame in enumerate(real(codec)[:30]):
        wire = subject.seal(sender, frame)
        seen, clear = reader(wire), reader(frame)
        assert (seen.key, seen.layers, seen.size) == (clear.key, clear.layers, clear.size), number
        assert seen.pps == clear.pps[:1]
        assert subject.open(receiver, seen.frame) == frame
        keys += seen.key
    assert 1 <= keys < 12


@pytest.mark.parametrize("codec", ["H264", "H265"])
def test_without_emulation_prevention_a_packetizer_would_cut(codec, rng):
    """A control: the reader does find a start code in a ciphertext that is not escaped."""
    row = next(r for r in FIGURES["frames"] if r["name"].startswith(f"{codec} ciphertext with"))
    sealed, wire = bytes.fromhex(row["ciphertext"]), bytes.fromhex(row["wire"])
    assert any(bytes([0, 0, n]) in sealed for n in range(4))
    bare = b"\x21\x9b" + sealed.replace(sealed[:1], b"\0\0\1", 1)
    assert len(packet_readers.split_at_start_codes(START + bare)) == 2
    count = len(oracle.shown_parameter_sets(codec, bytes.fromhex(row["frame"])))
    assert len(packet_readers.split_at_start_codes(wire)) == count + 1


@pytest.mark.parametrize("codec", ["H264", "H265"])
def test_ffmpegs_parser_finds_the_same_pictures(engine, codec, rng):
    """A reader of another make splits a stream of sealed frames where they begin."""
    sender, _ = pair(engine, GCM, rng)
    frames = real(codec)
    wires = [Envelope(codec).seal(sender, frame) for frame in frames]
    decoder = av.CodecContext.create({"H264": "h264", "H265": "hevc"}[codec], "r")
    parsed = [bytes(p) for p in [*decoder.parse(b"".join(wires)), *decoder.parse(b"")]]
    assert parsed == wires


@pytest.mark.parametrize("temporal, spatial", [(0, 0), (2, 1), (7, 3)])
def test_layers_of_av1_are_seen(engine, temporal, spatial, rng):
    sender, receiver = pair(engine, GCM, rng)
    layer = bytes([temporal << 5 | spatial << 3])
    frame = oracle.av1_unit(2, b"", b"") + oracle.av1_unit(6, layer, rng.randbytes(500))
    seen = packet_readers.av1(Envelope("AV1").seal(sender, frame))
    assert seen.layers == (temporal, spatial)
    assert Envelope("AV1").open(receiver, seen.frame) == frame


@pytest.mark.parametrize("temporal, layer", [(0, 0), (3, 0), (6, 2)])
def test_layers_of_h265_are_seen(engine, temporal, layer, rng):
    sender, _ = pair(engine, GCM, rng)
    frame = START + bytes([2, layer << 3 | temporal + 1]) + b"\xd0" + rng.randbytes(500)
    assert packet_readers.h265(Envelope("H265").seal(sender, frame)).layers == (temporal, layer)


# ---- cut, altered, empty, unknown ----


@pytest.mark.parametrize("codec", CODECS)
def test_a_frame_cut_anywhere_is_rejected(engine, codec, rng):
    sender, receiver = pair(engine, GCM, rng)
    frame = short(codec)
    wire = Envelope(codec).seal(sender, frame)
    for size in range(1, len(wire)):
        with pytest.raises(FrameRejected):
            Envelope(codec).open(receiver, wire[:size])
    assert Envelope(codec).open(receiver, wire) == frame


@pytest.mark.parametrize("codec", CODECS)
def test_an_altered_byte_never_changes_a_frame(engine, codec, rng):
    sender, receiver = pair(engine, GCM, rng, replay_window=0)
    frame = short(codec)
    wire = Envelope(codec).seal(sender, frame)
    outcomes = set()
    for at in range(len(wire)):
        changed = wire[:at] + bytes([wire[at] ^ 1 << rng.randrange(8)]) + wire[at + 1 :]
        status, opened = opened_by(Envelope(codec), receiver, changed)
        assert opened in (b"", frame)  # what is shown may be rewritten
        outcomes.add(status)
    assert FrameStatus.AUTHENTICATION_FAILED in outcomes


def opened_by(subject, receiver, wire):
    class Face:
        unprotect = staticmethod(lambda: subject.open(receiver, wire))

    return status_of(Face)


@pytest.mark.parametrize("codec", CODECS)
def test_empty_frames_stay_empty_and_take_no_counter(engine, codec, rng):
    sender, receiver = pair(engine, GCM, rng)
    assert Envelope(codec).seal(sender, b"") == b"" == Envelope(codec).open(receiver, b"")
    assert sender.next_ctr == 0
    assert receiver._stats().malformed == 0


@pytest.mark.parametrize("frame", [b"\xf8", b"\xf8\xff\xfe", b"\x0b\xe4"])
def test_silence_is_sealed_like_speech(engine, frame, rng):
    sender, receiver = pair(engine, GCM, rng)
    wire = Envelope("opus").seal(sender, frame)
    assert len(wire) == len(frame) + Header.parse(wire).size + 16
    assert Envelope("opus").open(receiver, wire) == frame
    with pytest.raises(FrameRejected):
        Envelope("opus").open(receiver, frame)


def test_an_unknown_video_codec_shows_nothing_and_says_so(engine, rng):
    with pytest.warns(RuntimeWarning, match=r"'video/VP10'.*key frames.*layers"):
        subject = Envelope("video/VP10")
    sender, receiver = pair(engine, GCM, rng)
    wire = subject.seal(sender, b"\0\0\1\x67 something")
    assert Header.parse(wire) and subject.open(receiver, wire) == b"\0\0\1\x67 something"


@pytest.mark.parametrize("codec", ["video/H264", "VIDEO/h264", "H264", "h264"])
def test_names_are_those_of_mime_types(codec):
    assert Envelope(codec).codec == "H264"
    assert repr(Envelope(codec)) == "Envelope('H264')"


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.0])
def test_an_unknown_version_is_refused_in_words(version):
    with pytest.raises(MisuseError, match=r"envelope version .* this pysframe knows version 1"):
        Envelope("opus", version=version)
    assert Envelope("opus", version=VERSION)


def test_a_codec_that_is_no_name():
    with pytest.raises(TypeError, match="codec must be a str"):
        Envelope(None)


@pytest.mark.parametrize("codec", ["H264", "H265", "AV1", "VP8"])
def test_media_in_the_clear_is_not_sframe(engine, codec):
    receiver = new_receiver(engine, GCM, bytes(16))
    receiver.key_flow(0.0)
    for frame in real(codec)[:30]:
        assert opened_by(Envelope(codec), receiver, frame)[1] == b""
    assert receiver.key_flow(2.0)[None].state is KeyState.NOT_SFRAME


# ---- many at once ----


def test_many_at_once_equal_one_at_a_time(engine, rng):
    key = rng.randbytes(16)
    senders = [new_sender(engine, GCM, key, kid) for kid in range(len(CODECS))]
    twins = [Oracle(GCM, key, kid, library_for(engine)) for kid in range(len(CODECS))]
    receiver = new_receiver(engine, GCM)
    for kid in range(len(CODECS)):
        receiver.add_key(kid, key)
    frames = [*(real(codec)[0] for codec in CODECS[:-1]), b""]
    subjects = [Envelope(codec) for codec in CODECS]
    tags = [bytes([kid]) for kid in range(len(CODECS))]
    wires = envelope._seal_many(engine.protect_many, subjects, senders, frames, tags)
    for codec, frame, twin, tag, wire in zip(CODECS, frames, twins, tags, wires, strict=True):
        expected = oracle.dressed(codec, frame, twin.seal(0, frame, tag)) if frame else b""
        assert wire == expected
    wires[2] = wires[2][:-1]
    wires[1] = wires[1][:-1]
    opened = envelope._open_many(engine.unprotect_many, subjects, receiver, wires, tags)
    ok, cut = FrameStatus.OK, FrameStatus.MALFORMED
    assert opened.status == [ok, FrameStatus.AUTHENTICATION_FAILED, cut, ok, ok, ok]
    assert opened.frames == [frames[0], b"", b"", *frames[3:]]


def test_one_envelope_for_all_rows_or_one_for_each(engine, rng):
    sender, some = fresh_sender(engine, GCM), [b"a", b"", b"b"]
    wires = envelope._seal_many(engine.protect_many, Envelope("opus"), sender, some, None)
    assert [bool(wire) for wire in wires] == [True, False, True]
    with pytest.raises(MisuseError, match="2 envelopes for 1 frames"):
        seal_many([Envelope("opus"), Envelope("VP8")], sender, [b"a"])
    assert sender.next_ctr == 2
