"""Which steps and generations may come next, decided over KIDs alone (RFC 9605 5.1)."""

import pytest
from figures import load
from hypothesis import given
from hypothesis import strategies as st

from pysframe import CipherSuite, MisuseError, SenderKeyLayout, ratchet_base_key
from pysframe.engine import KeyKind
from pysframe.keys.ratchet import STEPS_AHEAD, STEPS_BEHIND, SenderKeys

OURS = load("ratchet_and_ssrc")


class Keyring:
    """An engine of numbers: a secret is a step, a key is a (generation, step)."""

    def __init__(self, layout):
        self.layout, self.rules = layout, SenderKeys(layout)
        self.secrets, self.keys, self.real, self.reaches = {}, {}, set(), {}

    def add(self, generation, step=0, max_steps=16):
        self.secrets.setdefault(generation, step)
        self.carry_out(self.rules.add(generation, step, max_steps))

    def carry_out(self, changes):
        for generation in changes.forget:
            del self.secrets[generation], self.reaches[self.rules.group(generation)[1]]
            for kid in [kid for kid in self.keys if self.rules.covers(generation, kid)]:
                self.drop(kid)
        for kid in changes.drop:
            self.drop(kid)
        for derive in changes.derive:
            self.derive(derive)
        for generation, steps in changes.advance:
            assert steps > 0, "a ratchet goes forward"
            self.secrets[generation] += steps
        for reach in changes.reach:
            self.reaches[reach.group] = reach

    def derive(self, derive):
        key = derive.number, self.secrets[derive.number] + derive.steps
        there = self.keys.setdefault(derive.kid, key)
        assert there == key, "another key lives under this KID"
        if derive.kind == KeyKind.GIVEN:
            self.real.add(derive.kid)

    def drop(self, kid):
        del self.keys[kid]
        self.real.discard(kid)

    def receive(self, generation, step):
        """A genuine frame; whether it opens."""
        kid = self.layout.pack(generation, step)
        if kid not in self.keys:
            self.ask(kid)
        if self.keys.get(kid) != (generation, step):
            return False
        if kid not in self.real:
            self.real.add(kid)
            self.carry_out(self.rules.confirm([kid]))
        return True

    def ask(self, kid):
        """A frame with an unknown KID; whether its key could be derived."""
        derive = self.rules.resolve(kid)
        assert (derive is not None) == self.reaches_to(kid), "the engine asks about no other KID"
        if derive is None:
            return False
        self.derive(derive)
        return True

    def reaches_to(self, kid):
        reach = self.reaches.get(kid & ~((1 << self.layout.R) - 1))
        return reach is not None and ((kid - reach.first) & reach.numbers) < reach.total

    def steps(self, generation):
        return sorted(step for number, step in self.keys.values() if number == generation)


def keyring(R=4, **more):
    ring = Keyring(SenderKeyLayout(R))
    ring.add(1, **more)
    return ring


# ---- steps ----


def test_two_steps_are_derived_ahead_and_two_are_kept():
    ring = keyring()
    assert ring.steps(1) == [0, 1, 2]
    for step in range(1, 8):
        assert ring.receive(1, step)
        assert ring.steps(1) == list(range(max(0, step - STEPS_BEHIND), step + STEPS_AHEAD + 1))
    assert ring.secrets == {1: 7}


def test_steps_that_are_jumped_over_are_kept_for_their_last_frames():
    ring = keyring()
    assert ring.receive(1, 9)
    assert ring.steps(1) == [7, 8, 9, 10, 11]
    assert ring.receive(1, 8)
    assert ring.receive(1, 7)
    assert not ring.receive(1, 6)
    assert ring.secrets == {1: 9}, "a frame from behind moves nothing"


@pytest.mark.parametrize(
    ("asked", "step", "derived"),
    [((), 1, [3]), ((), 2, [3, 4]), ((9, 10), 8, [6, 7]), ((8, 7), 8, [6, 9, 10])],
)
def test_what_a_confirmed_step_derives(asked, step, derived):
    """What was derived ahead is there, and so is what a header asked for."""
    ring = keyring()
    for wanted in (*asked, step):
        ring.ask(ring.layout.pack(1, wanted))
    changes = ring.rules.confirm([ring.layout.pack(1, step)])
    assert [key.steps for key in changes.derive] == derived


