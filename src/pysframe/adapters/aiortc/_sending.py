"""A track of sealed frames, which aiortc only has to cut into packets.

Rules of this file:
  1. recv() returns sealed frames. While there is no key to seal with, frames are dropped and
     counted; no other branch hands a frame on.
  2. Nothing here raises but the end of the source: anything else would end the RTP task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack, RTCRtpCodecParameters
from aiortc.codecs import get_encoder

from ...errors import MisuseError
from ...media import Envelope
from ...sender import Sender
from ...source import Keyring
from . import _private

FRAMES_A_SECOND = 50  # of audio

log = logging.getLogger("pysframe")


class SealedTrack(MediaStreamTrack):
    """The frames of another track, encoded if need be, and sealed with the keyring's key.

    source: a track that yields frames to encode, or packets that are encoded already (av.Packet, as
    MediaPlayer(decode=False) has them). codec: what the packets hold, such as "video/VP8"; frames
    are encoded in whatever codec was negotiated. counts, by name: "sealed"; dropped as "no key",
    "empty", "codec" (packets of another codec than the negotiated one), "refused" (the key has
    reached its end, or its lease) and "error".

    It is made by Session.send().
    """

    def __init__(self, source: MediaStreamTrack, keys: Keyring, codec: str | None = None) -> None:
        self.kind = source.kind
        super().__init__()
        self.dropped = 0  # frames since the last one that was sealed
        self.dropped_since = 0.0  # monotonic seconds
        self.why = ""
        self._source, self._keys, self._given = source, keys, codec
        self._negotiated: Callable[[], RTCRtpCodecParameters | None] = lambda: None
        self._bitrate: Callable[[], int | None] = lambda: None
        self._counts: Counter[str] = Counter()
        self._ready: deque[av.Packet[Any]] = deque()
        self._encoder: Any = None
        self._encodes = ""  # the codec of the encoder
        self._envelope: Envelope | None = None
        self._last: Sender | None = None  # the Sender of the latest frame
        self._key_frame = False  # the next picture must be a key frame

    @property
    def counts(self) -> Mapping[str, int]:
        """Frames by name, since the track began."""
        return dict(self._counts)

    def ask_for_key_frame(self) -> None:
        """The next frame that is encoded will be a key frame."""
        self._key_frame = True

    async def recv(self) -> av.Packet[Any]:
        """The next sealed frame. Raises MediaStreamError when the source has ended."""
        while not self._ready:
            data = await self._source.recv()
            await asyncio.get_running_loop().run_in_executor(None, self._fill, data)
        return self._ready.popleft()

    def stop(self) -> None:
        """Ends this track and its source."""
        super().stop()
        self._source.stop()

    # ---- on a thread of the executor ----

    def _fill(self, data: Any) -> None:
        try:
            self._seal_all(data)
        except Exception as error:
            self._drop("error")
            if self._counts["error"] == 1:
                log.error("a frame to send was dropped: %s", type(error).__name__)

    def _seal_all(self, data: Any) -> None:
        codec = self._codec(data)
        sender = self._keys.sealing
        if codec is None:
            self._drop("codec")
        elif sender is None:
            self._drop("no key")
        else:
            if sender is not self._last:  # RFC 9605 6.2: new members need a key frame
                self._last, self._key_frame = sender, True
            for frame, pts, time_base in self._frames(data, codec):
                self._seal(sender, codec.mimeType, frame, pts, time_base)

    def _codec(self, data: Any) -> RTCRtpCodecParameters | None:
        """The codec to send in; None when these packets are of another."""
        codec = self._negotiated()
        given = self._given.lower() if self._given else None
        if codec is None or (isinstance(data, av.Packet) and given != codec.mimeType.lower()):
            return None
        return codec

    def _frames(self, data: Any, codec: RTCRtpCodecParameters) -> list[tuple[bytes, int, Fraction]]:
        if isinstance(data, av.Packet):
            if data.pts is None:
                raise ValueError("a packet has no time")
            return [(bytes(data), data.pts, data.time_base)]
        if self._encodes != codec.mimeType:
            self._encoder, self._encodes = encoder_of(codec), codec.mimeType
        if rate := self._bitrate():
            self._encoder.target_bitrate = rate
        wanted, self._key_frame = self._key_frame, False
        payloads, timestamp = self._encoder.encode(data, wanted)
        step, time_base = codec.clockRate // FRAMES_A_SECOND, Fraction(1, codec.clockRate)
        return [(p, timestamp + n * step, time_base) for n, p in enumerate(payloads)]

    def _seal(self, sender: Sender, codec: str, frame: bytes, pts: int, base: Fraction) -> None:
        if self._envelope is None or self._envelope.codec != codec.partition("/")[2].upper():
            self._envelope = Envelope(codec)
        try:
            wire = self._envelope.seal(sender, frame)
        except MisuseError:
            self._drop("refused")
            return
        if not wire:
            self._counts["empty"] += 1
            return
        packet = av.Packet(wire)
        packet.pts, packet.time_base = pts, base
        self._ready.append(packet)
        self._counts["sealed"] += 1
        self.dropped = 0

    def _drop(self, why: str) -> None:
        self._counts[why] += 1
        if not self.dropped:
            self.dropped_since = time.monotonic()
        self.dropped, self.why = self.dropped + 1, why


def encoder_of(codec: RTCRtpCodecParameters) -> Any:
    """An encoder whose encode() gives whole frames."""
    whole = {"video/vp8": _private.WholeVp8, "video/h264": _private.WholeH264}
    kind = whole.get(codec.mimeType.lower())
    return kind() if kind else get_encoder(codec)
