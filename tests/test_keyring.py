"""The events of a source, and the keyring that follows them."""

import copy
import pickle
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from key_files import content, events_of, written
from security.spellings import leaks, shown

import pysframe
from pysframe import CipherSuite, CounterStore, MisuseError, UnknownKey
from pysframe.source import (
    Drop,
    InstallEpoch,
    InstallKey,
    InstallSenderKey,
    KeyEvent,
    Keyring,
    Roster,
    StaticKeys,
    Trouble,
    TroubleKind,
    Use,
)
from pysframe.source.keyring import EPOCHS
from pysframe.source.scope import SENDER_KEYS

ROOT = Path(__file__).parents[1]
GCM = CipherSuite.AES_128_GCM_SHA256_128


# ---- events ----


def test_events_with_keys_stay_here(rng):
    key = rng.randbytes(16)
    events = [
        InstallKey(sender="a", suite=GCM, kid=1, base_key=key),
        InstallSenderKey(sender="a", suite=GCM, generation=1, step=0, base_key=key),
        InstallEpoch(sender="g", epoch=1, suite=GCM, base_key=key),
    ]
    for event in events:
        assert shown(f"{event!r} {event}", key) == []
        for leave in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                leave(event)


FIELD = re.compile(r"^  readonly (\w+)\??:", re.MULTILINE)
# Of a browser: its counters come over a port, and a group's layout with its epoch.
ONLY_HERE = {event: {"start"} for event in (InstallKey, InstallSenderKey, InstallEpoch)}
# A Keyring takes no suite with 4-byte tags, so that nobody can ask for one. The "kind" of a Trouble
# is "Trouble" there.
ONLY_THERE = {
    InstallKey: {"allowShortTags"},
    InstallSenderKey: {"allowShortTags"},
    InstallEpoch: {"allowShortTags", "senderBits"},
    Trouble: {"trouble"},
}


def fields_in_typescript(name):
    for file in ("web/messages.ts", "web/key-source.ts"):
        text = (ROOT / file).read_text()
        if found := re.search(rf"interface {name} \{{\n(.*?)\n\}}", text, re.DOTALL):
            return set(FIELD.findall(found[1])) - {"kind"}
    raise AssertionError(f"{name} is not in web/")


@pytest.mark.parametrize("event", get_args(KeyEvent), ids=lambda event: event.__name__)
def test_events_have_the_fields_that_they_have_in_a_browser(event):
    ours = {re.sub(r"_(\w)", lambda found: found[1].upper(), field.name) for field in fields(event)}
    ours -= ONLY_HERE.get(event, set())
    theirs = fields_in_typescript(event.__name__) - ONLY_THERE.get(event, set())
    assert ours == theirs | ({"kind"} if event is Trouble else set())


# ---- the keyring ----


def hers(key, kid=300, **more):
    return InstallKey(**{"sender": "alice", "suite": GCM, "kid": kid, "base_key": key} | more)


def mine(key, kid=7, **more):
    given = {"sender": "me", "suite": GCM, "kid": kid, "base_key": key, "mine": True, "start": 0}
    return InstallKey(**given | more)


def test_keys_reach_the_receivers_they_concern(keyring, engine, rng):
    key, other = rng.randbytes(16), rng.randbytes(16)
    early = keyring.scope("alice")
    keyring.apply(hers(key))
    keyring.apply(hers(other, 301, sender="bob"))
    late = keyring.scope("bob")
    assert early.receiver.kids == (300,) and late.receiver.kids == (301,)
    assert keyring.scope().receiver.kids == (300, 301)
    assert keyring.scope("alice") is early and keyring.scope("carol").receiver.kids == ()
    assert (keyring.owner(300), keyring.owner(301), keyring.owner(7)) == ("alice", "bob", "")
    with engine.Sender(GCM, kid=300, base_key=key, next_ctr=0) as sender:
        ciphertext = sender.protect(b"frame")
    assert early.receiver.unprotect(ciphertext) == b"frame"
    with pytest.raises(UnknownKey):  # bob's track is not opened with alice's key
        late.receiver.unprotect(ciphertext)


def test_use_names_what_seals(keyring, rng):
    assert keyring.sealing is None
    keyring.apply(mine(rng.randbytes(16)))
    keyring.apply(mine(rng.randbytes(16), 8))
    assert keyring.sealing is None
    keyring.apply(Use("me", 8))
    assert keyring.sealing.kid == 8
    keyring.apply(Use("me", 7))
    keyring.apply(Drop("me", 8))
    assert keyring.sealing.kid == 7
    keyring.apply(Drop("me", 7))
    assert keyring.sealing is None  # and so nothing is sent


