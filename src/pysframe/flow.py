"""KeyFlow: what a receiver says of one KID.

This module holds the public face. The engines complete it, engine/_flow.pxi in C and
engine/twin/_key_flow.py in Python, and judge which state a KID is in: see liveness.py.

Rule of this module: a KeyFlow is a value. Nothing of it changes when frames come.
"""

from operator import index
from typing import TypeAlias

from ._values import Value
from .stats import KeyState

Fields: TypeAlias = tuple[KeyState, int | None, int, dict[str, int], int, float]


class KeyFlow(Value):
    """One KID's state, and the counters that say why: what Receiver.key_flow() returns.

    kid: None for frames that are not SFrame. opened: frames. rejected: frames by reason, out of
    "authentication", "replayed", "too old", "unknown key", "malformed"; for frames that are not
    SFrame, those of all KIDs that have a key and get nothing else. last_ctr: of the newest
    frame opened, 0 before the first. silent_for_s: seconds since a poll saw a frame open, or
    since a poll first saw the KID.

    >>> import pysframe
    >>> receiver = pysframe.Receiver(4)
    >>> receiver.add_key(7, bytes(range(16)))
    >>> receiver.key_flow(now=100.0)[7].state
    <KeyState.WAITING: 'waiting'>
    """

    __slots__ = ()
    __match_args__ = ("state", "kid", "opened", "rejected", "last_ctr", "silent_for_s")


def flow_fields(
    state: KeyState,
    kid: int | None,
    opened: int,
    rejected: dict[str, int],
    last_ctr: int,
    silent_for_s: float,
) -> Fields:
    """The fields of a KeyFlow that Python code makes: values of their own, each of its type."""
    counts = {str(reason): index(frames) for reason, frames in rejected.items()}
    number = None if kid is None else index(kid)
    return KeyState(state), number, index(opened), counts, index(last_ctr), float(silent_for_s)
