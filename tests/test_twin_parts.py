"""Parts of the twin by themselves: its replay window, its samples of unknown KIDs, its registry."""

import hashlib
import sys
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pysframe import (
    FrameStatus,
)
from pysframe.engine import Reach
from pysframe.engine.twin import _registry
from pysframe.engine.twin._pace import BadShare, Pace
from pysframe.engine.twin._registry import SenderRegistry
from pysframe.engine.twin._shares import (
    ALLOWANCE,
    FRAMES_PER_ALLOWANCE,
    FULL,
    PRICE,
    ROUND,
    Shares,
)
from pysframe.engine.twin._strangers import GONE, STAYS, TRACKED, Strangers
from pysframe.engine.twin._trail import Trail
from pysframe.engine.twin._window import ReplayWindow

# ---- the window ----


@given(st.integers(0, 70), st.lists(st.integers(0, 200) | st.integers(2**64 - 80, 2**64 - 1)))
def test_the_window_is_a_set_of_counters(size, ctrs):
    window, opened = ReplayWindow(size), set()
    for ctr in ctrs:
        if not size or not opened or ctr > max(opened):
            expected = FrameStatus.OK
        elif max(opened) - ctr >= size:
            expected = FrameStatus.TOO_OLD
        else:
            expected = FrameStatus.REPLAYED if ctr in opened else FrameStatus.OK
        assert window.judge(ctr) == expected
        if expected == FrameStatus.OK:
            window.mark(ctr)
            opened.add(ctr)
        assert window.top == max(opened)


@pytest.mark.parametrize("size", [1, 2, 64, 1000])
def test_the_window_remembers_no_more_than_its_size(size):
    window = ReplayWindow(size)
    for ctr in range(3 * size):
        window.mark(ctr)
    assert window._seen == (1 << size) - 1


# ---- bounded memory ----


def test_strangers_are_counted_and_few_are_remembered():
    strangers = Strangers()
    for kid in range(10_000):
        strangers.note(kid, 0)
        strangers.note(7, kid)
    assert strangers.frames == 20_000
    assert len(strangers.kids) == TRACKED
    assert strangers.stats()[7].frames >= 10_000 - STAYS


def test_each_stranger_is_counted_by_itself():
    strangers = Strangers()
    for ctr, kid in enumerate((7, 8, 7, 7)):
        strangers.note(kid, 100 + ctr)
    assert (strangers.stats(), strangers.frames) == ({7: (3, 2), 8: (1, 0)}, 4)


def test_a_stranger_keeps_its_place_for_a_while_and_no_longer():
    strangers = Strangers()
    for kid in range(TRACKED):
        strangers.note(kid, 0)
    for kid in range(STAYS - TRACKED):
        strangers.note(100 + kid, 0)
    assert list(strangers.kids) == list(range(TRACKED))
    strangers.note(999, 0)
    assert list(strangers.kids) == [*range(1, TRACKED), 999]


def test_of_the_strangers_that_are_gone_the_rarest_makes_room():
    strangers = Strangers()
    for kid in (*range(TRACKED), *range(5), *range(6, TRACKED)):
        strangers.note(kid, 0)
    for ctr in range(STAYS):
        strangers.note(0, ctr)
    strangers.note(999, 0)
    assert set(strangers.kids) == {*range(TRACKED), 999} - {5}


def test_a_stranger_with_frames_outlives_rarer_ones_until_it_is_gone():
    strangers = Strangers()
    for ctr in range(100):
        strangers.note(7, ctr)
    for kid in range(1000, 1000 + GONE - 1):
        strangers.note(kid, 0)
    assert strangers.stats()[7] == (100, 99)
    for kid in range(5000, 5000 + STAYS):
        strangers.note(kid, 0)
    assert 7 not in strangers.kids


@pytest.mark.parametrize(
    ("ctrs", "advanced"),
    [
        ((1000, 1001, 1002), 2),
        ((1000, 1032, 1064), 2),  # the longest step that is one
        ((1000, 1033, 1066), 0),
        ((1000, 1000, 1000), 0),
        ((1000, 999, 744, 1001), 1),  # late, as far as it goes
        ((1000, 5000, 1001, 5001, 1002), 3),  # two senders
        ((1000, 5000, 9000, 13000, 1001, 5001, 9001, 13001), 4),
        ((1000, 5000, 9000, 13000, 17000, 1001), 0),  # a run too many
        (range((1 << 32) - 320, (1 << 32) + 64, 32), 11),
        (range((1 << 64) - 1000, (1 << 64) - 990), 9),
        ((1000, *range(800, 815), 815, 816), 1),  # starts again: told by the 16th frame
        ((1000, *range(800, 815), 1001, 816), 1),  # comes back before that
        ((0, 1, 2), 2),
        ((1,), 0),
    ],
)
def test_what_goes_on_from_frames_before(ctrs, advanced):
    trail = Trail()
    for ctr in ctrs:
        trail.follow(ctr)
    assert trail.advanced == advanced


