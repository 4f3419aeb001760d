"""What key_flow() calls real media in the clear, and senders behind bad networks: a table.

The receivers are those of one engine: test_key_flow.py and test_lockstep.py show that all engines
count alike, and the states follow from the counts.
"""

import random
from collections import Counter

import pytest
from clear_media import SECONDS, carried, streams
from oracle import Oracle

from pysframe import FrameRejected, Header, KeyState, Receiver

WAITING, FLOWING, MISSING_KEY, WRONG_KEY, STALE_KEY, STALLED, NOT_SFRAME = KeyState
MARKS = (1.0, 5.0)  # seconds
KEY = bytes(range(16))
# One worker of xdist, since the encoders take longer than all that is made of what they give.
pytestmark = pytest.mark.xdist_group("clear media")
POLLS = pytest.mark.parametrize("every", [0.1, 1.0])

NETWORKS = {
    "nothing": {},
    "10 % lost": {"loss": 0.1},
    "30 % lost": {"loss": 0.3},
    "30 % lost, eight at a time": {"loss": 0.3, "burst": 8},
    "half of them late": {"late": 0.5},
    "30 % twice": {"twice": 0.3},
    "all of it": {"loss": 0.1, "late": 0.3, "twice": 0.2},
}
SENDERS = {
    "a sender": lambda n, rng: range(n),
    "that starts again": lambda n, rng: [*range(5000, 5040), *range(n - 40)],
    "that starts again soon": lambda n, rng: [*range(100), *range(n - 100)],
    "with a lease of counters": lambda n, rng: [*range(70), *range(1 << 20, (1 << 20) + n - 70)],
    "with layers left out": lambda n, rng: [3 * k + rng.choice((0, 0, 1, 2)) for k in range(n)],
    "far on": lambda n, rng: range(1 << 40, (1 << 40) + n),
    "two of them": lambda n, rng: [k // 2 + (k % 2) * 9000 for k in range(n)],
    "three of them": lambda n, rng: [k // 3 + (k % 3) * 9000 for k in range(n)],
}


def polled(frames, every, keys):
    """The states at MARKS of a receiver that these frames come to; keys: {kid: base_key}."""
    with Receiver(4) as receiver:
        for kid, key in keys.items():
            receiver.add_key(kid, key)
        receiver.key_flow(0.0)
        waiting, states = sorted(frames, key=lambda arrival: arrival[0]), {}
        for poll in range(1, round(MARKS[-1] / every) + 1):
            now = poll * every
            while waiting and waiting[0][0] < now:
                try:
                    receiver.unprotect(waiting.pop(0)[1])
                except FrameRejected:
                    continue
            flows = receiver.key_flow(now).items()
            states[round(now, 3)] = {k: f.state for k, f in flows if f.state is not WAITING}
        return [states[mark] for mark in MARKS]


class Table:
    """How often a state was the right one, and what it was when it was not."""

    def __init__(self):
        self.right, self.all, self.wrong = Counter(), Counter(), {}

    def add(self, name, named, expected):
        for mark, states in zip(MARKS, named, strict=True):
            self.all[mark] += 1
            self.right[mark] += states == expected
            if states != expected:
                self.wrong.setdefault(mark, {})[name] = states

    def hold(self, figure, name):
        """Right in all cases after five seconds, and in nearly all after one."""
        right = [f"{self.right[mark]} of {self.all[mark]} after {mark:.0f} s" for mark in MARKS]
        figure(f"{name}: named right {', '.join(right)}; wrong: {self.wrong}")
        assert 5.0 not in self.wrong
        assert self.right[1.0] >= 0.95 * self.all[1.0]


@pytest.fixture
def figure(record_property):
    return lambda value: record_property("figure", value)


def of_sender(kid, ctrs, per_second):
    """Frames of which no key here opens any."""
    frame = bytes(80)
    return [(n / per_second, Header(kid, ctr).encode() + frame) for n, ctr in enumerate(ctrs)]


@POLLS
@pytest.mark.parametrize("keys", [(300,), range(8)], ids=["a key", "keys of all short KIDs"])
def test_media_in_the_clear(figure, every, keys):
    """KIDs 0-7 are what most of it reads as: whether they have keys makes no difference."""
    table = Table()
    for name, frames in streams().items():
        table.add(name, polled(frames, every, dict.fromkeys(keys, KEY)), {None: NOT_SFRAME})
    table.hold(figure, "media in the clear")


@POLLS
def test_media_in_the_clear_beside_a_stream_that_flows(figure, every):
    """Under a KID of its own, or under the one that media reads as."""
    table = Table()
    for kid in (7, 300):
        seal = Oracle(4, KEY, kid, "cryptography").seal
        flowing = [(n / 50, seal(n, b"frame")) for n in range(50 * SECONDS)]
        for name, frames in streams().items():
            expected = {kid: FLOWING, None: NOT_SFRAME}
            table.add((name, kid), polled(frames + flowing, every, {kid: KEY}), expected)
    table.hold(figure, "in the clear beside one that flows")


@POLLS
def test_media_in_the_clear_beside_a_missing_key(figure, every):
    table = Table()
    stranger = of_sender(301, range(50 * SECONDS), 50)
    for name, frames in streams().items():
        expected = {301: MISSING_KEY, None: NOT_SFRAME}
        table.add(name, polled(frames + stranger, every, {300: KEY}), expected)
    table.hold(figure, "in the clear beside a missing key")


@POLLS
@pytest.mark.parametrize(("state", "key"), [(MISSING_KEY, 8), (WRONG_KEY, 7)])
def test_senders_whose_frames_do_not_open(figure, every, state, key):
    table, rng = Table(), random.Random(1)
    for name, ctrs in SENDERS.items():
        for network, harm in NETWORKS.items():
            for rate in (30, 50, 120):
                frames = of_sender(7, ctrs(rate * SECONDS, rng), rate)
                come = carried(frames, rng, **harm)
                table.add((name, network, rate), polled(come, every, {key: KEY}), {7: state})
    table.hold(figure, state.value)


@pytest.mark.parametrize("odd", ["Opus silence", "Opus voip 16 kbit/s", "h264"])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.3])
def test_odd_frames_in_a_stream_that_flows(odd, share):
    """Whatever their share, the stream is one that flows, and nobody's key is missing."""
    rng, seal = random.Random(2), Oracle(4, KEY, 300, "cryptography").seal
    clear = streams()[odd]
    frames = [(n / 50, seal(n, b"frame")) for n in range(50 * SECONDS)]
    mixed = [(at, clear[n % len(clear)][1]) if rng.random() < share else (at, frame)
             for n, (at, frame) in enumerate(frames)]  # fmt: skip
    for states in polled(mixed, 1.0, {300: KEY}):
        assert states.pop(None, NOT_SFRAME) is NOT_SFRAME
        assert states == {300: FLOWING}


@pytest.mark.parametrize("members", [17, 20, 40])
def test_a_call_of_more_members_than_are_tracked(members):
    rng, frames = random.Random(3), []
    for kid in range(300, 300 + members):
        start = rng.uniform(0, 0.02)
        stream = of_sender(kid, range(50 * SECONDS), 50)
        frames += [(at + start + rng.uniform(0, 0.015), frame) for at, frame in stream]
    for states in polled(frames, 1.0, {7: KEY}):
        assert set(states.values()) == {MISSING_KEY}
        assert len(states) == 16
