"""Senders, receivers and secrets as objects: one of each, nothing to see, and what they cost."""

import base64
import copy
import json
import pickle
import traceback

import pytest
from isolated import python
from parties import GCM, LAST_CTR, SUITES, new_receiver, new_sender, pair

from pysframe import (
    DuplicateSender,
    FrameBatch,
    FrameRejected,
    MisuseError,
    SenderKeyLayout,
    SenderRetired,
)

SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
COPIES = [
    copy.copy,
    copy.deepcopy,
    *(lambda thing, n=n: pickle.dumps(thing, n) for n in range(pickle.HIGHEST_PROTOCOL + 1)),
]


# ---- one of each ----


def test_none_can_be_copied(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    secret = engine.Secret(GCM, rng.randbytes(16))
    for thing in (sender, receiver, secret, [sender], {"in": receiver}):
        for copied in COPIES:
            if copied is copy.copy and type(thing) in (list, dict):
                continue
            with pytest.raises(TypeError, match=r"copied|pickled"):
                copied(thing)
    assert receiver.unprotect(sender.protect(b"frame")) == b"frame"


@SUITE
def test_one_sender_for_each_key(engine, suite, rng):
    """RFC 9605 4.4.1: a base_key and KID have one sender, and counters never go back."""
    base_key = rng.randbytes(16)
    sender = new_sender(engine, suite, base_key)
    for next_ctr in (0, 1, 10**6):
        with pytest.raises(DuplicateSender, match="0x7"):
            new_sender(engine, suite, base_key, next_ctr=next_ctr)
    engine.protect_many(sender, [b"frame"] * 10)
    sender.close()
    for next_ctr in (0, 9):
        with pytest.raises(DuplicateSender):
            new_sender(engine, suite, base_key, next_ctr=next_ctr)
    with new_sender(engine, suite, base_key, next_ctr=10) as later:
        assert later.next_ctr == 10


def test_nobody_follows_the_last_counter(engine, rng):
    base_key = rng.randbytes(16)
    with new_sender(engine, GCM, base_key, next_ctr=LAST_CTR) as sender:
        sender.protect(b"frame")
    with pytest.raises(DuplicateSender):
        new_sender(engine, GCM, base_key, next_ctr=LAST_CTR)


def test_what_is_another_key(engine, rng):
    """Another KID, another base_key, another suite: and a Receiver beside a Sender."""
    base_key = rng.randbytes(16)
    parties = [
        new_sender(engine, GCM, base_key),
        new_sender(engine, GCM, base_key, kid=8),
        new_sender(engine, GCM, rng.randbytes(16)),
        new_sender(engine, 1, base_key),
        new_sender(engine, 2, base_key),
        new_receiver(engine, GCM, base_key),
        new_receiver(engine, GCM, base_key),
    ]
    assert len(parties) == 7


def test_a_sender_that_is_forgotten_makes_room(engine, rng):
    base_key = rng.randbytes(16)
    sender = new_sender(engine, GCM, base_key)
    sender.protect(b"frame")
    del sender
    with pytest.raises(DuplicateSender):
        new_sender(engine, GCM, base_key)
    assert new_sender(engine, GCM, base_key, next_ctr=1).protect(b"frame")


def test_the_end(engine, rng):
    """close() again and again, `with`, and the names that still answer."""
    sender, receiver = pair(engine, GCM, rng)
    with sender as one, receiver as other:
        assert (one, other) == (sender, receiver)
        ciphertext = sender.protect(b"frame")
    for _ in range(3):
        sender.close()
        receiver.close()
    assert sender.kid == 7 and "0x7" in repr(sender) and GCM.name in repr(receiver)
    with pytest.raises(SenderRetired):
        sender.protect(b"frame")
    with pytest.raises(MisuseError):
        receiver.unprotect(ciphertext)


def test_a_second_start_changes_nothing(engine, rng):
    """__init__ again is refused, and the lease, the steps and the keys are as they were."""
    base_key, layout = rng.randbytes(16), SenderKeyLayout(3)
    sender = new_sender(engine, GCM, base_key, kid=8, next_ctr=5, layout=layout)
    receiver = engine.Receiver(GCM)
    receiver.add_sender_key(1, base_key, layout=layout)
    with pytest.raises(MisuseError, match="open"):
        sender.__init__(GCM, kid=8, base_key=rng.randbytes(16), next_ctr=0)
    with pytest.raises(MisuseError, match="open"):
        receiver.__init__(5)
    assert (sender.next_ctr, receiver.suite) == (5, GCM)
    with pytest.raises(MisuseError, match="resumed at counter 5"):
        sender.ratchet()
    assert receiver.unprotect(sender.ratchet(next_ctr=0).protect(b"frame")) == b"frame"


# ---- nothing to see ----


def spellings(key: bytes) -> list[str]:
    return [key.hex(), key.hex().upper(), base64.b64encode(key).decode(), repr(key), str(list(key))]


@SUITE
def test_no_key_shows(engine, suite, rng):
    """Not in a repr, an error, nor a traceback that prints every local variable of ours."""
    base_key = rng.randbytes(32)
    sender = new_sender(engine, suite, base_key)
    receiver = new_receiver(engine, suite, base_key)
    secret = engine.Secret(suite, base_key)
    batch = engine.unprotect_many(receiver, [sender.protect(b"frame"), b"bad"])
    shown = [f(x) for f in (repr, str) for x in (sender, receiver, secret, batch, engine)]
    for call in (
        lambda: receiver.unprotect(sender.protect(b"frame")[:-1] + b"\0\0"),
        lambda: sender.protect(b"frame", clear=9),
        lambda: new_sender(engine, suite, base_key),
        lambda: receiver.add_key(7, base_key[:20]),
        lambda: engine.Secret(suite, base_key[:15]),
        lambda: pickle.dumps(secret),
    ):
        with pytest.raises((FrameRejected, MisuseError, TypeError)) as raised:
            call()
        shown.append("".join(traceback.format_exception(raised.value)))
    said = "\n".join(shown)
    for part in (base_key, base_key[:15], base_key[:20]):
        for spelling in spellings(part):
            assert spelling not in said
    assert suite.name in repr(sender) and "0x7" in repr(sender)


def test_frame_batches_do_not_show_their_frames():
    assert "secret" not in repr(FrameBatch.from_frames([b"secret words"]))


def test_what_was_never_made_can_be_shown(engine):
    """A debugger shows objects whose __init__ raised, or has not run yet; and they can go."""
    base_key = bytes(16)
    made = {
        engine.Sender: ((GCM,), {"kid": -1, "base_key": base_key, "next_ctr": 0}),
        engine.Receiver: ((GCM,), {"replay_window": -1}),
        FrameBatch: ((b"", [1], [1]), {}),
    }
    if engine.name.startswith("fallback"):  # the native one is made by __new__ alone
        made[engine.Secret] = ((GCM, b"short"), {})
    for cls, (arguments, more) in made.items():
        half_made = cls.__new__(cls)
        with pytest.raises(ValueError):
            half_made.__init__(*arguments, **more)
        for instance in (cls.__new__(cls), half_made):
            assert repr(instance).startswith(f"<{cls.__name__}")
            assert base_key.hex() not in repr(instance)
    taken = new_sender(engine, GCM, base_key, kid=99)
    second = engine.Sender.__new__(engine.Sender)
    with pytest.raises(DuplicateSender):
        second.__init__(GCM, kid=99, base_key=base_key, next_ctr=0)
    assert repr(second) == "<Sender, never opened>" != repr(taken)
    taken.close()


# ---- what they cost ----

GROWTH = """
import os, json, pysframe, gc
from pysframe import engine

engine = engine.bind({name!r})
PAGE = os.sysconf("SC_PAGESIZE")

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE

def growth(make, count=10_000):
    warm = [make(10**6 + i) for i in range(100)]
    before = resident()
    things = [make(i) for i in range(count)]
    return (resident() - before) / count

def receiver(i):
    made = engine.Receiver({suite})
    made.add_key(i, i.to_bytes(16))
    return made

def sender(i):
    return engine.Sender({suite}, kid=i, base_key=i.to_bytes(16), next_ctr=0)

print(json.dumps([growth(sender), growth(receiver)]))
"""


@pytest.mark.parametrize("suite", [1, 4, 5, 6])
def test_memory(engine, suite):
    """At most 4 KB for a Sender, or for a Receiver with one key: growth over 10,000 of them."""
    done = python(GROWTH.format(name=engine.name, suite=suite))
    assert done.returncode == 0, done.stderr
    for what, size in zip(("Sender", "Receiver"), json.loads(done.stdout), strict=True):
        assert 100 < size <= 4096, f"a {what} takes {size:.0f} bytes"
