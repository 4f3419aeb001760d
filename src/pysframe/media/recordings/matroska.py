"""Restored frames in a Matroska file. PyAV writes it (the extra pysframe[decrypt]).

Rules of this file:
  1. Frames go in as they are: nothing is encoded anew. Matroska has H.264 and H.265 with lengths
     instead of start codes and AV1 without temporal delimiters, and does not have G.711, which is
     stored as the samples it stands for.
  2. What a decoder must know beforehand (size, parameter sets) is read by FFmpeg from the track's
     first key frame, so all tracks are known before the first byte is written.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from .. import av1
from ..annexb import units
from . import codecs

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer, OutputContainer

IVF = {"VP8": b"VP80", "VP9": b"VP90", "AV1": b"AV01"}  # four characters of IVF files
RAW = {"H264": "h264", "H265": "hevc"}  # FFmpeg's names of bare streams
SAMPLES = {"PCMU": "pcm_mulaw", "PCMA": "pcm_alaw"}


class Plan(NamedTuple):
    """A track to be written. first: its first key frame, of video."""

    codec: str
    title: str
    first: bytes


class Block(NamedTuple):
    """A frame to be written: the number of its plan, and when, in ticks of codecs.rate()."""

    track: int
    ticks: int
    data: bytes


def is_key(codec: str, frame: bytes) -> bool:
    """Whether a decoder can begin with this frame."""
    if not frame:
        return False
    if codec == "VP8":
        return not frame[0] & 1
    if codec == "VP9":  # frame_marker, profile, show_existing_frame, frame_type
        shift = 2 if frame[0] & 0x30 == 0x30 else 3
        return frame[0] >> 6 == 2 and not frame[0] >> shift & 1 and not frame[0] >> shift - 1 & 1
    if codec == "H264":
        return 7 in {unit[0] & 0x1F for unit in units(frame)}
    if codec == "H265":
        return 33 in {unit[0] >> 1 for unit in units(frame)}
    if codec == "AV1":
        return av1.SEQUENCE_HEADER in _obu_types(frame)
    return True


def _obu_types(frame: bytes) -> set[int]:
    try:
        return {unit.type for unit in av1.obus(frame)}
    except ValueError:
        return set()


def is_readable(codec: str, first: bytes) -> bool:
    """Whether FFmpeg finds in this frame what a track of the codec must say."""
    import av

    if codec in codecs.AUDIO_RATES:
        return True
    try:
        with _opened(codec, first) as container:
            video = container.streams.video[0].codec_context
            return bool(video.width and video.height)
    except (av.FFmpegError, ValueError, IndexError):
        return False


def _opened(codec: str, first: bytes) -> InputContainer:
    """The frame in a container that FFmpeg can probe."""
    import av

    if codec in RAW:
        return av.open(io.BytesIO(first), "r", format=RAW[codec])
    head = struct.pack(
        "<4sHH4sHHIIII", b"DKIF", 0, 32, IVF[codec], 0, 0, codecs.VIDEO_RATE, 1, 1, 0
    )
    return av.open(io.BytesIO(head + struct.pack("<IQ", len(first), 0) + first), "r", format="ivf")


def write(file: BinaryIO, plans: Sequence[Plan], blocks: Iterable[Block]) -> int:
    """Writes a whole file; returns how many frames FFmpeg refused, which are none of their codec.

    Raises OSError as the file does, and then what is there is no file.
    """
    import av

    sink = _Sink(file)
    with ExitStack() as stack:
        output = av.open(sink, "w", format="matroska")
        try:
            writer = _Writer(output, plans, stack)
            for block in blocks:
                writer.put(block)
                sink.check()
        except BaseException:
            sink.failed = sink.failed or OSError("given up")
            raise
        finally:  # FFmpeg flushes what it still holds; after a failure the output is discarded
            output.close()
    sink.check()
    return writer.refused


class _Sink:
    """The file as PyAV wants it: its first error is kept until check(), and FFmpeg sees none, since
    PyAV prints all but one of those that it meets on the way out."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failed: OSError | None = None
        self.seek, self.tell = file.seek, file.tell

    def write(self, data: bytes) -> int:
        if self.failed is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.failed = error
        return len(data)

    def check(self) -> None:
        if self.failed is not None:
            raise self.failed


class _Writer:
    """The open container and its tracks."""

    def __init__(self, output: OutputContainer, plans: Sequence[Plan], stack: ExitStack) -> None:
        self._output, self._plans = output, plans
        self.refused = 0
        self._decoders: Mapping[int, Any] = {
            number: _decoder(plan.codec)
            for number, plan in enumerate(plans)
            if plan.codec in SAMPLES
        }
        self._streams = [self._stream(plan, stack) for plan in plans]

    def _stream(self, plan: Plan, stack: ExitStack) -> Any:
        rate = codecs.rate(plan.codec)
        stream: Any
        if plan.codec == "OPUS":  # WebRTC's Opus is always signalled as stereo: RFC 7587 7
            stream = self._output.add_stream("libopus", rate=rate, layout="stereo")
        elif plan.codec in SAMPLES:
            stream = self._output.add_stream("pcm_s16le", rate=rate, layout="mono")
        else:
            template = stack.enter_context(_opened(plan.codec, plan.first)).streams.video[0]
            stream = self._output.add_stream_from_template(template, opaque=True)
        stream.metadata["title"] = plan.title
        return stream

    def put(self, block: Block) -> None:
        import av

        try:
            self._output.mux(self._packet(block))
        except av.FFmpegError:
            self.refused += 1

    def _packet(self, block: Block) -> Packet[Any]:
        import av

        plan = self._plans[block.track]
        packet = av.Packet(self._samples(block) if plan.codec in SAMPLES else block.data)
        packet.stream = self._streams[block.track]
        packet.time_base = Fraction(1, codecs.rate(plan.codec))
        packet.pts = packet.dts = block.ticks
        packet.is_keyframe = is_key(plan.codec, block.data)
        return packet

    def _samples(self, block: Block) -> bytes:
        import av

        decoded = self._decoders[block.track].decode(av.Packet(block.data))
        return b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in decoded)


def _decoder(codec: str) -> Any:
    import av

    decoder = av.CodecContext.create(SAMPLES[codec], "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = codecs.rate(codec), "mono"
    return decoder
