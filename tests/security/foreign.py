"""Frames that are no SFrame: media in clear from real encoders, RTP, and LiveKit's own format."""

import random
from fractions import Fraction
from functools import cache

import av
import numpy
from figures import load, octets

OPUS_SILENCE = octets("f8fffe")  # what senders and servers put where nobody speaks


@cache
def opus_frames() -> list[bytes]:
    """20 ms each: tones at several bit rates, and digital silence."""
    frames = []
    for rate, loudness in ((6000, 9000), (24_000, 9000), (64_000, 9000), (24_000, 0)):
        codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate, codec.layout, codec.format, codec.bit_rate = 48_000, "mono", "s16", rate
        for number in range(10):
            wave = loudness * numpy.sin(numpy.arange(960) * (0.01 + number / 50))
            frame = av.AudioFrame.from_ndarray(wave.astype("int16")[None], "s16", "mono")
            frame.sample_rate, frame.pts = 48_000, 960 * number
            frames += [bytes(packet) for packet in codec.encode(frame)]
    return frames


@cache
def vp8_frames() -> list[bytes]:
    """Key frames and the frames that follow them: black as servers send it, and a pattern."""
    frames = []
    for size, lightness in ((8, 0), (16, 0), (64, 200)):
        codec = av.CodecContext.create("libvpx", "w")
        codec.width = codec.height = size
        codec.pix_fmt, codec.framerate, codec.time_base = "yuv420p", 30, Fraction(1, 30)
        codec.options = {"deadline": "realtime", "lag-in-frames": "0"}
        for number in range(5):
            picture = numpy.full((size, size, 3), lightness, dtype=numpy.uint8)
            picture[: number * size // 8] //= 2
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts = number
            frames += [bytes(packet) for packet in codec.encode(frame)]
    return frames


def livekit_frames() -> list[bytes]:
    """Sealed by LiveKit, and what they were before."""
    rows = load("livekit")["livekit"]
    return [octets(row[part]) for row in rows for part in ("wire", "plain")]


def injected(rng: random.Random) -> list[bytes]:
    """Frames that a LiveKit server makes itself: media in clear, and a trailer it announced."""
    trailer = rng.randbytes(16)
    return [frame + trailer for frame in (OPUS_SILENCE, *opus_frames()[-3:], *vp8_frames()[:2])]


def rtp_packets(rng: random.Random) -> list[bytes]:
    """Opus, VP8 with its descriptor (RFC 7741), and a packet of padding alone."""
    header = bytes([0x80, 0x6F]) + rng.randbytes(10)
    opus = [header + frame for frame in (OPUS_SILENCE, *opus_frames()[::5])]
    vp8 = [header + octets("90e0801234") + frame for frame in vp8_frames()[::3]]
    return [*opus, *vp8, *(packet[12:] for packet in vp8), bytes([0xA0, 0x6F, *header[2:], 1])]


def all_of_them(rng: random.Random) -> dict[str, list[bytes]]:
    return {
        "nothing": [b""],
        "one byte": [bytes([value]) for value in range(256)],
        "zeros and ones": [
            byte * size for byte in (b"\0", b"\xff") for size in (3, 17, 18, 40, 300)
        ],
        "Opus silence": [OPUS_SILENCE],
        "Opus": opus_frames(),
        "VP8": vp8_frames(),
        "LiveKit": livekit_frames(),
        "LiveKit, injected": injected(rng),
        "RTP": rtp_packets(rng),
    }
