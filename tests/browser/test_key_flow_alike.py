"""Key flow in Python and in the TypeScript of web/: the same counts, and the same states of random
counters, poll by poll. `make web` runs these.
"""

import pytest
from browser import web_peer
from test_key_flow import POLLS, Traffic

from pysframe import engine as engines
from pysframe.engine.twin._strangers import Strangers

SESSIONS = 40


def polled(now, stats, stale):
    """A receiver's counters as peer.ts is told them."""
    names = "opened", "advanced", "provisional", "closed"
    keys = [
        {"kid": str(key.kid), "failed": key.auth_failed, "replayed": key.replayed + key.too_old}
        | {name: getattr(key, name) for name in names}
        for key in stats.keys
    ]
    strangers = [[str(kid), *counts, kid in stale] for kid, counts in stats.strangers.items()]
    return {
        "now": now,
        "malformed": stats.malformed,
        "unknown": stats.unknown,
        "strangers": strangers,
        "keys": keys,
    }


def told(flows):
    """What one poll says, whatever the order."""
    rows = (
        [
            "" if kid is None else str(kid),
            flow.state.value,
            flow.opened,
            sum(flow.rejected.values()),
        ]
        for kid, flow in flows.items()
    )
    return sorted(rows)


def test_random_counters_over_random_times(rng):
    wanted, requests, states = [], [], set()
    for _ in range(SESSIONS):
        traffic, monitor, polls = Traffic(rng), engines.bind("fallback").KeyFlowMonitor(), []
        for _ in range(POLLS):
            traffic.go_on()
            stats = traffic.stats()
            polls.append(polled(traffic.now, stats, traffic.stale))
            flows = monitor.poll_stats(traffic.now, stats, traffic.stale.__contains__)
            wanted.append(told(flows))
            states |= {flow.state for flow in flows.values()}
        requests.append({"op": "judge", "polls": polls})
    found = [sorted(rows) for session in web_peer.said(requests) for rows in session]
    assert len(states) == 7, "the traffic is too tame to tell anything"
    for number, (theirs, ours) in enumerate(zip(found, wanted, strict=True)):
        assert theirs == ours, divmod(number, POLLS)


def walk(rng, count):
    """KIDs and CTRs of senders and of media in the clear: some go on, some jump, some stay."""
    ctrs = {kid: rng.choice((0, 1 << 31, (1 << 32) - 9, 1 << 40)) for kid in range(24)}
    steps = {kid: rng.choice(((1,), (1, 2, 40), (0,), (-3, 1, 2), (-300, 33, 1))) for kid in ctrs}
    for _ in range(count):
        kid = rng.randrange(rng.choice((3, 24)))
        jump = rng.random() < 0.03
        step = rng.randrange(1 << 20) if jump else rng.choice(steps[kid])
        ctrs[kid] = max(0, ctrs[kid] + step)
        yield (kid, ctrs[kid]) if rng.random() < 0.9 else (rng.getrandbits(64), rng.getrandbits(64))


@pytest.mark.parametrize("count", [10, 100, 3000])
def test_frames_under_unknown_kids(rng, count):
    walks = [list(walk(rng, count)) for _ in range(SESSIONS)]
    requests = [
        {"op": "stray", "frames": [[str(kid), str(ctr)] for kid, ctr in frames]} for frames in walks
    ]
    for frames, found in zip(walks, web_peer.said(requests), strict=True):
        strangers = Strangers()
        for kid, ctr in frames:
            strangers.note(kid, ctr)
        assert found == [[str(kid), *counts] for kid, counts in strangers.stats().items()]
