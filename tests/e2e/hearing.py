"""What is heard and seen: one reader for everything that a party, a spy or a recording has.

Rule: whether something can be heard is never told by a decoder's error, since Opus accepts part of
random bytes. It is told by the same reader: it finds the tone in what a key opens, and noise in
what it does not.
"""

import io
from collections.abc import Iterable
from typing import NamedTuple

import av
import numpy as np

RATE = 48_000  # Hz
NEAR = 5.0  # Hz about the peak that belong to its tone


class Tone(NamedTuple):
    hz: float
    purity: float  # the share of the sound's energy that is near the peak, 0..1
    level: float  # root mean square of the samples, of 1
    seconds: float

    @property
    def is_heard(self) -> bool:
        return self.seconds > 0.5 and self.purity > 0.8 and self.level > 0.01

    def is_at(self, hz: float) -> bool:
        """A tone within 1 Hz of this one."""
        return self.is_heard and abs(self.hz - hz) <= 1.0


SILENCE = Tone(0.0, 0.0, 0.0, 0.0)


def tone_of(samples: np.ndarray) -> Tone:
    """The loudest tone in float samples of 48 kHz."""
    if len(samples) < RATE // 10 or not np.any(samples):
        return SILENCE._replace(seconds=len(samples) / RATE)
    padded = 1 << (len(samples) * 4 - 1).bit_length()  # bins a quarter of the resolution apart
    energy = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), padded)) ** 2
    energy[: int(20 / RATE * padded)] = 0  # no tone of ours is that low
    peak = int(np.argmax(energy))
    bins = int(NEAR / RATE * padded)
    near = energy[max(0, peak - bins) : peak + bins + 1].sum()
    level = float(np.sqrt(np.mean(samples**2)))
    return Tone(peak * RATE / padded, float(near / energy.sum()), level, len(samples) / RATE)


def decoded(opus: Iterable[bytes]) -> np.ndarray:
    """Samples of Opus packets; those that the decoder refuses leave a gap."""
    decoder = av.CodecContext.create("libopus", "r")
    samples = []
    for packet in opus:
        try:
            for frame in decoder.decode(av.Packet(packet)):
                samples.append(mono(frame))
        except av.FFmpegError:
            continue
    return np.concatenate(samples) if samples else np.zeros(0, np.float32)


def mono(frame: av.AudioFrame) -> np.ndarray:
    """Float samples of one channel, whatever the frame's format."""
    plain = frame.to_ndarray()
    if not frame.format.is_planar:
        plain = plain.reshape(-1, frame.layout.nb_channels).T
    scale = 1.0 if plain.dtype.kind == "f" else 32_768.0
    return (plain[0] / scale).astype(np.float32)


def tone_of_file(content: bytes) -> Tone:
    """Of a browser's recording, without its first and last tenth: it begins and ends abruptly."""
    with av.open(io.BytesIO(content)) as file:
        resampler = av.AudioResampler("flt", "mono", RATE)
        frames = [out for frame in file.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([mono(frame) for frame in frames]) if frames else np.zeros(0)
    tenth = len(samples) // 10
    return tone_of(samples[tenth : len(samples) - tenth])


def pictures_of(codec: str, frames: Iterable[bytes]) -> list[av.VideoFrame]:
    """What a decoder makes of encoded frames; those that it refuses are left out."""
    decoder = av.CodecContext.create(codec, "r")
    pictures = []
    for frame in frames:
        try:
            pictures += decoder.decode(av.Packet(frame))
        except av.FFmpegError:
            continue
    return pictures
