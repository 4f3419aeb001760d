"""A Python party of the call: aiortc with pysframe's adapter, as an application uses it."""

import asyncio
import fractions
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCSessionDescription
from hearing import RATE, Tone, mono, tone_of
from keys import SUITE, Key
from waiting import NotYet, until

from pysframe.adapters.aiortc import Session
from pysframe.source import Drop, InstallKey, KeyEvent, Trouble, Use

ANSWER = 1000.0  # Hz: what every agent says
LISTENING = 2.0  # seconds of the newest sound that are kept


class GivenKeys:
    """A KeySource: the keys that the scenario gives, when it gives them."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[KeyEvent] = asyncio.Queue()

    def give(self, key: Key, *, mine: bool = False) -> None:
        install = InstallKey(
            sender=key.sender, suite=SUITE, kid=key.kid, base_key=key.base_key,
            mine=mine, start=0 if mine else None,
        )  # fmt: skip
        self._events.put_nowait(install)
        if mine:
            self._events.put_nowait(Use(key.sender, key.kid))

    def take(self, key: Key) -> None:
        self._events.put_nowait(Drop(key.sender, key.kid))

    async def events(self) -> AsyncIterator[KeyEvent]:
        while True:
            yield await self._events.get()

    async def report(self, flows: Mapping[str, Mapping[int | None, Any]]) -> None:
        pass

    async def close(self) -> None:
        pass


class Tones(MediaStreamTrack):
    """A tone in frames of 20 ms."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._frames = 0
        self._begun = time.monotonic()

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(self._begun + self._frames * 0.02 - time.monotonic())
        times = (self._frames * 960 + np.arange(960)) / RATE
        samples = (0.4 * 32_767 * np.sin(2 * np.pi * ANSWER * times)).astype("<i2")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, self._frames * 960
        frame.time_base = fractions.Fraction(1, RATE)
        self._frames += 1
        return frame


class Named(NamedTuple):
    """When a party was told: since its first frame, by the clock and in frames of sound."""

    seconds: float
    frames: int

    @property
    def in_a_second(self) -> bool:
        """By either: frames of 20 ms come late and at once where a machine is busy."""
        return self.seconds < 1.0 or self.frames < 50


class Agent:
    """One connection. keys: what it can open; none: a party without a key."""

    def __init__(self, *keys: Key) -> None:
        self.keys = GivenKeys()
        for key in keys:
            self.keys.give(key)
        self._session = Session(self.keys)
        self._session.on("trouble", self._on_trouble)
        self.connection = self._session.connection()
        self.connection.on("track", self._on_track)
        self.named: dict[str, Named] = {}  # by state of key_flow: when it first said so
        self.troubles: list[Trouble] = []
        self.pictures: list[tuple[int, int]] = []  # sizes
        self._heard: list[np.ndarray] = []
        self._tasks: list[asyncio.Task[None]] = [asyncio.create_task(self._watch())]

    # ---- signalling ----

    async def answer(self, offer: str) -> str:
        answered = await self._session.answer(
            self.connection, RTCSessionDescription(offer, "offer")
        )
        return answered.sdp

    async def ask(self, *kinds: str) -> str:
        for kind in kinds:
            self.connection.addTransceiver(kind, direction="recvonly")
        return await self._offer()

    async def publish(self, key: Key) -> str:
        self.keys.give(key, mine=True)
        self._session.send(self.connection, Tones())
        return await self._offer()

    async def _offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def is_connected(self) -> None:
        async def probe() -> bool:
            return self.connection.connectionState == "connected"

        await until("the agent's connection", probe)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    # ---- what it knows ----

    def __repr__(self) -> str:
        state = self.connection.connectionState
        return f"<{state}, {self._session.incoming}, {len(self.pictures)} pictures>"

    def _of(self, kind: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for incoming in self._session.incoming:
            if incoming.kind == kind:
                counts.update(incoming.counts)
        return counts

    def opened(self, kind: str) -> int:
        return self._of(kind)["opened"]

    def refused(self, kind: str) -> int:
        return sum(refused_by(self._of(kind)).values())

    async def lost(self, kind: str) -> int:
        """Packets that did not come, as RTCP counts them."""
        receivers = [r for r in self.connection.getReceivers() if r.track.kind == kind]
        rows = [row for r in receivers for row in (await r.getStats()).values()]
        return sum(row.packetsLost for row in rows if row.type == "inbound-rtp")

    def _on_trouble(self, trouble: Trouble) -> None:
        self.troubles.append(trouble)

    async def _watch(self) -> None:
        """Notes when key_flow first says what, from the first frame on."""
        while not any(self._of(kind) for kind in ("audio", "video")):
            await asyncio.sleep(0.02)
        first = time.monotonic()
        while True:
            frames = self._of("audio").total()
            for flows in self._session.key_flow().values():
                for flow in flows.values():
                    named = Named(time.monotonic() - first, frames)
                    self.named.setdefault(flow.state.name, named)
            await asyncio.sleep(0.05)

    # ---- media ----

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._consume(track)))

    async def _consume(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            if isinstance(frame, av.VideoFrame):
                self.pictures.append((frame.width, frame.height))
                continue
            self._heard.append(mono(frame))
            while sum(map(len, self._heard)) > LISTENING * RATE:
                self._heard.pop(0)

    async def listens(self) -> Tone:
        """What it hears of the next seconds of sound. A while in which packets were lost, as on a
        busy machine, tells nothing of the tone: it is waited for one in which none was."""

        async def enough() -> bool:
            return sum(map(len, self._heard)) > 0.9 * LISTENING * RATE

        async def probe() -> Any:
            lost = await self.lost("audio")
            self._heard.clear()
            await until("sound at an agent", enough)
            more = await self.lost("audio") - lost
            return self.hears() if not more else NotYet(f"{more} packets were lost")

        return await until("sound at an agent of which nothing was lost", probe)

    def hears(self) -> Tone:
        return tone_of(np.concatenate(self._heard) if self._heard else np.zeros(0))


def refused_by(counts: Mapping[str, int]) -> dict[str, int]:
    """Frames that were dropped, by name; "late" ones were opened after all."""
    return {n: count for n, count in counts.items() if n not in ("opened", "empty", "late")}
