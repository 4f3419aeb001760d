"""The keyring under whatever events a source may say, in any order, against a small model of it.

After every event each scope opens what its keys seal, and nothing else that was ever sealed: no key
that was dropped or refused, and none of another sender. What is sealed is under the key that Use
named. Nothing but a MisuseError is raised, and no key shows in anything that is said.
"""

import hashlib
import json
from itertools import count
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from key_files import base64url, content, events_of, written
from oracle import Oracle, library_for
from security.spellings import leaks, shown

import pysframe
from pysframe import CipherSuite, FrameRejected, Header, MisuseError
from pysframe import engine as engines
from pysframe.source import (
    Drop,
    InstallEpoch,
    InstallKey,
    InstallSenderKey,
    KeyFileError,
    Keyring,
    Scope,
    StaticKeys,
    Use,
)
from pysframe.source.keyring import EPOCHS
from pysframe.source.scope import SENDER_KEYS

GCM, OTHER = CipherSuite(4), CipherSuite(5)
THEIRS = st.sampled_from(["alice", "bob"])
SENDERS = st.sampled_from(["alice", "bob", "me", "group", "agent", "nobody"])
KIDS = st.sampled_from([5, 0x12, 0x24, 0x100, 0x103, 0x300])
MINE = st.sampled_from([7, 8, 0x305])
ANY_KID = st.one_of(KIDS, MINE, st.sampled_from([0x11, 0x21, 0x101, 300, 2**64 - 1]))
KEY = st.integers(0, 3)
_examples = count()


def spans(event, kid):
    """Whether this KID is one of an event's."""
    if isinstance(event, InstallKey):
        return kid == event.kid
    if isinstance(event, InstallSenderKey):
        return kid >> 8 == event.generation
    return kid % 16 == event.epoch % 16


def name(event):
    number = getattr(event, "kid", getattr(event, "generation", getattr(event, "epoch", None)))
    return type(event), number


def clash(held, event):
    """Whether one KID could be of both, so that a receiver would take one of them only."""
    if isinstance(held, InstallEpoch) and isinstance(event, InstallEpoch):
        return held.epoch % 16 == event.epoch % 16 and event.epoch < held.epoch
    if {type(held), type(event)} == {InstallSenderKey, InstallEpoch}:
        return True
    return any(spans(held, kid) and spans(event, kid) for kid in (one(held), one(event)))


def opens(event, kid, key):
    """Whether it opens a frame under this KID and base_key. Of an epoch there are three members."""
    if isinstance(event, InstallEpoch) and spans(event, kid):
        return key == event.base_key and kid >> 4 < 3
    return (kid, key) == (one(event), event.base_key)


def epoch_of(event):
    return event.epoch if isinstance(event, InstallEpoch) else None


def is_replaced(held, event):
    """RFC 9605 5.2: an epoch goes when one with the same low bits comes."""
    both = isinstance(held, InstallEpoch) and isinstance(event, InstallEpoch)
    return both and held.epoch % 16 == event.epoch % 16 and held.epoch < event.epoch


def one(event):
    """A KID of a sender of this key."""
    if isinstance(event, InstallKey):
        return event.kid
    if isinstance(event, InstallSenderKey):
        return SENDER_KEYS.pack(event.generation)
    return EPOCHS.pack(event.epoch, 2)


