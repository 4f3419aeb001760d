"""What a decoder thread reads: opened frames, in place of aiortc's queue of received ones.

Rules of this file:
  1. get() returns a frame that was opened, or None, which ends the thread. It never raises: an
     exception would end the thread without a word.
  2. Everything here but the counts belongs to the decoder thread, off the event loop.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from aiortc import MediaStreamTrack, RTCRtpReceiver

from ..._values import showable
from ...errors import FrameRejected, FrameStatus
from ...media import Envelope
from ...source import Scope
from . import _private

HELD_FRAMES, HELD_BYTES = 64, 1 << 22  # of frames whose key has not come: 1.3 s of audio
KEY_FRAME_EVERY = 0.5  # seconds between two requests
MANY = 10  # frames refused in a row before it counts as a trouble

log = logging.getLogger("pysframe")
_WAKE = object()  # in the queue: a key came


@showable
class Incoming:
    """One received track: whose it is, and what became of its frames.

    counts, by name: "opened"; refused and dropped as "keyID" (no key for it), "authentication",
    "replay" and "syntax" (not SFrame), as browsers name them; dropped unread as "empty", and as
    "unbound" before anybody has said whose track it is; "error" for a fault of this program. Of
    these, "late" were counted twice: as "keyID", and when their key came as what became of them.
    """

    def __init__(self, receiver: RTCRtpReceiver, kind: str) -> None:
        self.receiver = receiver
        self.kind = kind
        self.scope: Scope | None = None
        self.kid: int | None = None  # of the latest frame that was refused, as its header says
        self._counts: Counter[str] = Counter()
        self.refused = 0  # frames since the last one that opened
        self.refused_since = 0.0  # monotonic seconds
        self.why = ""  # the name under which the latest one was refused
        self.ended = False

    @property
    def track(self) -> MediaStreamTrack:
        """The track that yields the decoded frames."""
        return self.receiver.track

    @property
    def sender(self) -> str | None:
        """Whose keys open it; None: anybody's in the room, or nobody's as long as scope is None."""
        return self.scope.sender if self.scope else None

    @property
    def counts(self) -> Mapping[str, int]:
        """Frames by name, since the track began."""
        return dict(self._counts)

    def count(self, name: str) -> None:
        """Counts one frame under this name."""
        self._counts[name] += 1

    def opened(self) -> None:
        self._counts["opened"] += 1
        self.refused = 0

    def refuse(self, why: str, kid: int | None = None) -> None:
        self._counts[why] += 1
        if not self.refused:
            self.refused_since = time.monotonic()
        self.refused, self.why, self.kid = self.refused + 1, why, kid

    def __repr__(self) -> str:
        whose = "nobody yet" if self.scope is None else self.sender or "anybody"
        return f"<Incoming {self.kind} of {whose}: {dict(self._counts)}>"


class OpenedFrames(queue.Queue[Any]):
    """The queue of one receiver. Frames go in as they arrived, and come out opened."""

    def __init__(self, incoming: Incoming) -> None:
        super().__init__()
        self._incoming = incoming
        self._envelopes: dict[str, Envelope] = {}
        self._ready: deque[Any] = deque()  # opened, or None for the end
        self._held: deque[Any] = deque()  # their key has not come
        self._held_bytes = 0
        self._key_came = False
        self._gap = False  # a picture was lost, or the key has changed: deltas may lack their base
        self._asked = 0.0  # time of the last key-frame request, in monotonic seconds
        self._unwatch: Callable[[], None] | None = None

    @property
    def ended(self) -> bool:
        """Whether no frame comes any more."""
        return self._incoming.ended

    def bind(self, scope: Scope) -> None:
        """Says whose frames these are, from the event loop. Those that came before were dropped."""
        if self._unwatch is None:
            self._incoming.scope = scope
            scope.watch(self._wake)
            self._unwatch = lambda: scope.unwatch(self._wake)

    def _wake(self) -> None:
        """A key came; from any thread."""
        self._key_came = True
        self.put(_WAKE)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """(codec, frame) with the frame's data opened; None at the end."""
        ready = self._ready
        while not ready:
            task = super().get(block, timeout)
            try:
                self._take(task)
            except Exception as error:  # costs the frame, not the thread
                self._incoming.refuse("error")
                if self._incoming.counts["error"] == 1:
                    log.error("a received frame was dropped: %s", type(error).__name__)
        return ready.popleft()

    def _take(self, task: Any) -> None:
        if self._key_came:
            self._key_came = False
            self._gap = True
            self._retry()
        if task is None:
            self._end()
        elif task is not _WAKE:
            self._open(task)

    def _end(self) -> None:
        self._ready.append(None)
        self._incoming.ended = True
        self._incoming.refused = 0  # an empty frame is intended silence
        self._held.clear()
        self._held_bytes = 0
        if self._unwatch is not None:
            self._unwatch()

    def _open(self, task: Any, late: bool = False) -> bool:
        """Whether the key of the frame is here; if it opens, it is ready."""
        codec, frame = task
        incoming, scope = self._incoming, self._incoming.scope
        if not frame.data:  # a decoder would take it for the end of the stream
            incoming.count("empty")
        elif scope is None:
            incoming.refuse("unbound")
            self._gap = True
        else:
            try:
                data = self._envelope(codec.mimeType).open(scope.receiver, frame.data)
            except FrameRejected as refused:
                if late and refused.status is FrameStatus.UNKNOWN_KEY:
                    return False
                self._refused(task, refused)
            else:
                self._opened(task, data)
        if late:
            incoming.count("late")
        return True

    def _envelope(self, codec: str) -> Envelope:
        if codec not in self._envelopes:
            self._envelopes[codec] = Envelope(codec)
        return self._envelopes[codec]

    def _opened(self, task: Any, data: bytes) -> None:
        codec, frame = task
        self._incoming.opened()
        if not data:
            self._incoming.count("empty")
            return
        frame.data = data
        if self._gap and self._incoming.kind == "video":
            self._close_gap(codec.name, data)
        self._ready.append(task)

    # ---- key frames ----

    def _close_gap(self, codec: str, data: bytes) -> None:
        """Asks for a key frame until one arrives: others refer to pictures that may be lost."""
        if is_key_frame(codec, data):
            self._gap = False
        elif time.monotonic() - self._asked >= KEY_FRAME_EVERY:
            self._asked = time.monotonic()
            _private.ask_for_key_frame(self._incoming.receiver)

    # ---- frames whose key has not come: RFC 9605 4.4.4 MAY ----

    def _refused(self, task: Any, refused: FrameRejected) -> None:
        kid = refused.kid
        self._incoming.refuse(refused.status.word, kid)
        if refused.status is not FrameStatus.REPLAYED:
            self._gap = True
        if refused.status is FrameStatus.UNKNOWN_KEY:
            self._hold(task)

    def _hold(self, task: Any) -> None:
        self._held.append(task)
        self._held_bytes += len(task[1].data)
        while len(self._held) > HELD_FRAMES or self._held_bytes > HELD_BYTES:
            self._held_bytes -= len(self._held.popleft()[1].data)

    def _retry(self) -> None:
        """Opens what was held, in its order; what still has no key is held on."""
        held, self._held, self._held_bytes = self._held, deque(), 0
        for task in held:
            if not self._open(task, late=True):
                self._hold(task)


def is_key_frame(codec: str, data: bytes) -> bool:
    """Whether a decoder can begin here: VP8 and H.264, the codecs that aiortc decodes."""
    if codec == "VP8":
        return not data[0] & 1
    starts = data.split(b"\0\0\1")[1:]
    return any(unit[:1] and unit[0] & 0x1F == 5 for unit in starts)
