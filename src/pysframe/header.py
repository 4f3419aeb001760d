"""The SFrame header (RFC 9605 4.3): encode, parse, and parse many without any key.

      7 6 5 4 3 2 1 0
     +-+-----+-+-----+----------+----------+
     |X|  K  |Y|  C  |  KID...  |  CTR...  |      1 to 17 bytes
     +-+-----+-+-----+----------+----------+

X = 0: K is the KID, 0..7. X = 1: the KID follows in K + 1 bytes, most significant first.
Y and C say the same of the counter, whose bytes come after the KID's.

This module holds the public face and the readable parser. The engine completes Header and
HeaderColumns: engine/_headers.pxi in C, engine/twin/_headers.py in Python.

Rules of this module:
  1. Parsing never reads past the end of the bytes, and raises nothing but MalformedFrame.
  2. A header is a claim. Nothing may change state before the tag has verified.
"""

from typing import TYPE_CHECKING

from ._values import Signature, Value
from .errors import FrameRejected, FrameStatus, MisuseError, rejection

if TYPE_CHECKING:
    from .engine._native import ColumnsCore, HeaderCore
else:
    ColumnsCore = object

    class HeaderCore:
        __slots__ = ()


def _arguments(kid: int, ctr: int, size: int = 0) -> None: ...


class Header(HeaderCore, Value):
    """A KID and a counter, 0..2^64-1 each; size is the bytes they take on the wire.

    Headers are immutable values. Raises MisuseError for a value out of range.

    >>> from pysframe import Header
    >>> Header(kid=0x123, ctr=0x4567).encode().hex()
    '9901234567'
    >>> Header.parse(bytes.fromhex("9901234567") + b"...")
    Header(kid=291, ctr=17767, size=5)
    """

    __slots__ = ()
    __match_args__ = ("kid", "ctr", "size")
    __signature__ = Signature(_arguments)

    def encode(self) -> bytes:
        """The header's bytes, in the shortest form."""
        return encode_header(self.kid, self.ctr)


class HeaderColumns(ColumnsCore):
    """What the headers of n frames say: kid and ctr uint64[n], size and status uint8[n].

    A row that is no SFrame header has status FrameStatus.MALFORMED and zeros elsewhere.
    """

    __slots__ = ()

    @property
    def kid(self) -> memoryview:
        """uint64[n]: the KID of each header."""
        return self._column(0, 8, "Q")

    @property
    def ctr(self) -> memoryview:
        """uint64[n]: the counter of each header."""
        return self._column(8, 8, "Q")

    @property
    def size(self) -> memoryview:
        """uint8[n]: the bytes of each header."""
        return self._column(16, 1, "B")

    @property
    def status(self) -> memoryview:
        """uint8[n]: FrameStatus of each row, OK or MALFORMED."""
        return self._column(17, 1, "B")


def header_size(kid: int, ctr: int) -> int:
    """The bytes that the header of this KID and counter takes, 1..17."""
    return 1 + _extra(kid) + _extra(ctr)


def encode_header(kid: int, ctr: int) -> bytes:
    """The shortest form (RFC 9605 4.3 MUST); kid and ctr are known to be in range."""
    kid_size, ctr_size = _extra(kid), _extra(ctr)
    config = (0x80 | (kid_size - 1) << 4) if kid_size else kid << 4
    config |= (0x08 | (ctr_size - 1)) if ctr_size else ctr
    kid_field = kid.to_bytes(kid_size) if kid_size else b""
    ctr_field = ctr.to_bytes(ctr_size) if ctr_size else b""
    return bytes((config,)) + kid_field + ctr_field


def parse_header(data: "bytes | memoryview", strict: bool) -> tuple[int, int, int]:
    """(kid, ctr, size) of the header at the start of data, or MalformedFrame."""
    if not len(data):
        raise rejection(FrameStatus.MALFORMED, detail="it is empty")
    config = data[0]
    kid_size = (config >> 4 & 7) + 1 if config & 0x80 else 0
    ctr_size = (config & 7) + 1 if config & 0x08 else 0
    size = 1 + kid_size + ctr_size
    if size > len(data):
        detail = f"config byte {config:#04x} means a header of {size} bytes, and it has {len(data)}"
        raise rejection(FrameStatus.MALFORMED, detail=detail)
    kid_end = 1 + kid_size
    kid = int.from_bytes(data[1:kid_end]) if kid_size else config >> 4 & 7
    ctr = int.from_bytes(data[kid_end:size]) if ctr_size else config & 7
    # RFC 9605 4.3 MUST: the least number of bytes. A frame with a longer header is refused.
    if strict and (_extra(kid) != kid_size or _extra(ctr) != ctr_size):
        raise _not_minimal(kid, kid_size, ctr, ctr_size)
    return kid, ctr, size


def too_short(size: int, least: int) -> FrameRejected:
    """What is said of a ciphertext that has not the bytes for clear bytes, header and tag."""
    detail = f"it has {size} bytes where the least is {least}"
    return rejection(FrameStatus.MALFORMED, detail=detail)


def too_long(size: int, max_frame: int, kid: int, ctr: int) -> FrameRejected:
    """What is said of a ciphertext whose frame of `size` bytes is over the receiver's limit."""
    detail = f"its frame has {size} bytes, more than max_frame={max_frame}"
    return rejection(FrameStatus.MALFORMED, kid, ctr, detail)


def why_malformed(
    head: bytes, size: int, clear: int, tag_size: int, max_frame: int, strict: bool
) -> FrameRejected:
    """What is wrong with a ciphertext of `size` bytes that the C core found to be malformed.

    head: at least MAX_HEADER bytes from behind the clear bytes on, or all there are before the tag.
    """
    if size < (least := clear + 1 + tag_size):
        return too_short(size, least)
    try:
        kid, ctr, header_bytes = parse_header(head, strict)
    except FrameRejected as refusal:
        return refusal.with_traceback(None)
    frame = size - header_bytes - tag_size
    if frame > max_frame:
        return too_long(frame, max_frame, kid, ctr)
    return rejection(FrameStatus.MALFORMED)  # another thread has written to it meanwhile


def negative_clear(least: int) -> MisuseError:
    """What parse_headers says of clear bytes below 0."""
    return MisuseError(f"clear is {least}; it cannot be negative")


def _extra(value: int) -> int:
    """The bytes that a value takes after the config byte: none below 8."""
    return 0 if value < 8 else (value.bit_length() + 7) // 8


def _not_minimal(kid: int, kid_size: int, ctr: int, ctr_size: int) -> FrameRejected:
    name, value, size = "KID", kid, kid_size
    if _extra(kid) == kid_size:
        name, value, size = "CTR", ctr, ctr_size
    detail = (
        f"its {name} {value:#x} is not in the shortest form "
        f"({size} bytes after the config byte where {_extra(value)} would do)"
    )
    return rejection(FrameStatus.MALFORMED, kid, ctr, detail)
