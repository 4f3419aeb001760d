"""The forwarder (SFU) of the call: it passes bytes on, imperfectly.

Rule: it knows no key. It reads RTP headers, as forwarders do, and listens to what it forwards.
What it does to the packets is what networks do: of every 50 packets of a stream one is lost, one
comes twice and three come late.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter

from .listening import Eavesdropper
from .rtp import Packet

_BLOCK = 50  # packets: one second


class Forwarder:
    """Accepts packets from legs and returns them, tick by tick, for all other legs.

    `passed` counts the packets it gave out, by leg; `fates` those it lost, sent twice or sent
    late, by (fate, leg); `taps` are what it hears, by SSRC.
    """

    def __init__(self, rng: random.Random, taps: dict[int, Eavesdropper]) -> None:
        self.taps = taps
        self.fates: Counter[tuple[str, str]] = Counter()
        self.passed: Counter[str] = Counter()
        self._rng = rng
        self._seen: Counter[str] = Counter()
        self._plans: dict[str, dict[int, str]] = {}
        self._queue: list[tuple[int, int, str, bytes]] = []
        self._now = self._order = 0

    def push(self, leg: str, packet: bytes) -> None:
        position = self._seen[leg] % _BLOCK
        if position == 0:
            self._plans[leg] = self._draw()
        self._seen[leg] += 1
        fate = self._plans[leg].get(position, "")
        if fate:
            self.fates[fate, leg] += 1
        if fate != "lost":
            self._hold(leg, packet, self._rng.choice((2, 3)) if fate == "late" else 0)
        if fate == "twice":
            self._hold(leg, packet, self._rng.choice((1, 2)))

    def pull(self) -> list[tuple[str, bytes]]:
        """The packets that leave in this 20 ms tick, as (originating leg, packet)."""
        out = []
        while self._queue and self._queue[0][0] <= self._now:
            _due, _order, leg, packet = heapq.heappop(self._queue)
            self._listen(leg, packet)
            out.append((leg, packet))
        self._now += 1
        return out

    @property
    def idle(self) -> bool:
        return not self._queue

    def _listen(self, leg: str, packet: bytes) -> None:
        self.passed[leg] += 1
        ssrc, seq, payload = Packet.parse(packet)
        self.taps[ssrc].push(seq, payload)

    def _draw(self) -> dict[int, str]:
        places = self._rng.sample(range(_BLOCK), 5)
        return dict(zip(places, ("lost", "twice", "late", "late", "late"), strict=True))

    def _hold(self, leg: str, packet: bytes, ticks: int) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self._now + ticks, self._order, leg, packet))
