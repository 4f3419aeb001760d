"""The events of a key source, and the reports it receives.

Rules of this file:
  1. A base_key shows in no repr, and an event that holds one cannot be pickled or copied.
  2. Nothing is checked here: a Keyring refuses what is wrong when it is given an event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn, Protocol

from .._values import showable
from ..counters import CounterStore
from ..engine import KeyFlow
from ..media.envelope import UNSAID
from ..suites import CipherSuite


class _Secretive:
    """Events that hold a base_key: their repr leaves it out, and they stay in this process."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"an {type(self).__name__} holds a key; it cannot be pickled or copied")


@showable
@dataclass(frozen=True, slots=True, kw_only=True)
class InstallKey(_Secretive):
    """One key of one member.

    mine: it is to seal with, and never to open (RFC 9605 4.4.1: never both). start, for a key that
    is mine: its next counter, 0 when it was never used, or the CounterStore that remembers it.
    envelope: the version of pysframe.media that its owner uses; 1 when nothing says which.

    >>> InstallKey(sender="alice", suite=CipherSuite(4), kid=300, base_key=bytes(16))
    InstallKey(sender='alice', suite=<CipherSuite.AES_128_GCM_SHA256_128: 4>, kid=300, mine=False, \
start=None, envelope=1)
    """

    sender: str
    suite: CipherSuite
    kid: int
    base_key: bytes = field(repr=False)
    mine: bool = False
    start: int | CounterStore | None = None
    envelope: int = UNSAID


@showable
@dataclass(frozen=True, slots=True, kw_only=True)
class InstallSenderKey(_Secretive):
    """A member's sender key, which its owner may ratchet: RFC 9605 5.1 with R = 8.

    generation: the field of 5.1. Where a roster gives each member an index it is
    index << 20 | generation, so that no two members share a KID. step: the one base_key belongs to.
    start, for a key that is mine, must be given, as of InstallKey: 0 for a key that is made anew
    when the process starts; one that outlives it needs a CounterStore, or its nonces repeat.
    """

    sender: str
    suite: CipherSuite
    generation: int
    step: int
    base_key: bytes = field(repr=False)
    mine: bool = False
    start: int | CounterStore | None = None
    envelope: int = UNSAID


@showable
@dataclass(frozen=True, slots=True, kw_only=True)
class InstallEpoch(_Secretive):
    """An MLS epoch, from which every member's key follows: RFC 9605 5.2 with E = 4.

    sender: the name of the group. senders: the size of the roster. my_index: this member's, or None
    to receive only. start, for who seals, must be given, as of InstallKey: 0 for an epoch in which
    this process alone seals; who keeps the group's state and goes on in the same epoch after a
    restart needs a CounterStore, or its nonces repeat.
    """

    sender: str
    epoch: int
    suite: CipherSuite
    base_key: bytes = field(repr=False)
    senders: int | None = None
    my_index: int | None = None
    start: int | CounterStore | None = None
    envelope: int = UNSAID


@showable
@dataclass(frozen=True, slots=True)
class Use:
    """Seal under this KID of this sender from now on.

    sender: as in the event that installed the key, so that a KID never stands for somebody else's.
    """

    sender: str
    kid: int


@showable
@dataclass(frozen=True, slots=True)
class Drop:
    """Forget this sender's key of this KID, to open and to seal with.

    Of an epoch all of it goes, whichever member the KID is of; of somebody's sender key the whole
    generation, and of one's own this step alone.
    """

    sender: str
    kid: int


@showable
@dataclass(frozen=True, slots=True)
class Roster:
    """Who is in the room. revision counts up; hash: of the list that its members agreed on."""

    revision: int
    hash: bytes
    members: tuple[str, ...]


class TroubleKind(StrEnum):
    """The closed list of what can be wrong."""

    MISSING_KEY = "missing key"  # frames arrive, their key does not
    WRONG_KEY = "wrong key"  # frames arrive, and the key at hand does not open them
    STALE_KEY = "stale key"  # frames arrive under a key that was dropped: their sender is behind
    NOT_SFRAME = "not SFrame"  # media in the clear, or another format
    CANNOT_SEAL = "cannot seal"  # no key to seal with, or it has reached its end: nothing is sent
    REFUSED = "refused"  # an event of the source cannot be followed
    SOURCE_ENDED = "source ended"  # the source failed: no more keys will come


@showable
@dataclass(frozen=True, slots=True)
class Trouble:
    """Something is wrong, and media is lost until it is put right.

    sender: whose media, or "" when that is not known. words: for a person; never part of a key.
    """

    kind: TroubleKind
    sender: str
    words: str


KeyEvent = InstallKey | InstallSenderKey | InstallEpoch | Use | Drop | Roster | Trouble


class KeySource(Protocol):
    """Whatever exchanges keys: a file, a key service's client, MLS."""

    def events(self) -> AsyncIterator[KeyEvent]:
        """The events in their order; those that still hold come first. Its end is no fault."""

    async def report(self, flows: Mapping[str, Mapping[int | None, KeyFlow]]) -> None:
        """Told about once a second: by sender ("" for unknown ones) what key_flow() says."""

    async def close(self) -> None:
        """Ends events(); idempotent. It forgets its keys."""
