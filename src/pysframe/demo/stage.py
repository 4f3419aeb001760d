"""The stage: the parties, their keys, and the call itself, 20 ms at a time.

The cast is data, so that a test can put a saboteur in a party's place.
"""

from __future__ import annotations

import random
import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .. import KeyState
from .digits import FRAME, Samples
from .listening import Ear, Eavesdropper
from .network import Forwarder
from .parties import OVER, PAUSE, TICK_S, Agent, Member, Outsider, Publisher, Talker, Voice

PUBLISHER_KID, AGENT_KID = 300, 7
PATIENCE = 10  # ticks without a packet that end the call
POLL = 5  # ticks between two polls of the key flow
LEVELS = 40  # ticks of loudness kept for the screen

_KID_SIZE = 8  # bytes of a key message before its base_key


class KeyChannel:
    """Stands in for the key exchange, which is outside SFrame: who gets which key message."""

    WITH_KEY = ("publisher", "agent", "subscriber")

    def hand(self, message: bytes, name: str) -> bytes | None:
        """The key messages for the party of this name."""
        if name in self.WITH_KEY:
            return message
        if name == "wrong key":
            key = secrets.token_bytes(len(message) - _KID_SIZE)
            return message[:_KID_SIZE] + key
        return None


@dataclass(frozen=True)
class Cast:
    """The classes of the parties."""

    publisher: type[Publisher] = Publisher
    agent: type[Agent] = Agent
    forwarder: type[Forwarder] = Forwarder
    keys: type[KeyChannel] = KeyChannel


class Stage:
    """A running call: tick() plays 20 ms, and `done` is true once everybody has finished."""

    def __init__(self, pcm: Samples, rng: random.Random, *, digits: str, cast: Cast) -> None:
        self.digits = digits  # the digits in pcm, or "" for other audio
        self.voices = {ssrc: Voice() for ssrc in rng.sample(range(1 << 32), 2)}
        one, two = self.voices
        self.publisher = cast.publisher(
            "publisher", self._ears(two), self.voices[one], kid=PUBLISHER_KID, ssrc=one
        )
        self.agent = cast.agent("agent", self._ears(one), self.voices[two], kid=AGENT_KID, ssrc=two)
        self.subscriber = Member("subscriber", self._ears(one, two))
        self.forwarder = cast.forwarder(rng, self._taps())
        self.no_key = Outsider("no key", self._ears(one, two), self._taps())
        self.wrong_key = Outsider("wrong key", self._ears(one, two), self._taps())
        self.events: list[tuple[float, str]] = []  # seconds into the call, what happened
        self.levels = {name: deque([0.0] * LEVELS, LEVELS) for name in self.names}
        self.ticks = self._quiet = 0
        self._keys = cast.keys()
        self._speech_ticks = len(pcm) // FRAME
        self.publisher.start(pcm, rotate=True)

    # ---- the parties ----

    @property
    def talkers(self) -> tuple[Talker, Talker]:
        return self.publisher, self.agent

    @property
    def keyed(self) -> tuple[Member, ...]:
        return self.publisher, self.agent, self.subscriber

    @property
    def outsiders(self) -> tuple[Outsider, Outsider]:
        return self.no_key, self.wrong_key

    @property
    def members(self) -> tuple[Member, ...]:
        return *self.keyed, *self.outsiders

    @property
    def names(self) -> tuple[str, ...]:
        return *(m.name for m in self.keyed), "forwarder", *(m.name for m in self.outsiders)

    @property
    def taps(self) -> dict[str, dict[int, Eavesdropper]]:
        """What each party without the key hears: name -> SSRC -> three attempts at once."""
        return {"forwarder": self.forwarder.taps} | {m.name: m.taps for m in self.outsiders}

    # ---- time ----

    @property
    def now(self) -> float:
        return self.ticks * TICK_S

    @property
    def speech_s(self) -> float:
        return self._speech_ticks * TICK_S

    @property
    def expected_ticks(self) -> int:
        """The estimated duration: the answer is as long as the speech."""
        answer = self._speech_ticks if self.digits else 70
        return self._speech_ticks + 2 * OVER + PAUSE + answer + PATIENCE

    @property
    def done(self) -> bool:
        return self._quiet >= PATIENCE

    def tick(self) -> None:
        for talker in self.talkers:
            packets = talker.tick()
            self._hand_over_keys(talker)
            for packet in packets:
                self.forwarder.push(talker.name, packet)
        for leg, packet in self.forwarder.pull():
            for member in self.members:
                if member.name != leg:
                    member.receive(packet)
        self.ticks += 1
        self._look()

    def finish(self) -> None:
        """Plays the rest of the jitter buffers."""
        for member in self.members:
            member.finish()
        for tap in self.forwarder.taps.values():
            tap.finish()

    # ---- inside ----

    def _look(self) -> None:
        busy = any(talker.on_air for talker in self.talkers) or not self.forwarder.idle
        self._quiet = 0 if busy else self._quiet + 1
        for name, level in self._levels():
            self.levels[name].append(level)
        if self.ticks % POLL == 0:
            for member in self.members:
                for kid, state in member.poll(self.now):
                    if state is not KeyState.WAITING:
                        self._tell(f"{member.name}: {_kid(kid)} is {state.name}")

    def _hand_over_keys(self, talker: Talker) -> None:
        while talker.key_messages:
            message = talker.key_messages.pop(0)
            kid = int.from_bytes(message[:_KID_SIZE])
            fresh = len(message) > _KID_SIZE
            self._tell(f"{talker.name}: KID {kid} {'has a new key' if fresh else 'is dropped'}")
            for member in self.members:
                handed = None if member is talker else self._keys.hand(message, member.name)
                if handed is not None:
                    member.learn(handed)

    def _tell(self, event: str) -> None:
        self.events.append((self.now, event))

    def _levels(self) -> Iterator[tuple[str, float]]:
        for member in self.members:
            yield member.name, member.level
        yield "forwarder", max(tap.level for tap in self.forwarder.taps.values())

    def _ears(self, *ssrcs: int) -> dict[int, Ear]:
        return {ssrc: Ear(self.voices[ssrc].sounds) for ssrc in ssrcs}

    def _taps(self) -> dict[int, Eavesdropper]:
        return {ssrc: Eavesdropper(voice.sounds) for ssrc, voice in self.voices.items()}


def _kid(kid: int | None) -> str:
    return "media without a KID" if kid is None else f"KID {kid}"