class Life(RuleBasedStateMachine):
    """A keyring and its model: what it holds to open with, and what to seal with, by KID."""

    engine: ClassVar = None
    disk: ClassVar = None

    def __init__(self):
        super().__init__()
        self.keyring, self.ctrs = Keyring(), count()
        self.held, self.mine, self.used, self.scopes = {}, {}, None, {}
        self.suite, self.was_mine, self.known = None, set(), {}
        self.keys = [_key(n) for n in range(6)]
        self.library = library_for(self.engine)
        self.keys_in_files = count()

    # ---- events ----

    @rule(sender=THEIRS, kid=KIDS, key=KEY)
    def a_key(self, sender, kid, key):
        self.install(InstallKey(sender=sender, suite=GCM, kid=kid, base_key=self.keys[key]))

    @rule(sender=st.sampled_from(["me", "us"]), kid=st.one_of(MINE, KIDS), key=KEY)
    def a_key_of_mine(self, sender, kid, key):
        given = {"suite": GCM, "kid": kid, "base_key": self.keys[key]}
        self.install(InstallKey(sender=sender, mine=True, start=0, **given))

    @rule(sender=THEIRS, generation=st.sampled_from([1, 3]), key=KEY, mine=st.booleans())
    def a_sender_key(self, sender, generation, key, mine):
        given = {"suite": GCM, "generation": generation, "step": 0, "base_key": self.keys[key]}
        self.install(InstallSenderKey(sender="me" if mine else sender, mine=mine, start=0, **given))

    @rule(epoch=st.sampled_from([1, 2, 17]), key=KEY, mine=st.sampled_from([None, 1]))
    def an_epoch(self, epoch, key, mine):
        given = {"suite": GCM, "base_key": self.keys[key], "senders": 3}
        self.install(InstallEpoch(sender="group", epoch=epoch, my_index=mine, start=0, **given))

    @rule(what=st.integers(0, 6), kid=KIDS, key=KEY)
    def nonsense(self, what, kid, key):
        given = {"sender": "alice", "suite": GCM, "kid": kid, "base_key": self.keys[key]}
        more = [
            {"base_key": self.keys[key][:15]},
            {"kid": -1},
            {"kid": 1 << 64},
            {"suite": CipherSuite(3)},
            {"envelope": 2},
            {"mine": True, "start": None},
            {"suite": OTHER},
        ][what]
        event = InstallKey(**given | more)
        again = event.mine and self.mine.get(kid, [None])[1:] == (event.base_key, None)
        self.install(event, refused=what < 6 and not again)

    @rule(sender=SENDERS, kid=ANY_KID)
    def use(self, sender, kid):
        self.follow_use(Use(sender, kid))

    @rule(sender=SENDERS, kid=ANY_KID)
    def drop(self, sender, kid):
        assert self.apply(Drop(sender, kid))
        if kid in self.mine and self.mine[kid][0] == sender:
            self.forget_mine(kid)
        for event in list(self.held.values()):
            if event.sender == sender and spans(event, kid):
                del self.held[name(event)]
                if isinstance(event, InstallEpoch):  # whichever member of it the KID is of
                    for own in [own for own, at in self.mine.items() if at[2] == event.epoch]:
                        self.forget_mine(own)

    @precondition(lambda self: self.used is not None)
    @rule()
    def drop_what_is_in_use(self):
        self.drop(self.mine[self.used][0], self.used)

    @rule(sender=st.sampled_from([None, "alice", "bob", "nobody"]))
    def scope(self, sender):
        has_sender_keys = any(isinstance(event, InstallSenderKey) for event in self.held.values())
        try:
            scope = self.keyring.scope(sender)
        except MisuseError as error:
            assert sender is None and has_sender_keys and leaks(error, *self.keys) == []
        else:
            assert self.scopes.setdefault(sender, scope) is scope

    @rule(data=st.data(), spoiled=st.booleans())
    def a_file(self, data, spoiled):
        """keys.json, as it is to be or with one byte changed."""
        given = content(_key(6, next(self.keys_in_files)), self.keys[5])
        text = bytearray(json.dumps(given).encode())
        if spoiled:
            text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
        path = self.disk / f"{id(self)}"
        path.mkdir(exist_ok=True)
        try:
            events = events_of(StaticKeys(written(path, bytes(text))))
        except KeyFileError as error:
            assert spoiled
            assert leaks(error, self.keys[5], base64url(self.keys[5]).encode()) == []
            return
        for event in events:
            if isinstance(event, InstallKey):
                self.keys.append(event.base_key)
                self.install(event, sure=not spoiled)
            else:
                self.follow_use(event)

    # ---- the model ----

    def apply(self, event):
        """Whether it was followed. Whatever else it raises ends the test."""
        try:
            self.keyring.apply(event)
        except MisuseError as error:
            assert leaks(error, *self.keys) == []
            return False
        return True

    def install(self, event, refused=False, sure=True):
        if len(event.base_key) >= 16 and 0 <= one(event) < 1 << 64:
            self.known[one(event), event.suite] = self.known.get((one(event), event.suite), ())
            self.known[one(event), event.suite] += (event.base_key,)
        refused = refused or self.is_to_be_refused(event)
        accepted = self.apply(event)
        if sure and refused is not None:
            assert accepted != refused, event
        if accepted:
            self.suite = event.suite
            self.follow(event)

    def is_to_be_refused(self, event):
        """None: not said here."""
        if self.suite not in (None, event.suite):
            return True
        if (isinstance(event, InstallEpoch) or not event.mine) and self.cannot_open(event):
            return True
        kid = self.kid_of_mine(event)
        return False if kid is None else self.cannot_seal(event, kid)

    def cannot_open(self, event):
        there = self.held.get(name(event))
        if there and (there.sender, there.base_key) != (event.sender, event.base_key):
            return True
        if any(clash(held, event) for held in self.held.values() if held is not there):
            return True
        if isinstance(event, InstallEpoch):
            return any(spans(event, kid) and at[2] is None for kid, at in self.mine.items())
        if isinstance(event, InstallSenderKey) and None in self.scopes:
            return True
        return any(spans(event, kid) for kid in self.mine)

    def cannot_seal(self, event, kid):
        if kid in self.mine and self.mine[kid][1:] == (event.base_key, epoch_of(event)):
            return False
        if kid in self.mine and (epoch_of(event) or 0) <= (self.mine[kid][2] or 99):
            return True
        if isinstance(event, InstallEpoch):
            return None if (kid, event.base_key) in self.was_mine else False
        if any(spans(held, kid) for held in self.held.values()):
            return True
        return None if (kid, event.base_key) in self.was_mine else False

    def kid_of_mine(self, event):
        if isinstance(event, InstallEpoch):
            return None if event.my_index is None else EPOCHS.pack(event.epoch, event.my_index)
        return one(event) if event.mine else None

    def follow(self, event):
        if isinstance(event, InstallEpoch) or not event.mine:
            for held in [held for held in self.held.values() if is_replaced(held, event)]:
                del self.held[name(held)]
                self.forget_mine(EPOCHS.pack(held.epoch, 1))
            self.held[name(event)] = event
        kid = self.kid_of_mine(event)
        if kid is not None and self.mine.get(kid, [None])[1:] != (event.base_key, epoch_of(event)):
            self.forget_mine(kid)
            self.mine[kid] = event.sender, event.base_key, epoch_of(event)
            self.was_mine.add((kid, event.base_key))

    def follow_use(self, event):
        accepted = self.apply(event)
        assert accepted == (event.kid in self.mine and self.mine[event.kid][0] == event.sender)
        self.used = event.kid if accepted else self.used

    def forget_mine(self, kid):
        self.mine.pop(kid, None)
        self.used = None if self.used == kid else self.used

    # ---- what must hold ----

    @invariant()
    def scopes_open_what_they_have_keys_for_and_nothing_else(self):
        for sender, scope in self.scopes.items():
            ours = [e for e in self.held.values() if is_for(e, sender)]
            assert all(event.suite is scope.receiver.suite for event in ours)
            for (kid, suite), keys in self.known.items():
                for key in keys:
                    wire = Oracle(suite, key, kid, self.library).seal(next(self.ctrs), b"frame")
                    assert self.is_opened(scope, wire) == any(
                        event.suite is suite and opens(event, kid, key) for event in ours
                    ), (kid, sender)

    def is_opened(self, scope, wire):
        try:
            return scope.receiver.unprotect(wire) == b"frame"
        except FrameRejected:
            return False

    @invariant()
    def only_the_key_in_use_seals(self):
        sealing = self.keyring.sealing
        assert (sealing and sealing.kid) == self.used
        if sealing is not None:
            wire = sealing.protect(b"frame")
            header = Header.parse(wire)
            key = Oracle(self.suite, self.mine[self.used][1], self.used, self.library)
            assert header.kid == self.used and key.seal(header.ctr, b"frame") == wire

    @invariant()
    def nothing_shows_a_key(self):
        said = [self.keyring, *self.scopes.values(), *self.held.values(), self.keyring.sealing]
        said.append(dict(self.keyring.flows(1.0)))
        assert shown(repr(said), *self.keys) == []
        for event in self.held.values():
            owner = "" if isinstance(event, InstallEpoch) else event.sender
            assert self.keyring.owner(one(event)) == owner

    def teardown(self):
        self.keyring.close()
        assert self.keyring.sealing is None
        for late in (Drop("alice", 5), Use("me", 7)):
            with pytest.raises(MisuseError):
                self.keyring.apply(late)
        for scope in self.scopes.values():
            with pytest.raises(MisuseError):
                scope.receiver.unprotect(bytes(30))


