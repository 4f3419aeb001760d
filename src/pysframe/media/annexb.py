"""Byte streams of NAL units: ITU-T H.264 7.4.1 and Annex B, the same in H.265.

A NAL unit is found by the start code 00 00 01 before it, so the code must not occur inside: an
encoder inserts 03 after two zero bytes wherever a byte 00..03 follows them (emulation prevention).
"""

import re

START = b"\0\0\0\1"  # four bytes: some packetizers know no other start code
_BARE = re.compile(rb"\0\0(?=[\0-\3])")


def units(stream: bytes) -> list[bytes]:
    """The NAL units of a stream without zeros at their ends; none if it is no such stream."""
    head, *rest = stream.split(b"\0\0\1")
    if head.strip(b"\0"):
        return []
    return [unit for unit in (part.rstrip(b"\0") for part in rest) if unit]


def escape(data: bytes) -> bytes:
    """With emulation prevention.

    >>> escape(bytes([7, 0, 0, 1, 0, 0, 0, 0])).hex(" ")
    '07 00 00 03 01 00 00 03 00 00'
    """
    return _BARE.sub(b"\0\0\3", data)


def unescape(data: bytes) -> bytes:
    """Without emulation prevention."""
    return data.replace(b"\0\0\3", b"\0\0")
