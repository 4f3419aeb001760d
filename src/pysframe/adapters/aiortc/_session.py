"""Session: the keys of one room, and the aiortc connections that use them.

Rules of this file:
  1. A receiver is hooked when it is made, before anybody can start it. One that has started before
     it could be hooked is refused.
  2. Silence has a name: what does not open, or is not sent, becomes a Trouble in bounded time.
  3. Nothing that a source, a callback or the network does ends the watch.
  4. A track opens with anybody's keys only if the application named no sender at all. Where it did,
     and does not know yet whose track this is, nothing opens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Final, Literal, Self
from weakref import WeakKeyDictionary

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from pyee.asyncio import AsyncIOEventEmitter

from ...engine import KeyFlow
from ...errors import MisuseError
from ...source import KeyEvent, Keyring, KeySource, Trouble, TroubleKind
from . import _private
from ._receiving import Incoming, OpenedFrames
from ._sending import SealedTrack
from ._troubles import trouble_in, trouble_out

WATCH_S = 0.25  # between two looks at the tracks
REPORT_EVERY = 4  # looks between two reports of the key flow

log = logging.getLogger("pysframe")


class _Anybody(Enum):
    ANYBODY = "anybody's in the room"


ANYBODY: Final = _Anybody.ANYBODY

Watched = Incoming | SealedTrack | Keyring
Asked = str | Literal[_Anybody.ANYBODY] | None
WhoseTrack = str | Callable[[RTCRtpTransceiver], str | None] | Literal[_Anybody.ANYBODY]


def configuration() -> RTCConfiguration:
    """The configuration under which aiortc 1.16 delivers every track of a bundle.

    By default its second audio section of an offer may get a transport that never starts, and its
    packets end in the first track; and the default names a public STUN server.
    """
    return RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)


class Session(AsyncIOEventEmitter):
    """One room: every track received is opened, every track sent is sealed.

    source: a KeySource, such as StaticKeys("keys.json"). A Session subscribes to each stream once:
    what came a second time would be a replay. It belongs to one event loop, and is called on its
    thread only; frames are opened in aiortc's decoder threads. It does not survive a fork: the
    child has neither loop nor threads, and a Sender refuses to seal there. Events:

        "trouble"    Trouble: media is lost, and why; once, until it flows again
        "recovered"  the same Trouble: it flows again

    `async with` closes it.
    """

    def __init__(self, source: KeySource) -> None:
        super().__init__()
        self.keys = Keyring()
        self._source = source
        self._incoming: list[Incoming] = []
        self._outgoing: list[SealedTrack] = []
        self._connections: list[RTCPeerConnection] = []
        self._turns: WeakKeyDictionary[RTCPeerConnection, asyncio.Lock] = WeakKeyDictionary()
        self._tasks: list[asyncio.Task[None]] = []
        self._unbound: dict[OpenedFrames, Callable[[], Asked]] = {}
        self._troubles: dict[Watched, Trouble] = {}
        self._closed = False

    # ---- connections ----

    def connection(self, sender: WhoseTrack = ANYBODY) -> RTCPeerConnection:
        """A new connection, configured as aiortc needs it, whose receivers open what they receive.

        sender: whose tracks these are, as the source names its senders: a name for all, or a
        function of the transceiver, called when its track appears. While that returns None nobody
        knows yet: the track's frames are dropped and counted as "unbound", and it is asked again
        several times a second. ANYBODY, as without the argument: any key of the room opens them.
        """
        pc = RTCPeerConnection(configuration())
        self.attach(pc, sender)
        self._connections.append(pc)
        return pc

    def attach(self, pc: RTCPeerConnection, sender: WhoseTrack = ANYBODY) -> None:
        """Does the same to a connection that was made elsewhere, which stays its maker's to close.

        Call it before the first description is set. Raises MisuseError when a receiver of it has
        started: it may have decoded what was never opened.
        """
        _refuse_nobody(sender)
        self._start()
        self._forget_ended()
        for transceiver in pc.getTransceivers():
            _refuse_late(transceiver)
        frames: dict[RTCRtpTransceiver, OpenedFrames] = {}

        def hook(transceiver: RTCRtpTransceiver) -> None:
            incoming = Incoming(transceiver.receiver, transceiver.kind)
            frames[transceiver] = OpenedFrames(incoming)
            _private.reads_from(transceiver.receiver, frames[transceiver])
            self._incoming.append(incoming)

        def bind(track: MediaStreamTrack) -> None:
            for transceiver, opened in frames.items():
                if transceiver.receiver.track is track:
                    self._bind(opened, partial(_asked, sender, transceiver))

        for transceiver in pc.getTransceivers():
            hook(transceiver)
        _private.on_new_transceiver(pc, hook)
        pc.on("track", bind)

    def _bind(self, opened: OpenedFrames, ask: Callable[[], Asked]) -> None:
        """Now, or once it is known whose track this is; until then its frames are dropped."""
        self._unbound.pop(opened, None)  # nothing of it will open if this fails
        try:
            whose = ask()
            if whose is None:
                self._unbound[opened] = ask
                return
            if whose is not ANYBODY and not isinstance(whose, str):
                raise TypeError("whoever names a sender returns a str or None")
            opened.bind(self.keys.scope(None if whose is ANYBODY else whose))
        except Exception as error:
            log.error("nobody says whose track this is: %s", type(error).__name__)

    def _ask_again(self) -> None:
        for opened, ask in list(self._unbound.items()):
            self._bind(opened, ask)

    def _forget_ended(self) -> None:
        self._incoming = [track for track in self._incoming if not track.ended]
        self._outgoing = [track for track in self._outgoing if track.readyState != "ended"]
        self._unbound = {o: ask for o, ask in self._unbound.items() if not o.ended}
        there = {self.keys, *self._incoming, *self._outgoing}
        self._troubles = {whose: said for whose, said in self._troubles.items() if whose in there}
        self._connections = [pc for pc in self._connections if pc.connectionState != "closed"]

    def send(
        self, pc: RTCPeerConnection, track: MediaStreamTrack, codec: str | None = None
    ) -> RTCRtpSender:
        """Adds a track whose frames leave sealed, as pc.addTrack() adds one that is sent in clear.

        codec: what the track's packets hold, if it yields packets; see SealedTrack.
        """
        self._start()
        sealed = SealedTrack(track, self.keys, codec)
        sender = pc.addTrack(sealed)
        transceiver = next(t for t in pc.getTransceivers() if t.sender is sender)
        sealed._negotiated = lambda: _private.negotiated(transceiver)
        sealed._bitrate = lambda: _private.bitrate_of(sender)
        _private.on_key_frame_wanted(sender, sealed.ask_for_key_frame)
        self._outgoing.append(sealed)
        return sender

    async def answer(
        self, pc: RTCPeerConnection, offer: RTCSessionDescription
    ) -> RTCSessionDescription:
        """Applies an offer and returns the answer, one at a time, once the last one has connected.

        aiortc never starts the receivers of an offer that comes while DTLS is still connecting.
        Raises MisuseError when the connection has failed or was closed.
        """
        async with self._turns.setdefault(pc, asyncio.Lock()):
            if pc.remoteDescription is not None:
                await _settled(pc)
            await pc.setRemoteDescription(offer)
            await pc.setLocalDescription(await pc.createAnswer())
            return pc.localDescription

    # ---- what it knows ----

    @property
    def incoming(self) -> tuple[Incoming, ...]:
        """The received tracks, in the order of their transceivers, with their counts.

        A track that has ended is listed until another connection is made.
        """
        return tuple(track for track in self._incoming if track.track is not None)

    @property
    def outgoing(self) -> tuple[SealedTrack, ...]:
        """The sent tracks, with their counts."""
        return tuple(self._outgoing)

    def key_flow(self) -> Mapping[str, Mapping[int | None, KeyFlow]]:
        """By sender ("" when unknown) what Receiver.key_flow() says now."""
        return self.keys.flows(time.monotonic())

    async def close(self) -> None:
        """Closes its connections and its source, and wipes all keys; idempotent."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(pc.close() for pc in self._connections), return_exceptions=True)
        with suppress(Exception):
            await self._source.close()
        for track in self._incoming:
            track.scope = None  # of a connection made elsewhere, which stays open
        self.keys.close()

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- its two tasks ----

    def _start(self) -> None:
        if self._closed:
            raise MisuseError("this session is closed; make a new one")
        if not self._tasks:
            self._tasks = [asyncio.ensure_future(work) for work in (self._follow(), self._watch())]

    async def _follow(self) -> None:
        """Applies the source's events until it ends."""
        try:
            async for event in self._source.events():
                await self._apply(event)
        except Exception as error:
            words = f"the source of keys failed ({type(error).__name__}); no more keys will come"
            self._say("trouble", Trouble(TroubleKind.SOURCE_ENDED, "", words))

    async def _apply(self, event: KeyEvent) -> None:
        if isinstance(event, Trouble):
            self._say("trouble", event)
            return
        try:
            await asyncio.to_thread(self.keys.apply, event)
        except MisuseError as error:
            whose = getattr(event, "sender", "")
            self._say("trouble", Trouble(TroubleKind.REFUSED, whose, f"a key was refused: {error}"))
        except Exception as error:
            words = f"the source said what nobody can follow ({type(error).__name__})"
            self._say("trouble", Trouble(TroubleKind.REFUSED, "", words))

    async def _watch(self) -> None:
        """Looks after the tracks, the leases and the reports."""
        looks = 0
        while True:
            await asyncio.sleep(WATCH_S)
            looks += 1
            self._look()
            if looks % REPORT_EVERY == 0:
                await self._report()

    def _look(self) -> None:
        now = time.monotonic()
        self._ask_again()
        for received in self._incoming:
            before = self._troubles.get(received)
            self._tell(received, trouble_in(received, now, self.keys, before))
        for sent in self._outgoing:
            self._tell(sent, trouble_out(sent, now))

    def _tell(self, whose: Watched, trouble: Trouble | None) -> None:
        """Reports each trouble once, and once more when it is over."""
        before = self._troubles.get(whose)
        if before is not None and (trouble is None or trouble.kind is not before.kind):
            del self._troubles[whose]
            self._say("recovered", before)
        if trouble is not None and whose not in self._troubles:
            self._troubles[whose] = trouble
            self._say("trouble", trouble)

    async def _report(self) -> None:
        trouble = None
        try:
            await asyncio.to_thread(self.keys.renew)
        except MisuseError as error:
            trouble = Trouble(TroubleKind.CANNOT_SEAL, "", f"no lease of counters: {error}")
        self._tell(self.keys, trouble)
        with suppress(Exception):  # the source's own affair
            await self._source.report(self.key_flow())

    def _say(self, event: str, trouble: Trouble) -> None:
        said = "over: " if event == "recovered" else ""
        log.warning("%s%s", said, trouble.words)
        try:
            self.emit(event, trouble)
        except Exception as error:
            log.error("a handler of %r failed: %s", event, type(error).__name__)


def _refuse_nobody(sender: WhoseTrack) -> None:
    if sender is None:
        raise MisuseError(
            "sender is None, which names nobody: give a name, or a function that is asked again "
            "while it returns None; leave it out where anybody's key may open these tracks"
        )


def _asked(sender: WhoseTrack, transceiver: RTCRtpTransceiver) -> Asked:
    return sender(transceiver) if callable(sender) else sender


def _refuse_late(transceiver: RTCRtpTransceiver) -> None:
    if _private.is_decoding(transceiver.receiver):
        raise MisuseError("a receiver of this connection has started; attach() comes first")
    if isinstance(_private.decoder_queue(transceiver.receiver), OpenedFrames):
        raise MisuseError("a session opens what this connection receives already")


async def _settled(pc: RTCPeerConnection) -> None:
    """Waits until the connection is connected."""
    changed = asyncio.Event()
    pc.on("connectionstatechange", changed.set)
    try:
        while pc.connectionState != "connected":
            if pc.connectionState in ("failed", "closed"):
                raise MisuseError(f"this connection has {pc.connectionState}; make a new one")
            changed.clear()
            await changed.wait()
    finally:
        with suppress(KeyError):
            pc.remove_listener("connectionstatechange", changed.set)
