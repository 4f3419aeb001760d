"""Promise 12: no key in what pysframe says: repr, str, format, errors, warnings, log, pickles.

A key is looked for as bytes, and as people and programs write bytes down.
"""

import base64
import copy
import gc
import logging
import pickle
import traceback
import warnings

import pytest
from oracle import schedule
from security.spellings import shown

import pysframe
from pysframe import CipherSuite, FrameRejected, MisuseError, MLSLayout, SenderKeyLayout

LAYOUT, EPOCHS = SenderKeyLayout(8), MLSLayout(8, 8)


class Life:
    """One of every object there is, all of one base_key, and what they say in the meantime."""

    def __init__(self, engine, suite, base_key: bytes) -> None:
        options = {"allow_short_tags": True} if suite.has_short_tag else {}
        self.engine, self.suite, self.base_key, self.options = engine, suite, base_key, options
        self.sender = engine.Sender(suite, kid=3, base_key=base_key, next_ctr=0, **options)
        kid = LAYOUT.pack(generation=2)
        self.stepping = engine.Sender(
            suite, kid=kid, base_key=base_key, next_ctr=0, layout=LAYOUT, **options
        )
        self.receiver = engine.Receiver(suite, **options)
        self.receiver.add_key(3, base_key)
        self.followers = [engine.Receiver(suite, **options) for _ in range(2)]
        self.followers[0].add_sender_key(2, base_key, layout=LAYOUT)
        self.followers[1].add_epoch(4, base_key, layout=EPOCHS, senders=3)
        self.secret = engine.Secret(suite, base_key)
        self.batch = engine.unprotect_many(self.receiver, [self.sender.protect(b"f"), b"bad"])

    @property
    def things(self) -> list[object]:
        flows = [r.key_flow(now) for r in (self.receiver, *self.followers) for now in (0.0, 9.0)]
        parties = [self.sender, self.stepping, self.receiver, *self.followers, self.secret]
        return [*parties, self.batch, *flows, self.engine, pysframe.backend_info(), self.suite]

    def secrets(self) -> tuple[bytes, ...]:
        kids = 3, LAYOUT.pack(generation=2)
        return self.base_key, *(s for kid in kids for s in schedule(self.suite, self.base_key, kid))


def misuses(life: Life) -> list:
    """Calls that must fail, each with a key at hand."""
    e, suite, key, options = life.engine, life.suite, life.base_key, life.options
    sender = {"kid": 3, "base_key": key, "next_ctr": 0, **options}
    spoiled = life.sender.protect(b"frame")[:-1] + b"\0\0"
    return [
        *(lambda more=more: e.Sender(suite, **sender | more) for more in (
            {}, {"kid": -1}, {"kid": 2**64}, {"next_ctr": -1}, {"next_ctr": None}, {"kid": key},
            {"base_key": key[:15]}, {"base_key": key.hex()}, {"base_key": [*key]},
            {"base_key": key[:0]}, {"max_frame": 2**40}, {"layout": key}, {"counters": key},
        )),
        lambda: e.Sender(0, **sender),
        lambda: e.Sender(key, **sender),
        lambda: e.Receiver(suite, replay_window=key),
        lambda: life.receiver.add_key(3, key[:20]),
        lambda: life.receiver.add_key(3, key[:15]),
        lambda: life.receiver.add_key(key, key),
        lambda: life.receiver.add_key(3, key.hex()),
        lambda: life.followers[0].add_sender_key(2, key[:20], layout=LAYOUT),
        lambda: life.followers[0].add_sender_key(2**60, key, layout=LAYOUT),
        lambda: life.followers[1].add_epoch(4, key[:15], layout=EPOCHS),
        lambda: life.receiver.unprotect(spoiled),
        lambda: life.receiver.unprotect(life.stepping.protect(b"frame")),
        lambda: life.sender.protect(key, clear=99),
        lambda: life.sender.protect_into(key, bytearray(3)),
        lambda: e.protect_many([life.sender, key], [b"", b""]),
        lambda: e.Secret(suite, key[:15]),
        lambda: e.Secret(suite, key.hex()),
        *(lambda f=f, x=x: f(x) for x in (life.sender, life.receiver, life.secret)
          for f in (pickle.dumps, copy.copy, copy.deepcopy)),
    ]  # fmt: skip


def words_of(error: BaseException) -> str:
    """All that an error says, with its causes, arguments and notes."""
    text = "".join(traceback.format_exception(error))
    return f"{text}{error.args!r}{error!r}{vars(error)!r}{getattr(error, '__notes__', '')}"


@pytest.mark.parametrize("suite", list(CipherSuite), ids=lambda suite: suite.name)
def test_no_key_in_words(engine, suite, rng, caplog):
    caplog.set_level(logging.DEBUG)
    base_key = rng.randbytes(32)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        life = Life(engine, suite, base_key)
        said = [f"{x!r}{x!s}{x}{[x]}{(x,)!r}" for x in life.things]
        failures = 0
        for call in misuses(life):
            with pytest.raises((FrameRejected, MisuseError, TypeError, ValueError)) as raised:
                call()
            said.append(words_of(raised.value))
            failures += 1
        said += [str(w.message) for w in warned] + [caplog.text]
    assert failures >= 34 and len("".join(said)) > 5000
    assert shown("".join(said), *life.secrets()) == []


def test_no_python_object_holds_a_key(engine, rng):
    """From a Sender, Receiver or Secret of the native engine no bytes with a key can be reached."""
    base_key = bytearray(rng.randbytes(32))
    life = Life(engine, CipherSuite(4), bytes(base_key))
    secrets = life.secrets()
    things = life.things[:6]
    life.base_key = b""
    held = [x for x in reachable(things) if isinstance(x, bytes | bytearray | memoryview)]
    found = [x for x in held if any(part in bytes(x) for part in secrets)]
    assert bool(found) is engine.name.startswith("fallback")  # SECURITY.md says so of the twin


def reachable(things: list[object]) -> list[object]:
    """Everything that these objects hold, but for modules, classes and functions."""
    seen: dict[int, object] = {}
    waiting = list(things)
    while waiting:
        thing = waiting.pop()
        shared = isinstance(thing, type) or callable(thing) or type(thing).__name__ == "module"
        if id(thing) not in seen and not shared:
            seen[id(thing)] = thing
            waiting += gc.get_referents(thing)
    return list(seen.values())


def test_a_key_in_words_is_found(rng):
    """The seeded fault: each way to write a key down, in the middle of other words."""
    key = rng.randbytes(32)
    ways = key.hex(), key.hex().upper(), repr(key), str(list(key)), repr(MisuseError(key[4:20]))
    for said in (*ways, base64.b64encode(key).decode()):
        assert shown(f"key = {said}!", key), said
    assert shown("key = 0x1234", key) == []
