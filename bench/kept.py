"""What large frames cost when their results are kept: the page faults of fresh memory.

    python bench/kept.py                                            as the allocator does it
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python bench/kept.py      with huge pages

Microseconds a frame, the best of several runs of 24 batches of 16 frames under one key. No other
bench shows this: interleave.py tells the allocator to keep its pages.
"""

import gc
import os
from collections.abc import Callable
from time import perf_counter_ns

import pysframe

FRAMES, BATCHES, RUNS = 16, 24, 7
SIZES = 1_200, 8_192, 40_000


class Ways:
    """One sender, and the ways to seal the same frames."""

    def __init__(self, size: int) -> None:
        self.frames = [os.urandom(size) for _ in range(FRAMES)]
        self.batch = pysframe.FrameBatch.from_frames(self.frames)
        self.sender = pysframe.Sender(4, kid=7, base_key=os.urandom(16), next_ctr=0)
        room = FRAMES * (size + 33)
        self.ring = [bytearray(room) for _ in range(BATCHES)]

    def dropped(self) -> None:
        for _ in range(BATCHES):
            pysframe.protect_many(self.sender, self.frames)

    def kept(self) -> None:
        self.results = [pysframe.protect_many(self.sender, self.frames) for _ in range(BATCHES)]
        self.results.clear()

    def one_buffer(self) -> None:
        for _ in range(BATCHES):
            pysframe.protect_batch(self.sender, self.batch, out=self.ring[0])

    def ring_of_buffers(self) -> None:
        for out in self.ring:
            pysframe.protect_batch(self.sender, self.batch, out=out)


def best(run: Callable[[], None]) -> float:
    """Microseconds a frame."""
    found = []
    for _ in range(RUNS):
        start = perf_counter_ns()
        run()
        found.append(perf_counter_ns() - start)
    return min(found) / (FRAMES * BATCHES) / 1000


def main() -> None:
    gc.disable()
    names = "dropped", "kept", "one_buffer", "ring_of_buffers"
    print(f"{'bytes':>7}", *(f"{name.replace('_', ' '):>16}" for name in names))
    for size in SIZES:
        ways = Ways(size)
        print(f"{size:7}", *(f"{best(getattr(ways, name)):16.2f}" for name in names))


if __name__ == "__main__":
    main()
