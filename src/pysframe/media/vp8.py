"""VP8 (RFC 6386 9.1): 1 byte in the clear before the ciphertext, or 10 on a key frame.

bit 0       0: a key frame         kept
bits 1-3    version                kept
bit 4       the frame is shown     kept
bits 5-23   size of the first partition: set to zero; on delta frames only byte 0 is sent
key frames: 9D 01 2A, then width and height with their scales, 2 bytes each    kept
"""

from ._carrier import Codec, NoCarrier

KEY_SIZE, DELTA_SIZE = 10, 1  # bytes in the clear
START_CODE = b"\x9d\x01\x2a"
# The clear part for bytes that are not VP8: an interframe that claims nothing.
UNREADABLE = b"\x01"


def _shown(frame: bytes) -> bytes:
    tag = frame[0] & 0x1F
    if tag & 1:
        return bytes([tag])
    if len(frame) < KEY_SIZE or frame[3:6] != START_CODE:
        return UNREADABLE
    return bytes([tag, 0, 0]) + frame[3:KEY_SIZE]


def _wrap(frame: bytes, ciphertext: bytes) -> bytes:
    return _shown(frame) + ciphertext


def _unwrap(wire: bytes) -> bytes:
    size = DELTA_SIZE if wire[0] & 1 else KEY_SIZE
    if len(wire) <= size:
        raise NoCarrier("this VP8 frame ends in its own header; it was cut short")
    return wire[size:]


VP8 = Codec("VP8", _wrap, _unwrap)
