"""pysframe call: an end-to-end encrypted voice call in one process, on real media."""

from __future__ import annotations

import argparse
import math
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import backend_info
from ._console import CommandError, fancy, need, say, say_json, say_pair
from ._streams import named

if TYPE_CHECKING:
    from ..demo.digits import Samples
    from ..demo.expectations import Finding
    from ..demo.stage import Cast, Stage
    from ._screen import Screen

HELP = "run a whole encrypted voice call in this process and judge it"
TEXT = """\
Runs an end-to-end encrypted voice call on real media, in one process: a publisher speaks, a
forwarder that holds no key passes the packets on (and loses, repeats and delays some), a
subscriber and an agent listen with the key, the agent answers, two outsiders try without it. The
publisher changes its key while it speaks. Without FILE it says random digits as DTMF tones,
which everybody tries to read back; with FILE it plays any audio that PyAV opens.

Exit status: 0 when every expectation holds, 1 when one failed, 130 after Ctrl-C."""

DIGITS, SECONDS, MAX_SECONDS = 12, 10.0, 600.0
BUDGET_US = {"native": 100.0, "fallback": 1000.0}  # of the 20,000 us that a frame lasts
REDRAW_S = 0.1
STALL_S = 0.5  # of a delay at most this much is made up: Ctrl-Z may cause hours


@dataclass(frozen=True)
class About:
    """The parameters that identify a run."""

    seed: int
    file: str | None
    engine: str
    budget_us: float

    @property
    def title(self) -> str:
        from ..demo.parties import SUITE

        what = "" if self.file is None else f" {named(self.file)}"
        return (
            f"pysframe call{what}, seed {self.seed}\n"
            f"{SUITE.name} on {self.engine}; p99 budget {self.budget_us:g} us CPU"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="audio to play")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--digits", type=_digits, metavar="N", help="digits to speak (12)")
    length.add_argument("--seconds", type=_seconds, metavar="N", help="length of the speech (10)")
    parser.add_argument("--seed", type=int, help="repeats a run's digits and its network")
    parser.add_argument(
        "--budget-us",
        type=_microseconds,
        metavar="US",
        help="processor time allowed for protect and unprotect at p99 (native 100, fallback 1000)",
    )
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--realtime", action="store_true", help="at the pace of speech (default)")
    pace.add_argument("--fast", action="store_true", help="as fast as this machine can")
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")


def _digits(text: str) -> int:
    return int(_number(int, text, lambda n: 1 <= n <= 1000, "a whole number from 1 to 1000"))


def _seconds(text: str) -> float:
    wanted = f"a number from 1 to {MAX_SECONDS:g}"
    return _number(float, text, lambda n: 1 <= n <= MAX_SECONDS, wanted)


def _microseconds(text: str) -> float:
    return _number(float, text, lambda n: 0 < n < math.inf, "a number above 0")


def _number(kind: type[int | float], text: str, fits: Callable[[float], bool], what: str) -> float:
    """The number; ArgumentTypeError with the expectation when the text is none."""
    with suppress(ValueError):
        if fits(number := kind(text)):
            return number
    raise argparse.ArgumentTypeError(f"{text!r} must be {what}")


def run(args: argparse.Namespace, cast: Cast | None = None) -> int:
    """The exit status; cast is for tests that replace a party."""
    need("call", av="PyAV", numpy="NumPy")
    from ..demo.stage import Cast, Stage

    seed = secrets.randbits(32) if args.seed is None else args.seed
    rng = random.Random(seed)
    pcm, digits = _speech(args, rng)
    backend = backend_info()
    about = About(
        seed=seed,
        file=None if args.file is None else str(args.file),
        engine=f"{backend.engine}:{backend.kernel}",
        budget_us=_budget(args, backend.engine),
    )
    stage = Stage(pcm, rng, digits=digits, cast=cast or Cast())
    interrupted = _play(stage, args, about)
    return _conclude(stage, args, about, interrupted)


def _budget(args: argparse.Namespace, engine: str) -> float:
    return BUDGET_US[engine] if args.budget_us is None else float(args.budget_us)


def _speech(args: argparse.Namespace, rng: random.Random) -> tuple[Samples, str]:
    """The samples, and the digits in them ("" for a file)."""
    from ..demo.digits import DIGIT_S, speak
    from ..demo.opus import UnplayableFile, load

    if args.file is not None:
        if args.digits:
            raise CommandError("--digits is for a call without FILE; use --seconds")
        try:
            return load(args.file, args.seconds or SECONDS), ""
        except UnplayableFile as why:
            raise CommandError(f"{named(args.file)} {why}") from None
    count = max(1, int(args.seconds / DIGIT_S)) if args.seconds else args.digits or DIGITS
    digits = "".join(rng.choices("0123456789", k=count))
    return speak(digits), digits


def _play(stage: Stage, args: argparse.Namespace, about: About) -> bool:
    """Runs the call to its end; True when Ctrl-C interrupted it."""
    from ._screen import screen

    with screen(about.title, silent=args.json) as shown:
        try:
            _tick_along(stage, shown, fast=args.fast)
        except KeyboardInterrupt:
            return True
        finally:
            stage.finish()
            shown.show(stage)
    return False


def _tick_along(stage: Stage, shown: Screen, *, fast: bool) -> None:
    from ..demo.parties import TICK_S

    started, drawn = time.monotonic(), -math.inf  # shows the first picture at once
    while not stage.done:
        stage.tick()
        now = time.monotonic()
        started = max(started, now - stage.ticks * TICK_S - STALL_S)
        if now - drawn >= REDRAW_S:
            shown.show(stage)
            drawn = now
        if not fast:
            time.sleep(max(0.0, started + stage.ticks * TICK_S - time.monotonic()))


# ---- the end ----


def _conclude(stage: Stage, args: argparse.Namespace, about: About, interrupted: bool) -> int:
    from ..demo.expectations import judge
    from ..demo.report import as_json

    findings = [] if interrupted else judge(stage, about.budget_us)
    ok = not interrupted and all(finding.holds for finding in findings)
    if args.json:
        head = {"ok": ok, "interrupted": interrupted, **asdict(about)}
        say_json(as_json(stage, findings, **head))
    else:
        _tell(stage, findings, about.budget_us, interrupted)
    return 130 if interrupted else 0 if ok else 1


def _tell(stage: Stage, findings: list[Finding], budget_us: float, interrupted: bool) -> None:
    from ..demo.report import interruptions, network, sentences
    from ._screen import STYLES, plain_table

    if not fancy():
        say()
        plain_table(stage).show()
        say()
    for name, words in sentences(stage):
        say_pair(name, words, STYLES[name])
    say_pair("network", network(stage))
    say()
    if interrupted:
        say(f"Stopped after {stage.now:.1f} s of the call; nothing was judged.", "bold yellow")
        return
    for finding in findings:
        _tell_finding(finding)
    if note := interruptions(stage, budget_us):
        say_pair("note", note, "dim")
    say()
    say(*_verdict(findings))


def _tell_finding(finding: Finding) -> None:
    say_pair("ok" if finding.holds else "FAILED", finding.says, "green" if finding.holds else "red")
    for contradiction in finding.instead:
        say_pair("", contradiction)


def _verdict(findings: list[Finding]) -> tuple[str, str]:
    failed = sum(not finding.holds for finding in findings)
    if failed:
        return f"{failed} of {len(findings)} expectations failed.", "bold red"
    return (
        f"All {len(findings)} expectations hold: whole for those with the key, noise for others.",
        "bold green",
    )
