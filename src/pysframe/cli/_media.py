"""Opus through PyAV (libopus): 20 ms frames of 48 kHz mono in, the same out; and audio files."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from ._console import CommandError
from ._dtmf import FRAME, RATE, Samples

BIT_RATE = 32_000  # bits a second: 80-byte frames


class OpusEncoder:
    """A microphone's encoder. Constant bit rate: the sizes of variable-rate speech give words
    away even when it is encrypted (RFC 6562 section 3)."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "w")
        self._codec.sample_rate = RATE
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self._codec.bit_rate = BIT_RATE
        self._codec.options = {"frame_duration": "20", "vbr": "off", "application": "lowdelay"}
        self._pts = 0

    def encode(self, pcm: Samples) -> bytes:
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, FRAME), format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts, self._pts = self._pts, self._pts + FRAME
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class OpusDecoder:
    """A loudspeaker's decoder. It is no judge of anything: given random bytes libopus refuses
    some and plays the others."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "r")
        self._codec.sample_rate = RATE
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self.refused = 0  # frames

    def decode(self, frame: bytes) -> Samples | None:
        """Decoded samples, or None when the decoder will not have it."""
        if not frame:
            return None  # to FFmpeg an empty packet is the end of the stream
        try:
            parts = [part.to_ndarray()[0] for part in self._codec.decode(av.Packet(frame))]
        except av.FFmpegError:
            self.refused += 1
            return None
        return np.concatenate(parts).astype(np.int16) if parts else None


def load(path: Path, seconds: float) -> Samples:
    """The first seconds of a file's first audio stream as 48 kHz mono.

    CommandError when there is none, or nothing but silence.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    wanted, parts = int(seconds * RATE), [np.zeros(0, np.int16)]
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise CommandError(f"{path} has no audio stream")
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
                if sum(map(len, parts)) >= wanted:
                    break
    except (av.FFmpegError, OSError) as problem:
        raise CommandError(
            f"{path} cannot be read as audio: {problem.strerror or problem}"
        ) from None
    pcm = np.concatenate(parts)[:wanted]
    if not pcm.any():
        raise CommandError(
            f"{path} is silent in its first {seconds:g} s: nothing could be compared"
        )
    return pcm
