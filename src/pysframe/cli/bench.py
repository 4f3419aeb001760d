"""pysframe bench: measures within seconds how fast this machine protects and unprotects frames."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import CipherSuite, backend_info
from ..demo.contest import BLOCK, CROWD, Timing, WrongAnswer, absent, crowd, p50_p99, race
from ._console import CommandError, Table, fancy, say, say_json
from ._streams import complain
from ._terminal import Display, display

HELP = "time protect and unprotect on this machine, beside other libraries"
TEXT = f"""\
Times protect and unprotect of one frame each of {BLOCK} streams, by one call for each frame and by
one call for the batch, and beside it the bare AEAD (one key, no header, no replay window) of
`cryptography` and pycryptodome where they are installed. All take turns in one process, and every
frame that was timed is compared with what went in.

A cell is nanoseconds for a frame: the median and the 99th percentile of blocks of {BLOCK} frames.
The number of voice streams is measured with {CROWD:,} of them, whose keys fit into no cache.
For figures that hold in an argument, see bench/ in the source.

Exit status: 0, or 1 when a frame did not come back as it was."""

SIZES = {80: "80 B", 1200: "1.2 kB", 20_000: "20 kB"}
SIZES_MEAN = "80 B is 20 ms of Opus; 1.2 kB and 20 kB are a delta and a key frame of video"
VOICE, VOICE_FRAMES = 80, 50  # bytes a frame, frames a second
REDRAW_S, BAR = 0.1, 20  # seconds between two redraws; columns of the bar
VERBS = {"protect": "seal", "unprotect": "open"}

Timings = dict[str, Timing]
Results = dict[int, Timings]
Advance = Callable[[float], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to measure (4)")
    parser.add_argument("--suite", type=int, default=4, help="cipher suite, 1-8 (4)")
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")


def run(args: argparse.Namespace) -> int:
    if not 0.1 <= args.seconds <= 600:
        raise CommandError(f"--seconds is {args.seconds:g}; it must be 0.1..600")
    suite, backend = _suite(args.suite), backend_info()
    engine = f"{backend.engine}:{backend.kernel}"
    if not args.json:
        say(f"pysframe bench, {suite.name} on {engine}")
    try:
        results, voices = _measure(suite, args.seconds, silent=args.json)
    except WrongAnswer as error:
        complain(f"pysframe bench: {error}")
        return 1
    if args.json:
        say_json(_as_json(results, voices, suite, engine))
    else:
        _tell(results, voices, suite)
    return 0


def _suite(number: int) -> CipherSuite:
    if number not in list(CipherSuite) or CipherSuite(number).has_short_tag:
        numbers = ", ".join(str(s.value) for s in CipherSuite if not s.has_short_tag)
        raise CommandError(f"--suite is {number}; it must be one of {numbers}")
    return CipherSuite(number)


def _measure(suite: CipherSuite, seconds: float, *, silent: bool) -> tuple[Results, Timings]:
    """The race at each size, then the crowd of voices; all get equal time."""
    results: Results = {}
    parts = len(SIZES) + 1
    with _progress(silent) as advance:
        for done, size in enumerate(SIZES):
            results[size] = race(suite, size, seconds / parts, _share(advance, done, parts))
        voices = crowd(suite, VOICE, seconds / parts, _share(advance, parts - 1, parts))
    return results, voices


def _share(advance: Advance, done: int, parts: int) -> Advance:
    return lambda share: advance((done + share) / parts)


@contextmanager
def _progress(silent: bool) -> Iterator[Advance]:
    """A progress bar on a terminal, nothing elsewhere; called with the share that is done."""
    if silent or not fancy():
        yield lambda share: None
        return
    with display(transient=True) as shown:
        yield _Bar(shown).advance


class _Bar:
    """A bar that is drawn between blocks: drawn in a thread it would take time from them."""

    def __init__(self, shown: Display) -> None:
        self._display, self._drawn = shown, -math.inf

    def advance(self, share: float) -> None:
        if share < 1 and time.monotonic() - self._drawn < REDRAW_S:
            return
        from rich.columns import Columns
        from rich.progress_bar import ProgressBar

        self._drawn = time.monotonic()
        self._display.draw(Columns(["measuring", ProgressBar(1.0, share, width=BAR)]))


# ---- words ----


def _tell(results: Results, voices: Timings, suite: CipherSuite) -> None:
    names = list(next(iter(results.values())))
    table = Table(("frame", "ns each", *names), right=frozenset(names), names=2)
    for size, timings in results.items():
        for verb, attribute in VERBS.items():
            cells = [_cell(getattr(timings[name], attribute)) for name in names]
            table.rows.append((SIZES[size], verb, *cells))
    say()
    table.show()
    say()
    say(f"p50 / p99 over blocks of {BLOCK} frames, k and M for thousands and millions", "dim")
    say(SIZES_MEAN, "dim")
    for why in absent(suite):
        say(f"not in the table: {why}", "dim")
    say()
    calls, batch = map(_round, voice_streams(voices).values())
    say(
        f"One core protects and unprotects about {max(calls, batch):,} voice streams.", "bold green"
    )
    what = f"{VOICE} B, {VOICE_FRAMES} a second, of {CROWD:,} keys"
    say(f"({what}: {batch:,} in batches, {calls:,} call by call)", "dim")


def _round(number: int) -> int:
    """Two significant digits: the third differs from run to run."""
    unit = int(10 ** max(len(str(number)) - 2, 0))
    return number // unit * unit


def _cell(ns: list[float]) -> str:
    return " / ".join(map(_short, p50_p99(ns)))


def _short(ns: float) -> str:
    """Three significant digits, with k for thousands."""
    if ns < 1000:
        return f"{ns:.0f}"
    return f"{ns / 1000:.3g}k" if ns < 999_500 else f"{ns / 1e6:.3g}M"


def voice_streams(voices: Timings) -> dict[str, int]:
    """Streams of 50 frames a second that one core can protect and unprotect, by contestant."""
    return {name: _streams(timing) for name, timing in voices.items()}


def _streams(timing: Timing) -> int:
    ns_per_frame = p50_p99(timing.seal)[0] + p50_p99(timing.open)[0]
    return int(1e9 / ns_per_frame / VOICE_FRAMES)


def _as_json(results: Results, voices: Timings, suite: CipherSuite, engine: str) -> dict[str, Any]:
    return {
        "engine": engine,
        "suite": suite.name,
        "block": BLOCK,
        "ns_per_frame": {
            str(size): {name: _timing_json(timing) for name, timing in timings.items()}
            for size, timings in results.items()
        },
        "voice_streams_per_core": voice_streams(voices),
    }


def _timing_json(timing: Timing) -> dict[str, dict[str, float]]:
    found = {}
    for verb, attribute in VERBS.items():
        ns = getattr(timing, attribute)
        p50, p99 = p50_p99(ns)
        found[verb] = {"p50": round(p50, 1), "p99": round(p99, 1), "blocks": len(ns)}
    return found
