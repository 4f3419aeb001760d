"""Frames on which implementations are compared, and how they are drawn."""

from typing import NamedTuple


class Case(NamedTuple):
    """A frame, with all that decides its ciphertext."""

    suite: int
    kid: int
    ctr: int
    base_key: bytes
    metadata: bytes
    frame: bytes
    clear: int = 0
    steps: int = 0
    ssrc: int | None = None
    codec: str | None = None  # the frame goes in this codec's envelope


def drawn(rng, suite) -> Case:
    """Numbers of every width; most frames short, some long."""
    size = rng.choice((rng.randrange(65), rng.randrange(300), rng.randrange(2000)))
    if rng.random() < 0.01:
        size = rng.randrange(70_000)
    return Case(
        suite,
        kid=rng.getrandbits(rng.randrange(65)),
        ctr=rng.getrandbits(rng.randrange(65)),
        base_key=rng.randbytes(rng.randrange(16, 65)),
        metadata=rng.randbytes(rng.choice((0, 1, 4, 20, rng.randrange(200)))),
        frame=rng.randbytes(size),
    )
