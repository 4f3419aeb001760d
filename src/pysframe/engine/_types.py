"""The shapes that every engine speaks; no errors, no cryptography, nothing to import."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

# Kinds of a receiver's keys, as csrc/sfr.h numbers them: given by the caller; derived ahead of any
# frame; asked for by a header, which may be forged.
GIVEN, AHEAD, ASKED = range(3)


class Reach(NamedTuple):
    """KIDs whose keys can be derived: kid & mask == group, and a number that is in reach.

    The number is kid >> shift & numbers; `total` of them are in reach, from `first` on, modulo
    numbers + 1. The first `few`, in KIDs with no other bit set, may each have a key that is kept.
    The rest share an allowance: a forger may name them without end.
    """

    mask: int
    group: int
    numbers: int
    shift: int
    first: int
    total: int
    few: int


class KeyStats(NamedTuple):
    """What a receiver counted for one KID: frames, unless said otherwise."""

    kid: int
    opened: int
    auth_failed: int
    replayed: int
    too_old: int
    last_ctr: int  # of the newest frame opened; 0 before the first
    provisional: bool  # derived ahead, and no tag has verified under it yet
    closed: bool  # a 4-byte tag failed 2^12 times
    advanced: int  # of the refused frames, those whose CTR went on from others, as a sender's do


class StrangerStats(NamedTuple):
    """What a receiver counted for a KID that it has no key for: frames."""

    frames: int
    advanced: int  # those whose CTR went on from others


class ReceiverStats(NamedTuple):
    """What a receiver counted."""

    malformed: int  # frames
    unknown: int  # frames under KIDs without a key
    strangers: dict[int, StrangerStats]  # by unknown KID: of the latest and most frequent
    keys: list[KeyStats]


class Backend(NamedTuple):
    """Which engine runs, and why not another: what backend_info() returns."""

    engine: str  # "native" or "fallback"
    kernel: str  # "vaes512", "aesni", "cryptography", ...
    refused: dict[str, str]  # "native:vaes512" and the like -> why it is not used
    versions: dict[str, str]
    self_test: str  # "ok", or the suites that failed
    memory: str  # whether the pages of keys are locked, and left out of core dumps


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """The package's classes and functions over one engine and kernel: what bind() returns."""

    name: str  # as bind() takes it: "native:vaes512", "fallback:cryptography", ...
    kernel: str
    Secret: type[Any]
    Sender: type[Any]
    Receiver: type[Any]
    protect_many: Callable[..., Any]
    unprotect_many: Callable[..., Any]
    protect_batch: Callable[..., Any]
    unprotect_batch: Callable[..., Any]
