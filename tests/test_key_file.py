"""keys.json: what StaticKeys makes of it, what it refuses, and that nothing it says shows a key."""

import asyncio
import json
import os

import pytest
from figures import load
from key_files import base64url, content, events_of, written
from security.spellings import leaks, shown

from pysframe import CipherSuite, CounterStore, MisuseError
from pysframe.media import VERSION, envelope
from pysframe.source import InstallKey, KeyFileError, Keyring, StaticKeys, Use, static

GCM = CipherSuite.AES_128_GCM_SHA256_128


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


# ---- the version of the envelope ----


@pytest.mark.parametrize("said", load("envelope")["versions"], ids=lambda said: f"{said['key']}")
def test_keys_mean_the_version_that_the_figures_say(tmp_path, said):
    """In a file as in an event, and as in a browser."""
    given = {k: v for k, v in content().items() if k != "envelope"} | said["key"]
    key = {"sender": "alice", "suite": GCM, "kid": 300, "base_key": bytes(16)} | said["key"]
    path, keyring = written(tmp_path, given), Keyring()
    if said["means"] == VERSION:
        assert {key.envelope for key in events_of(StaticKeys(path))[:2]} == {said["means"]}
        assert InstallKey(**key).envelope == said["means"]
        keyring.apply(InstallKey(**key))
    else:
        with pytest.raises(KeyFileError, match="envelope version is unknown"):
            StaticKeys(path)
        with pytest.raises(MisuseError, match="envelope version"):
            keyring.apply(InstallKey(**key))


def test_a_key_that_says_no_version_means_the_first_one_for_ever(tmp_path, monkeypatch):
    """Also where another one is the present one, to which it would be a wrong key."""
    monkeypatch.setattr(envelope, "VERSION", 2)
    monkeypatch.setattr(static, "ENVELOPE", 2)
    path = written(tmp_path, {k: v for k, v in content().items() if k != "envelope"})
    with pytest.raises(KeyFileError, match="envelope version is unknown"):
        StaticKeys(path)
    with pytest.raises(MisuseError, match="envelope version 1 is unknown"):
        Keyring().apply(InstallKey(sender="alice", suite=GCM, kid=300, base_key=bytes(16)))
    assert events_of(StaticKeys(written(tmp_path, content(envelope=2))))[0].envelope == 2


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
