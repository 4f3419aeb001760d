"""RED (RFC 2198): a packet carries copies of earlier frames, then a new one."""

from typing import NamedTuple


class Block(NamedTuple):
    """One frame in it; before: by how much its RTP time is earlier."""

    before: int
    data: bytes


def blocks(frame: bytes) -> list[Block]:
    """The frames, oldest first. Raises ValueError when it is no RED."""
    heads, at = list[tuple[int, int]](), 0
    while _byte(frame, at) & 0x80:
        fields = int.from_bytes(frame[at + 1 : at + 4], "big")
        heads.append((fields >> 10, fields & 0x3FF))
        at += 4
    at += 1
    found = []
    for before, size in heads:
        if at + size > len(frame):
            raise ValueError("a block ends past the frame")
        found.append(Block(before, frame[at : at + size]))
        at += size
    return [*found, Block(0, frame[at:])]


def _byte(frame: bytes, at: int) -> int:
    if at >= len(frame):
        raise ValueError("a block header is cut short")
    return frame[at]
