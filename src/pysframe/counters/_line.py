"""Who has the next turn: threads of a process in the order they came, and processes in theirs.

Rules of this file:
  1. The lock on TURN alone excludes others. What is here decides who asks for it next, so an error
     here could cost order or time, and never a counter.
  2. A thread waits for as long as turns of its process begin or end. It is refused when none has
     for the whole timeout, as when another process holds the lock.
  3. Whatever exception occurs, a place is left when its last reference goes: the line keeps none. A
     forked child begins without any, and a stopped process delays those behind it, at most.
"""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary, ref

from ._locks import TURN, Opening, listing

# ---- the threads of this process ----

LOOKS = 8  # times that a thread looks whether turns go on, in the course of its timeout


class _Line:
    """The threads that want one file, in the order they came. `listing` guards it."""

    __slots__ = ("__weakref__", "_places", "turns")

    def __init__(self) -> None:
        self.turns = 0  # that have begun or ended
        self._places: list[ref[Place]] = []

    def places(self) -> list["Place"]:
        return [place for one in self._places if (place := one()) is not None]

    def let_in(self, new: "Place") -> None:
        self._places = [ref(place) for place in (*self.places(), new)]

    def let_out(self, old: "Place") -> None:
        self._places = [ref(place) for place in self.places() if place is not old]


_lines: WeakValueDictionary[Path, _Line] = WeakValueDictionary()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lines.clear)  # the child has none of these threads


class Place:
    """This thread's place in the line for a file. `with` leaves it."""

    __slots__ = ("__weakref__", "_first", "_line", "_pid", "thread")

    def __init__(self, path: Path) -> None:
        self.thread, self._pid, self._first = threading.get_ident(), os.getpid(), threading.Event()
        with listing:
            self._line: _Line | None = _lines.setdefault(path, _Line())
            self._line.let_in(self)

    def first_within(self, timeout: float) -> float | None:
        """Waits to become the first; the seconds of the timeout that are left, None when none is.

        They are counted anew from each turn. A look counts as one, however long it took: a process
        that was stopped for a while has not waited for all that time.
        """
        line, looks, turns = self._line, LOOKS, -1
        while line is not None and not self._is_first(line):
            looks = LOOKS if turns != line.turns else looks - 1
            turns = line.turns
            if not looks:
                return None
            self._first.wait(timeout / LOOKS)
        if line is not None and turns not in (-1, line.turns):
            looks = LOOKS  # the turn that ended has made this thread the first
        return timeout * looks / LOOKS

    def took_a_turn(self) -> None:
        """A turn has begun or ended, so whoever is behind may wait on."""
        if self._line is not None:
            self._line.turns += 1

    def leave(self) -> None:
        """Lets the next one be first; idempotent."""
        line, self._line = self._line, None
        if line is not None:
            with listing:
                line.let_out(self)
                behind = line.places()[:1]
            for place in behind:
                place._first.set()

    def _is_first(self, line: _Line) -> bool:
        with listing:  # a child of a fork that Python has not seen finds places of its parent
            ours = [place for place in line.places() if place._pid == self._pid]
        return ours[:1] == [self]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.leave()


def is_inside(path: Path) -> bool:
    """Whether this thread has a turn, or waits for one, and a signal handler interrupted it."""
    me = threading.get_ident(), os.getpid()
    with listing:
        line = _lines.get(path)
        return line is not None and any((at.thread, at._pid) == me for at in line.places())


# ---- processes ----

QUEUE = range(1 << 61, (1 << 61) + 16)  # the bytes to lock, beyond those of keys
PATIENCE = 50  # looks at a free turn in one place: those ahead have looked, too, or are stopped


class Queue:
    """An opening's way to the turn: place by place, so that none overtakes another.

    A process that had a turn begins at the end of the queue, and so lets the others go first.
    """

    def __init__(self, file: Opening) -> None:
        self._file, self._ahead, self._unused = file, len(QUEUE), 0

    def try_turn(self) -> bool:
        """Moves up as far as there is room. True when the turn has come, and its lock is held."""
        file = self._file
        while self._ahead and file.try_lock(QUEUE[self._ahead - 1]):
            self._ahead, self._unused = self._ahead - 1, 0
            self._unlock(QUEUE[self._ahead + 1 :])
        if self._ahead and not self._is_given_up():
            return False
        if not file.try_lock(TURN):
            return False
        self.leave()
        return True

    def leave(self) -> None:
        """Gives the place up."""
        self._unlock(QUEUE)

    def _unlock(self, places: range) -> None:
        if places:
            self._file.unlock(places.start, len(places))

    def _is_given_up(self) -> bool:
        # Not in a row: others behind a stopped process have turns in between, and would reset it.
        self._unused += self._file.is_free(TURN)
        return self._unused >= PATIENCE
