"""What a receiver counts, by name, and what the counts can mean.

Rule: values only. An engine fills them in; liveness.py says how the states follow.
"""

from enum import Enum
from typing import NamedTuple


class KeyStats(NamedTuple):
    """Counts of one KID that has a key: frames, unless said otherwise."""

    kid: int
    opened: int
    auth_failed: int
    replayed: int
    too_old: int
    last_ctr: int  # of the newest frame opened; 0 before the first
    provisional: bool  # derived before any frame, and no tag has verified under it yet
    closed: bool  # a 4-byte tag has failed 2^12 times
    advanced: int  # refused frames whose CTR follows that of an earlier one, as a sender's do


class StrangerStats(NamedTuple):
    """Counts of one KID that has no key: frames."""

    frames: int
    advanced: int  # frames whose CTR follows that of an earlier one


class ReceiverStats(NamedTuple):
    """Counts of one receiver."""

    malformed: int  # frames
    unknown: int  # frames under KIDs without a key
    strangers: dict[int, StrangerStats]  # the latest and most frequent of those KIDs
    keys: list[KeyStats]


class KeyState(Enum):
    """What one KID's key does for its receiver."""

    WAITING = "waiting"  # no frame yet, or too few to tell
    FLOWING = "flowing"
    MISSING_KEY = "missing key"  # frames arrive, their key does not
    WRONG_KEY = "wrong key"  # tags fail, ten in a row or a fifth: another key, metadata, tampering
    STALE_KEY = "stale key"  # frames under a key that was removed here, so the sender is behind
    # It flowed, and no frame has opened for two seconds: none came, or none with a new counter.
    STALLED = "stalled"
    NOT_SFRAME = "not SFrame"  # media in the clear, or another format
