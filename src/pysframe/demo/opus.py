"""Opus through PyAV (libopus): 20 ms frames of 48 kHz mono in, the same out; and audio files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, groupby
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from .digits import FRAME, RATE, Samples

BIT_RATE = 32_000  # bits a second: 80-byte frames


class UnplayableFile(Exception):
    """Why a file cannot be played, in words that follow its name."""


class OpusEncoder:
    """A microphone's encoder, at a constant bit rate: the packet sizes of variable-rate speech
    reveal words even when it is encrypted (RFC 6562 section 3)."""

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
    """A loudspeaker's decoder. That it decodes proves nothing: of random bytes, libopus refuses
    some and plays the rest."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "r")
        self._codec.sample_rate = RATE
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self.refused = 0  # frames

    def decode(self, frame: bytes) -> Samples | None:
        """Decoded samples, or None when the decoder refuses the frame."""
        if not frame:
            return None  # FFmpeg takes an empty packet for the end of the stream
        try:
            parts = [part.to_ndarray()[0] for part in self._codec.decode(av.Packet(frame))]
        except av.FFmpegError:
            self.refused += 1
            return None
        return np.concatenate(parts).astype(np.int16) if parts else None


def load(path: Path, seconds: float) -> Samples:
    """The first seconds of a file's first audio stream as 48 kHz mono.

    Raises UnplayableFile when it cannot be read, holds no audio, or nothing but silence.
    """
    wanted, found, parts = int(seconds * RATE), 0, [np.zeros(0, np.int16)]
    try:
        with path.open("rb") as file:
            for part in _samples(file):
                parts.append(part)
                found += len(part)
                if found >= wanted:
                    break
    # PyAV raises a plain ValueError for misuse, and for formats that it cannot convert.
    except (av.FFmpegError, OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise UnplayableFile(f"cannot be read as audio: {why}") from None
    return _audible(np.concatenate(parts)[:wanted], seconds)


def _samples(file: BinaryIO) -> Iterator[Samples]:
    """The first audio stream, part by part. Python opens the file, since FFmpeg takes anything
    before a colon in a name for a protocol."""
    with av.open(file, "r", metadata_errors="replace") as container:
        if not container.streams.audio:
            raise ValueError("it has no audio stream")
        for _, frames in groupby(_decoded(container), _form):
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in chain(frames, [None]):  # None flushes the resampler
                yield from (part.to_ndarray()[0] for part in resampler.resample(frame))


def _decoded(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Skips what cannot be decoded, as players do: tags between parts, a truncated end."""
    for packet in container.demux(audio=0):
        with suppress(av.InvalidDataError):
            yield from packet.decode()


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    """The input format of a resampler, which joined files and radio captures change midway."""
    return frame.format.name, frame.layout.name, frame.sample_rate


def _audible(pcm: Samples, seconds: float) -> Samples:
    if not len(pcm):
        raise UnplayableFile("holds no audio that can be decoded")
    if not pcm.any():
        raise UnplayableFile(f"is silent in its first {seconds:g} s: nothing could be compared")
    return pcm
