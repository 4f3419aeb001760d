"""What a keyring makes of sender keys and epochs, whose its keys are, and what it remembers."""

import pytest

import pysframe
from pysframe import CipherSuite, CounterStore, MisuseError, MLSLayout, SenderKeyLayout, UnknownKey
from pysframe.limits import REMEMBERED
from pysframe.source import Drop, InstallEpoch, InstallKey, InstallSenderKey, Keyring, Use
from pysframe.source.keyring import EPOCHS
from pysframe.source.scope import MAX_STEPS, SENDER_KEYS

GCM = CipherSuite.AES_128_GCM_SHA256_128
GENERATION = 3 << 20 | 1


def key_of(sender, kid, base_key, **more):
    return InstallKey(sender=sender, suite=GCM, kid=kid, base_key=base_key, **more)


def sender_key(sender, base_key, step=0, **more):
    return InstallSenderKey(
        sender=sender, suite=GCM, generation=GENERATION, step=step, base_key=base_key, **more
    )


def epoch_of(number, base_key, **more):
    return InstallEpoch(sender="group", epoch=number, suite=GCM, base_key=base_key, **more)


def sealed(engine, kid, key, suite=GCM):
    with engine.Sender(suite, kid=kid, base_key=key, next_ctr=0) as sender:
        return sender.protect(b"frame")


def after(engine, key, step, steps):
    """A frame of a sender key that began at `step`, so many ratchet steps later."""
    kid = SENDER_KEYS.pack(GENERATION, step)
    sender = engine.Sender(GCM, kid=kid, base_key=key, next_ctr=0, layout=SENDER_KEYS)
    for _ in range(steps):
        sender = sender.ratchet()
    return sender.protect(b"frame")


def test_the_layouts_of_a_room():
    """A room works only where all its members have the same."""
    assert SenderKeyLayout(8) == SENDER_KEYS and MLSLayout(E=4, S=10) == EPOCHS
    assert MAX_STEPS == 200


# ---- sender keys ----


def test_our_own_sender_key_begins_at_0_and_can_be_ratcheted(keyring, rng):
    kid = SENDER_KEYS.pack(GENERATION, 2)
    keyring.apply(sender_key("me", rng.randbytes(16), step=2, mine=True, start=0))
    keyring.apply(Use("me", kid))
    assert (keyring.sealing.kid, keyring.sealing.next_ctr) == (kid, 0)
    assert keyring.sealing.ratchet().kid == SENDER_KEYS.pack(GENERATION, 3)


def test_a_sender_key_begins_at_its_step(keyring, engine, rng):
    """Taken for another step's, it would be ratcheted to other keys."""
    key = rng.randbytes(16)
    scope = keyring.scope("alice")
    keyring.apply(sender_key("alice", key, step=5))
    assert scope.receiver.unprotect(after(engine, key, 5, 3)) == b"frame"


def test_a_sender_may_be_200_steps_ahead(keyring, engine, rng):
    key = rng.randbytes(16)
    scope = keyring.scope("alice")
    keyring.apply(sender_key("alice", key))
    with pytest.raises(UnknownKey):
        scope.receiver.unprotect(after(engine, key, 0, 201))
    assert scope.receiver.unprotect(after(engine, key, 0, 200)) == b"frame"


def test_a_sender_key_needs_to_know_whose_track_it_is(keyring, rng):
    keyring.scope()
    with pytest.raises(MisuseError, match="name the sender of each track"):
        keyring.apply(sender_key("alice", rng.randbytes(16)))
    assert keyring.owner(SENDER_KEYS.pack(GENERATION, 0)) == ""


# ---- epochs ----


def test_an_epoch_is_for_every_scope_and_nobodys_own(keyring, rng):
    early = keyring.scope("alice")
    keyring.apply(epoch_of(17, rng.randbytes(16), senders=3, my_index=1, start=0))
    kid = EPOCHS.pack(17, 1)
    keyring.apply(Use("group", kid))
    assert keyring.sealing.next_ctr == 0 and keyring.owner(kid) == ""
    for scope in (early, keyring.scope("bob"), keyring.scope()):
        assert scope.receiver.unprotect(keyring.sealing.protect(b"frame")) == b"frame"


