"""Frame sizes that media services really see, seeded, in bytes.

From encoders at work (Opus 20 ms at 24-64 kbit/s, DTX, RED with one redundant frame; VP8 and
H.264 at 180p to 1080p): means and spreads, drawn from a log-normal and kept within bounds.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One kind of frame. typical, least, most: bytes; spread: of the logarithm; rate: frames/s."""

    name: str
    typical: int
    spread: float
    least: int
    most: int
    rate: int

    def size(self, rng: random.Random) -> int:
        drawn = round(rng.lognormvariate(0, self.spread) * self.typical)
        return min(max(drawn, self.least), self.most)


MODELS = {
    model.name: model
    for model in (
        Model("opus-20ms", 80, 0.25, 20, 160, 50),
        Model("opus-dtx", 2, 0.6, 1, 12, 50),
        Model("opus-red", 170, 0.25, 60, 330, 50),
        Model("vp8-delta", 1200, 0.6, 120, 9000, 30),
        Model("vp8-key", 18000, 0.4, 4000, 120000, 1),
        Model("h264-delta", 1500, 0.6, 120, 12000, 30),
        Model("h264-key", 30000, 0.4, 6000, 200000, 1),
        Model("simulcast-180p", 330, 0.5, 60, 3000, 30),
        Model("simulcast-360p", 900, 0.5, 120, 6000, 30),
        Model("simulcast-720p", 2600, 0.5, 300, 20000, 30),
    )
}


def sizes(name: str, count: int, rng: random.Random) -> list[int]:
    """`count` frame sizes of one model."""
    model = MODELS[name]
    return [model.size(rng) for _ in range(count)]


def mixed(count: int, rng: random.Random, audio: int = 3, video: int = 1) -> list[int]:
    """Audio and video in a shuffled proportion: what an SFU service meets in one tick."""
    names = ["opus-20ms"] * audio + ["vp8-delta"] * video
    return [MODELS[rng.choice(names)].size(rng) for _ in range(count)]


def content(size: int, rng: random.Random) -> bytes:
    return rng.randbytes(size)
