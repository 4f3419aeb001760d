"""What the aiortc adapter adds to a frame is held beside the same adapter over cryptography."""

import time

import machine
import pytest

ROUNDS = 6  # each longer than the last, as the gates are measured again


@pytest.fixture
def agents(bench):
    if not machine.has_native():
        pytest.skip("no native engine")
    return bench("agents")


def best(agents):
    """The share of the peer's time; the best of some rounds, since others only add time."""
    shares = []
    for number in range(ROUNDS):
        shares.append(agents.share(agents.added(40 << number // 2)))
        if shares[-1] <= agents.GATE:
            break
    return min(shares)


def test_the_adapter_adds_half_of_what_the_peer_adds(agents):
    assert best(agents) <= agents.GATE


def test_a_slow_adapter_is_seen(agents, monkeypatch):
    """The seeded fault: a few microseconds more a frame."""
    take = agents.OpenedFrames._take

    def slowly(self, task):
        started = time.perf_counter_ns()
        while not isinstance(self._incoming.scope.receiver, agents.Peer) and (
            time.perf_counter_ns() - started < 2000
        ):
            pass
        take(self, task)

    monkeypatch.setattr(agents.OpenedFrames, "_take", slowly)
    monkeypatch.setitem(globals(), "ROUNDS", 1)
    assert best(agents) > agents.GATE


def test_an_agent_host_opens_what_was_sealed(agents):
    for calls in agents.CALLS:
        timings = agents.race(agents.host(calls), 2)
        assert agents.calls_a_core(timings["ours"].median) > 1
