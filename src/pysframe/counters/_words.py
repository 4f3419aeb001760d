"""The errors of a counter store, with advice."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import MisuseError


class CounterStoreError(MisuseError):
    """The store cannot be used, and no counter was given out. __cause__ is the OSError, if any."""


_ADVICE = {
    errno.ENOENT: "make its directory first",
    errno.EACCES: "the user of this process, uid {uid}, must be able to read and write the file "
    "and, to make it, its directory",
    errno.EPERM: "the user of this process, uid {uid}, must be able to read and write the file",
    errno.EROFS: "its file system is read-only; mount it for writing, or use another path",
    errno.ENOSPC: "make room on its disk, then try again",
    errno.EDQUOT: "the user of this process has used up its disk quota; make room, then try again",
    errno.EBADF: "this process was forked while its parent used the store; try again",
    errno.EBUSY: "it is a mount point, and its format an older one, which can be converted only "
    "where the directory is mounted",
    errno.ELOOP: "a symbolic link was put in its place, or leads round in a circle; remove it",
    errno.ENAMETOOLONG: "use a shorter path",
    errno.EISDIR: "it is a directory; name a file in it",
    errno.ENOTDIR: "its parent is no directory",
    errno.EMFILE: "close files, or raise the limit of open files",
    errno.ENFILE: "the system has too many open files",
    errno.ENXIO: "it is no regular file; use another path",
    errno.ENOLCK: "its file system cannot lock; put the file on a local disk",
    errno.EOPNOTSUPP: "its file system cannot lock; put the file on a local disk",
    errno.ENOSYS: "its file system cannot lock; put the file on a local disk",
    errno.EINVAL: "this system has no open file description locks; put the file on a local disk "
    "of Linux 3.15 or later",
}


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turns an OSError into a CounterStoreError with advice."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "check the disk; no counter was given out")
        words = advice.format(uid=os.getuid() if hasattr(os, "getuid") else "?")
        raise CounterStoreError(f"{path}: {error.strerror or error}; {words}") from error


def damaged(path: Path, why: str) -> CounterStoreError:
    """The file was left as it is."""
    return CounterStoreError(
        f"{path} is damaged, or no counter store ({why}); put the newest intact copy back, or use "
        "fresh keys and another path: a guess could use a counter twice"
    )


def held_too_long(path: Path, timeout: float) -> CounterStoreError:
    """Somebody else has had the store's lock all the time."""
    return CounterStoreError(
        f"{path} was held by another process, or another thread of this one, for {timeout:g} s: it "
        f"may be stopped, or wait for its disk. `fuser -v {path}` lists who has the file open; "
        "end that process, or give a longer timeout"
    )