def is_for(event, sender):
    return isinstance(event, InstallEpoch) or sender in (None, event.sender)


def _key(*number):
    """Fresh ones for each life: a process remembers how far a key was used."""
    return hashlib.sha256(f"{next(_examples)} {number}".encode()).digest()[:16]


def live(engine, monkeypatch, disk, **more):
    monkeypatch.setattr(pysframe, "Receiver", engine.Receiver)
    monkeypatch.setattr(pysframe, "Sender", engine.Sender)
    machine = type("Life", (Life,), {"engine": engine, "disk": disk})
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=25, **more))


def test_whatever_a_source_says(engine, monkeypatch, quick_disk):
    native = engine.name.startswith("native")
    live(engine, monkeypatch, quick_disk, max_examples=100 if native else 40)


# ---- planted faults, each in a place of its own ----


def a_drop_that_leaves_the_receiver_its_key(monkeypatch):
    monkeypatch.setattr(Scope, "remove", lambda *_: None)


def another_key_under_a_kid_in_use(monkeypatch):
    monkeypatch.setattr(Keyring, "_refuse_another", lambda *_: None)


def keys_that_no_receiver_takes_together(monkeypatch):
    monkeypatch.setattr(Keyring, "_clash", lambda *_: False)


def a_key_of_anybody_in_every_scope(monkeypatch):
    monkeypatch.setattr(Scope, "is_for", lambda *_: True)


