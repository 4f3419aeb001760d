"""What payload types mean: codecs, RED and retransmissions."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ...errors import MisuseError
from .frames import AUDIO, FORMS, Form

AUDIO_RATES = {"OPUS": 48_000, "PCMU": 8_000, "PCMA": 8_000}
VIDEO_RATE = 90_000
RED_RATE_OF = "OPUS"  # the codec that WebRTC wraps in RED
CODECS = (*AUDIO_RATES, *FORMS)


class Meaning(NamedTuple):
    """Of one payload type. red: frames are RED (RFC 2198) around the codec. rtx_of: packets repeat
    those of that payload type (RFC 4588)."""

    codec: str = ""
    red: bool = False
    rtx_of: int | None = None

    @property
    def form(self) -> Form:
        return FORMS.get(self.codec, AUDIO)


STATIC = MappingProxyType({0: Meaning("PCMU"), 8: Meaning("PCMA")})  # RFC 3551 6


def rate(codec: str) -> int:
    """Ticks of a codec's RTP time in a second."""
    return AUDIO_RATES.get(codec, VIDEO_RATE)


def meanings(names: Mapping[int, str]) -> dict[int, Meaning]:
    """Of payload types 0..127 by what SDP calls them: "opus", "VP8", "red", or "rtx/96".

    >>> meanings({111: "opus", 97: "rtx/96"})[97].rtx_of
    96
    """
    return dict(STATIC) | {_type(number): _meaning(name) for number, name in names.items()}


def _type(number: int) -> int:
    if not 0 <= number <= 127:
        raise MisuseError(f"payload type {number} is none; they are 0..127")
    return number


def _meaning(name: str) -> Meaning:
    kind, _, of = name.upper().rpartition("/")
    if kind == "RTX" and of.isdecimal():
        return Meaning(rtx_of=_type(int(of)))
    if of == "RED":
        return Meaning(RED_RATE_OF, red=True)
    if kind in ("", "AUDIO", "VIDEO") and of in CODECS:
        return Meaning(of)
    known = ", ".join(CODECS)
    raise MisuseError(
        f"{name!r} is no codec that can be restored; they are {known}, red, and rtx/N for "
        "retransmissions of payload type N"
    )
