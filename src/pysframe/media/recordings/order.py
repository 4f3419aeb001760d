"""Packets of one stream in the order in which they were sent, each once.

Rules of this file:
  1. What is held back is bounded: a missing packet is given up once DEPTH later ones are there.
  2. A stream that goes on from elsewhere (RFC 3550 A.1: two packets in a row far from all others)
     begins anew; one packet far from all others is no more than that.
"""

from .packets import Packet

DEPTH = 2048  # packets; some seconds of video
START = 32  # packets read before the first is released, because an earlier one may be late
DROPOUT = 3000  # RFC 3550 A.1: a jump further ahead is no loss
SEQUENCES = 1 << 16

Numbered = tuple[int, Packet]  # an extended number, which does not wrap as sequence numbers do


class Order:
    """Sorts; `repeated`, `late` and `lost` count what was met."""

    def __init__(self) -> None:
        self.repeated = self.late = self.lost = 0
        self._waiting: dict[int, Packet] = {}
        self._newest = SEQUENCES
        self._next: int | None = None  # the number to release next; None before the first
        self._given_up: set[int] = set()
        self._stranger: Packet | None = None
        self._begun = False

    def push(self, packet: Packet) -> list[Numbered]:
        """Adds a packet and returns those that can be released now."""
        if not self._begun:
            self._begun, self._newest = True, SEQUENCES + packet.sequence
        number = self._number(packet.sequence)
        if -DEPTH <= number - self._newest <= DROPOUT:
            self._stranger = None
            return self._take(number, packet)
        before, self._stranger = self._stranger, packet
        if before is None or (before.sequence + 1) % SEQUENCES != packet.sequence:
            self.late += 1
            return []
        return self._begin_anew(before, packet)

    def push_again(self, packet: Packet) -> list[Numbered]:
        """The same for a retransmission, which tells nothing about where a stream is."""
        number = self._number(packet.sequence)
        if not self._begun or not -DEPTH <= number - self._newest <= DROPOUT:
            self.late += 1
            return []
        return self._take(number, packet)

    def misses(self, sequence: int) -> bool:
        """Whether this packet is new and not too late."""
        if not self._begun:
            return False
        number = self._number(sequence)
        first = min(self._waiting, default=self._newest) if self._next is None else self._next
        return number not in self._waiting and first <= number < self._newest

    def flush(self) -> list[Numbered]:
        """All that is left."""
        told = self._due(0)
        self._next = None
        return told

    def _number(self, sequence: int) -> int:
        ahead = (sequence - self._newest) % SEQUENCES
        return self._newest + ahead - (SEQUENCES if ahead >= SEQUENCES // 2 else 0)

    def _begin_anew(self, before: Packet, packet: Packet) -> list[Numbered]:
        told = self.flush()
        self.late -= 1  # that was no late packet
        self._stranger = None
        self._newest = (self._newest // SEQUENCES + 2) * SEQUENCES + before.sequence
        told += self._take(self._newest, before)
        return told + self._take(self._newest + 1, packet)

    def _take(self, number: int, packet: Packet) -> list[Numbered]:
        if number in self._waiting:
            self.repeated += 1
        elif self._next is not None and number < self._next:
            if number in self._given_up:
                self.late += 1
            else:
                self.repeated += 1
        else:
            self._waiting[number] = packet
            self._newest = max(self._newest, number)
        return self._due(DEPTH)

    def _due(self, depth: int) -> list[Numbered]:
        """The packets to release when at most `depth` are held back."""
        if self._next is None:
            if not self._waiting or (depth and len(self._waiting) < START):
                return []
            self._next = min(self._waiting)
        told: list[Numbered] = []
        while self._waiting:
            if self._next in self._waiting:
                told.append((self._next, self._waiting.pop(self._next)))
                self._next += 1
            elif self._newest - self._next >= depth:
                self._give_up()
            else:
                break
        return told

    def _give_up(self) -> None:
        assert self._next is not None
        first = min(self._waiting)
        self.lost += first - self._next
        self._given_up |= set(range(self._next, first))
        if len(self._given_up) > 2 * DEPTH:
            self._given_up = {n for n in self._given_up if n > self._newest - 2 * DEPTH}
        self._next = first