def a_key_in_words(monkeypatch):
    def refuse(self, event):
        raise MisuseError(f"clashes: {event.base_key.hex()}")

    monkeypatch.setattr(Keyring, "_refuse_clash", refuse)


def an_error_without_a_name(monkeypatch):
    monkeypatch.setattr(Keyring, "_holding", lambda self, kid: self._held["key", kid])


def a_sender_that_outlives_its_drop(monkeypatch):
    drop = Keyring._drop_mine

    def keeping(self, kid):
        sealing = self._sealing
        drop(self, kid)
        self._sealing = sealing

    monkeypatch.setattr(Keyring, "_drop_mine", keeping)


PLANTED = [
    a_drop_that_leaves_the_receiver_its_key,
    another_key_under_a_kid_in_use,
    keys_that_no_receiver_takes_together,
    a_key_of_anybody_in_every_scope,
    a_key_in_words,
    an_error_without_a_name,
    a_sender_that_outlives_its_drop,
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant, monkeypatch, quick_disk):
    plant(monkeypatch)
    seen = {"max_examples": 1000, "phases": [Phase.generate], "report_multiple_bugs": False}
    with pytest.raises((AssertionError, KeyError, MisuseError)):
        live(engines.default(), monkeypatch, quick_disk, database=None, **seen)
