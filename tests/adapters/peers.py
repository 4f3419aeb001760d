"""Two real aiortc peers on one loop: RTP, SRTP, DTLS and ICE over the loopback interface."""

import asyncio
import fractions
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aioice.ice
import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from pysframe import CipherSuite
from pysframe.adapters.aiortc import ANYBODY, Session
from pysframe.source import InstallKey, Use

GCM = CipherSuite.AES_128_GCM_SHA256_128
RATE = 48_000
PATIENCE = 60.0  # seconds, on a busy machine; what was waited for ends the wait


def use_loopback(monkeypatch):
    """aioice leaves 127.0.0.1 out, and a test machine may have nothing else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


def run(test):
    asyncio.run(test())


async def until(condition, what="what was waited for"):
    """Returns as soon as the condition holds."""
    for _ in range(int(PATIENCE / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not come within {PATIENCE:g} s")


class Keys:
    """A KeySource that says what a test puts in."""

    def __init__(self, *events):
        self.reports = []
        self.closed = False
        self._events = asyncio.Queue()
        self.say(*events)

    def say(self, *events):
        for event in events:
            self._events.put_nowait(event)

    async def events(self):
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    async def report(self, flows):
        self.reports.append(flows)

    async def close(self):
        self.closed = True
        self.say(None)


def to_open(key, kid=300, sender="alice", **more):
    return InstallKey(sender=sender, suite=GCM, kid=kid, base_key=key, **more)


def to_seal(key, kid=300, sender="alice"):
    mine = InstallKey(sender=sender, suite=GCM, kid=kid, base_key=key, mine=True, start=0)
    return mine, Use(sender, kid)


# ---- media ----


class Paced(MediaStreamTrack):
    """A track of made-up frames, in real time."""

    def __init__(self, every):
        super().__init__()
        self.number, self._every, self._next = 0, every, None

    async def recv(self):
        now = asyncio.get_running_loop().time()
        self._next = now if self._next is None else max(self._next + self._every, now - 0.2)
        await asyncio.sleep(max(0.0, self._next - now))
        self.number += 1
        return self.frame(self.number - 1)


class Tone(Paced):
    """20 ms of a sine of this many Hz a frame."""

    kind = "audio"

    def __init__(self, hertz=440.0):
        super().__init__(0.02)
        self._hertz = hertz

    def frame(self, number):
        at = np.arange(number * 960, number * 960 + 960) / RATE
        samples = (8000 * np.sin(2 * np.pi * self._hertz * at)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, number * 960
        frame.time_base = fractions.Fraction(1, RATE)
        return frame


class Film(Paced):
    """Grey pictures, 160 x 120, each brighter than the last."""

    kind = "video"

    def __init__(self, every=1 / 20, size=(120, 160)):
        super().__init__(every)
        self._size = size

    def frame(self, number):
        grey = np.full((*self._size, 3), number * 4 % 200 + 20, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
        frame.pts, frame.time_base = number * 4500, fractions.Fraction(1, 90_000)
        return frame


class Packets(Paced):
    """Encoded frames as they are, such as a file or a camera yields them."""

    def __init__(self, kind, frames, every=0.02, clock=RATE):
        super().__init__(every)
        self.kind, self._frames, self._step, self._clock = kind, frames, int(every * clock), clock

    def frame(self, number):
        packet = av.Packet(self._frames[number % len(self._frames)])
        packet.pts, packet.time_base = number * self._step, fractions.Fraction(1, self._clock)
        return packet


class Heard:
    """What a received track has yielded so far."""

    def __init__(self, track):
        self.frames, self.ended = [], False
        self._task = asyncio.ensure_future(self._collect(track))

    async def _collect(self, track):
        with suppress(MediaStreamError):
            while True:
                self.frames.append(await track.recv())
        self.ended = True

    def __len__(self):
        return len(self.frames)

    def pitch(self, last=40):
        """(Hz, share of the energy near it) of the latest frames."""
        sound = np.concatenate([f.to_ndarray().reshape(-1, 2)[:, 0] for f in self.frames[-last:]])
        energy = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
        peak = int(energy.argmax())
        near = energy[max(0, peak - 50) : peak + 51].sum() / max(energy.sum(), 1e-9)
        return peak * RATE / len(sound), near

    def grey(self):
        """Mean brightness of the latest picture."""
        return float(self.frames[-1].to_ndarray(format="gray").mean())


# ---- two peers ----


class Call:
    """alice sends to bob, who hears by kind: {"audio": Heard, "video": Heard}."""

    def __init__(self, alice, bob):
        self.alice, self.bob = alice, bob
        self.heard, self.troubles, self.recovered = {}, [], []
        bob.on("trouble", self.troubles.append)
        bob.on("recovered", self.recovered.append)
        self.sends = self.receives = None

    async def connect(self, *tracks, sender=ANYBODY, codecs=None, answers=None, network=None):
        """A connection each, joined by an offer of alice's with these tracks."""
        self.sends, self.receives = self.alice.connection(), self.bob.connection(sender)
        self.receives.on("track", self._hear)
        for track in tracks:
            self.add(track, codecs)
        if network:
            self.through(network)
        await self.negotiate()

    def add(self, track, codecs=None):
        kind, codec = track.kind, (codecs or {}).get(track.kind)
        sender = self.alice.send(self.sends, track, codec)
        if codec:
            transceiver = next(t for t in self.sends.getTransceivers() if t.sender is sender)
            offered = transceiver.sender.getCapabilities(kind).codecs
            wanted = [c for c in offered if c.mimeType.lower() in (codec.lower(), f"{kind}/rtx")]
            transceiver.setCodecPreferences(wanted)
        return sender

    async def negotiate(self):
        await self.sends.setLocalDescription(await self.sends.createOffer())
        answer = await self.bob.answer(self.receives, self.sends.localDescription)
        await self.sends.setRemoteDescription(answer)

    def _hear(self, track):
        self.heard[track.kind] = Heard(track)

    def through(self, network):
        """Every RTP packet of alice's passes network(bytes), which returns what goes on."""
        transport = self.sends.getTransceivers()[0].sender.transport
        send = transport._send_rtp

        async def sending(data):
            for packet in network(data):
                await send(packet)

        transport._send_rtp = sending

    async def hang_up(self):
        await self.sends.close()
        await self.receives.close()

    def incoming(self, kind):
        return [track for track in self.bob.incoming if track.kind == kind][-1]


@asynccontextmanager
async def calling(alice, bob):
    """A Call between two sessions with these sources of keys."""
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(Session(source)) for source in (alice, bob)]
        yield Call(*sessions)