@pytest.mark.parametrize("max_steps", [0, 1, 2, 3, 16])
def test_max_steps_is_as_far_as_it_goes(max_steps):
    ring = keyring(R=8, max_steps=max_steps)
    assert not ring.receive(1, max_steps + 1)
    assert max(ring.steps(1)) <= max_steps
    assert ring.receive(1, max_steps)


def test_the_most_steps_that_may_be_asked_for():
    assert keyring(R=16, max_steps=1024).receive(1, 1024)


@pytest.mark.parametrize("max_steps", [-1, 1025])
def test_max_steps_out_of_range(max_steps):
    with pytest.raises(MisuseError, match="max_steps"):
        keyring(max_steps=max_steps)


@pytest.mark.parametrize("R", range(6))
def test_steps_wrap(R):
    """A whole turn and more, one step after the other: 2^R KIDs are enough for any R > 0."""
    ring = keyring(R=R, max_steps=64)
    assert all(ring.receive(1, step) for step in range(1, 100)) == (R > 0)


@pytest.mark.parametrize(("R", "kept"), [(1, [3, 4]), (2, [2, 3, 4, 5]), (3, [1, 2, 3, 4, 5])])
def test_few_bits_leave_room_ahead_first_and_then_behind(R, kept):
    ring = keyring(R=R)
    assert all(ring.receive(1, step) for step in (1, 2, 3))
    assert ring.steps(1) == kept


def test_a_base_key_may_belong_to_any_step():
    ring = keyring(step=14)
    assert ring.steps(1) == [14, 15, 16]
    assert not any(ring.ask(ring.layout.pack(1, step)) for step in (12, 13))
    assert ring.receive(1, 16)


def test_confirmations_told_together_are_all_counted_from_the_same_step():
    """Counted after the jump to 12, KID 1 would look like step 17."""
    ring = keyring()
    assert ring.ask(ring.layout.pack(1, 12))
    ring.carry_out(ring.rules.confirm([ring.layout.pack(1, 12), ring.layout.pack(1, 1)]))
    assert ring.secrets == {1: 12}


def test_a_confirmation_that_comes_too_late_changes_nothing():
    ring = keyring()
    ring.receive(1, 12)
    assert not any(ring.rules.confirm([ring.layout.pack(1, 1)]))


@given(
    R=st.integers(0, 6),
    max_steps=st.integers(0, 40),
    actions=st.lists(st.tuples(st.booleans(), st.integers(0, 127)), max_size=60),
)
def test_whatever_comes_the_keys_stay_right_and_few(R, max_steps, actions):
    """Genuine frames up to some steps off, mixed with forged KIDs; Keyring asserts the rest."""
    ring = keyring(R=R, max_steps=max_steps)
    for genuine, number in actions:
        before = ring.secrets[1]
        if genuine:
            step = max(0, before + number % 50 - 10)
            opened = ring.receive(1, step)
            reach = min(max_steps, (1 << R) - 1 - max(0, min(STEPS_BEHIND, (1 << R) - 3)))
            assert not 0 <= step - before <= reach or opened
            assert ring.secrets[1] == (max(before, step) if opened else before)
        else:
            ring.ask(number)
            assert ring.secrets[1] == before
        assert len(ring.keys) <= max_steps + 1 + STEPS_BEHIND
        assert len(ring.keys) <= 1 << R


@given(st.lists(st.integers(0, 255), max_size=40))
def test_forged_kids_leave_the_genuine_next_frames_alone(kids):
    ring = keyring()
    for kid in kids:
        ring.ask(kid)
    assert ring.secrets == {1: 0}
    assert all(ring.receive(1, step) for step in (1, 2, 3, 16, 15, 29))


def test_a_forged_kid_is_derived_once():
    ring = keyring()
    kid = ring.layout.pack(1, 9)
    assert ring.ask(kid)
    assert ring.steps(1) == [0, 1, 2, 9]
    assert ring.keys[kid] == (1, 9)