def test_of_an_epoch_the_roster_alone_is_opened(keyring, rng):
    """Indices beyond the roster are no members: no key is derived for them."""
    key, other = rng.randbytes(16), Keyring()
    keyring.apply(epoch_of(17, key, senders=3))
    other.apply(epoch_of(17, key, senders=9, my_index=5, start=0))
    other.apply(Use("group", EPOCHS.pack(17, 5)))
    with pytest.raises(UnknownKey):
        keyring.scope().receiver.unprotect(other.sealing.protect(b"frame"))
    assert other.scope().receiver.unprotect(other.sealing.protect(b"frame")) == b"frame"


def test_a_kid_is_of_the_epoch_with_its_low_bits(keyring, rng):
    keyring.apply(epoch_of(1, rng.randbytes(16), senders=3))
    keyring.apply(Drop("group", EPOCHS.pack(2, 0)))
    assert "1 keys" in repr(keyring)
    keyring.apply(Drop("group", EPOCHS.pack(17, 2)))  # an epoch's KIDs hold its low 4 bits
    assert "0 keys" in repr(keyring)


@pytest.mark.parametrize("first", [0, 1])
def test_the_epoch_sixteen_later_takes_the_kid_over(keyring, rng, first):
    """Also from epoch 0, with which a group begins."""
    for number in range(first, first + 17):
        keyring.apply(epoch_of(number, rng.randbytes(16), senders=3, my_index=1, start=0))
        keyring.apply(Use("group", EPOCHS.pack(number, 1)))
        opened = keyring.scope().receiver.unprotect(keyring.sealing.protect(b"frame"))
        assert opened == b"frame"
    with pytest.raises(MisuseError, match="comes late"):
        keyring.apply(epoch_of(first, rng.randbytes(16), senders=3, my_index=1, start=0))


def test_a_key_that_comes_while_the_keyring_closes_is_kept_nowhere(keyring, rng, monkeypatch):
    monkeypatch.setattr(keyring, "_try", lambda *_: keyring.close())
    with pytest.raises(MisuseError, match="closed"):
        keyring.apply(key_of("alice", 300, rng.randbytes(16)))
    assert "0 keys" in repr(keyring)


@pytest.mark.parametrize("install", [epoch_of, sender_key])
def test_a_key_to_seal_with_says_where_it_begins_or_is_refused_whole(keyring, rng, install):
    mine = {"my_index": 1} if install is epoch_of else {"mine": True}
    given = (17, rng.randbytes(16)) if install is epoch_of else ("group", rng.randbytes(16))
    with pytest.raises(MisuseError, match="next_ctr"):
        keyring.apply(install(*given, **mine))
    assert "0 keys" in repr(keyring) and keyring.sealing is None
    keyring.apply(install(*given, start=0, **mine))


@pytest.mark.parametrize("install", [epoch_of, sender_key])
def test_a_key_that_outlives_its_process_goes_on_where_it_was(engine, rng, tmp_path, install):
    """As where a group's state is kept on disk: the same epoch, the same key, another process."""
    key = rng.randbytes(16)
    is_epoch = install is epoch_of
    kid = EPOCHS.pack(17, 1) if is_epoch else SENDER_KEYS.pack(GENERATION, 0)
    given = (17, key) if is_epoch else ("group", key)
    mine = {"my_index": 1} if is_epoch else {"mine": True}
    seen = []
    for _ in range(3):
        ring = Keyring()
        store = CounterStore(tmp_path / "counters", lease=5)
        ring.apply(install(*given, start=store, **mine))
        ring.apply(Use("group", kid))
        ring.renew()
        seen.append(ring.sealing.next_ctr)
        ring.sealing.protect(b"frame")
        ring.close()
    assert seen == [0, 5, 10]


def test_a_drop_of_an_epoch_ends_ones_own_sealing_whomever_it_names(keyring, rng):
    for number in (17, 18):
        keyring.apply(epoch_of(number, rng.randbytes(16), senders=3, my_index=1, start=0))
    keyring.apply(Use("group", EPOCHS.pack(17, 1)))
    sealing = keyring.sealing
    keyring.apply(Drop("group", EPOCHS.pack(18, 0)))
    with pytest.raises(MisuseError, match="no key to seal with is here"):
        keyring.apply(Use("group", EPOCHS.pack(18, 1)))
    assert keyring.sealing is sealing
    keyring.apply(Drop("group", EPOCHS.pack(17, 2)))
    assert keyring.sealing is None
    with pytest.raises(MisuseError):
        sealing.protect(b"frame")