def test_a_key_set_twice_goes_on(keyring, rng):
    key = rng.randbytes(16)
    keyring.apply(mine(key))
    keyring.apply(Use("me", 7))
    keyring.sealing.protect(b"frame")
    keyring.apply(mine(key))
    assert keyring.sealing.next_ctr == 1
    with pytest.raises(MisuseError, match="another key to seal with is in use under KID 0x7"):
        keyring.apply(mine(rng.randbytes(16)))


def test_drop_forgets(keyring, rng):
    keyring.apply(hers(rng.randbytes(16), 5))
    scope = keyring.scope("alice")
    keyring.apply(Drop("alice", 0x15))
    assert scope.receiver.kids == (5,)
    keyring.apply(Drop("alice", 5))
    assert scope.receiver.kids == () and keyring.owner(5) == ""
    keyring.apply(Drop("alice", 5))


def test_a_drop_reaches_its_senders_keys_alone(keyring, rng):
    """A KID that alice has may be said of bob, by mistake or in malice: nothing is lost by it."""
    keyring.apply(hers(rng.randbytes(16), 5))
    keyring.apply(mine(rng.randbytes(16)))
    keyring.apply(Use("me", 7))
    scope = keyring.scope("alice")
    keyring.apply(Drop("bob", 5))
    keyring.apply(Drop("alice", 7))
    assert scope.receiver.kids == (5,) and keyring.owner(5) == "alice"
    assert keyring.sealing.kid == 7 and not keyring.was_dropped(5)
    keyring.apply(Drop("alice", 5))
    keyring.apply(Drop("me", 7))
    assert scope.receiver.kids == () and keyring.sealing is None


def test_sender_keys_and_epochs(keyring, engine, rng):
    key, epoch_key = rng.randbytes(16), rng.randbytes(16)
    generation = 3 << 20 | 1
    scope = keyring.scope("alice")
    keyring.apply(
        InstallSenderKey(sender="alice", suite=GCM, generation=generation, step=0, base_key=key)
    )
    kid = SENDER_KEYS.pack(generation)
    with engine.Sender(GCM, kid=kid, base_key=key, next_ctr=0, layout=SENDER_KEYS) as sender:
        ciphertext = sender.ratchet().protect(b"a step ahead")
    assert scope.receiver.unprotect(ciphertext) == b"a step ahead"
    assert keyring.owner(kid + 1) == "alice"
    with pytest.raises(MisuseError, match="name the sender of each track"):
        keyring.scope()
    keyring.apply(Drop("alice", kid))
    keyring.apply(
        InstallEpoch(
            sender="group", epoch=17, suite=GCM, base_key=epoch_key, senders=3, my_index=1, start=0
        )
    )
    keyring.apply(Use("group", EPOCHS.pack(17, 1)))
    room = keyring.scope()
    assert room.receiver.unprotect(keyring.sealing.protect(b"of the group")) == b"of the group"
    late = keyring.sealing.protect(b"frame")
    keyring.apply(Drop("group", EPOCHS.pack(17, 0)))
    with pytest.raises(UnknownKey):
        room.receiver.unprotect(late)


WRONG = {
    "one suite": lambda key: hers(key[1:], 301, suite=CipherSuite(5)),
    "envelope version 2": lambda key: hers(key[1:], 301, envelope=2),
    "in use under KID 0x12c": lambda key: hers(key[1:]),
    "give either next_ctr": lambda key: mine(key[1:], 9, start=None),
    "no key is for both ways": lambda key: mine(key[1:], 300),
    "sealed with here": lambda key: hers(key[1:], 7),
    "it needs at least 16": lambda key: hers(key[:15], 301),
    "no key to seal with is here under KID 0x9": lambda key: Use("me", 9),
    "under KID 0x7 of 'alice'": lambda key: Use("alice", 7),
    "key 0x12c belongs to 'alice'": lambda key: hers(key, sender="bob"),
    "kid is -1": lambda key: hers(key, -1),
}


@pytest.mark.parametrize("first", [True, False], ids=["scope first", "key first"])
@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_followed_changes_nothing(keyring, rng, words, first):
    """Neither what opens now nor a scope that is made afterwards."""
    key = rng.randbytes(17)
    scope = keyring.scope() if first else None
    keyring.apply(hers(key))
    keyring.apply(mine(rng.randbytes(16)))
    keyring.apply(Use("me", 7))
    with pytest.raises(MisuseError, match=words) as raised:
        keyring.apply(WRONG[words](key))
    assert leaks(raised.value, key[:16], key[1:]) == []
    scope = scope or keyring.scope()
    assert scope.receiver.kids == (300,) and keyring.sealing.kid == 7