# ---- generations ----


def test_the_first_generation_is_real_at_once_and_later_ones_when_heard():
    ring = keyring()
    assert ring.real == {0x10}
    ring.add(2)
    assert ring.real == {0x10}
    ring.receive(2, 0)
    assert ring.real == {0x10, 0x20}


def test_old_generations_stay_until_the_new_one_is_heard_then_one_stays():
    ring = keyring()
    for generation in (2, 3):
        ring.add(generation)
    assert [ring.receive(generation, 1) for generation in (1, 2)] == [True, True]
    assert set(ring.secrets) == {1, 2, 3}
    ring.receive(3, 2)
    assert set(ring.secrets) == {2, 3}
    assert not ring.receive(1, 2)
    assert ring.receive(2, 2)
    assert set(ring.secrets) == {2, 3}


def test_generations_heard_in_one_batch():
    ring = keyring()
    for generation in (2, 3, 4):
        ring.add(generation)
    ring.carry_out(ring.rules.confirm([0x30, 0x10, 0x20]))
    assert set(ring.secrets) == {2, 3, 4}


def test_recency_is_the_order_of_arrival():
    """A sender that starts anew may count its generations from 0 again."""
    ring = keyring()
    ring.add(0)
    ring.receive(0, 0)
    ring.add(7)
    ring.receive(7, 0)
    assert set(ring.secrets) == {0, 7}


def test_a_generation_again_changes_nothing():
    ring = keyring()
    ring.receive(1, 5)
    assert not any(ring.rules.add(1, 0, 16))
    assert ring.receive(1, 6)


def test_generations_stop_at_64_bits_less_r():
    with pytest.raises(MisuseError, match="generation"):
        SenderKeys(SenderKeyLayout(4)).add(1 << 60, 0, 16)


def test_what_is_stale():
    ring = keyring()
    for generation in (2, 3):
        ring.add(generation)
    for step in (5, 10):
        ring.receive(3, step)
    stale = [ring.rules.is_stale(ring.layout.pack(3, step)) for step in range(3, 19)]
    assert stale == [True] * 7 + [False] * 9, "as near ahead as behind is ahead"
    assert ring.rules.is_stale(0x10)
    assert not ring.rules.is_stale(0x40), "never heard of"
    ring.add(1)
    assert not ring.rules.is_stale(0x10)


def test_a_generation_that_is_removed_goes_and_is_past():
    ring = keyring()
    changes = ring.rules.remove(1)
    assert changes.forget == (1,)
    ring.carry_out(changes)
    assert not ring.keys
    assert ring.rules.is_stale(0x10)


def test_memory_of_past_generations_is_bounded():
    ring = keyring()
    for generation in range(2, 500):
        ring.add(generation)
        ring.receive(generation, 0)
    assert len(ring.keys) <= 2 * (STEPS_AHEAD + STEPS_BEHIND + 1)
    assert sum(ring.rules.is_stale(generation << 4) for generation in range(500)) == 16


# ---- the key for who joins ----


@pytest.mark.parametrize("steps", [0, -1, 1 << 16, 1 << 70])
def test_steps_that_lead_nowhere(steps):
    """Above all none: the present key opens what came before."""
    with pytest.raises(MisuseError, match=r"steps is -?\d+; it must be 1\.\.65535"):
        ratchet_base_key(4, bytes(range(16)), steps)


def test_a_short_key_has_no_next_step():
    with pytest.raises(MisuseError, match="base_key has 15 bytes; it needs at least 16"):
        ratchet_base_key(4, bytes(15))


@pytest.mark.parametrize("suite", CipherSuite)
def test_ratchet_base_key(suite):
    figures = OURS["ratchet"][suite.Nh == 64]["steps"]
    for steps, figure in enumerate(figures, start=1):
        assert ratchet_base_key(suite, bytes(range(16)), steps).hex() == figure
    assert ratchet_base_key(suite, bytes(range(16))).hex() == figures[0]
