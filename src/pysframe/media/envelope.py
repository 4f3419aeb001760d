"""Envelope: a sealed frame in a form that packetizers and SFUs of its codec can handle.

Rules of this file:
  1. The whole frame is in the ciphertext. What is beside it in the clear is a copy for servers on
     the way, and a receiver takes nothing from it: whoever alters it can have a frame lost, as by
     dropping it, and nothing more.
  2. Whatever bytes a frame has, it is sealed and comes back the same. What cannot be read is not
     shown.
  3. What is no sealed frame goes to the receiver as an empty ciphertext, so that it counts it.

The format is in docs/envelope.md, its figures are in vectors/envelope.json.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

import pysframe  # of protect_many and unprotect_many, which belong to an engine

from .._buffers import ReadableBuffer, byte_view
from .._values import showable
from ..errors import FrameStatus, MalformedFrame, MisuseError
from ..receiver import Receiver
from ..sender import Sender
from ._carrier import Codec, NoCarrier
from .av1 import AV1
from .h26x import H264, H265
from .vp8 import VP8

VERSION = 1  # of the format; it travels with the key
UNSAID = 1  # what a key means that says none: it may be older than any other version
CODECS = {codec.name: codec for codec in (VP8, H264, H265, AV1)}
# No part of these payloads is read on the way: VP9's layers are in its RTP payload descriptor.
PLAIN = {"VP9"}
STATUSES = tuple(FrameStatus)  # by their numbers
# Audio that may be named without "audio/".
AUDIO = {"OPUS", "MULTIOPUS", "RED", "G722", "PCMU", "PCMA", "L16", "CN"}


@showable
class Envelope:
    """How the frames of one codec are sealed, so that they pass through packetizers and SFUs.

    codec: a MIME type, such as an encoded frame's metadata and SDP have it, or its second half:
    "video/H264", "vp8", "audio/opus". version: what came with the key; MisuseError for an unknown
    one. Of a video codec that it does not know nothing is shown, and a RuntimeWarning says what an
    SFU cannot do then. Audio is always plain SFrame.

    An Envelope holds no key and no state; one serves all senders, receivers and threads.

    >>> import pysframe
    >>> from pysframe.media import Envelope
    >>> suite = pysframe.CipherSuite.AES_128_GCM_SHA256_128
    >>> base_key = suite.generate_base_key()
    >>> sender = pysframe.Sender(suite, kid=7, base_key=base_key, next_ctr=0)
    >>> receiver = pysframe.Receiver(suite)
    >>> receiver.add_key(7, base_key)

    >>> envelope = Envelope("video/VP8")
    >>> wire = envelope.seal(sender, b"\\xb1 an interframe")
    >>> wire[:1]                                     # the frame's type, and that it is shown
    b'\\x11'
    >>> envelope.open(receiver, wire)
    b'\\xb1 an interframe'
    """

    __slots__ = ("_codec", "codec")

    codec: str  # its name: "H264", "OPUS", ...
    _codec: Codec | None  # None: plain SFrame

    def __init__(self, codec: str, *, version: int = VERSION) -> None:
        checked_version(version)
        if not isinstance(codec, str):
            raise TypeError(f"codec must be a str, such as 'video/VP8', not {type(codec).__name__}")
        kind, _, name = codec.upper().partition("/")
        self.codec = name if kind in ("AUDIO", "VIDEO") else kind
        self._codec = CODECS.get(self.codec)
        if self._codec is None and self.codec not in PLAIN | AUDIO and kind != "AUDIO":
            warnings.warn(
                f"pysframe knows no envelope for {codec!r}: nothing of its frames is shown, so a "
                "packetizer may refuse them, and an SFU cannot tell key frames (it will not switch "
                "simulcast layers, nor know when to ask for one) or layers that it may drop",
                RuntimeWarning,
                stacklevel=2,
            )

    def seal(self, sender: Sender, frame: ReadableBuffer, metadata: ReadableBuffer = b"") -> bytes:
        """The frame as it goes on the wire; sender.protect() says what it raises.

        metadata is bound and not sent. An empty frame stays empty, and takes no counter.
        """
        contents = _flat(frame, "frame")
        if not contents:
            return b""
        return self._wrap(contents, sender.protect(contents, metadata))

    def open(
        self, receiver: Receiver, wire: ReadableBuffer, metadata: ReadableBuffer = b""
    ) -> bytes:
        """The frame again, or what receiver.unprotect() raises: a FrameRejected, to be dropped.

        MalformedFrame also says that there is no ciphertext where the codec has it: media in the
        clear, a frame cut short, or several in one. An empty frame is no media, and stays empty.
        """
        contents = _flat(wire, "wire")
        if not contents:
            return b""
        try:
            ciphertext = self._unwrap(contents)
        except NoCarrier as fault:
            _refuse(receiver, str(fault))
        return receiver.unprotect(ciphertext, metadata)

    def ciphertext(self, wire: ReadableBuffer) -> bytes | memoryview:
        """The SFrame ciphertext in a wire frame, such as Header.parse() reads; nothing is checked.

        Raises MalformedFrame when there is none.
        """
        try:
            return self._unwrap(_flat(wire, "wire"))
        except NoCarrier as fault:
            raise MalformedFrame(str(fault)) from None

    def _wrap(self, frame: bytes | memoryview, ciphertext: bytes) -> bytes:
        return ciphertext if self._codec is None else self._codec.wrap(bytes(frame), ciphertext)

    def _unwrap(self, wire: bytes | memoryview) -> bytes | memoryview:
        if not wire:
            raise NoCarrier("an empty frame")
        return wire if self._codec is None else self._codec.unwrap(bytes(wire))

    def __repr__(self) -> str:
        return f"Envelope({self.codec!r})"


def _flat(data: ReadableBuffer, name: str) -> bytes | memoryview:
    """byte_view, and bytes as they are: most frames are, and a view of them costs as much again."""
    return data if type(data) is bytes else byte_view(data, name)


def checked_version(version: int) -> int:
    """The version of an envelope as it came with a key; MisuseError when it is unknown."""
    if type(version) is not int or version != VERSION:
        raise MisuseError(
            f"envelope version {version!r} is unknown here; this pysframe knows version {VERSION}: "
            "update it, or have the key's owner send that version"
        )
    return version


def _refuse(receiver: Receiver, words: str) -> NoReturn:
    """Has the receiver count a malformed frame, and raises with the words."""
    try:
        receiver.unprotect(b"")
    except MalformedFrame:
        raise MalformedFrame(words) from None
    raise AssertionError("an empty ciphertext was opened")


# ---- one call for frames of many streams ----


class Opened(NamedTuple):
    """What open_many() returns, row by row; a frame is b"" when it was rejected or empty."""

    frames: list[bytes]
    status: list[FrameStatus]


def seal_many(
    envelopes: Envelope | Sequence[Envelope],
    senders: Sender | Sequence[Sender],
    frames: Iterable[ReadableBuffer],
    metadata: ReadableBuffer | Sequence[ReadableBuffer] | None = None,
) -> list[bytes]:
    """Envelope.seal for many frames, sealed in one call: see protect_many.

    Envelope, sender and metadata: one for all rows, or one for each. A MisuseError names the row
    among those that are not empty, and nothing was sealed.
    """
    return _seal_many(pysframe.protect_many, envelopes, senders, frames, metadata)


def open_many(
    envelopes: Envelope | Sequence[Envelope],
    receivers: Receiver | Sequence[Receiver],
    wires: Iterable[ReadableBuffer],
    metadata: ReadableBuffer | Sequence[ReadableBuffer] | None = None,
) -> Opened:
    """Envelope.open for many frames, opened in one call: see unprotect_many. No bad frame raises.

    >>> import pysframe
    >>> from pysframe.media import Envelope, open_many, seal_many
    >>> key = bytes(range(32))
    >>> sender = pysframe.Sender(4, kid=8, base_key=key, next_ctr=0)
    >>> receiver = pysframe.Receiver(4)
    >>> receiver.add_key(8, key)
    >>> both = [Envelope("audio/opus"), Envelope("video/H264")]
    >>> wires = seal_many(both, sender, [b"20 ms of Opus", b"a picture"])
    >>> open_many(both, receiver, wires).frames
    [b'20 ms of Opus', b'a picture']
    """
    return _open_many(pysframe.unprotect_many, envelopes, receivers, wires, metadata)


def _seal_many(
    protect_many: Callable[..., list[bytes]],
    envelopes: Any,
    senders: Any,
    frames: Iterable[ReadableBuffer],
    metadata: Any,
) -> list[bytes]:
    rows = [_flat(frame, "frame") for frame in frames]
    dress = _one_per_row(envelopes, Envelope, len(rows))
    full = [number for number, row in enumerate(rows) if row]
    sealed = protect_many(
        _kept(senders, Sender, full), [rows[number] for number in full], _kept(metadata, None, full)
    )
    wires = [b""] * len(rows)
    for number, ciphertext in zip(full, sealed, strict=True):
        wires[number] = dress[number]._wrap(rows[number], ciphertext)
    return wires


def _open_many(
    unprotect_many: Callable[..., pysframe.FrameBatch],
    envelopes: Any,
    receivers: Any,
    wires: Iterable[ReadableBuffer],
    metadata: Any,
) -> Opened:
    rows = [_flat(wire, "wire") for wire in wires]
    dress = _one_per_row(envelopes, Envelope, len(rows))
    full = [number for number, row in enumerate(rows) if row]
    batch = unprotect_many(
        _kept(receivers, Receiver, full),
        [_ciphertext_or_nothing(dress[number], rows[number]) for number in full],
        _kept(metadata, None, full),
    )
    frames, status = [b""] * len(rows), [FrameStatus.OK] * len(rows)
    for number, frame, code in zip(full, batch.to_list(), batch.status, strict=True):
        frames[number], status[number] = frame, STATUSES[code]
    return Opened(frames, status)


def _ciphertext_or_nothing(envelope: Envelope, wire: bytes | memoryview) -> bytes | memoryview:
    try:
        return envelope._unwrap(wire)
    except NoCarrier:
        return b""


def _one_per_row(given: Any, kind: type, count: int) -> Sequence[Any]:
    if isinstance(given, kind):
        return [given] * count
    if len(given) != count:
        raise MisuseError(f"{len(given)} envelopes for {count} frames; give one, or one for each")
    return list(given)


def _kept(given: Any, kind: type | None, rows: list[int]) -> Any:
    """The values of these rows: the common value, or each row's own."""
    if given is None or (kind is not None and isinstance(given, kind)):
        return given
    if not isinstance(given, (list, tuple)):
        return given
    return [given[number] for number in rows]
