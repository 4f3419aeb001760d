"""A track of sealed frames: what it yields, what it drops and as what, and when it says so."""

import asyncio
import fractions
from types import SimpleNamespace

import av
import pytest
from adapters.peers import Film, Packets, Tone, to_open, to_seal
from aiortc import RTCRtpCodecParameters
from aiortc.mediastreams import MediaStreamError

from pysframe.adapters.aiortc import SealedTrack
from pysframe.adapters.aiortc._receiving import is_key_frame
from pysframe.adapters.aiortc._troubles import trouble_in, trouble_out
from pysframe.media import Envelope
from pysframe.source import Drop, Keyring, TroubleKind, Use

OPUS = RTCRtpCodecParameters("audio/opus", 48_000, 2, 96)
VP8 = RTCRtpCodecParameters("video/VP8", 90_000, None, 97)
H264 = RTCRtpCodecParameters("video/H264", 90_000, None, 98)


class Ended(Tone):
    async def recv(self):
        raise MediaStreamError


class Junk(Tone):
    def frame(self, number):
        return object() if number < 3 else super().frame(number)


def room(rng):
    """(the sender's keyring, the scope of a receiver, the key)."""
    key, mine, theirs = rng.randbytes(16), Keyring(), Keyring()
    for event in to_seal(key):
        mine.apply(event)
    theirs.apply(to_open(key))
    return mine, theirs.scope().receiver, key


def sealed(source, keys, codec, given=None):
    track = SealedTrack(source, keys, given)
    track._negotiated = lambda: codec
    return track


def first(track, count):
    async def collect():
        return [await track.recv() for _ in range(count)]

    return asyncio.run(collect())


@pytest.mark.parametrize(("source", "codec"), [(Tone, OPUS), (Film, VP8), (Film, H264)])
def test_frames_are_encoded_and_sealed(rng, source, codec):
    keys, receiver, _ = room(rng)
    packets = first(sealed(source(), keys, codec), 4)
    frames = [Envelope(codec.mimeType).open(receiver, bytes(packet)) for packet in packets]
    assert all(frames) and [p.pts for p in packets] == sorted({p.pts for p in packets})
    assert packets[0].time_base == fractions.Fraction(1, codec.clockRate)
    if codec is not OPUS:
        assert [is_key_frame(codec.name, frame) for frame in frames] == [True, False, False, False]


def test_packets_are_sealed_as_they_are(rng):
    keys, receiver, _ = room(rng)
    source = Packets("audio", [b"one", b"two", b""])
    track = sealed(source, keys, OPUS, "audio/OPUS")
    opened = [receiver.unprotect(bytes(packet)) for packet in first(track, 3)]
    assert opened == [b"one", b"two", b"one"] and track.counts == {"sealed": 3, "empty": 1}


@pytest.mark.parametrize("given", ["video/H264", None])
def test_packets_of_another_codec_are_not_sent(rng, given):
    """H.264's packetizer finds nothing to send in VP8, and would say nothing."""
    keys, _, _ = room(rng)
    track = sealed(Packets("video", [b"\x10 picture"], 0.001, 90_000), keys, VP8, given)

    async def wait():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(track.recv(), 0.5)

    asyncio.run(wait())
    assert set(track.counts) == {"codec"} and track.counts["codec"] > 10
    trouble = trouble_out(track, track.dropped_since + 1)
    assert trouble.kind is TroubleKind.CANNOT_SEAL and "another codec" in trouble.words


def test_a_new_key_begins_with_a_key_frame(rng):
    keys, receiver, _ = room(rng)
    other, track = rng.randbytes(16), sealed(Film(), keys, VP8)
    first(track, 2)
    for event in to_seal(other, 301):
        keys.apply(event)
    receiver.add_key(301, other)
    frame = Envelope("VP8").open(receiver, bytes(first(track, 1)[0]))
    assert is_key_frame("VP8", frame)
    assert not is_key_frame("VP8", Envelope("VP8").open(receiver, bytes(first(track, 1)[0])))
    track.ask_for_key_frame()
    assert is_key_frame("VP8", Envelope("VP8").open(receiver, bytes(first(track, 1)[0])))


def test_a_key_that_ends_in_the_middle(rng):
    keys, receiver, _ = room(rng)
    track = sealed(Tone(), keys, OPUS)
    assert receiver.unprotect(bytes(first(track, 1)[0]))
    keys.sealing.close()  # as the end of its counters, or of its lease
    track._fill(Tone().frame(9))
    assert track.counts == {"sealed": 1, "refused": 1}
    keys.apply(Drop("alice", 300))
    track._fill(Tone().frame(10))
    assert track.counts["no key"] == 1 and not track._ready
    keys.apply(to_seal(rng.randbytes(16), 301)[0])
    keys.apply(Use("alice", 301))
    assert first(track, 1) and track.dropped == 0


def test_junk_costs_a_frame(rng, caplog):
    keys, _, _ = room(rng)
    track = sealed(Junk(), keys, OPUS)
    assert first(track, 1) and track.counts["error"] == 3
    packet = av.Packet(b"without a time")
    packet.time_base = fractions.Fraction(1, 48_000)
    track._fill(packet)
    assert len(caplog.records) == 1


def test_the_end_of_the_source_is_its_end(rng):
    keys, _, _ = room(rng)
    with pytest.raises(MediaStreamError):
        first(sealed(Ended(), keys, OPUS), 1)
    source = Tone()
    track = sealed(source, keys, OPUS)
    track.stop()
    assert source.readyState == track.readyState == "ended"


def test_the_bitrate_follows_the_other_side(rng):
    keys, _, _ = room(rng)
    track = sealed(Film(), keys, VP8)
    track._bitrate = lambda: 300_000
    first(track, 1)
    assert track._encoder.target_bitrate == 300_000


# ---- no alarm rests on single frames ----


@pytest.mark.parametrize(
    ("frames", "seconds", "alarm"),
    [(1, 60, False), (9, 1, False), (10, 0.1, False), (10, 0.3, True), (2, 2.5, True)],
)
def test_when_it_is_trouble(rng, frames, seconds, alarm):
    track = sealed(Tone(), Keyring(), OPUS)
    track.dropped, track.dropped_since, track.why = frames, 100.0, "no key"
    assert (trouble_out(track, 100.0 + seconds) is not None) is alarm
    heard = SimpleNamespace(refused=frames, refused_since=100.0, why="syntax", kid=7, sender=None,
                            kind="audio")  # fmt: skip
    trouble = trouble_in(heard, 100.0 + seconds, Keyring())
    assert (trouble is not None) is alarm
    if alarm:
        assert trouble.kind is TroubleKind.NOT_SFRAME and "not SFrame" in trouble.words


@pytest.mark.parametrize("why", ["replay", "unbound", "error"])
def test_other_refusals_are_told_by_their_name(why):
    heard = SimpleNamespace(refused=20, refused_since=0.0, why=why, kid=None, sender="alice",
                            kind="audio")  # fmt: skip
    trouble = trouble_in(heard, 1.0, Keyring())
    assert trouble.kind is TroubleKind.REFUSED and repr(why) in trouble.words
    assert trouble.sender == "alice"
