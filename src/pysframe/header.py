"""The SFrame header (RFC 9605 4.3): encode, parse, and parse many without any key.

      7 6 5 4 3 2 1 0
     +-+-----+-+-----+----------+----------+
     |X|  K  |Y|  C  |  KID...  |  CTR...  |      1 to 17 bytes
     +-+-----+-+-----+----------+----------+

X = 0: K is the KID, 0..7. X = 1: the KID follows in K + 1 bytes, most significant first.
Y and C say the same of the counter, whose bytes come after the KID's.

Rules of this file:
  1. Parsing never reads past the end and raises nothing but MalformedFrame.
  2. What a header says is a claim; nothing may change state before the tag has verified.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

from ._buffers import ReadableBuffer, byte_view
from ._rows import as_rows, clear_per_row
from .batch import FrameBatch
from .errors import FrameRejected, FrameStatus, MalformedFrame, MisuseError, rejection

MAX_VALUE = (1 << 64) - 1  # of a KID and of a counter


@dataclass(frozen=True, slots=True)
class Header:
    """A KID and a counter, 0..2^64-1 each; size is the bytes they take on the wire.

    Raises MisuseError for a value out of range.

    >>> Header(kid=0x123, ctr=0x4567).encode().hex()
    '9901234567'
    >>> Header.parse(bytes.fromhex("9901234567") + b"...")
    Header(kid=291, ctr=17767, size=5)
    """

    kid: int
    ctr: int
    size: int = 0

    def __post_init__(self) -> None:
        for name in ("kid", "ctr"):
            value = index(getattr(self, name))
            if not 0 <= value <= MAX_VALUE:
                raise MisuseError(f"{name} is {value}; it must be 0..2^64-1")
            object.__setattr__(self, name, value)
        if not self.size:
            object.__setattr__(self, "size", header_size(self.kid, self.ctr))

    def encode(self) -> bytes:
        """The header's bytes, in the shortest form."""
        return encode_header(self.kid, self.ctr)

    @staticmethod
    def parse(ciphertext: "ReadableBuffer", *, strict: bool = True) -> "Header":
        """The header at the start of an SFrame ciphertext.

        strict refuses encodings that are not minimal, as no sender may make them (RFC 9605 4.3).
        Raises MalformedFrame with what is wrong, where, and in which bytes.
        """
        return Header(*parse_header(byte_view(ciphertext, "ciphertext"), strict))


def header_size(kid: int, ctr: int) -> int:
    """Bytes the header of this KID and counter takes, 1..17."""
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
    # RFC 9605 4.3 MUST: the least number of bytes; a sender that takes more is not heard.
    if strict and (_extra(kid) != kid_size or _extra(ctr) != ctr_size):
        raise _not_minimal(kid, kid_size, ctr, ctr_size)
    return kid, ctr, size


class HeaderColumns:
    """What the headers of n frames say: kid and ctr uint64[n], size and status uint8[n].

    A row that is no SFrame header has status FrameStatus.MALFORMED and zeros elsewhere.
    """

    __slots__ = ("ctr", "kid", "size", "status")

    kid: memoryview
    ctr: memoryview
    size: memoryview
    status: memoryview

    def __init__(self, rows: Sequence[tuple[int, int, int]]) -> None:
        kids, ctrs, sizes = zip(*rows, strict=True) if rows else ((), (), ())
        statuses = [FrameStatus.OK if size else FrameStatus.MALFORMED for size in sizes]
        self.kid = memoryview(array("Q", kids)).toreadonly()
        self.ctr = memoryview(array("Q", ctrs)).toreadonly()
        self.size = memoryview(array("B", sizes)).toreadonly()
        self.status = memoryview(array("B", statuses)).toreadonly()

    def __len__(self) -> int:
        return len(self.kid)


def parse_headers(
    batch: "FrameBatch | Sequence[ReadableBuffer]",
    *,
    clear: "int | Sequence[int] | None" = None,
    strict: bool = True,
) -> HeaderColumns:
    """What a forwarder can see of many ciphertexts without any key; it never raises for a frame.

    clear is how many bytes lie before each header: one number, or one for each row. Raises
    TypeError for a row that is not bytes-like, MisuseError for a clear below 0.

    >>> parse_headers([bytes.fromhex("9901234567"), b""]).status.tolist()
    [0, 1]
    """
    listed = batch if isinstance(batch, FrameBatch) else as_rows("batch", batch)
    starts = clear_per_row(clear, len(listed))
    if min(starts, default=0) < 0:
        raise MisuseError(f"clear is {min(starts)}; it cannot be negative")
    rows = zip(listed, starts, strict=True)
    return HeaderColumns([_parse_or_zeros(ciphertext, start, strict) for ciphertext, start in rows])


def _parse_or_zeros(ciphertext: "ReadableBuffer", start: int, strict: bool) -> tuple[int, int, int]:
    try:
        return parse_header(byte_view(ciphertext, "ciphertext")[start:], strict)
    except MalformedFrame:
        return 0, 0, 0


def _extra(value: int) -> int:
    """Bytes a value takes behind the config byte: none below 8."""
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
