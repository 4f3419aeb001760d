"""Agents: what the aiortc adapter adds to a frame, and how many calls one core can open.

    python bench/agents.py          figures; exit status 1 when the adapter misses its gate

Rules of this file:
  1. What the adapter adds is the time of its queue less that of the plain queue which aiortc's
     decoder thread reads. Both hand over the same frames, made anew for each turn.
  2. The peer is the same adapter over cryptography and the least Python that is right: the header,
     the nonce and the look-up by KID of ticks.py. It keeps no replay window and counts nothing.
  3. An agent host opens one frame of each call a tick of 20 ms, in one batch.
"""

import os
import queue
import random
import sys
from types import SimpleNamespace
from typing import Any

import objects
import ticks
from aiortc import RTCRtpCodecParameters, RTCRtpReceiver
from aiortc.jitterbuffer import JitterFrame
from interleave import BLOCK, Contender, race
from peers import KEY_SIZES
from workloads import require

import pysframe
from pysframe import engine as engines
from pysframe.adapters.aiortc._receiving import Incoming, OpenedFrames
from pysframe.media import Envelope, open_many
from pysframe.source import Keyring

SUITE, KID, SIZE = 4, 300, 120
GATE = 0.5  # of what the peer adds
CALLS = (1, 10, 100, 500)
TICK_S = 0.02
OPUS = RTCRtpCodecParameters("audio/opus", 48_000, 2, 96)


class Peer:
    """A receiver over cryptography and Python, as far as an Envelope needs one."""

    def __init__(self, base_key: bytes) -> None:
        aead, salt = objects.keys_of(base_key, SUITE, objects.labels(SUITE, KID))
        self._keys = {KID: (aead, int.from_bytes(salt))}

    def unprotect(self, ciphertext: memoryview, metadata: bytes = b"") -> bytes:
        return ticks.open_all(self._keys, [bytes(ciphertext)])[0]


class Track:
    """A queue that aiortc fills with sealed frames, and a decoder thread reads."""

    def __init__(self, name: str) -> None:
        self.name, self.rng = name, random.Random()
        base_key = self.rng.randbytes(KEY_SIZES[SUITE])
        self.sender = pysframe.Sender(SUITE, kid=KID, base_key=base_key, next_ctr=1 << 24)
        self.queue = self._queue(base_key)

    def _queue(self, base_key: bytes) -> queue.Queue[Any]:
        if self.name == "plain":
            return queue.Queue()
        transport: Any = SimpleNamespace(state="new")
        frames = OpenedFrames(Incoming(RTCRtpReceiver("audio", transport), "audio"))
        scope: Any = Keyring().scope()
        if self.name == "cryptography":
            scope.receiver = Peer(base_key)
        else:
            scope.receiver = engines.bind(self.name).Receiver(SUITE)
            scope.receiver.add_key(KID, base_key)
        frames.bind(scope)
        return frames

    def contender(self) -> Contender:
        def prepare() -> list[Any]:
            frames = [self.rng.randbytes(SIZE) for _ in range(BLOCK)]
            sealed = [self.sender.protect(frame) for frame in frames]
            tasks = [(OPUS, JitterFrame(data, number)) for number, data in enumerate(sealed)]
            return [(tasks, sealed if self.name == "plain" else frames)]

        def run(blocks: list[Any]) -> list[Any]:
            [(tasks, _)] = blocks
            for task in tasks:
                self.queue.put(task)
            return [[self.queue.get() for _ in tasks]]

        def check(blocks: list[Any], out: list[Any]) -> None:
            [(_, wanted)], [found] = blocks, out
            require([frame.data for _, frame in found] == wanted, f"{self.name}: what came out")

        return Contender(self.name, BLOCK, prepare, run, check)


def added(repetitions: int = 101) -> dict[str, float]:
    """Nanoseconds a frame that each way adds to the plain queue; the best turns of each."""
    names = [engines.available()[0], "fallback:cryptography", "cryptography", "plain"]
    timings = race([Track(name).contender() for name in names], repetitions, warm=True)
    return {name: timings[name].best - timings["plain"].best for name in names[:-1]}


def share(figures: dict[str, float]) -> float:
    """Of what the peer adds, what the adapter adds."""
    return next(iter(figures.values())) / figures["cryptography"]


# ---- an agent host ----


def host(calls: int) -> list[Contender]:
    streams = ticks.Streams(SUITE)
    senders, receivers = streams.senders()[:calls], streams.receivers()[:calls]
    frames, keys, envelope = streams.frames[:calls], streams.keys(), Envelope("audio/opus")

    def prepare() -> list[Any]:
        return [pysframe.protect_many(senders, frames)]

    def ours(blocks: list[Any]) -> list[Any]:
        return [open_many(envelope, receivers, blocks[0]).frames]

    def theirs(blocks: list[Any]) -> list[Any]:
        return [ticks.open_all(keys, blocks[0])]

    def check(_: list[Any], out: list[Any]) -> None:
        require(out == [frames], "a tick of an agent host")

    pairs = (("ours", ours), ("cryptography", theirs))
    return [Contender(name, calls, prepare, run, check) for name, run in pairs]


def calls_a_core(ns: float) -> int:
    """ns: of a frame."""
    return int(TICK_S / (ns * 1e-9))


def hosts() -> dict[str, dict[str, float]]:
    """By how many calls are in a batch, and by who opens them: median ns a frame."""
    found = {}
    for calls in CALLS:
        timings = race(host(calls), 41, warm=True)
        found[str(calls)] = {name: timing.median for name, timing in timings.items()}
    return found


def figures() -> dict[str, Any]:
    """For the report. load: of the machine, over a minute before and after."""
    before = os.getloadavg()[0]
    adds, many = added(), hosts()
    return {"adds": adds, "hosts": many, "load": [before, os.getloadavg()[0]]}


def main() -> int:
    adds = added()
    for name, ns in adds.items():
        print(f"the adapter adds {ns / 1000:6.2f} us a frame over {name}")
    print(f"{share(adds):.2f} of what the peer adds (gate {GATE})")
    for calls, by in hosts().items():
        ours, theirs = by["ours"], by["cryptography"]
        print(f"{calls:>4} calls in one batch a tick: {ours:6.0f} ns a frame, "
              f"{calls_a_core(ours):,} calls a core; cryptography {theirs:6.0f} ns, "
              f"{calls_a_core(theirs):,}")  # fmt: skip
    return 0 if share(adds) <= GATE else 1


if __name__ == "__main__":
    sys.exit(main())
