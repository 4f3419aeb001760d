"""A receiver's counters moved by hand, for tests of key flow that need no receiver."""

from collections import Counter

from pysframe import KeyState
from pysframe.liveness import seconds
from pysframe.stats import KeyStats, ReceiverStats, StrangerStats

WAITING, FLOWING, MISSING_KEY, WRONG_KEY, STALE_KEY, STALLED, NOT_SFRAME = KeyState


class Counters:
    """A receiver's counters, moved by hand, and a clock. CTRs go on, unless frames are stuck."""

    def __init__(self, engine, *kids, provisional=()):
        self.now, self.malformed, self.unknown = 1000.0, 0, 0
        self.opened, self.failed, self.strangers = Counter(), Counter(), Counter()
        self.replayed, self.too_old, self.stuck = Counter(), Counter(), Counter()
        self.kids, self.provisional, self.closed = list(kids), set(provisional), set()
        self.stale = set()
        self.monitor = engine.KeyFlowMonitor()

    def poll(self, *, after=0.0):
        self.now += after
        return self.poll_at(self.now)

    def poll_at(self, now):
        return self.monitor.poll_stats(seconds(now), self.counted(), self.stale.__contains__)

    def counted(self):
        keys = [self.stats(kid) for kid in self.kids]
        strangers = {
            kid: StrangerStats(frames, max(0, frames - 1 - self.stuck[kid]))
            for kid, frames in self.strangers.items()
        }
        return ReceiverStats(self.malformed, self.unknown, strangers, keys)

    def stats(self, kid):
        refused = self.failed[kid], self.replayed[kid], self.too_old[kid]
        ctr, advanced = max(self.opened[kid] - 1, 0), max(0, sum(refused) - 1 - self.stuck[kid])
        marks = kid in self.provisional, kid in self.closed
        return KeyStats(kid, self.opened[kid], *refused, ctr, *marks, advanced)

    def come(self, *, opened=0, failed=0, replayed=0, too_old=0, stuck=0, kid=7, after=0.1):
        """Frames under a known KID; the state at the next poll. stuck: failures, too."""
        self.opened[kid] += opened
        self.failed[kid] += failed + stuck
        self.replayed[kid] += replayed
        self.too_old[kid] += too_old
        self.stuck[kid] += stuck
        return self.poll(after=after)[kid].state

    def stray(self, frames, *, kid=9, after=0.1, stuck=False):
        """Frames under an unknown KID."""
        self.strangers[kid] += frames
        self.stuck[kid] += frames * stuck
        self.unknown += frames
        return self.poll(after=after)


def told(rows):
    """A receiver's counters as vectors/key_flow_states.json writes them."""
    keys = []
    for kid, (opened, failed, replayed, too_old, advanced, closed) in rows["keys"].items():
        refused = failed, replayed, too_old
        last_ctr = max(opened - 1, 0)
        keys.append(KeyStats(int(kid), opened, *refused, last_ctr, False, closed, advanced))
    strangers = {int(kid): StrangerStats(*row) for kid, row in rows["strangers"].items()}
    return ReceiverStats(rows["malformed"], rows["unknown"], strangers, keys)
