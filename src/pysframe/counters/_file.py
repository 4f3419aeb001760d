"""Reading and writing the pages of a counter store's file.

Rules of this file:
  1. Every page is stored twice. A change is written to the first copies and synced, then to the
     second copies and synced, and only then is it complete. A crash in the middle of a write spoils
     at most one copy; the other is whole, and nobody has been told of the change yet.
  2. A turn begins with a sync, since whoever wrote before may have been killed before its own. Then
     the copies of a page are made equal again and synced before it is changed. So there is a copy
     on the disk whenever the other is being written.
  3. A new page is written and synced before its parent points to it.
  4. Whoever opens the file syncs its directory once, since its creator may have been killed before.
"""

import errno
import os
from collections.abc import Collection
from pathlib import Path

from ._locks import Opening
from ._pages import ROOT, SIZE, Page, branch, opened
from ._words import damaged

_CANNOT_SYNC = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}


class Table:
    """The records of a file, during a turn."""

    def __init__(self, file: Opening) -> None:
        self._file = file
        self._pages: dict[int, Page] = {}
        self._changed: dict[int, Page] = {}
        self._new: dict[int, Page] = {}
        self._end = -(-os.fstat(file.fileno()).st_size // (2 * SIZE))

    def get(self, name: bytes) -> tuple[int, int]:
        """(next counter, blocks charged) of a key; zeros for an unknown one."""
        page, at = self._find(name)
        return page.get(at) if at else (0, 0)

    def put(self, name: bytes, following: int, blocks: int) -> None:
        """Changes a key's record in memory; write() stores it."""
        page, at = self._find(name)
        if not at and page.is_full:
            page = self._add_child(page, name)
        page.put(at or page.add(name), following, blocks)
        self._changed[page.number] = page

    def write(self) -> None:
        """Stores all changes; they are on disk when this returns."""
        if self._new:
            self._write(self._new.values(), (0, 1))
        old = [page for number, page in self._changed.items() if number not in self._new]
        for copy in 0, 1:
            self._write(old, (copy,))

    def _find(self, name: bytes) -> tuple[Page, int]:
        """The page with the record and its offset, or the last page on its path and 0."""
        page, depth = self._page(ROOT), 0
        while not (at := page.find(name)):
            number = page.child(branch(name, depth))
            if not number:
                self._depth = depth
                break
            page, depth = self._page(number), depth + 1
        return page, at

    def _add_child(self, parent: Page, name: bytes) -> Page:
        child = Page(self._end)
        self._end += 1
        parent.set_child(branch(name, self._depth), child.number)
        self._changed[parent.number] = parent
        self._pages[child.number] = self._new[child.number] = child
        return child

    def _page(self, number: int) -> Page:
        if number not in self._pages:
            self._pages[number] = Page(number, read_page(self._file, number))
        return self._pages[number]

    def _write(self, pages: Collection[Page], copies: tuple[int, ...]) -> None:
        if not pages:
            return
        for page in pages:
            for copy in copies:
                write_all(self._file.fileno(), page.sealed(), (2 * page.number + copy) * SIZE)
        os.fsync(self._file.fileno())


def read_page(file: Opening, number: int) -> bytes:
    """A page's body, after making its copies equal; CounterStoreError when neither is whole."""
    at = 2 * number * SIZE
    both = os.pread(file.fileno(), 2 * SIZE, at)
    first, second = both[:SIZE], both[SIZE:]
    body = opened(number, first)
    if body is None:
        body = opened(number, second)
        if body is None:
            raise damaged(file.path, f"both copies of page {number}")
        _repair(file, second, at)
    elif first != second:
        _repair(file, first, at + SIZE)
    return body


def _repair(file: Opening, whole: bytes, at: int) -> None:
    write_all(file.fileno(), whole, at)
    os.fsync(file.fileno())


def write_all(fd: int, data: bytes, at: int) -> None:
    """Writes everything, though a disk that is nearly full may take it in parts."""
    while data:
        done = os.pwrite(fd, data, at)
        data, at = data[done:], at + done


def sync_directory(path: Path) -> None:
    """Makes the file's name survive a crash; some file systems cannot do that, or need not."""
    fd = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(fd)
