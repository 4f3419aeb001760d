"""Which KIDs belong to which epoch, decided over numbers alone (RFC 9605 5.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pysframe import MisuseError, MLSLayout
from pysframe.engine import KeyKind
from pysframe.keys.epochs import Epochs
from pysframe.limits import LIMIT_ROSTER, READY_MEMBERS

LAYOUT = MLSLayout(E=4, S=6)


def kids(changes):
    return [derive.kid for derive in changes.derive]


def test_the_roster_is_derived_ahead_up_to_64_members():
    for senders, ready in ((None, 0), (0, 0), (1, 1), (5, 5), (64, READY_MEMBERS)):
        changes = Epochs(LAYOUT).add(3, senders)
        assert kids(changes) == [LAYOUT.pack(3, index) for index in range(ready)]
    large = Epochs(MLSLayout(E=4, S=10))
    assert len(large.add(3, 1000).derive) == READY_MEMBERS
    assert large.resolve(large.layout.pack(3, 999))
    assert large.resolve(large.layout.pack(3, 1000)) is None


def test_all_of_an_epochs_keys_come_from_its_one_secret_and_are_provisional():
    changes = Epochs(LAYOUT).add(20, 3)
    assert all(
        (key.number, key.steps, key.kind) == (20, 0, KeyKind.AHEAD) for key in changes.derive
    )


@pytest.mark.parametrize("senders", [-1, 65])
def test_a_roster_that_s_bits_cannot_number(senders):
    epochs = Epochs(LAYOUT)
    with pytest.raises(MisuseError, match="senders"):
        epochs.add(3, senders)
    assert epochs.resolve(LAYOUT.pack(3, 0)) is None, "nothing was added"


@pytest.mark.parametrize(
    ("senders", "few"),
    [(None, READY_MEMBERS), (0, 0), (9, 9), (1000, 1000), (1 << 13, LIMIT_ROSTER)],
)
def test_whose_keys_may_all_be_there_at_once(senders, few):
    """A roster's, or the first members' of an unknown one; in context 0, or they were endless."""
    large = MLSLayout(E=4, S=13)
    epochs = Epochs(large)
    (reach,) = epochs.add(3, senders).reach
    assert (reach.few, reach.total) == (few, 1 << 13 if senders is None else senders)
    for index in {0, max(few - 1, 0), few, 7000}:
        plain, other = (epochs.resolve(large.pack(3, index, context)) for context in (0, 1))
        assert (plain is None) == (other is None) == (index >= reach.total)
        assert plain is None or (plain.kind, other.kind) == (
            KeyKind.AHEAD if index < few else KeyKind.ASKED,
            KeyKind.ASKED,
        )


@given(
    E=st.integers(0, 5),
    S=st.integers(0, 5),
    senders=st.none() | st.integers(0, 32),
    kid=st.integers(0, 2**64 - 1),
)
def test_what_is_in_reach_is_what_resolves(E, S, senders, kid):
    """The engine asks about no other KID."""
    epochs = Epochs(MLSLayout(E, S))
    (reach,) = epochs.add(3, None if senders is None else min(senders, 1 << S)).reach
    number = (kid >> reach.shift) - reach.first & reach.numbers
    in_reach = kid & reach.mask == reach.group and number < reach.total
    assert (epochs.resolve(kid) is not None) == in_reach


def test_any_context_of_a_member_may_come():
    epochs = Epochs(LAYOUT)
    epochs.add(5, 2)
    kid = LAYOUT.pack(5, 1, context=900)
    assert epochs.resolve(kid) == (kid, 5, 0, KeyKind.ASKED)
    assert epochs.resolve(LAYOUT.pack(5, 2, context=900)) is None


def test_an_unknown_epoch_is_unknown():
    epochs = Epochs(LAYOUT)
    assert epochs.resolve(0) is None
    epochs.add(5)
    assert epochs.resolve(LAYOUT.pack(6, 0)) is None
    assert epochs.resolve(LAYOUT.pack(21, 0)).number == 5, "as far as its bits tell"


def test_rfc9605_5_2_drops_the_epoch_with_the_same_low_bits():
    epochs = Epochs(LAYOUT)
    for epoch in range(16):
        assert epochs.add(epoch).forget == ()
    for epoch in range(16, 40):
        assert epochs.add(epoch).forget == (epoch - 16,)
        assert epochs.resolve(LAYOUT.pack(epoch, 1)).number == epoch


def test_without_epoch_bits_there_is_one_epoch():
    epochs = Epochs(MLSLayout(E=0, S=6))
    epochs.add(1)
    assert epochs.add(2).forget == (1,)


def test_an_older_epoch_does_not_come_back():
    epochs = Epochs(LAYOUT)
    epochs.add(17, 2)
    said = "epoch 1 came after epoch 17, which has the same 4 low bits; epochs only grow$"
    with pytest.raises(MisuseError, match=said):
        epochs.add(1, 2)
    assert epochs.resolve(LAYOUT.pack(17, 1)).number == 17
    assert epochs.add(2).forget == (), "another one's bits are free"


def test_an_epoch_again_brings_another_roster():
    epochs = Epochs(LAYOUT)
    epochs.add(5, 2)
    changes = epochs.add(5, 4)
    assert changes.forget == ()
    assert len(changes.derive) == 4
    assert epochs.resolve(LAYOUT.pack(5, 3))


def test_hearing_a_member_changes_nothing():
    epochs = Epochs(LAYOUT)
    epochs.add(5, 2)
    assert not any(epochs.confirm([LAYOUT.pack(5, 1)]))


def test_what_is_stale():
    epochs = Epochs(LAYOUT)
    epochs.add(5)
    assert not epochs.is_stale(LAYOUT.pack(5, 0))
    assert epochs.remove(5).forget == (5,)
    assert epochs.is_stale(LAYOUT.pack(5, 0))
    assert not epochs.is_stale(LAYOUT.pack(6, 0)), "never heard of: we are behind"
    epochs.add(21)
    assert not epochs.is_stale(LAYOUT.pack(21, 0))


def test_an_epoch_that_was_dropped_is_past_beside_those_that_were_removed():
    epochs = Epochs(LAYOUT)
    epochs.add(5)
    epochs.remove(5)
    epochs.add(6)
    epochs.add(22, 3)
    epochs.remove(22)
    assert [low for low in range(16) if epochs.is_stale(LAYOUT.pack(low, 0))] == [5, 6]


def test_an_epoch_that_drops_another_has_its_members_ready():
    epochs = Epochs(LAYOUT)
    epochs.add(1, 2)
    changes = epochs.add(17, 3)
    assert changes.forget == (1,)
    assert kids(changes) == [LAYOUT.pack(17, index) for index in range(3)]


def test_memory_of_past_epochs_is_bounded():
    epochs = Epochs(MLSLayout(E=16, S=0))
    for epoch in range(500):
        epochs.add(epoch)
        epochs.remove(epoch)
    assert [epoch for epoch in range(500) if epochs.is_stale(epoch)] == [*range(484, 500)]


@given(
    E=st.integers(0, 5),
    S=st.integers(0, 5),
    epochs=st.lists(st.integers(0, 100), unique=True, max_size=40).map(sorted),
    kid=st.integers(0, 2**64 - 1),
)
def test_a_kid_means_the_newest_epoch_with_its_bits_or_nothing(E, S, epochs, kid):
    layout = MLSLayout(E, S)
    rules = Epochs(layout)
    gone = [number for epoch in epochs for number in rules.add(epoch).forget]
    held = [epoch for epoch in epochs if epoch not in gone]
    assert len(held) == len({epoch % 2**E for epoch in epochs}), "one for each low bits"
    means = [epoch for epoch in held if rules.covers(epoch, kid)]
    derive = rules.resolve(kid)
    assert ([derive.number] if derive else []) == means
    assert means in ([], [max((e for e in epochs if e % 2**E == kid % 2**E), default=None)])
