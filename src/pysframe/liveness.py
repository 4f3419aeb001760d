"""Whether keys flow: why a receiver is silent, told from its counters.

Theory of operation. A receiver counts, per KID, what it opened and what it refused and why; of the
refused frames also those whose CTR follows an earlier one. Receiver.key_flow() is a poll: each
engine's KeyFlowMonitor compares the counts with those of the poll before, and judges.

    a KID with a key      WAITING -> FLOWING -> STALLED, and WRONG_KEY when tags fail
    a KID without a key   WAITING -> MISSING_KEY, or STALE_KEY when the key was here before
    no KID at all         NOT_SFRAME: media in the clear, or another format

WRONG_KEY takes tags that failed. Of a counter that the replay window refuses no tag is looked at:
whether it is an old frame that somebody repeats, or one of a sender that began again, cannot be
told, and while only such frames come the state is STALLED.

A state gets worse at its threshold at once and better after a bounded time of mostly good frames,
so that one bad frame trips nothing and no state flickers. The thresholds are in limits.py, the
states in stats.py, their table in vectors/key_flow_states.json, and the judging in
engine/_key_flow.pxi and, as its specification, engine/twin/_key_flow.py.
"""

import math

from .errors import MisuseError


def seconds(now: object) -> float:
    """`now` as a finite float, or the error that says what it is instead."""
    if type(now) is not float and not _is_real(now):
        raise TypeError(f"now is a {type(now).__name__}; pass seconds, as time.monotonic() does")
    try:
        value = float(now)  # type: ignore[arg-type]
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise MisuseError(f"now is {value}; pass seconds, as time.monotonic() does")
    return value


def _is_real(now: object) -> bool:
    from numbers import Real  # here, because time.monotonic() gives a float

    return isinstance(now, Real) and not isinstance(now, bool)
