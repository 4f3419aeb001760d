"""What a Sender and a Receiver cost: bytes, and microseconds to make.

Each Receiver has one key and its replay window, as one that reads one stream has.
"""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import pysframe


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def bytes_each(kind: str, count: int = 10_000) -> float:
    """Growth of a fresh process over `count` objects: in a used one freed pages would hide it."""
    program = (
        f"import objects; make = objects.make_{kind}; kept = [make(-1 % 2**63)]; "
        f"before = objects.resident(); kept += [make(i) for i in range({count})]; "
        f"print((objects.resident() - before) / {count})"
    )
    here = Path(__file__).parent
    return float(subprocess.check_output([sys.executable, "-c", program], cwd=here, text=True))


def make_sender(i: int, suite: int = 4) -> pysframe.Sender:
    return pysframe.Sender(suite, kid=i, base_key=random.randbytes(16), next_ctr=0)


def make_receiver(i: int, suite: int = 4) -> pysframe.Receiver:
    receiver = pysframe.Receiver(suite)
    receiver.add_key(i, random.randbytes(16))
    return receiver


def microseconds(make: Callable[[int], Any], count: int = 2000) -> float:
    """The best of ten runs of making `count` objects, each."""
    runs = []
    for _ in range(10):
        start = perf_counter_ns()
        kept = [make(i) for i in range(count)]
        runs.append((perf_counter_ns() - start) / count / 1000)
        del kept
    return min(runs)


def add_key_microseconds(count: int = 1000) -> float:
    """Receiver.add_key, key schedule included, on receivers that are there."""
    runs = []
    for _ in range(10):
        receivers = [pysframe.Receiver(4) for _ in range(count)]
        keys = [random.randbytes(16) for _ in range(count)]
        start = perf_counter_ns()
        for receiver, key in zip(receivers, keys, strict=True):
            receiver.add_key(7, key)
        runs.append((perf_counter_ns() - start) / count / 1000)
    return min(runs)
