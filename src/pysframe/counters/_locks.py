"""Locks on bytes of a file, which end with their process: for turns, and for keys in use.

Rules of this file:
  1. They are open file description locks, owned by an opening: threads exclude each other, and
     closing the same file elsewhere in the process drops none of them, as it would drop classic
     POSIX locks.
  2. An opening is a file object. Whatever exception occurs, it is closed when the last reference
     goes, and its locks are released.
  3. A forked child shares its parent's openings and would keep their locks after the parent's
     death, so the child closes them before it runs anything else. Whoever forks waits until each
     file that another thread opens is on the list.
"""

import errno
import os
import struct
import threading
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from weakref import WeakSet

try:
    import fcntl
except ImportError:  # Windows, which lacks this part of the package alone
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = hasattr(fcntl, "F_OFD_SETLK")
SHORTEST, LONGEST = 0.0002, 0.005  # seconds between two attempts at a lock
TURN = 0  # the byte to lock while pages are read and written; each key has its own byte
_FLOCK = struct.Struct("hhqqi0q")  # struct flock: type, whence, start, len, pid

_openings: WeakSet["Opening"] = WeakSet()
listing = threading.RLock()  # of the list; a signal handler may interrupt its holder


class Opening(FileIO):
    """The store's file, opened once. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with listing:
            super().__init__(path, "r+", opener=_open)
            _openings.add(self)

    def __del__(self) -> None:
        self.close()  # on purpose, so without the ResourceWarning

    def fileno(self) -> int:
        """OSError in a child that was forked in the middle of its parent's turn."""
        if self.closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return super().fileno()

    @property
    def identity(self) -> tuple[int, int]:
        """Identifies the file, whatever its name is by now."""
        status = os.fstat(self.fileno())
        return status.st_dev, status.st_ino

    def try_lock(self, at: int = TURN) -> bool:
        """Locks the byte; False when another opening holds it."""
        try:
            self._lock(fcntl.F_WRLCK, at)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(self, at: int = TURN, size: int = 1) -> None:
        """Unlocks these bytes, whoever shares this opening; does nothing when that is closed."""
        if not self.closed:
            self._lock(fcntl.F_UNLCK, at, size)

    def is_free(self, at: int) -> bool:
        """Whether no other opening holds the lock on this byte."""
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0)
        found = fcntl.fcntl(self.fileno(), fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(found)[0] == fcntl.F_UNLCK)

    def _lock(self, kind: int, at: int, size: int = 1) -> None:
        fcntl.fcntl(self.fileno(), fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, at, size, 0))


def _open(path: str, _flags: int) -> int:
    # Links have been resolved, so one found here was planted. Opening a FIFO would block.
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)


def try_flock(fd: int) -> bool:
    """Takes the lock that releases before 0.2 use, on the file beside the store."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def succeeds_within(timeout: float, attempt: Callable[[], bool]) -> bool:
    """Repeats the attempt for so many seconds, the last time at their end."""
    begun = time.monotonic()
    while not attempt():
        waited = time.monotonic() - begun
        if waited >= timeout:
            return False
        time.sleep(min(max(waited / 50, SHORTEST), LONGEST, timeout - waited))
    return True


def _close_all() -> None:
    for opening in list(_openings):
        opening.close()
    listing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=listing.acquire, after_in_parent=listing.release, after_in_child=_close_all
    )
