"""Promise 14: groups and tenants never cross.

Every group uses the same KIDs and the same counters; only the keys differ. A frame opens in its
own group and nowhere else, one by one and in batches, while other threads take keys away and
close whole groups.
"""

import time
from contextlib import suppress

from parties import SUITES, new_receiver, new_sender, status_of
from racing import race

from pysframe import FrameStatus, MisuseError

GROUPS = 50
KIDS = (0, 7, 300)
OK = FrameStatus.OK


class Group:
    """A tenant: one receiver, a sender for each KID, under keys of its own."""

    def __init__(self, engine, suite, rng, **options) -> None:
        self.keys = {kid: rng.randbytes(16) for kid in KIDS}
        self.senders = [new_sender(engine, suite, key, kid) for kid, key in self.keys.items()]
        self.new_receiver = lambda: new_receiver(engine, suite, **options)
        self.begin_anew()

    def begin_anew(self) -> None:
        receiver = self.new_receiver()
        for kid, key in self.keys.items():
            receiver.add_key(kid, key)
        self.receiver = receiver


def frames_of(groups, rng, count):
    """(group's number, plaintext, ciphertext), shuffled; KIDs and counters are everybody's."""
    frames = []
    for number, group in enumerate(groups):
        for turn in range(count):
            plaintext = b"%d " % number + rng.randbytes(rng.randrange(300))
            sealed = group.senders[turn % len(KIDS)].protect(plaintext)
            frames.append((number, plaintext, sealed))
    rng.shuffle(frames)
    return frames


def crossings(engine, groups, frames, rng):
    """Offers each frame to a foreign group, then to its own; how many did what they must not."""
    wrong, at = 0, 0
    while at < len(frames):
        some = frames[at : at + rng.choice((1, 1, 3, 40, 100))]
        at += len(some)
        strangers = [rng.choice([n for n in range(len(groups)) if n != own]) for own, _, _ in some]
        receivers = [groups[n].receiver for n in (*strangers, *(own for own, _, _ in some))]
        sealed = [ciphertext for _, _, ciphertext in some] * 2
        expected = [b""] * len(some) + [plaintext for _, plaintext, _ in some]
        if len(some) == 1:
            opened = [status_of(r, c)[1] for r, c in zip(receivers, sealed, strict=True)]
        else:
            opened = engine.unprotect_many(receivers, sealed).to_list()
        wrong += sum(a != b for a, b in zip(opened, expected, strict=True))
    return wrong


def test_a_frame_opens_only_in_its_own_group(engine, rng, by_tier):
    for suite in by_tier([rng.choice(SUITES)], SUITES, SUITES):
        if suite.has_short_tag:
            suite = suite.__class__(suite - 1)  # 4 bytes of tag: chance opens one in 2^32
        # without a window every foreign frame comes as far as the tag
        groups = [Group(engine, suite, rng, replay_window=0) for _ in range(GROUPS)]
        frames = frames_of(groups, rng, by_tier(6, 12, 60))
        assert crossings(engine, groups, frames, rng) == 0
        # Under None the flow repeats frames whose counters look like those of media in the clear.
        found = [group.receiver.key_flow(0) for group in groups]
        flows = [flow for flows in found for kid, flow in flows.items() if kid is not None]
        assert sum(flow.opened for flow in flows) == len(frames)
        assert sum(flow.rejected["authentication"] for flow in flows) == len(frames)


def test_a_crossing_is_noticed(engine, rng):
    """The seeded fault: two groups that were given one key."""
    groups = [Group(engine, SUITES[3], rng) for _ in range(GROUPS)]
    shared = rng.randbytes(16)
    twin = new_sender(engine, SUITES[3], shared, 9)
    for group in groups[:25]:
        group.receiver.add_key(9, shared)
        group.senders[:] = [twin] * len(KIDS)
    assert crossings(engine, groups, frames_of(groups, rng, 6), rng) > 0


# ---- while keys and groups come and go ----


def test_others_come_and_go(engine, rng, by_tier):
    """Of a batch across groups each row opens to its own frame, or its key or group is gone."""
    suite = SUITES[4]
    groups = [Group(engine, suite, rng, replay_window=0) for _ in range(GROUPS)]
    frames = frames_of(groups, rng, 3)
    seen, both = set(), {OK, FrameStatus.UNKNOWN_KEY}
    native = engine.name.startswith("native")

    def open_all():
        receivers = [groups[own].receiver for own, _, _ in frames]
        try:
            batch = engine.unprotect_many(receivers, [sealed for _, _, sealed in frames])
        except MisuseError:
            return  # a group was closed before the batch began
        for row, (_, plaintext, _), status in zip(
            batch.to_list(), frames, batch.status, strict=True
        ):
            assert row == (plaintext if status == OK else b"")
        seen.update(batch.status)

    def take_keys_away():
        group = groups[rng.randrange(GROUPS)]
        receiver, kid = group.receiver, rng.choice(KIDS)
        with suppress(MisuseError):  # closed meanwhile
            receiver.remove_key(kid)
            time.sleep(0.0005)
            receiver.add_key(kid, group.keys[kid])

    def close_groups():
        group = rng.choice(groups)
        old = group.receiver
        group.begin_anew()
        old.close()
        time.sleep(0.002)

    turns = by_tier(200, 800, 8000) if native else by_tier(10, 40, 400)
    race(open_all, open_all, take_keys_away, close_groups, turns=turns, until=lambda: seen == both)
    assert seen == both
