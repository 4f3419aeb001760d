"""Everything private of aiortc that this package uses, checked when it is imported.

A version without one of these names could hand ciphertext to a decoder, and nothing would say so.
docs/aiortc-hook.md proposes the public hook that would replace this file.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder

TESTED = "aiortc >=1.16,<1.17"

DECODER_QUEUE = "_RTCRtpReceiver__decoder_queue"  # what the decoder thread reads
DECODER_ERROR = "_RTCRtpReceiver__decoder_error"  # set: a key frame is asked for
DECODER_THREAD = "_RTCRtpReceiver__decoder_thread"  # None until it runs
CREATE_TRANSCEIVER = "_RTCPeerConnection__createTransceiver"
SEND_KEY_FRAME = "_send_keyframe"  # called when the other side asks for a key frame
PACKETIZER = "_RTCRtpSender__encoder"  # its target_bitrate is what the other side can take
CODECS = "_codecs"  # of a transceiver: the first is sent, once it has been negotiated
PACKETIZE = "_packetize"  # the second half of an encoder: packets of a frame


def missing(
    receiver: Any = None,
    connection: Any = None,
    sender: Any = None,
    transceiver: Any = None,
    video: Iterable[Any] = (),
) -> list[str]:
    """The private names that this aiortc lacks. The arguments are for tests."""
    transport: Any = SimpleNamespace(state="new")
    receiver = receiver or RTCRtpReceiver("video", transport)
    kinds = {DECODER_QUEUE: queue.Queue, DECODER_ERROR: threading.Event}
    lacks = [f"RTCRtpReceiver.{_short(name)}" for name, kind in kinds.items()
             if not isinstance(getattr(receiver, name, None), kind)]  # fmt: skip
    if getattr(receiver, DECODER_THREAD, "none") is not None:
        lacks.append(f"RTCRtpReceiver.{_short(DECODER_THREAD)}")
    if not callable(getattr(connection or RTCPeerConnection, CREATE_TRANSCEIVER, None)):
        lacks.append(f"RTCPeerConnection.{_short(CREATE_TRANSCEIVER)}")
    sender = sender or RTCRtpSender  # the class, since making one needs an event loop
    if not callable(getattr(sender, SEND_KEY_FRAME, None)):
        lacks.append(f"RTCRtpSender.{SEND_KEY_FRAME}")
    if PACKETIZER not in sender.__init__.__code__.co_names:
        lacks.append(f"RTCRtpSender.{_short(PACKETIZER)}")
    nobody: Any = SimpleNamespace()
    transceiver = transceiver or RTCRtpTransceiver("video", receiver, nobody)
    if not isinstance(getattr(transceiver, CODECS, None), list):
        lacks.append(f"RTCRtpTransceiver.{CODECS}")
    for encoder in video or (Vp8Encoder, H264Encoder):
        if not callable(getattr(encoder, PACKETIZE, None)):
            lacks.append(f"{encoder.__name__}.{PACKETIZE}")
    return lacks


def _short(name: str) -> str:
    return name[name.index("__") :]


def check(lacks: list[str]) -> None:
    """ImportError, which names the versions that work, unless everything is there."""
    if lacks:
        raise ImportError(
            f"pysframe.adapters.aiortc works with {TESTED}; aiortc {version('aiortc')}, which is "
            f"installed, has no {', '.join(lacks)}: pip install 'pysframe[aiortc]'"
        )


check(missing())


# ---- the names in use ----


def reads_from(receiver: RTCRtpReceiver, frames: queue.Queue[Any]) -> None:
    """Makes the receiver's decoder read from this queue."""
    setattr(receiver, DECODER_QUEUE, frames)


def decoder_queue(receiver: RTCRtpReceiver) -> queue.Queue[Any]:
    """The queue that the receiver's decoder reads."""
    frames: queue.Queue[Any] = getattr(receiver, DECODER_QUEUE)
    return frames


def is_decoding(receiver: RTCRtpReceiver) -> bool:
    """Whether its decoder thread has started, and reads what was there then."""
    return getattr(receiver, DECODER_THREAD) is not None


def ask_for_key_frame(receiver: RTCRtpReceiver) -> None:
    """Asks for a key frame: a PLI is sent with the next packet of video. Any thread may call it."""
    getattr(receiver, DECODER_ERROR).set()


def on_new_transceiver(pc: RTCPeerConnection, call: Callable[[RTCRtpTransceiver], None]) -> None:
    """call() for each transceiver before anybody else sees it."""
    create = getattr(pc, CREATE_TRANSCEIVER)

    def created(*args: Any, **kwargs: Any) -> RTCRtpTransceiver:
        transceiver: RTCRtpTransceiver = create(*args, **kwargs)
        call(transceiver)
        return transceiver

    setattr(pc, CREATE_TRANSCEIVER, created)


def on_key_frame_wanted(sender: RTCRtpSender, call: Callable[[], None]) -> None:
    """call() when the other side asks for a key frame."""
    setattr(sender, SEND_KEY_FRAME, call)


def bitrate_of(sender: RTCRtpSender) -> int | None:
    """Bits per second that the other side can take; None when it has not said."""
    rate: int | None = getattr(getattr(sender, PACKETIZER, None), "target_bitrate", None)
    return rate


def negotiated(transceiver: RTCRtpTransceiver) -> Any:
    """The codec in which it sends, or None before there is one."""
    codecs = getattr(transceiver, CODECS)
    return codecs[0] if codecs else None


class WholeVp8(Vp8Encoder):
    """aiortc's encoder, without its packets: encode() gives the frame."""

    @classmethod
    def _packetize(cls, buffer: bytes, picture_id: int) -> list[bytes]:
        return [buffer] if buffer else []


class WholeH264(H264Encoder):
    """aiortc's encoder, without its packets: encode() gives the frame as a byte stream."""

    @classmethod
    def _packetize(cls, packages: Iterable[bytes]) -> list[bytes]:
        frame = b"".join(b"\0\0\0\1" + bytes(package) for package in packages)
        return [frame] if frame else []
