"""pysframe decrypt: a recording of sealed media, opened and put into a file that players read."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from ..media.recordings import CODECS, Recording, RecordingError, Restorer
from ..media.recordings.plans import Plans, blocks
from ..source import InstallKey, KeyFileError, StaticKeys
from ._console import CommandError, need, say_json
from ._new_file import NewFile
from ._progress import Progress, progress
from ._restored import Outcome, as_json, tell
from ._streams import named

HELP = "open a recording of sealed media, and write what players read"
TEXT = f"""\
Opens recordings of sealed media (an mjr of Janus, or RTP in a pcap or pcapng capture) with the
keys of a keys.json, and writes the frames, as their encoders made them, into a Matroska file: one
track for each stream. Several recordings become one file, by the times they began.

What a capture's payload types mean is not in it: say it with --codec, as SDP does (a=rtpmap).
Known are {", ".join(CODECS)}, red, and rtx/N for what
repeats payload type N.

The recordings are read twice. Nothing is written before all frames have been opened; where a KID
has no key or the wrong one nothing is written at all, unless --partial asks for what there is.

Exit status: 0 when every frame that is whole in the recording was restored, 1 when not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recordings", metavar="RECORDING", nargs="+", help="mjr, pcap or pcapng")
    parser.add_argument("--keys", metavar="FILE", required=True, help="keys.json, of mode 0600")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the Matroska file")
    parser.add_argument(
        "--codec", metavar="N=NAME", action="append", default=[],
        help="what payload type N of a capture is: 111=opus, 96=VP8, 97=rtx/96",
    )  # fmt: skip
    parser.add_argument(
        "--partial", action="store_true", help="write what can be opened, also if not all can"
    )
    parser.add_argument("--force", action="store_true", help="replace the output if it is there")
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")


def run(args: argparse.Namespace) -> int:
    need("decrypt", av="PyAV")
    keys, names = _keys(args.keys), _names(args.codec)
    new = NewFile(args.output, replace=args.force)
    with ExitStack() as stack:
        files = [stack.enter_context(_opened(path)) for path in args.recordings]
        if new.is_one_of(files):
            raise CommandError(f"{named(args.output)} is the recording itself")
        if new.is_one_of([stack.enter_context(_opened(args.keys))]):
            raise CommandError(f"{named(args.output)} is the file of the keys")
        pairs = zip(args.recordings, files, strict=True)
        recordings = [_recording(path, file, names) for path, file in pairs]
        shown = stack.enter_context(progress(recordings, silent=args.json))
        outcome = _opened_once(recordings, keys, shown)
        if not outcome.tracks:
            _explain_nothing(args.recordings, recordings, outcome)
        if outcome.may_be_written or (args.partial and outcome.plans):
            _write(new, recordings, keys, outcome, shown)
    if args.json:
        say_json(as_json(outcome, args.recordings, args.output))
    else:
        tell(outcome, args.recordings, args.output)
    return 0 if outcome.is_whole else 1


# ---- arguments ----


def _keys(path: str) -> list[InstallKey]:
    import asyncio  # imported here because no other command needs it

    async def events() -> list[InstallKey]:
        return [event async for event in source.events() if isinstance(event, InstallKey)]

    try:
        source = StaticKeys(path)
    except KeyFileError as fault:
        raise CommandError(str(fault)) from None
    return asyncio.run(events())


def _names(options: Sequence[str]) -> dict[int, str]:
    names = {}
    for option in options:
        number, _, name = option.partition("=")
        if not (number.isascii() and number.isdecimal() and len(number) < 4 and name):
            raise CommandError(f"--codec {option} is not of the form 111=opus")
        names[int(number)] = name
    return names


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A regular file: it is read more than once."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise CommandError(f"{named(path)} is no regular file, and is to be read twice")
            yield file
    except OSError as error:
        raise CommandError(f"{named(path)} cannot be read: {error.strerror or error}") from None


def _recording(path: str, file: BinaryIO, names: dict[int, str]) -> Recording:
    try:
        return Recording(file, names)
    except RecordingError as fault:
        raise CommandError(f"{named(path)}: {fault}") from None
    except ValueError as fault:
        raise CommandError(f"--codec: {fault}") from None


# ---- the work ----


def _opened_once(
    recordings: Sequence[Recording], keys: Sequence[InstallKey], shown: Progress
) -> Outcome:
    """The first pass: every frame is opened, none is kept."""
    plans, restorer = Plans(), Restorer(recordings, keys, lambda: shown.at("opening"))
    try:
        for restored in restorer.frames():
            plans.see(restored)
        tracks = restorer.tracks
        return Outcome(tracks, restorer.flows, restorer.notes, plans.titled(tracks, restorer.flows))
    finally:
        restorer.close()


def _write(
    new: NewFile,
    recordings: Sequence[Recording],
    keys: Sequence[InstallKey],
    outcome: Outcome,
    shown: Progress,
) -> None:
    """The second pass: the same again, into the file."""
    from ..media.recordings import matroska

    restorer = Restorer(recordings, keys, lambda: shown.at("writing"))

    def told() -> Iterator[matroska.Block]:
        for block in blocks(outcome.plans, restorer.frames()):
            outcome.written += 1
            yield block

    try:
        with new as file:
            outcome.refused = matroska.write(file, list(outcome.plans.values()), told())
            if restorer.flows != outcome.flows:
                raise CommandError("a recording changed while it was read; try again")
            new.keep()
    except OSError as error:
        why = error.strerror or error
        raise CommandError(f"{named(new.path)} cannot be written: {why}") from None
    finally:
        restorer.close()


def _explain_nothing(
    paths: Sequence[str], recordings: Sequence[Recording], outcome: Outcome
) -> None:
    """No frame belongs to a known stream, most often because the payload types were not given."""
    lines = [
        f"{named(path)}: {count} packets of payload type {kind}, SSRC {ssrc:#010x}"
        for path, recording in zip(paths, recordings, strict=True)
        if not recording.is_mjr
        for (kind, ssrc), count in recording.unnamed().most_common(8)
    ]
    if lines:
        listed = "\n    ".join(lines)
        raise CommandError(
            f"--codec must say what payload types are, as in 111=opus:\n    {listed}"
        )
    raise CommandError(f"there is no frame in {', '.join(map(named, paths))}")