def sharing():
    """What a receiver may derive where all KIDs are in reach and none are few."""
    shares = Shares()
    shares.reach(Reach(0, 0, 2**64 - 1, 0, 0, 2**64 - 1, 0))
    return shares


def burst(shares, kids):
    """KIDs served before the first that has to wait; a KID that has waited for nothing is none."""
    served = 0
    while shares._allowance:
        assert shares.may_derive(next(kids), 0)
        served += 1
    return served


def test_a_derivation_is_earned_by_so_many_frames_that_open_and_not_by_one_less():
    shares, kids = sharing(), count()
    assert burst(shares, kids) == ALLOWANCE
    for _ in range(3):
        for _ in range(FRAMES_PER_ALLOWANCE - 1):
            shares.count_opened()
        assert burst(shares, kids) == 0
        shares.count_opened()
        assert burst(shares, kids) == 1
    for _ in range(1000 * FRAMES_PER_ALLOWANCE):
        shares.count_opened()
    assert burst(shares, kids) == ALLOWANCE


def waiting(secret=None):
    """The same with its burst used up."""
    shares, kids = sharing(), count()
    burst(shares, kids)
    if secret is not None:
        shares._secret = secret
    return shares


def test_of_any_round_of_counters_one_is_served(rng):
    shares = waiting()
    for _ in range(200):
        kid, first = rng.getrandbits(64), rng.getrandbits(rng.choice((1, 7, 20, 63)))
        assert sum(shares.may_derive(kid, first + n) for n in range(ROUND)) == 1


@pytest.mark.parametrize("step", [2, 3, 4, 96, 1000])
def test_a_server_that_forwards_some_frames_keeps_nobody_waiting(rng, step):
    shares = waiting()
    for _ in range(20):
        kid, first = rng.getrandbits(64), rng.getrandbits(32)
        assert sum(shares.may_derive(kid, first + step * n) for n in range(ROUND)) == 1


KIDS = {
    "that count up": lambda n: n,
    "in the middle": lambda n: n << 30,
    "at the top": lambda n: n << 48,
    "that double": lambda n: (1 << (n % 64)) ^ n >> 6,
}


@pytest.mark.parametrize("kids", KIDS)
@pytest.mark.parametrize(
    "ctrs", [lambda n: 7, lambda n: n, lambda n: 96 * n], ids=["one", "rising", "apart"]
)
def test_no_choice_of_kids_and_counters_is_served_more_often(rng, kids, ctrs):
    """10,000 frames: 103 served on average, and 6 standard deviations more are 60."""
    secret = tuple(rng.getrandbits(64) for _ in range(4))
    shares = waiting(secret)
    served = sum(shares.may_derive(KIDS[kids](n), ctrs(n)) for n in range(10_000))
    assert 43 < served < 163
    assert shares._secret == secret and shares._paid > FULL - 20 * PRICE


def test_whoever_knows_the_residues_is_served_within_bounds_and_knows_them_no_more():
    shares = waiting()
    asked = served = 0
    for kid in range(5_000):
        asked, served = asked + 1, served + shares.may_derive(kid, shares._residue_of(kid))
    assert served <= (FULL + asked) // PRICE

    shares = waiting()
    known = [(kid, shares._residue_of(kid)) for kid in range(100_000)]
    served = [shares.may_derive(*frame) for frame in known]
    first = FULL // PRICE + 1
    assert all(served[:first]) and 700 < sum(served[200:]) < 1400, "then by chance, 1 in ROUND"


def test_the_bound_of_those_who_know_the_residues_is_needed(monkeypatch):
    """The seeded fault: nobody pays."""
    monkeypatch.setattr("pysframe.engine.twin._shares.PRICE", 0)
    shares = waiting()
    assert all(shares.may_derive(kid, shares._residue_of(kid)) for kid in range(5_000))


def test_the_registry_never_forgets():
    registry = SenderRegistry()
    names = [number.to_bytes(16) for number in range(100_000)]
    assert all(registry.open(name, 0) == 0 for name in names)
    assert not any(registry.open(name, 2**64 - 1) for name in names)
    for number, name in enumerate(names[1:]):
        registry.close(name, 5, spent=False, blocks=number)
    assert registry.open(names[0], 2**64 - 1) is None  # alive
    assert all(registry.open(name, 4) is None for name in names)
    assert [registry.open(name, 5) for name in names[1:]] == [*range(99_999)]


