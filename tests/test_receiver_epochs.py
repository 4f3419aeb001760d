"""Epochs (RFC 9605 5.2), and the keys that headers ask for, as the engine keeps them."""

import pytest
from parties import GCM, core_of, new_sender
from ratchets import MLS, forged, opens

from pysframe import (
    AuthenticationFailed,
    MisuseError,
    ReplayedFrame,
    UnknownKey,
)
from pysframe.engine import KeyKind, Reach

# ---- epochs: RFC 9605 5.2 ----


def member(engine, epoch_key, epoch, index, context=0):
    return new_sender(engine, GCM, epoch_key, MLS.pack(epoch, index, context))


@pytest.mark.parametrize("senders", [None, 8])
def test_every_member_of_an_epoch_is_heard(engine, receiver, base_key, senders):
    receiver.add_epoch(5, base_key, layout=MLS, senders=senders)
    assert receiver.kids == ()
    for index in range(8):
        assert opens(receiver, member(engine, base_key, 5, index))
        assert opens(receiver, member(engine, base_key, 5, index, context=index + 1))
    assert len(receiver.kids) == 16
    assert opens(receiver, member(engine, base_key, 5, 8)) == (senders is None)


def test_rfc9605_5_2_an_epoch_with_the_same_low_bits_is_dropped(engine, receiver, base_key, rng):
    newer = rng.randbytes(16)
    old = member(engine, base_key, 1, 0)
    receiver.add_epoch(1, base_key, layout=MLS, senders=2)
    receiver.add_epoch(2, rng.randbytes(16), layout=MLS)
    assert opens(receiver, old)
    receiver.add_epoch(17, newer, layout=MLS, senders=2)
    with pytest.raises(AuthenticationFailed):
        receiver.unprotect(old.protect(b"frame"))
    assert opens(receiver, member(engine, newer, 17, 0))
    with pytest.raises(MisuseError, match="epoch 1 came after"):
        receiver.add_epoch(1, base_key, layout=MLS)
    assert receiver.remove_epoch(17)
    assert not receiver.remove_epoch(17)
    assert not receiver.remove_epoch(1)
    assert receiver.remove_epoch(2)


def test_an_epoch_again_keeps_its_windows(engine, receiver, base_key):
    sender = member(engine, base_key, 5, 0)
    receiver.add_epoch(5, base_key, layout=MLS, senders=2)
    ciphertext = sender.protect(b"frame")
    receiver.unprotect(ciphertext)
    receiver.add_epoch(5, base_key, layout=MLS, senders=4)
    with pytest.raises(ReplayedFrame):
        receiver.unprotect(ciphertext)
    assert opens(receiver, member(engine, base_key, 5, 3))
    with pytest.raises(MisuseError, match="another base_key"):
        receiver.add_epoch(5, bytes(16), layout=MLS)
    assert opens(receiver, sender)


def test_a_full_roster_and_its_successor_fit(engine, receiver, rng):
    """64 keys each, derived ahead."""
    keys = {epoch: rng.randbytes(16) for epoch in (1, 2)}
    for epoch, key in keys.items():
        receiver.add_epoch(epoch, key, layout=MLS, senders=64)
    assert all(
        opens(receiver, member(engine, key, epoch, index))
        for epoch, key in keys.items()
        for index in (0, 1, 62, 63)
    )


def test_rosters_push_out_no_key(engine, receiver, rng):
    """Of three epochs, too, every member is heard."""
    keys = [rng.randbytes(16) for _ in range(3)]
    for epoch, key in enumerate(keys):
        receiver.add_epoch(epoch, key, layout=MLS, senders=64)
    assert len(receiver._stats().keys) == 3 * 64
    assert opens(receiver, member(engine, keys[0], 0, 5))


def test_unknown_epochs_and_members_cost_no_key(receiver, base_key):
    receiver.add_epoch(5, base_key, layout=MLS, senders=4)
    before = len(receiver._stats().keys)
    for kid in (MLS.pack(6, 0), MLS.pack(5, 4), MLS.pack(5, 63, context=9)):
        with pytest.raises(UnknownKey):
            receiver.unprotect(forged(kid))
    assert len(receiver._stats().keys) == before


# ---- provisional keys, as the engine keeps them ----


def kids_after(receiver, secret, keys):
    """The KIDs there are, sorted, once these keys (KID, kind) have come one after the other."""
    for kid, kind in keys:
        receiver._add(kid, secret, kind)
    return sorted(key.kid for key in receiver._stats().keys)


