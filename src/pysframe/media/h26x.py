"""H.264 and H.265: parameter sets in the clear, then one slice NAL unit that holds the ciphertext.

    parameter sets | 00 00 00 01 | NAL header | escape( stub | ciphertext | 80 )

The NAL header is that of the frame's first slice: whether it is a key frame, and its layers. The
stub is the beginning of a slice header, as far as packetizers read it: first slice of the picture,
and which picture parameter set it refers to. 80 is the stop bit with which every RBSP ends; without
it a tag that ends in 00 would lose its last byte to readers that strip zeros.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from ._bits import BitReader, packed, ue
from ._carrier import Codec, NoCarrier, only
from .annexb import START, escape, unescape, units

STOP = 0x80
LONGEST_STUB = 16  # bytes: more than what is read of a slice header can take, escaped
ALL_I, ALL_P = 7, 5  # slice_type of H.264


class Syntax(NamedTuple):
    """What differs between the two. pps_id moves a reader to where the slice data would begin."""

    name: str
    header: int  # bytes
    parameter_sets: Collection[int]  # NAL unit types
    slices: Collection[int]
    last_pps: int
    unreadable: bytes  # the header shown when there is no slice: an inter picture, not disposable
    type_of: Callable[[bytes], int]
    stub_of: Callable[[int, int], str]  # (NAL unit type, PPS) -> bits
    pps_id: Callable[[int, BitReader], int]


# ---- H.264: ITU-T H.264 7.3.1, 7.3.3 ----


def _type_264(unit: bytes) -> int:
    return unit[0] & 0x1F


def _stub_264(kind: int, pps: int) -> str:
    return ue(0) + ue(ALL_I if kind == 5 else ALL_P) + ue(pps)


def _pps_264(kind: int, slice_header: BitReader) -> int:
    slice_header.ue()  # first_mb_in_slice
    slice_header.ue()  # slice_type
    return slice_header.ue()


# ---- H.265: ITU-T H.265 7.3.1.2, 7.3.6.1 ----


def _type_265(unit: bytes) -> int:
    return unit[0] >> 1


def _is_irap(kind: int) -> bool:
    return 16 <= kind <= 23


def _stub_265(kind: int, pps: int) -> str:
    return "1" + "0" * _is_irap(kind) + ue(pps)


def _pps_265(kind: int, slice_header: BitReader) -> int:
    slice_header.bit()  # first_slice_segment_in_pic_flag
    if _is_irap(kind):
        slice_header.bit()  # no_output_of_prior_pics_flag
    return slice_header.ue()


H264_SYNTAX = Syntax(
    "H264", 1, {7, 8}, {1, 5}, 255, b"\x21", _type_264, _stub_264, _pps_264
)  # fmt: skip
H265_SYNTAX = Syntax(
    "H265", 2, {32, 33, 34}, range(32), 63, b"\x02\x01", _type_265, _stub_265, _pps_265
)  # fmt: skip


def codec(syntax: Syntax) -> Codec:
    """The codec of a syntax."""

    def wrap(frame: bytes, ciphertext: bytes) -> bytes:
        found = units(frame)
        shown = [unit for unit in found if _is(syntax.parameter_sets, syntax, unit)]
        header, pps = _first_slice(syntax, found)
        stub = packed(syntax.stub_of(syntax.type_of(header), pps))
        carrier = header + escape(stub + ciphertext + bytes([STOP]))
        return b"".join(START + unit for unit in (*shown, carrier))

    def unwrap(wire: bytes) -> bytes:
        carriers = [unit for unit in units(wire) if _is(syntax.slices, syntax, unit)]
        return _ciphertext(syntax, only(carriers, "a slice NAL unit"))

    return Codec(syntax.name, wrap, unwrap)


def _is(types: Collection[int], syntax: Syntax, unit: bytes) -> bool:
    whole = len(unit) >= syntax.header and not unit[0] & 0x80  # forbidden_zero_bit
    return whole and syntax.type_of(unit) in types


def _first_slice(syntax: Syntax, found: list[bytes]) -> tuple[bytes, int]:
    """The NAL header that the carrier shows, and its picture parameter set."""
    slices = (unit for unit in found if _is(syntax.slices, syntax, unit))
    unit = next(slices, syntax.unreadable)
    body = unescape(unit[syntax.header : syntax.header + LONGEST_STUB])
    try:
        pps = syntax.pps_id(syntax.type_of(unit), BitReader(body))
    except ValueError:
        pps = 0
    return unit[: syntax.header], pps if pps <= syntax.last_pps else 0


def _ciphertext(syntax: Syntax, carrier: bytes) -> bytes:
    body = unescape(carrier[syntax.header :])
    if body[-1:] != bytes([STOP]):
        raise NoCarrier(f"this {syntax.name} slice lacks the stop bit: cut short, or in the clear")
    bits = BitReader(body[:LONGEST_STUB])
    try:
        syntax.pps_id(syntax.type_of(carrier), bits)
    except ValueError:
        raise NoCarrier(f"this {syntax.name} slice has no slice header") from None
    return body[bits.bytes_read() : -1]


H264, H265 = codec(H264_SYNTAX), codec(H265_SYNTAX)