@pytest.mark.parametrize("last", [5, 2**64 - 1])
def test_the_registry_knows_whether_the_last_counter_was_used(last):
    registry, name = SenderRegistry(), bytes(16)
    assert registry.open(name, 0) == 0
    registry.close(name, last, spent=True, blocks=9)
    assert registry.open(name, last) is None
    assert registry.open(name, last + 1) == 9


def test_who_closes_again_or_was_never_there_changes_nothing():
    registry = SenderRegistry()
    registry.close(b"nobody", 5, spent=False, blocks=9)
    assert registry.open(b"nobody", 0) == 0
    registry.close(b"nobody", 5, spent=False, blocks=9)
    registry.close(b"nobody", 0, spent=False, blocks=0)
    assert (registry.open(b"nobody", 4), registry.open(b"nobody", 5)) == (None, 9)


def test_an_heir_may_have_been_told_before():
    """In an import that failed half-way: what has become of the keys since then counts."""
    before, heir = SenderRegistry(), SenderRegistry()
    for registry in (before, heir):
        for name in (b"open again", b"went on"):
            registry.open(name, 0)
            registry.close(name, 5, spent=False, blocks=9)
    before.open(b"open again", 6)
    before.open(b"went on", 6)
    before.close(b"went on", 8, spent=False, blocks=12)
    before.hand_over(heir)
    assert heir.open(b"open again", 2**64 - 1) is None
    assert (heir.open(b"went on", 7), heir.open(b"went on", 8)) == (None, 12)


def test_the_registry_is_where_no_purge_reaches():
    held = sys._pysframe_senders
    assert held is _registry.SENDERS or held is _registry.SENDERS._heir


def test_a_registry_tells_its_heir_everything():
    """And from then on asks it, also about what it told."""
    before, heir = SenderRegistry(), SenderRegistry()
    for name in (b"alive", b"closed", b"spent"):
        before.open(name, 3)
    before.close(b"closed", 7, spent=False, blocks=70)
    before.close(b"spent", 2**64 - 1, spent=True, blocks=80)
    before.hand_over(heir)
    for registry in (before, heir):
        assert registry.open(b"alive", 2**64 - 1) is None
        assert registry.open(b"spent", 2**64 - 1) is None
        assert registry.open(b"closed", 6) is None
    before.close(b"alive", 9, spent=False, blocks=90)
    assert (heir.open(b"alive", 9), before.open(b"closed", 7)) == (90, 70)
    assert heir.open(b"closed", 2**64 - 1) is None


def test_a_fingerprint_is_short_and_means_nothing_to_another_process(rng):
    key, salt = rng.randbytes(16), rng.randbytes(12)
    name = _registry.fingerprint(key, salt)
    assert len(name) == 16
    assert name != hashlib.sha256(key + salt).digest()[:16]
    assert [len(registry.secret) for registry in (_registry.SENDERS, SenderRegistry())] == [32] * 2


# ---- key flow ----


def test_recent_frames_say_more_of_a_pace_than_old_ones():
    pace = Pace()
    assert pace.is_sent is False and pace.is_odd is False
    pace.see(64, 64)
    assert (pace._frames, pace._advanced) == (64, 64)
    pace.see(1, 0)
    assert (pace._frames, pace._advanced) == (32, pytest.approx(64 * 32 / 65))


def high_share(now):
    """A share of a fifth, told at this time."""
    share = BadShare(0.2, 21, 0.0)
    assert share.see(0, 21, now) is True
    return share


def test_a_share_is_told_above_its_limit():
    share = BadShare(0.2, 21, 0.0)
    assert share.is_high is False
    assert share.see(84, 21, 1.0) is False
    assert share.see(0, 1, 1.0) is True


@pytest.mark.parametrize(("bad", "stays"), [(10, False), (11, True)])
def test_a_share_is_taken_back_at_half_its_limit(bad, stays):
    assert high_share(1.0).see(100 - bad, bad, 3.0) is stays


@pytest.mark.parametrize(
    ("good", "after", "stays"), [(5, 5.0, False), (5, 4.9, True), (4, 5.0, True)]
)
def test_on_a_slow_stream_a_share_is_taken_back_after_five_seconds(good, after, stays):
    assert high_share(1.0).see(good, 0, 1.0 + after) is stays


def test_a_share_that_was_never_high_stays_low_when_its_window_ends():
    assert BadShare(0.2, 21, 0.0).see(100, 0, 2.0) is False
