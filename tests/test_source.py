"""Where keys come from: keys.json, the events of a source, and the keyring that follows them."""

import asyncio
import base64
import copy
import json
import os
import pickle
import re
import traceback
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from security.spellings import shown

import pysframe
from pysframe import CipherSuite, CounterStore, MisuseError, UnknownKey
from pysframe.source import (
    Drop,
    InstallEpoch,
    InstallKey,
    InstallSenderKey,
    KeyEvent,
    KeyFileError,
    Keyring,
    Roster,
    StaticKeys,
    Trouble,
    TroubleKind,
    Use,
)
from pysframe.source.keyring import EPOCHS, SENDER_KEYS

ROOT = Path(__file__).parents[1]
GCM = CipherSuite.AES_128_GCM_SHA256_128


@pytest.fixture
def keyring(engine, monkeypatch):
    """A Keyring whose senders and receivers are of this engine."""
    monkeypatch.setattr(pysframe, "Receiver", engine.Receiver)
    monkeypatch.setattr(pysframe, "Sender", engine.Sender)
    return Keyring()


def base64url(key):
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def content(key=bytes(16), other=bytes(range(16)), **more):
    send = {"sender": "agent", "kid": 7, "base_key": base64url(key), "counters": "agent.counters"}
    receive = [{"sender": "alice", "kid": 300, "base_key": base64url(other)}]
    return {"version": 1, "suite": 4, "envelope": 1, "send": send, "receive": receive} | more


def written(tmp_path, said, mode=0o600):
    path = tmp_path / "keys.json"
    path.write_bytes(said if isinstance(said, bytes) else json.dumps(said).encode())
    path.chmod(mode)
    return path


def events_of(source):
    async def collect():
        return [event async for event in source.events()]

    return asyncio.run(collect())


# ---- keys.json ----


def test_a_file_of_keys(tmp_path, rng):
    key, other = rng.randbytes(16), rng.randbytes(32)
    source = StaticKeys(written(tmp_path, content(key, other)))
    hers, mine, use = events_of(source)
    assert (hers.sender, hers.suite, hers.kid, hers.base_key) == ("alice", GCM, 300, other)
    assert (hers.mine, mine.mine, hers.envelope) == (False, True, 1)
    assert (mine.sender, mine.kid, mine.base_key, use) == ("agent", 7, key, Use("agent", 7))
    assert repr(mine.start) == repr(CounterStore(tmp_path / "agent.counters"))
    assert events_of(source) == [hers, mine, use]
    asyncio.run(source.close())
    assert events_of(source) == []


def test_one_direction_is_enough(tmp_path):
    for name in ("send", "receive"):
        said = {k: v for k, v in content().items() if k != name}
        assert events_of(StaticKeys(written(tmp_path, said)))


def row(**more):
    return {"sender": "alice", "kid": 300, "base_key": base64url(bytes(range(16)))} | more


def sent(**more):
    return {k: v for k, v in (content()["send"] | more).items() if v is not None}


BAD = {
    "no JSON: Expecting": b"{'version': 1}",
    "no UTF-8": b"\xff\xfe",
    "no JSON that this program": b"[" * 200_000,
    "'suite' twice": b'{"version": 1, "suite": 4, "suite": 5}',
    "more than 1 MiB": b" " * (1 << 20) + b"{}",
    "it must be an object": [],
    "lacks 'suite'": {"version": 1},
    "known are envelope, receive, send, suite, version": content(recieve=[]),
    "its version is unknown here; this pysframe knows version 1": content(version=2),
    "its version is unknown": content(version=True),
    "its envelope version is unknown here; this pysframe knows version 1": content(envelope=2),
    "its suite must be": content(suite=9),
    "its suite must be the": content(suite="4"),
    "its suite has 4-byte tags": content(suite=3),
    "receive must be a list": content(receive={}),
    r"receive\[0\] must be an object": content(receive=["x"]),
    r"receive\[0\] lacks 'base_key'": content(receive=[{"sender": "a", "kid": 1}]),
    r"receive\[0\] has a field that is unknown": content(receive=[row(counters="x")]),
    r"receive\[0\].sender must": content(receive=[row(sender="")]),
    r"receive\[1\].kid must": content(receive=[row(), row(kid=-1)]),
    r"receive\[0\].kid must be": content(receive=[row(kid=2**64)]),
    r"receive\[0\].kid must be a": content(receive=[row(kid=True)]),
    r"receive\[0\].kid must be a whole": content(receive=[row(kid=1.0)]),
    r"receive\[0\].base_key must be base64url": content(receive=[row(base_key="+/" * 11)]),
    r"receive\[0\].base_key must be": content(receive=[row(base_key=7)]),
    r"receive\[0\].base_key has 15 bytes": content(receive=[row(base_key=base64url(bytes(15)))]),
    r"receive\[0\].base_key is no base64url": content(receive=[row(base_key="A" * 25)]),
    "one KID twice": content(receive=[row(), row(sender="bob")]),
    r"receive\[0\] has the KID or base_key of send": content(receive=[row(kid=7)]),
    r"receive\[0\] has the KID or": content(key=bytes(range(16))),
    "send must be an object": content(send=[]),
    "send lacks 'counters'": content(send=sent(counters=None)),
    "send.counters must be the path": content(send=sent(counters="")),
    "send.counters must be": content(send=sent(counters=7)),
    'neither "send" nor "receive"': {"version": 1, "suite": 4},
}