def test_the_oldest_key_that_was_asked_for_makes_room(engine, receiver, base_key):
    """128 of them are kept, and any number of others beside them."""
    secret = engine.Secret(GCM, base_key)
    kept = [(1, KeyKind.AHEAD), (2, KeyKind.GIVEN)]
    keys = [*kept, *((kid, KeyKind.ASKED) for kid in range(10, 138))]
    assert kids_after(receiver, secret, keys) == [1, 2, *range(10, 138)]
    assert kids_after(receiver, secret, [(138, KeyKind.ASKED)]) == [1, 2, *range(11, 139)]
    for kind, first in ((KeyKind.GIVEN, 1000), (KeyKind.AHEAD, 1200)):
        more = [(kid, kind) for kid in range(first, first + 200)]
        expected = [1, 2, *range(11, 139), *range(1000, first + 200)]
        assert kids_after(receiver, secret, more) == expected
    assert receiver._remove(138), "the newest"
    newer = [(kid, KeyKind.ASKED) for kid in range(139, 139 + 200)]
    assert kids_after(receiver, secret, newer) == [
        1, 2, *range(211, 339), *range(1000, 1400),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [KeyKind.GIVEN, KeyKind.AHEAD])
@pytest.mark.parametrize("saved", [1, 64, 128])
def test_a_key_asked_for_that_then_comes_otherwise_stays(engine, receiver, base_key, kind, saved):
    secret = engine.Secret(GCM, base_key)
    kids_after(receiver, secret, [(kid, KeyKind.ASKED) for kid in range(1, 129)])
    kids_after(receiver, secret, [(saved, kind), (saved, KeyKind.ASKED), (saved, kind)])
    newer = [(kid, KeyKind.ASKED) for kid in range(200, 328)]
    assert kids_after(receiver, secret, newer) == [saved, *range(200, 328)]
    assert receiver._kind(saved) == kind
    assert [receiver._kind(kid) for kid in (200, 5000)] == [KeyKind.ASKED, None]


@pytest.mark.parametrize("opened", [1, 64, 128])
def test_a_key_asked_for_that_opens_a_frame_stays(engine, receiver, base_key, opened):
    secret = engine.Secret(GCM, base_key)
    kids_after(receiver, secret, [(kid, KeyKind.ASKED) for kid in range(1, 129)])
    assert opens(receiver, new_sender(engine, GCM, base_key, opened))
    newer = [(kid, KeyKind.ASKED) for kid in range(200, 328)]
    assert kids_after(receiver, secret, newer) == [opened, *range(200, 328)]
    assert receiver.kids == (opened,)


def test_a_group_is_forgotten_as_a_whole(engine, receiver, base_key):
    """Keys of every kind under its KIDs, confirmed or not, and no other; and what was in reach."""
    secret = engine.Secret(GCM, base_key)
    receiver._reach(Reach(0xF, 3, 0xFF, 4, 0, 256, 256))
    keys = [(kid << 4 | low, kid % 3) for kid in range(50) for low in (3, 4)]
    kids_after(receiver, secret, keys)
    assert all(opens(receiver, new_sender(engine, GCM, base_key, kid)) for kid in (0x13, 0x23))
    receiver._forget(0xF, 3)
    assert [key.kid & 0xF for key in receiver._stats().keys] == [4] * 50
    assert opens(receiver, new_sender(engine, GCM, base_key, 0x14))
    newer = [(kid, KeyKind.ASKED) for kid in range(5000, 5128)]
    left = [kid << 4 | 4 for kid in range(50) if kid % 3 != KeyKind.ASKED or kid == 1]
    assert kids_after(receiver, secret, newer) == [*left, *range(5000, 5128)]


def test_a_batch_tells_of_every_key_that_it_confirmed(engine, base_key):
    told = []

    class Policy(engine.Receiver):
        def _confirmed(self, kids):
            told.extend(kids)

    receiver, secret = Policy(GCM), engine.Secret(GCM, base_key)
    kids_after(receiver, secret, [(kid, KeyKind.AHEAD) for kid in range(100)])
    receiver._watch(True)
    rows = [new_sender(engine, GCM, base_key, kid).protect(b"frame") for kid in range(100)]
    assert engine.unprotect_many(receiver, rows).ok
    assert sorted(told) == list(range(100))


def test_the_policy_is_asked_and_told_once_it_wants_to_be(engine, base_key):
    heard = []

    class Policy(engine.Receiver):
        def _resolve(self, kid):
            heard.append(("asked", kid))
            return False

        def _confirmed(self, kids):
            heard.append(("told", kids))

    receiver, sender = Policy(GCM), new_sender(engine, GCM, base_key)
    receiver._add(7, engine.Secret(GCM, base_key), KeyKind.ASKED)
    receiver._reach(Reach(0xF, 1, 0xFF, 4, 0, 2, 2))
    for expected in ([], [("asked", 1), ("told", [7])]):
        for kid in (1, 2, 0x21):
            with pytest.raises(UnknownKey):
                receiver.unprotect(forged(kid))
        assert opens(receiver, sender)
        assert heard == expected
        receiver._watch(True)


def test_an_unknown_key_counts_once_where_no_policy_knows_it(engine):
    core = core_of(engine.Receiver)
    core._open(GCM, 0, 100, True)
    core._watch(True)
    with pytest.raises(UnknownKey):
        core.unprotect(forged(1))
    assert core._stats() == (0, 1, {1: (1, 0)}, [])
