"""Keyring: turns a source's events into one receiver per sender and the sender in use.

Rules of this file:
  1. Media is sealed under the key that Use named, or not at all.
  2. A scope keeps its Receiver as long as the keyring lives, over all reconnections: a new one
     would accept old frames again.
  3. An event that cannot be followed changes nothing, and its error never repeats a key.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from hmac import compare_digest
from types import MappingProxyType
from typing import NamedTuple

import pysframe  # of Sender and Receiver, which belong to an engine

from .._tracebacks import without_locals
from .._values import showable
from ..counters import CounterStore, fingerprint
from ..engine import KeyFlow
from ..errors import MisuseError
from ..keys.layouts import MLSLayout, SenderKeyLayout
from ..limits import REMEMBERED
from ..media.envelope import checked_version
from ..suites import CipherSuite
from .events import Drop, InstallEpoch, InstallKey, InstallSenderKey, KeyEvent, Use
from .scope import NO_SENDER, SENDER_KEYS, Install, Scope

EPOCHS = MLSLayout(E=4, S=10)


class Mine(NamedTuple):
    """Whose name a key to seal with was installed under, and of which epoch it is, if any."""

    sender: str
    epoch: int | None


@showable
class Keyring:
    """The keys of one room, kept as the events of its KeySource say.

    One suite holds for the room; the first key names it. epochs: the MLSLayout of InstallEpoch.
    Thread-safe; apply() may wait for a disk when a key comes with a CounterStore.

    >>> from pysframe.source import InstallKey, Use
    >>> suite, ring = CipherSuite(4), Keyring()
    >>> hers, mine = suite.generate_base_key(), suite.generate_base_key()
    >>> ring.apply(InstallKey(sender="alice", suite=suite, kid=300, base_key=hers))
    >>> ring.apply(InstallKey(sender="me", suite=suite, kid=7, base_key=mine, mine=True, start=0))
    >>> ring.apply(Use("me", 7))
    >>> ring.sealing.kid, ring.scope("alice").receiver.kids
    (7, (300,))
    """

    def __init__(self, *, epochs: MLSLayout = EPOCHS) -> None:
        self._epochs = epochs
        self._turn = threading.Lock()  # of apply(), which may wait for a disk
        self._lock = threading.RLock()  # of what follows; nobody waits with it
        self._suite: CipherSuite | None = None
        self._scopes: dict[str | None, Scope] = {}
        self._held: dict[tuple[str, int], Install] = {}  # what opens, by kind and number
        self._senders: dict[int, pysframe.Sender] = {}  # what seals, by KID
        self._names: dict[int, str] = {}  # the fingerprints of their keys
        self._mine: dict[int, Mine] = {}  # as what each was installed
        self._sealing: pysframe.Sender | None = None
        self._dropped: deque[int] = deque(maxlen=REMEMBERED)
        self._stores: list[CounterStore] = []
        self._closed = False

    # ---- what adapters ask ----

    @property
    def sealing(self) -> pysframe.Sender | None:
        """The Sender to seal with now; None while there is none, and then nothing is sent."""
        return self._sealing

    @without_locals
    def scope(self, sender: str | None = None) -> Scope:
        """The scope of this sender's frames, or of anybody's in the room; always the same one."""
        with self._lock:
            self._refuse_closed()
            if sender not in self._scopes:
                scope = Scope(sender, self._suite or CipherSuite.AES_128_GCM_SHA256_128)
                for event in self._held.values():
                    if scope.is_for(event):
                        scope.install(event, self._epochs)
                self._scopes[sender] = scope
            return self._scopes[sender]

    def owner(self, kid: int) -> str:
        """Whose key this KID is, "" when it is nobody's or any member's."""
        with self._lock:
            event = self._holding(kid)
        return "" if event is None or isinstance(event, InstallEpoch) else event.sender

    def was_dropped(self, kid: int | None) -> bool:
        """Whether this KID's key was dropped recently, so that whoever still uses it is behind."""
        return kid in self._dropped

    def flows(self, now: float) -> Mapping[str, Mapping[int | None, KeyFlow]]:
        """What key_flow() says in all scopes, by sender; see Receiver.key_flow."""
        with self._lock:
            scopes = list(self._scopes.values())
        found: dict[str, dict[int | None, KeyFlow]] = {}
        for scope in scopes:
            for kid, flow in scope.receiver.key_flow(now).items():
                whose = scope.sender or ("" if kid is None else self.owner(kid))
                found.setdefault(whose, {})[kid] = flow
        return MappingProxyType(found)

    def renew(self) -> None:
        """Extends the leases of the senders' CounterStores; it may wait for the disk."""
        for store in list(self._stores):
            store.renew()

    def close(self) -> None:
        """Wipes all keys; idempotent. Frames on their way are refused from now on."""
        with self._lock:
            self._closed, self._sealing = True, None
            for sender in self._senders.values():
                sender.close()
            for scope in self._scopes.values():
                scope.receiver.close()
            self._held.clear()

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._held)} keys>"

    # ---- what the source says ----

    @without_locals
    def apply(self, event: KeyEvent) -> None:
        """Follows one event. Roster and Trouble change no key.

        Raises MisuseError for what cannot be followed: another suite, an envelope that is not
        known, another key under a KID in use or another sender's KID, a key to seal with that says
        no beginning.
        """
        with self._turn:
            self._refuse_closed()
            if isinstance(event, Use):
                self._use(event)
            elif isinstance(event, Drop):
                with self._lock:
                    self._drop(event)
            elif isinstance(event, (InstallKey, InstallSenderKey, InstallEpoch)):
                self._take(event)

    def _take(self, event: Install) -> None:
        checked_version(event.envelope)
        suite = CipherSuite(event.suite)
        if self._suite is not None and self._suite is not suite:
            raise MisuseError(
                f"this room's suite is {self._suite.name}, and a key of {suite.name} came; "
                "a room has one suite"
            )
        opens = isinstance(event, InstallEpoch) or not event.mine
        if opens:
            with self._lock:
                self._check(event, suite)
        if isinstance(event, InstallEpoch):
            self._seal_as_member(event, suite)
        elif event.mine:
            self._seal(event, suite)
        if opens:
            with self._lock:
                self._receive(event, suite)
        self._suite = suite

    def _check(self, event: Install, suite: CipherSuite) -> None:
        """Raises what would keep a receiver from taking this key, before anything has changed."""
        for kid, mine in self._mine.items():
            of_a_group = isinstance(event, InstallEpoch) and mine.epoch is not None
            if self._spans(event, kid) and not of_a_group:
                raise MisuseError(f"KID {kid:#x} is sealed with here; no key is for both ways")
        if isinstance(event, InstallSenderKey) and None in self._scopes:
            raise MisuseError(NO_SENDER)
        self._refuse_another(event)
        self._try(event, suite)

    def _receive(self, event: Install, suite: CipherSuite) -> None:
        self._refuse_closed()  # meanwhile, perhaps
        scopes = [scope for scope in self._scopes.values() if scope.is_for(event)]
        for scope in scopes:
            scope.takes(suite)
            scope.install(event, self._epochs)
        self._forget_older(event)
        self._held[_name(event)] = event
        for scope in scopes:
            scope.tell()

    def _forget_older(self, event: Install) -> None:
        """RFC 9605 5.2 MUST: an epoch goes when one with the same low bits comes."""
        if not isinstance(event, InstallEpoch):
            return
        for kind, number in list(self._held):
            if (
                kind == "epoch"
                and number != event.epoch
                and self._low(number) == self._low(event.epoch)
            ):
                del self._held[kind, number]
                self._drop_mine_of(number)

    def _refuse_another(self, event: Install) -> None:
        """A Drop, and who is named as speaking, hang on a KID being one key's alone.

        No receiver would take both, neither one that is there nor one that a later track needs.
        """
        held = self._held.get(_name(event))
        if held is None:
            self._refuse_clash(event)
        elif held.sender != event.sender:
            kind, number = _name(event)
            raise MisuseError(f"{kind} {number:#x} belongs to {held.sender!r} in this room")
        elif not compare_digest(held.base_key, event.base_key):
            kind, number = _name(event)
            where = "KID" if kind == "key" else f"the number of {kind}"
            raise MisuseError(f"another key is in use under {where} {number:#x}")

    def _refuse_clash(self, event: Install) -> None:
        for held in self._held.values():
            if self._clash(held, event):
                (kind, number), (theirs, other) = _name(event), _name(held)
                raise MisuseError(
                    f"{kind} {number:#x} clashes with {theirs} {other:#x} of {held.sender!r}: no "
                    "receiver can tell their KIDs apart, or an epoch comes late"
                )

    def _clash(self, held: Install, event: Install) -> bool:
        """Whether no receiver could have both."""
        if isinstance(event, InstallKey):
            return not isinstance(held, InstallKey) and self._spans(held, event.kid)
        if isinstance(held, InstallKey):
            return self._spans(event, held.kid)
        if isinstance(held, InstallEpoch) and isinstance(event, InstallEpoch):
            return self._low(held.epoch) == self._low(event.epoch) and event.epoch < held.epoch
        return type(held) is not type(event)  # their layouts differ

    def _spans(self, event: Install, kid: int) -> bool:
        """Whether a KID is one of this key's."""
        if isinstance(event, InstallKey):
            return kid == event.kid
        if isinstance(event, InstallSenderKey):
            return SENDER_KEYS.unpack(kid).generation == event.generation
        return self._low(kid) == self._low(event.epoch)

    def _low(self, epoch: int) -> int:
        return epoch % (1 << self._epochs.E)

    def _try(self, event: Install, suite: CipherSuite) -> None:
        """Raises what a receiver would: a key that is kept for a later scope must be one."""
        trial = Scope(event.sender, suite)
        try:
            trial.install(event, self._epochs)
        finally:
            trial.receiver.close()

    def _seal(self, event: InstallKey | InstallSenderKey, suite: CipherSuite) -> None:
        """Makes the Sender of one of our own keys. It seals once Use names it."""
        if isinstance(event, InstallSenderKey):
            kid = SENDER_KEYS.pack(event.generation, event.step)
            self._refuse_opened(kid)
            self._make(kid, event, suite, event.start, SENDER_KEYS)
        else:
            self._refuse_opened(event.kid)
            self._make(event.kid, event, suite, event.start)

    def _refuse_opened(self, kid: int) -> None:
        if any(self._spans(held, kid) for held in self._held.values()):
            raise MisuseError(f"KID {kid:#x} is opened with here; no key is for both ways")

    def _seal_as_member(self, event: InstallEpoch, suite: CipherSuite) -> None:
        if event.my_index is not None:
            kid = self._epochs.pack(event.epoch, event.my_index)
            self._make(kid, event, suite, event.start)

    def _make(
        self,
        kid: int,
        event: Install,
        suite: CipherSuite,
        start: int | CounterStore | None,
        layout: SenderKeyLayout | None = None,
    ) -> None:
        name = fingerprint(suite, kid, event.base_key)
        epoch = event.epoch if isinstance(event, InstallEpoch) else None
        if kid in self._senders:
            if self._names[kid] == name:
                return  # the same key again: its counter goes on
            older = self._mine[kid].epoch  # 0 is an epoch, too
            if epoch is None or older is None or epoch <= older:
                raise MisuseError(f"another key to seal with is in use under KID {kid:#x}")
        store = start if isinstance(start, CounterStore) else None
        next_ctr = None if isinstance(start, CounterStore) else start
        sender = pysframe.Sender(
            suite,
            kid=kid,
            base_key=event.base_key,
            next_ctr=next_ctr,
            counters=store,
            layout=layout,
        )
        with self._lock:
            if self._closed:
                sender.close()
            self._refuse_closed()
            if kid in self._senders:
                self._drop_mine(kid)  # of an older epoch
            self._senders[kid], self._names[kid] = sender, name
            self._mine[kid] = Mine(event.sender, epoch)
        if store is not None and store not in self._stores:
            self._stores.append(store)

    def _use(self, event: Use) -> None:
        if event.kid not in self._mine or self._mine[event.kid].sender != event.sender:
            raise MisuseError(
                f"no key to seal with is here under KID {event.kid:#x} of {event.sender!r}"
            )
        self._sealing = self._senders[event.kid]

    def _drop(self, event: Drop) -> None:
        if event.kid in self._mine and self._mine[event.kid].sender == event.sender:
            self._drop_mine(event.kid)
        held = self._holding(event.kid)
        if held is not None and held.sender == event.sender:
            if isinstance(held, InstallEpoch):
                self._drop_mine_of(held.epoch)  # the event may have named any member of it
            self._dropped.append(event.kid)
            del self._held[_name(held)]
            for scope in self._scopes.values():
                if scope.is_for(held):
                    scope.remove(held)

    def _drop_mine_of(self, epoch: int) -> None:
        for kid in [kid for kid, mine in self._mine.items() if mine.epoch == epoch]:
            self._drop_mine(kid)

    def _drop_mine(self, kid: int) -> None:
        del self._mine[kid]
        sender = self._senders.pop(kid)
        if self._sealing is sender:
            self._sealing = None  # sending nothing is safer than media in the clear
        sender.close()

    def _holding(self, kid: int) -> Install | None:
        """The installed key, sender key or epoch that this KID belongs to."""
        return next((held for held in self._held.values() if self._spans(held, kid)), None)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise MisuseError("this keyring is closed")


def _name(event: Install) -> tuple[str, int]:
    if isinstance(event, InstallKey):
        return "key", event.kid
    if isinstance(event, InstallSenderKey):
        return "sender key", event.generation
    return "epoch", event.epoch
