"""One core, 1 to 100,000 voice streams: frames a second, memory and key set-up of each.

Every stream has a Sender and a Receiver with a key of its own and sends one 80-byte frame a tick.
A tick protects all of them in batches of at most 512 rows, then unprotects them, in an order that
is not the one in which their keys lie in memory. Each number of streams runs in a fresh process,
so that memory is what the process grew by.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import objects
from workloads import require

import pysframe

STREAMS = (1, 10, 100, 1_000, 10_000, 100_000)
SIZE, RATE, ROWS, SUITE = 80, 50, 512, 4
LEAST_FOR_MEMORY = 10_000  # streams: with fewer, what is shared counts too much
LEAST_FRAMES = 100_000  # of one measurement, over as many ticks as it takes

Streams = tuple[list[pysframe.Sender], list[pysframe.Receiver]]


def curve() -> list[dict[str, float]]:
    here = Path(__file__).parent
    command = [sys.executable, Path(__file__).name]
    return [
        json.loads(subprocess.check_output([*command, str(count)], cwd=here)) for count in STREAMS
    ]


def measure(count: int) -> dict[str, float]:
    objects.make_receiver(1)  # what the first object brings is not a stream's
    before = objects.resident()
    keys = [random.randbytes(16) for _ in range(count)]
    senders, sender_us = timed(lambda: [_sender(i, key) for i, key in enumerate(keys)])
    receivers, receiver_us = timed(lambda: [_receiver(i, key) for i, key in enumerate(keys)])
    grown = objects.resident() - before
    protect, unprotect = ticks((senders, receivers), count)
    return {
        "streams": count,
        "protect_per_s": 1e9 / protect,
        "unprotect_per_s": 1e9 / unprotect,
        "both_per_s": 1e9 / (protect + unprotect),
        "bytes_per_stream": grown / count if count >= LEAST_FOR_MEMORY else 0,
        "setup_us_per_stream": (sender_us + receiver_us) / count,
    }


def timed(make: Callable[[], Any]) -> tuple[Any, float]:
    start = perf_counter_ns()
    made = make()
    return made, (perf_counter_ns() - start) / 1000


def _sender(i: int, key: bytes) -> pysframe.Sender:
    return pysframe.Sender(SUITE, kid=i & 0xFFFF, base_key=key, next_ctr=1 << 24)


def _receiver(i: int, key: bytes) -> pysframe.Receiver:
    receiver = pysframe.Receiver(SUITE)
    receiver.add_key(i & 0xFFFF, key)
    return receiver


def ticks(streams: Streams, count: int) -> tuple[float, float]:
    """Nanoseconds per frame of protect and unprotect: medians over ticks, each checked."""
    order = random.sample(range(count), count)
    senders, receivers = (
        [tuple(part) for part in cut([column[i] for i in order])] for column in streams
    )
    frames = [random.randbytes(SIZE) for _ in range(count)]
    batches = [pysframe.FrameBatch.from_frames(part) for part in cut(frames)]
    protects, unprotects = [], []
    for _ in range(max(LEAST_FRAMES // count, 5) + 1):
        sealed, protect_us = timed(lambda: list(map(pysframe.protect_batch, senders, batches)))
        opened, unprotect_us = timed(
            lambda sealed=sealed: list(map(pysframe.unprotect_batch, receivers, sealed))
        )
        got = [frame for batch in opened for frame in batch.to_list()]
        require(got == frames, "a tick")
        protects.append(protect_us * 1000 / count)
        unprotects.append(unprotect_us * 1000 / count)
    return median(protects[1:]), median(unprotects[1:])


def cut(column: list[Any]) -> list[list[Any]]:
    return [column[at : at + ROWS] for at in range(0, len(column), ROWS)]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
