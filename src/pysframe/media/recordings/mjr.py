"""Janus recordings (.mjr): a header in JSON, then RTP packets as they came.

    "MJR00002" | length, 2 bytes | JSON                  or MJR00001; the oldest have no such line
    "MEET" | milliseconds, 4 bytes | length, 2 bytes | RTP packet       ("MEETECHO" in version 1)

Numbers are big-endian; milliseconds count from the first packet, which the header dates ("u", in
microseconds). The format has no document; it is what Janus 0.2 to 1.x write and janus-pp-rec reads.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from ._source import Captured, RecordingError, Source

MAGIC = (b"MJR00001", b"MJR00002", b"MEETECHO")
HEAD = 10  # bytes before each packet
OLDEST = {b"audio": "opus", b"video": "vp8"}  # all that the oldest recordings say


class Info(NamedTuple):
    """What the header says: codec by Janus's name; red: the payload type of RED, or None."""

    codec: str
    red: int | None
    began: float | None  # seconds since 1970
    timed: bool


def read(source: Source) -> tuple[Info, Iterator[Captured]]:
    """The header, and the packets."""
    info = _info(source)
    return info, _packets(source, info)


def _info(source: Source) -> Info:
    magic = source.take(8)
    text = source.take(int.from_bytes(source.take(2), "big"))
    if magic == b"MEETECHO":
        if text not in OLDEST:
            raise RecordingError("this mjr file does not say what it holds")
        return Info(OLDEST[text], None, None, False)
    try:
        header = json.loads(text)
        kind, codec = header["t"], header["c"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RecordingError("the header of this mjr file is damaged") from None
    if kind not in ("a", "v"):
        raise RecordingError("this mjr file holds data channels; only audio and video are sealed")
    began = _number(header.get("u"))
    return Info(
        str(codec),
        int(red) if (red := _number(header.get("or"))) is not None else None,
        None if began is None else began / 1e6,
        magic == b"MJR00002",
    )


def _number(given: Any) -> int | None:
    plausible = isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 1 << 63
    return given if plausible else None


def _packets(source: Source, info: Info) -> Iterator[Captured]:
    mark = b"MEET" if info.timed else b"MEETECHO"
    while head := source.whole(HEAD, "a packet"):
        if not head.startswith(mark):
            source.go_to(source.position - HEAD + 1)
            if not source.skip_to(mark):
                return
            continue
        data = source.whole(int.from_bytes(head[8:], "big"), "a packet")
        if data is None:
            return
        yield Captured(data, _time(info, head))


def _time(info: Info, head: bytes) -> float | None:
    if not info.timed:
        return None
    return (info.began or 0.0) + int.from_bytes(head[4:8], "big") / 1000