@pytest.mark.parametrize("words", BAD)
def test_what_is_wrong_is_said(tmp_path, words):
    with pytest.raises(KeyFileError, match=words) as raised:
        StaticKeys(written(tmp_path, BAD[words]))
    assert str(tmp_path / "keys.json") in str(raised.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o700 | 0o010, 0o666])
def test_a_file_that_others_can_reach_is_refused(tmp_path, mode):
    with pytest.raises(KeyFileError, match=f"has mode {mode:04o}, so others can reach its keys"):
        StaticKeys(written(tmp_path, content(), mode))
    assert events_of(StaticKeys(written(tmp_path, content(), 0o400)))


def test_a_file_of_another_user_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path, content())
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    found = path.stat()
    monkeypatch.setattr(os, "fstat", lambda _: _of_user(found, 4712))
    with pytest.raises(KeyFileError, match="belongs to user 4712"):
        StaticKeys(path)


def _of_user(found, uid):
    return os.stat_result((*found[:4], uid, *found[5:]))


def test_no_file_and_no_regular_file(tmp_path):
    with pytest.raises(KeyFileError, match="cannot be read: No such file"):
        StaticKeys(tmp_path / "none.json")
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        StaticKeys(tmp_path)
    with pytest.raises(KeyFileError, match="is no regular file"):
        StaticKeys("/dev/null")


# ---- secrets ----


def leaks(error, *secrets):
    """Where an error, its causes and contexts show a secret: words, attributes, local variables."""
    said, waiting, seen = [], [error], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        said.append(f"{one!r} {one} {one.args!r} {vars(one)!r}")
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename != __file__:
                said += [repr(value) for value in frame.f_locals.values()]
                said += [repr(vars(value)) for value in frame.f_locals.values() if is_plain(value)]
    return shown("\n".join(said), *secrets)


def is_plain(value):
    return hasattr(value, "__dict__") and not isinstance(value, type)


def spoiled(key, other):
    """Files that hold a key, each wrong in one way; the key as its base64url, too."""
    said = json.dumps(content(key, other))
    yield said.replace("}", "", 1).encode()
    yield said.encode()[:-1] + b"\xff"
    yield content(key, other, version=base64url(key))
    yield content(key, other, envelope=base64url(key))
    yield content(key, other, suite=base64url(key))
    yield content(key, other, **{base64url(key): 1})
    yield content(key, other, send=sent(base_key=base64url(key), kid=base64url(key)))
    yield content(key, other, send=sent(base_key=base64url(key), sender=[base64url(key)]))
    yield content(key, other, receive=[row(base_key=base64url(key) + "!")])
    yield content(key, other, receive=[base64url(key)])
    yield content(key, key)


def test_no_key_in_what_it_says(tmp_path, rng):
    key, other = rng.randbytes(16), rng.randbytes(16)
    for said in spoiled(key, other):
        with pytest.raises(KeyFileError) as raised:
            StaticKeys(written(tmp_path, said))
        assert leaks(raised.value, key, other, base64url(key).encode()) == []
    source = StaticKeys(written(tmp_path, content(key, other)))
    events = events_of(source)
    assert shown(f"{source!r} {events!r} {events[0]}", key, other) == []


def test_a_leak_is_found(rng):
    """The seeded fault: the JSON reader's own error carries the text."""
    key = rng.randbytes(16)
    with pytest.raises(json.JSONDecodeError) as raised:
        json.loads(json.dumps(content(key))[:-1])
    assert leaks(raised.value, base64url(key).encode())


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


FIELD = re.compile(r"^  readonly (\w+)\??:", re.MULTILINE)
# Of a browser: its counters come over a port, and a group's layout with its epoch.
ONLY_HERE = {InstallKey: {"start"}}
ONLY_THERE = {InstallEpoch: {"senderBits"}, Trouble: {"trouble"}}  # whose "kind" is "Trouble"


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
        InstallEpoch(sender="group", epoch=17, suite=GCM, base_key=epoch_key, senders=3, my_index=1)
    )
    keyring.apply(Use("group", EPOCHS.pack(17, 1)))
    room = keyring.scope()
    assert room.receiver.unprotect(keyring.sealing.protect(b"of the group")) == b"of the group"
    keyring.apply(Drop("group", EPOCHS.pack(17, 0)))
    with pytest.raises(UnknownKey):
        room.receiver.unprotect(keyring.sealing.protect(b"frame"))


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
