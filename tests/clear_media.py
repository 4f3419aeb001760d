"""Streams of media in the clear, from real encoders, and the paths that frames take to a receiver.

A stream is a list of (seconds, frame). Sounds and pictures are made up, and the same in every run.
"""

import json
import random
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy

RECORDED_AV1 = Path(__file__).parents[1] / "vectors" / "av1_in_clear.json"
Stream = list[tuple[float, bytes]]
RATE = 48_000
SECONDS = 6
PCM = {"pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}
LOW_DELAY = {"preset": "ultrafast", "tune": "zerolatency"}
REALTIME = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
VIDEO = {
    "h264": ("libx264", LOW_DELAY),
    "h265": ("libx265", LOW_DELAY | {"x265-params": "log-level=none"}),
    "vp8": ("libvpx", REALTIME),
    "vp9": ("libvpx-vp9", REALTIME),
}
BACKGROUND = {"8 kbit/s": 8, "12 kbit/s": 12, "16 kbit/s": 16, "32 kbit/s": 32, "64 kbit/s": 64}


@cache
def speech() -> numpy.ndarray:
    """Syllables with a gliding pitch and formants, hiss, and pauses: -1..1 at 48 kHz."""
    rng, parts = numpy.random.default_rng(7), []
    while sum(map(len, parts)) < SECONDS * RATE:
        time = numpy.arange(int(rng.uniform(0.08, 0.3) * RATE)) / RATE
        pitch = rng.uniform(90, 240) * (1 + 0.1 * numpy.sin(2 * numpy.pi * 3 * time))
        phase = 2 * numpy.pi * numpy.cumsum(pitch) / RATE
        formants = rng.uniform(250, 900), rng.uniform(900, 2500)
        voice = sum(
            numpy.sin(k * phase) * numpy.exp(-(((k * pitch - formant) / 250) ** 2))
            for k in range(1, 25)
            for formant in formants
        )
        parts.append(voice / abs(voice).max() * rng.uniform(0.1, 0.7) * numpy.hanning(len(time)))
        parts.append(rng.normal(0, 0.05, int(rng.uniform(0.03, 0.1) * RATE)))
        parts.append(numpy.zeros(int(max(0, rng.uniform(-0.4, 0.6)) * RATE)))
    return numpy.concatenate(parts)[: SECONDS * RATE]


def audio(codec: str, rate: int, layout: str, size: int, **options: str) -> Stream:
    """Speech in frames of `size` samples; bit_rate among the options is the encoder's own."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "s16"
    encoder.bit_rate = int(options.pop("bit_rate", "64000"))
    encoder.options = options
    pcm = (speech()[:: RATE // rate] * 32_767).astype("int16")
    frames = []
    for at in range(0, len(pcm) - size, size):
        samples = numpy.repeat(pcm[at : at + size], 2 if layout == "stereo" else 1)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, at
        frames += [(at / rate, bytes(packet)) for packet in encoder.encode(frame)]
    return frames


def video(kind: str, per_second: int = 30, seconds: float = SECONDS) -> Stream:
    """A moving pattern with noise."""
    codec, options = VIDEO[kind]
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 160, 96, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, per_second), per_second
    encoder.bit_rate, encoder.options = 300_000, options
    rng, packets = numpy.random.default_rng(1), []
    rows, columns = numpy.mgrid[0:96, 0:160]
    for number in range(round(seconds * per_second)):
        picture = numpy.stack([columns + 3 * number, rows + number, rows ^ columns], 2) % 256
        picture = numpy.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype("uint8")
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [(number / per_second, bytes(packet)) for number, packet in enumerate(packets)]


def av1() -> Stream:
    """Recorded: sizes and first bytes. SVT-AV1, the one encoder in PyAV's wheels, runs its threads
    at real-time priority where it may, which starves the machine that tests run on."""
    recorded = json.loads(RECORDED_AV1.read_text())
    return [
        (number / recorded["per_second"], bytes.fromhex(head).ljust(size, b"\0"))
        for number, (size, head) in enumerate(recorded["frames"])
    ]


def avcc(annex_b: bytes) -> bytes:
    """The same NAL units with their lengths before them."""
    units = annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units if unit)


@cache
def streams() -> dict[str, Stream]:
    """Media in the clear by name."""
    made = {"Opus silence": [(number / 50, b"\xf8\xff\xfe") for number in range(50 * SECONDS)]}
    for name, rate in BACKGROUND.items():
        for use in ("voip", "audio", "lowdelay"):
            made[f"Opus {use} {name}"] = opus(rate, "mono", application=use)
    for rate in (16, 32):
        made[f"Opus stereo {rate} kbit/s"] = opus(rate, "stereo", application="voip")
        made[f"Opus with DTX {rate} kbit/s"] = opus(rate, "mono", application="voip", dtx="1")
        redundant = {"application": "voip", "fec": "1", "packet_loss": "15"}
        made[f"Opus with FEC {rate} kbit/s"] = opus(rate, "mono", **redundant)
        for ms in (10, 60):
            longer = {"application": "voip", "frame_duration": str(ms)}
            made[f"Opus {ms} ms {rate} kbit/s"] = opus(rate, "mono", ms, **longer)
    for name, codec in PCM.items():
        made[name] = audio(codec, 8000, "mono", 160)
    made["L16"] = audio("pcm_s16be", 16_000, "mono", 320)
    for kind in VIDEO:
        made[kind] = video(kind)
    made["av1"] = av1()
    made["vp8, 120 a second"] = video("vp8", 120)
    made["h264 with lengths"] = [(at, avcc(frame)) for at, frame in made["h264"]]
    return made


def opus(kbit: int, layout: str, ms: int = 20, **options: str) -> Stream:
    return audio("libopus", RATE, layout, RATE * ms // 1000, bit_rate=f"{kbit}000", **options)


def carried(
    frames: Stream,
    rng: random.Random,
    *,
    loss: float = 0,
    burst: int = 1,
    late: float = 0,
    twice: float = 0,
) -> Stream:
    """As a network delivers them: shares that are lost (`burst` frames at a time), come late by up
    to 60 ms, and come again."""
    come, kept = [], list(frames)
    while kept:
        if rng.random() < loss / burst:
            del kept[:burst]
            continue
        at, frame = kept.pop(0)
        at += rng.uniform(0, 0.06) if rng.random() < late else 0
        come.append((at, frame))
        if rng.random() < twice:
            come.append((at + rng.uniform(0, 0.05), frame))
    return sorted(come, key=lambda arrival: arrival[0])
