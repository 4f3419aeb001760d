"""Key flow is the same on every engine: random counters over random times, poll by poll.

The twin is the specification. What is compared: the order of the flows, and every field of each.
"""

import pytest

from pysframe import engine as engines
from pysframe.flow import KeyFlow
from pysframe.stats import KeyStats, ReceiverStats, StrangerStats

POLLS, SESSIONS = 120, 12
FEW, MANY = (0, 0, 1, 2, 5, 9, 10, 11, 21), (20, 64, 65, 100, 1000)


def fields(flows):
    return [
        (
            kid,
            flow.state,
            flow.kid,
            flow.opened,
            list(flow.rejected.items()),
            flow.last_ctr,
            flow.silent_for_s,
        )
        for kid, flow in flows.items()
    ]


class Counts:
    """One KID's counters, with a habit: what mostly comes under it."""

    def __init__(self, rng):
        self.rng = rng
        self.opened = self.failed = self.replayed = self.too_old = self.advanced = 0
        self.provisional, self.closed = rng.random() < 0.2, False
        self.habit = rng.choice(("good", "bad", "mixed", "odd", "silent"))

    def some(self):
        return self.rng.choice(FEW if self.rng.random() < 0.7 else MANY)

    def go_on(self):
        if self.rng.random() < 0.1:
            self.habit = self.rng.choice(("good", "bad", "mixed", "odd", "silent"))
        if self.habit in ("good", "mixed"):
            self.opened += self.some()
            self.provisional &= not self.opened
        if self.habit in ("bad", "mixed", "odd"):
            share = self.rng.choice((0, 0.2, 0.3)) if self.habit == "odd" else self.rng.random()
            name = self.rng.choice(("failed", "failed", "replayed", "too_old"))
            came = self.some()
            setattr(self, name, getattr(self, name) + came)
            self.advanced += round(came * share)
        self.closed |= self.rng.random() < 0.01

    def stats(self, kid):
        refused = self.failed, self.replayed, self.too_old
        last = max(self.opened - 1, 0)
        return KeyStats(
            kid, self.opened, *refused, last, self.provisional, self.closed, self.advanced
        )


class Traffic:
    """Keys that come, go and come again; KIDs without keys; media in the clear; a clock."""

    def __init__(self, rng):
        self.rng, self.now, self.malformed, self.unknown = rng, rng.uniform(0, 1e6), 0, 0
        self.kids = rng.sample(range(40), rng.randrange(12))
        self.counts = {kid: Counts(rng) for kid in self.kids}
        self.strangers, self.stale = {}, {3, 17, 28}

    def go_on(self):
        rng = self.rng
        self.now += rng.choice((0.0, 0.01, 0.1, 0.5, 1.0, 1.0, 2.1, 61.0, -5.0))
        self.malformed += rng.choice((0, 0, 0, 1, 11, 50))
        for counts in self.counts.values():
            counts.go_on()
        if rng.random() < 0.3:
            self.change_keys()
        for _ in range(rng.randrange(4)):
            self.meet(rng.randrange(40))
        self.unknown += rng.choice((0, 0, 0, 7, 30))
        if rng.random() < 0.05:
            self.unknown = max(self.unknown - 1, 0)

    def change_keys(self):
        kid = self.rng.randrange(40)
        if kid in self.counts:
            del self.counts[kid]
        if self.rng.random() < 0.7:
            self.counts[kid] = Counts(self.rng)
        if self.rng.random() < 0.3:  # as where the table of keys has grown
            self.counts = dict(self.rng.sample(list(self.counts.items()), len(self.counts)))

    def meet(self, kid):
        frames, advanced = self.strangers.pop(kid, (0, 0))
        if self.rng.random() < 0.1:
            frames = advanced = 0
        came = 1 + self.rng.choice(FEW if self.rng.random() < 0.7 else MANY)
        advanced += round(came * self.rng.choice((0, 0.25, 0.33, 0.34, 0.4, 0.7, 1)))
        self.strangers[kid] = StrangerStats(frames + came, advanced)
        self.unknown += came
        while len(self.strangers) > 16:
            del self.strangers[next(iter(self.strangers))]

    def stats(self):
        keys = [counts.stats(kid) for kid, counts in self.counts.items()]
        return ReceiverStats(self.malformed, self.unknown, dict(self.strangers), keys)