def test_an_epoch_replaces_the_one_whose_kids_it_has(keyring, rng):
    """Epochs 1 and 17 share KIDs: who left in between must not read what is sealed in 17."""
    keys = {number: rng.randbytes(16) for number in range(1, 18)}
    for number, key in keys.items():
        keyring.apply(epoch_of(number, key, senders=3, my_index=1, start=0))
        keyring.apply(Use("group", EPOCHS.pack(number, 1)))
    assert "16 keys" in repr(keyring)
    ciphertext = keyring.sealing.protect(b"frame")
    assert keyring.scope().receiver.unprotect(ciphertext) == b"frame"
    left = Keyring()
    left.apply(epoch_of(1, keys[1], senders=3))
    with pytest.raises(pysframe.FrameRejected):
        left.scope().receiver.unprotect(ciphertext)
    # With another index it has another KID, and the older one's is gone all the same.
    keyring.apply(epoch_of(33, rng.randbytes(16), senders=3, my_index=2, start=0))
    assert keyring.sealing is None
    with pytest.raises(MisuseError, match="no key to seal with is here"):
        keyring.apply(Use("group", EPOCHS.pack(17, 1)))
    keyring.apply(Use("group", EPOCHS.pack(33, 2)))


# ---- whose a key is, and what is remembered ----


def test_a_key_to_open_with_may_be_set_twice(keyring, engine, rng):
    key = rng.randbytes(16)
    ciphertext = sealed(engine, 300, key)
    scope = keyring.scope("alice")
    keyring.apply(key_of("alice", 300, key))
    assert scope.receiver.unprotect(ciphertext) == b"frame"
    keyring.apply(key_of("alice", 300, key))
    with pytest.raises(pysframe.ReplayedFrame):  # its window goes on
        scope.receiver.unprotect(ciphertext)


def test_flows_of_a_room_are_by_owner(keyring, engine, rng):
    """In the room's own scope the KID says whose a frame is, and nothing says it of clear media."""
    keys = {300: rng.randbytes(16), 301: rng.randbytes(16)}
    keyring.apply(key_of("alice", 300, keys[300]))
    keyring.apply(key_of("bob", 301, keys[301]))
    room = keyring.scope()
    for kid, key in keys.items():
        room.receiver.unprotect(sealed(engine, kid, key))
    for number in range(40):
        with pytest.raises(UnknownKey):
            room.receiver.unprotect(sealed(engine, 1000 + number, keys[300]))
    flows = keyring.flows(1.0)
    assert set(flows) == {"alice", "bob", ""}
    assert set(flows["alice"]) == {300} and set(flows["bob"]) == {301}
    assert all(kid is None or kid >= 1000 for kid in flows[""])


def test_what_is_not_sframe_is_nobodys(keyring, rng):
    keyring.apply(key_of("alice", 300, rng.randbytes(16)))
    room = keyring.scope()
    for now in range(6):
        for _ in range(50):
            with pytest.raises(pysframe.FrameRejected):
                room.receiver.unprotect(bytes(8))
        flows = keyring.flows(float(now))
    assert None in flows[""] and None not in flows["alice"]


def test_a_key_that_was_dropped_is_remembered_for_a_while(keyring, rng):
    """Its sender is behind, where another KID would be a missing key."""
    assert not keyring.was_dropped(1)
    for kid in range(1, REMEMBERED + 2):
        keyring.apply(key_of("alice", kid, rng.randbytes(16)))
        keyring.apply(Drop("alice", kid))
        assert keyring.was_dropped(kid)
    assert keyring.was_dropped(2) and not keyring.was_dropped(1)
    assert not keyring.was_dropped(None)


def test_keys_without_a_store_need_no_renewing(keyring, rng, tmp_path):
    keyring.apply(key_of("me", 7, rng.randbytes(16), mine=True, start=0))
    keyring.renew()
    store = CounterStore(tmp_path / "counters")
    for kid in (8, 9):
        keyring.apply(key_of("me", kid, rng.randbytes(16), mine=True, start=store))
    keyring.renew()


def test_names_in_words(keyring):
    assert repr(keyring.scope("alice")) == "<Scope of alice>"
    assert repr(keyring.scope()) == "<Scope of the whole room>"
    keyring.close()
    with pytest.raises(MisuseError, match="this keyring is closed"):
        keyring.scope()
