"""The AES blocks of a key, which may seal 2^36 of them over all its lives.

Rules of this file:
  1. Blocks are leased like counters: they are charged to the key on disk before a Sender may use
     them, and the engine stops at the end of its lease. However a process ends, a key therefore
     never looks less used than it is.
  2. What a Sender has not used when it is closed is returned once or never: by the next write of
     the store, or at the end of the process. Starting and stopping thus costs a key nothing, except
     when it ends without close(): that costs at most one lease, of 4,096 by default.
"""

import atexit
import os
from contextlib import suppress
from pathlib import Path

from .._common import policy_lock
from ..errors import KeyExhausted
from ..limits import KEY_BUDGET
from ._file import Table
from ._turn import turn
from ._words import CounterStoreError

FOR_EACH_COUNTER = 16  # blocks leased with each counter: a frame of 200 bytes
AT_LEAST = 1 << 22  # blocks in a lease: four frames of the default maximum size

WAIT = 0.5  # seconds to wait, at the end of a process, for a store that is in use

_unused: dict[tuple[int, Path], dict[bytes, int]] = {}  # to be returned, by process and store


def lease_of(counters: int) -> int:
    """Blocks to lease with so many counters."""
    return max(counters * FOR_EACH_COUNTER, AT_LEAST)


def charge(charged: int, blocks: int) -> int:
    """The charge of a key after leasing these blocks, or as many as are left."""
    if charged >= KEY_BUDGET:
        raise KeyExhausted(
            "the store has charged 2^36 AES blocks to this key: sealed, or leased to Senders that "
            "were never closed; use a fresh key"
        )
    return min(charged + blocks, KEY_BUDGET)


def give_back_later(path: Path, name: bytes, blocks: int) -> None:
    with policy_lock:
        _unused.setdefault((os.getpid(), path), {})[name] = max(blocks, 0)


def give_back(path: Path, table: Table) -> None:
    """Deducts unused blocks from the charges in this table."""
    with policy_lock:
        unused = _unused.pop((os.getpid(), path), {})
    for name, blocks in unused.items():
        following, charged = table.get(name)
        table.put(name, following, max(charged - blocks, 0))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unused.clear)  # returning them is the parent's business


@atexit.register
def _give_all_back() -> None:
    for pid, path in list(_unused):
        if pid == os.getpid():
            with suppress(CounterStoreError), turn(path, WAIT) as (_, table):
                give_back(path, table)
                table.write()