@pytest.mark.parametrize("session", range(SESSIONS))
def test_random_counters_over_random_times(engine, session, rng):
    found, wanted = engine.KeyFlowMonitor(), engines.bind("fallback").KeyFlowMonitor()
    traffic, states = Traffic(rng), set()
    for number in range(POLLS):
        traffic.go_on()
        stats, is_stale = traffic.stats(), traffic.stale.__contains__
        flows = fields(found.poll_stats(traffic.now, stats, is_stale))
        assert flows == fields(wanted.poll_stats(traffic.now, stats, is_stale)), number
        states |= {flow[1] for flow in flows}
    assert len(states) >= 5, "the traffic is too tame to tell anything"


def test_many_keys_that_come_and_go(engine, rng):
    """So many that histories are found through the hash table, and that the table grows."""
    found, wanted = engine.KeyFlowMonitor(), engines.bind("fallback").KeyFlowMonitor()
    traffic = Traffic(rng)
    traffic.counts = {rng.getrandbits(64): Counts(rng) for _ in range(300)}
    for number in range(30):
        traffic.go_on()
        for kid in rng.sample(list(traffic.counts), 40):
            del traffic.counts[kid]
        traffic.counts |= {rng.getrandbits(64): Counts(rng) for _ in range(45)}
        stats, is_stale = traffic.stats(), traffic.stale.__contains__
        flows = fields(found.poll_stats(traffic.now, stats, is_stale))
        assert flows == fields(wanted.poll_stats(traffic.now, stats, is_stale)), number


def test_kids_ascend(engine, rng):
    """Those with a key, those without, and last what is no SFrame, in whatever order they came."""
    monitor = engine.KeyFlowMonitor()
    known, unknown = ([rng.getrandbits(64) for _ in range(n)] for n in (40, 16))
    for poll in range(1, 8):
        keys = [KeyStats(kid, poll, 0, 0, 0, 0, False, False, 0) for kid in known]
        strangers = {kid: StrangerStats(50 * poll, 45 * poll) for kid in unknown}
        stats = ReceiverStats(10**6 * poll, 800 * poll, strangers, keys)
        flows = monitor.poll_stats(float(poll), stats, lambda kid: False)
        assert list(flows) == [*sorted(known), *sorted(unknown), None]
        assert [flow.opened for flow in flows.values()][: len(known)] == [poll] * len(known)
        known = [*rng.sample(known, len(known) - 5), *(rng.getrandbits(64) for _ in range(7))]
        rng.shuffle(unknown)


def test_engines_share_the_face(engine):
    assert engine.KeyFlow.__doc__ == KeyFlow.__doc__
    assert engine.KeyFlow.__match_args__ == KeyFlow.__match_args__


def test_a_receiver_is_polled_as_its_statistics_say(engine, rng):
    """poll() reads the core's counters itself; poll_stats() is told them."""
    with engine.Receiver(4) as receiver:
        keys = {kid: rng.randbytes(16) for kid in rng.sample(range(1 << 16), 70)}
        told = engine.KeyFlowMonitor()
        for kid, key in keys.items():
            with engine.Sender(4, kid=kid, base_key=key, next_ctr=0) as sender:
                wires = [sender.protect(b"frame") for _ in range(rng.randrange(12))]
            if rng.random() < 0.8:
                receiver.add_key(kid, key if rng.random() < 0.7 else rng.randbytes(16))
            engine.unprotect_many(receiver, [*wires, *wires[:2], b"", b"\xff" * 30])
            now = rng.uniform(0, 100)
            wanted = told.poll_stats(now, receiver._stats(), lambda kid: False)
            assert fields(flows := receiver.key_flow(now)) == fields(wanted)
            assert [kid for kid in flows if kid in receiver.kids] == list(receiver.kids)
