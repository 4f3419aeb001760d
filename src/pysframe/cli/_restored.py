"""What became of a recording, in words: a table of KIDs, a table of tracks, and what was odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..media.recordings import Flow, Track
from ..media.recordings.matroska import Plan
from ..media.recordings.opening import NOT_SFRAME
from ..media.recordings.plans import Name, name_of
from ._console import Table, say, say_pair
from ._streams import named

NOTHING = "nothing seen"
STYLES = {"restored": "green", "in part": "yellow"}
UNPLAYABLE = "no key frame in it that a decoder can begin with"


@dataclass
class Outcome:
    """What the first pass found, and how many frames the second has written."""

    tracks: Sequence[Track]
    flows: Mapping[int | str, Flow]
    notes: Mapping[str, int]
    plans: Mapping[Name, Plan]
    written: int = 0
    refused: int = 0  # of these, by the writer of the file

    @property
    def opened(self) -> int:
        return sum(flow.opened for flow in self.flows.values())

    @property
    def rejected(self) -> int:
        return sum(flow.rejected.total() for flow in self.flows.values())

    @property
    def unplayable(self) -> list[Track]:
        """Tracks of opened frames that cannot be written."""
        return [track for track in self.tracks if track.opened and name_of(track) not in self.plans]

    @property
    def may_be_written(self) -> bool:
        """Whether every KID opened; one that did not may carry half of a conversation."""
        shut = [flow for flow in self.flows.values() if flow.rejected and not flow.opened]
        return bool(self.plans) and not shut and not self.unplayable

    @property
    def is_whole(self) -> bool:
        return bool(self.written) and not (self.rejected or self.unplayable or self.refused)

    @property
    def problems(self) -> list[str]:
        """Why the outcome is incomplete, in words."""
        found = [_shut(kid, flow) for kid, flow in self.flows.items() if flow.rejected]
        found += [f"{_track(track)}: {UNPLAYABLE}" for track in self.unplayable]
        if self.refused:
            found.append(f"{_count(self.refused, 'frame')} opened, and no frame of the codec")
        return found


def _shut(kid: int | str, flow: Flow) -> str:
    of = f"{kid_words(kid)} ({named(flow.sender)})" if flow.sender else kid_words(kid)
    count = _count(flow.rejected.total(), "frame")
    if flow.verdict == "in part":
        return f"{of}: {count} failed authentication, {flow.opened:,} opened: they were altered"
    if flow.verdict == "wrong key":
        return f"{of}: the key opens none of {count}: it is not the one they were sealed with"
    if flow.rejected[NOT_SFRAME]:
        return f"{count} with no ciphertext where the codec has it: in the clear, SRTP, or damaged"
    return f"{of}: {count}, and no key is here"


def kid_words(kid: int | str) -> str:
    return f"KID {kid}" if isinstance(kid, int) else kid


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _track(track: Track) -> str:
    return f"{track.codec} of SSRC {track.ssrc:#010x}"


# ---- on a terminal ----


def tell(outcome: Outcome, recordings: Sequence[str], output: str) -> None:
    _kids(outcome).show()
    if outcome.tracks:
        say()
        _tracks(outcome, recordings).show()
    say()
    for words, count in sorted(outcome.notes.items()):
        say_pair(f"{count:>9,}", words, rest="dim")
    for problem in outcome.problems:
        say_pair("PROBLEM", problem, "bold red")
    say(*_verdict(outcome, output))


def _kids(outcome: Outcome) -> Table:
    rows: list[Sequence[str]] = [
        (
            kid_words(kid),
            named(flow.sender) or "-",
            f"{flow.opened:,}",
            f"{flow.repeated:,}",
            f"{flow.rejected.total():,}",
            flow.verdict,
        )
        for kid, flow in sorted(outcome.flows.items(), key=lambda row: str(row[0]).rjust(24))
        if flow.verdict != NOTHING
    ]
    styles = {row[0]: STYLES.get(row[-1], "red") for row in rows}
    columns = ("frames of", "sender", "restored", "repeated", "rejected", "verdict")
    return Table(columns, rows, frozenset(columns[2:5]), styles)


def _tracks(outcome: Outcome, recordings: Sequence[str]) -> Table:
    rows: list[Sequence[str]] = [
        (
            f"{track.codec} {track.ssrc:08x}",
            f"{track.opened + track.recovered:,}",
            _length(track.seconds),
            f"{track.lost:,}",
            f"{track.incomplete:,}",
            " ".join(filter(None, (named(recordings[track.number]), track.flow))),
        )
        for track in outcome.tracks
    ]
    columns = ("track", "frames", "ends", "lost", "broken", "from")
    return Table(columns, rows, frozenset(columns[1:5]))


def _length(seconds: float) -> str:
    minutes, tenths = divmod(round(seconds * 10), 600)  # so that no minute has 60.0 s
    return f"{minutes}:{tenths / 10:04.1f}"


def _verdict(outcome: Outcome, output: str) -> tuple[str, str]:
    kids = sum(bool(flow.opened) for flow in outcome.flows.values())
    if outcome.is_whole:
        frames = _count(outcome.opened, "frame")
        words = f"All {frames} of {_count(kids, 'KID')} restored: {named(output)}"
        return words, "bold green"
    if outcome.written:
        of = outcome.opened + outcome.rejected
        return f"{outcome.opened:,} of {of:,} frames restored: {named(output)}", "bold yellow"
    more = "; --partial writes what was opened" if outcome.plans else ""
    return f"Nothing was written{more}.", "bold red"


# ---- as JSON ----


def as_json(outcome: Outcome, recordings: Sequence[str], output: str) -> dict[str, Any]:
    return {
        "ok": outcome.is_whole,
        "problems": outcome.problems,
        "output": output if outcome.written else None,
        "opened": outcome.opened,
        "rejected": outcome.rejected,
        "kids": [_kid_as_json(kid, flow) for kid, flow in outcome.flows.items()],
        "tracks": [_track_as_json(track, outcome, recordings) for track in outcome.tracks],
        "notes": dict(outcome.notes),
    }


def _kid_as_json(kid: int | str, flow: Flow) -> dict[str, Any]:
    return {
        "kid": kid if isinstance(kid, int) else None,
        "sender": flow.sender or None,
        "verdict": flow.verdict,
        "opened": flow.opened,
        "repeated": flow.repeated,
        "rejected": dict(flow.rejected),
    }


def _track_as_json(track: Track, outcome: Outcome, recordings: Sequence[str]) -> dict[str, Any]:
    return {
        "recording": recordings[track.number],
        "flow": track.flow or None,
        "ssrc": track.ssrc,
        "codec": track.codec,
        "kids": sorted(track.kids),
        "opened": track.opened,
        "recovered": track.recovered,
        "incomplete": track.incomplete,
        "lost_packets": track.lost,
        "repeated_packets": track.repeated,
        "seconds": round(track.seconds, 3),
        "written": name_of(track) in outcome.plans and bool(outcome.written),
    }
