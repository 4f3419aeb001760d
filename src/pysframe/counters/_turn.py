"""A turn: the time during which one thread of one process reads and changes the store's file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._file import Table
from ._line import Place, Queue
from ._locks import HAS_LOCKS, Opening, succeeds_within
from ._making import is_ready, make, refuse_odd
from ._words import CounterStoreError, held_too_long, in_words


@contextmanager
def turn(path: Path, timeout: float) -> Iterator[tuple[Opening, Table]]:
    """The store's file, created if missing, for exclusive use. Raises CounterStoreError."""
    if not HAS_LOCKS:
        raise CounterStoreError(
            "this system has no open file description locks (Linux has them), which keep two "
            "processes from using one counter; give next_ctr= instead of counters="
        )
    with in_words(path), Place(path) as place:
        while True:
            make(path)
            with Opening(path) as file:
                refuse_odd(file)
                _wait(place, file, timeout)
                try:
                    if _is_still_there(file) and _has_begun(file, timeout):
                        yield file, Table(file)
                        return
                finally:
                    file.unlock()
                    place.took_a_turn()


def _wait(place: Place, file: Opening, timeout: float) -> None:
    left, queue = place.first_within(timeout), Queue(file)
    try:
        if left is None or not succeeds_within(left, queue.try_turn):
            raise held_too_long(file.path, timeout)
    finally:
        queue.leave()
    place.took_a_turn()


def _is_still_there(file: Opening) -> bool:
    """False when another file replaced it while we waited."""
    status = os.stat(file.path)
    return file.identity == (status.st_dev, status.st_ino)


def _has_begun(file: Opening, timeout: float) -> bool:
    """False when a file of the present format has replaced this one."""
    os.fsync(file.fileno())  # rule 2 of _file.py
    return is_ready(file, timeout)