def test_no_key_in_the_traceback_of_a_scope(keyring, rng):
    key = rng.randbytes(16)
    keyring.apply(
        InstallSenderKey(sender="alice", suite=GCM, generation=1, step=0, base_key=key, envelope=1)
    )
    with pytest.raises(MisuseError) as raised:
        keyring.scope()
    assert leaks(raised.value, key) == []


def test_a_key_that_is_none_does_not_name_the_rooms_suite(keyring, rng):
    with pytest.raises(MisuseError, match="short"):
        keyring.apply(hers(rng.randbytes(16), suite=CipherSuite(3)))
    keyring.apply(hers(rng.randbytes(16)))
    assert keyring.scope("alice").receiver.kids == (300,)


def test_a_scope_is_of_the_first_keys_suite(keyring, rng):
    scope = keyring.scope("alice")
    keyring.apply(hers(rng.randbytes(32), suite=CipherSuite(5)))
    assert scope.receiver.suite is CipherSuite(5) and scope.receiver.kids == (300,)


def test_watchers_hear_of_keys(keyring, rng):
    heard = []
    scope, watch = keyring.scope("alice"), lambda: heard.append(1)
    scope.watch(watch)
    keyring.apply(hers(rng.randbytes(16)))
    keyring.apply(hers(rng.randbytes(16), 301, sender="bob"))
    assert heard == [1]
    scope.unwatch(watch)
    scope.unwatch(watch)
    keyring.apply(hers(rng.randbytes(16), 302))
    assert heard == [1]


def test_flows_are_by_sender(keyring, engine, rng):
    key = rng.randbytes(16)
    keyring.apply(hers(key))
    room, alice = keyring.scope(), keyring.scope("alice")
    with engine.Sender(GCM, kid=300, base_key=key, next_ctr=0) as sender:
        ciphertexts = [sender.protect(b"frame") for _ in range(20)]
    for scope in (room, alice):
        keyring.flows(0.0)
        for ciphertext in ciphertexts:
            scope.receiver.unprotect(ciphertext)
        flow = keyring.flows(1.0)["alice"][300]
        assert flow.kid == 300
    assert keyring.flows(2.0)["alice"][300].opened == 20


@pytest.mark.parametrize("suite", [GCM, CipherSuite(5)])  # the other one makes the receiver anew
def test_pictures_that_a_jitter_buffer_held_back_are_not_too_old(keyring, engine, rng, suite):
    key = rng.randbytes(16)
    scope = keyring.scope()
    keyring.apply(hers(key, suite=suite))
    with engine.Sender(suite, kid=300, base_key=key, next_ctr=0) as sender:
        picture, *_, sound = [sender.protect(b"frame") for _ in range(5_000)]
    assert [scope.receiver.unprotect(frame) for frame in (sound, picture)] == [b"frame"] * 2
    with pytest.raises(pysframe.FrameRejected):
        scope.receiver.unprotect(picture)


def test_a_store_is_renewed(keyring, rng, tmp_path):
    key, store = rng.randbytes(16), CounterStore(tmp_path / "counters", lease=4)
    keyring.apply(mine(key, start=store))
    keyring.apply(Use("me", 7))
    for _ in range(12):
        keyring.sealing.protect(b"frame")
        keyring.renew()
    assert keyring.sealing.next_ctr == 12


def test_a_restart_goes_on_behind_its_counters(keyring, rng, tmp_path, engine):
    """From the file to the counters: what a first life has used, a second one never uses again."""
    path, sealed = written(tmp_path, content(rng.randbytes(16), rng.randbytes(16))), []
    for life in (keyring, Keyring()):
        for event in events_of(StaticKeys(path)):
            life.apply(event)
        sealed += [pysframe.Header.parse(life.sealing.protect(b"frame")) for _ in range(3)]
        life.close()
    assert len({(header.kid, header.ctr) for header in sealed}) == 6


def test_after_close_there_is_nothing(keyring, rng):
    keyring.apply(hers(rng.randbytes(16)))
    keyring.apply(mine(rng.randbytes(16)))
    keyring.apply(Use("me", 7))
    scope, sealing = keyring.scope(), keyring.sealing
    keyring.close()
    keyring.close()
    assert keyring.sealing is None
    calls = [
        lambda: keyring.scope(),
        lambda: keyring.apply(Use("me", 7)),
        lambda: sealing.protect(b"frame"),
        lambda: scope.receiver.unprotect(bytes(30)),
    ]
    for late in calls:
        with pytest.raises(MisuseError):
            late()


def test_news_change_no_key(keyring):
    keyring.apply(Roster(1, b"", ("alice",)))
    keyring.apply(Trouble(TroubleKind.SOURCE_ENDED, "", "the key service is gone"))
    assert keyring.sealing is None and "0 keys" in repr(keyring)
