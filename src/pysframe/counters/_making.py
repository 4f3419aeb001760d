"""Creates a counter store's file, converts it from the previous format, or refuses it.

Rules of this file:
  1. A file gets its name when it is complete and synced, and only if nobody else was faster.
  2. A file created by root belongs to the owner of the directory, who will use it. Nobody else can
     read it.
  3. What cannot be trusted is left unchanged: a damaged file, an unknown format, a link put in the
     file's place, a file with two names.
"""

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from . import _old
from ._file import read_page, write_all
from ._locks import Opening, succeeds_within, try_flock
from ._pages import FIRST_PAGE, FORMAT, ROOT, SIZE, Page, tree
from ._words import CounterStoreError, damaged, held_too_long, in_words

_FAMILY = b"pysframe-counters/"
_EMPTY = FIRST_PAGE * 2 + Page(ROOT).sealed() * 2
_CANNOT = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EISDIR}


def resolved(path: str | os.PathLike[str]) -> Path:
    """The path with links followed; CounterStoreError when a stranger owns the last link."""
    given = Path(path)
    if str(path) in ("", ".") or "\0" in str(path):
        raise CounterStoreError(f"{str(path)!r} is the path of no file; name one")
    with in_words(given):
        owner = given.lstat().st_uid if given.is_symlink() else 0
        if owner not in (0, os.geteuid()):
            raise CounterStoreError(
                f"{given} is a symbolic link of uid {owner}, who is neither root nor the user of "
                "this process; give the path that it should lead to"
            )
        try:
            return given.resolve()
        except RuntimeError as error:  # the error before Python 3.13
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error


def make(path: Path) -> None:
    """Creates an empty store unless the path exists. Raises OSError."""
    if path.exists():
        return
    with suppress(FileExistsError):
        if not _link_whole(path):
            _make_in_place(path)


def _link_whole(path: Path) -> bool:
    """Creates the file without a name, then names it; False when the system cannot do that."""
    try:
        fd = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    with open(fd, "wb") as file:
        _begin(file.fileno(), path)
        try:  # src_dir_fd is unused, but makes os.link follow the link in /proc
            os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd)
        except FileNotFoundError:
            return False  # no /proc
    return True


def _make_in_place(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "wb") as file:
        try:
            _begin(file.fileno(), path)
        except OSError:
            path.unlink()
            raise


def _begin(fd: int, path: Path) -> None:
    _give_to(fd, os.stat(path.parent))
    write_all(fd, _EMPTY, 0)
    os.fsync(fd)


def _give_to(fd: int, owner: os.stat_result) -> None:
    """Hands the file to the service user, on whose behalf root ran once."""
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(fd, owner.st_uid, owner.st_gid)


# ---- existing files ----


def refuse_odd(file: Opening) -> None:
    """CounterStoreError for anything but a regular file with a single name."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise CounterStoreError(f"{file.path} is no regular file; use another path")
    if status.st_nlink > 1:
        raise CounterStoreError(
            f"{file.path} has {status.st_nlink} names (hard links); remove the others, or copy "
            "the file: what is done under one name would change the other"
        )


def is_ready(file: Opening, timeout: float) -> bool:
    """Whether this is a complete store of this format; False when a new file has replaced it.

    Raises CounterStoreError for everything else, and leaves it unchanged.
    """
    head = os.pread(file.fileno(), SIZE, 0)
    if _old.is_old(head):
        _convert(file.path, timeout)
        return False
    if not head:
        _begin_mounted(file)
    try:
        read_page(file, 0)
    except CounterStoreError:
        if head.startswith(_FAMILY) and not head.startswith(FORMAT.encode()):
            theirs = head.partition(b"\n")[0][:40].decode(errors="replace")
            raise CounterStoreError(
                f"{file.path} has the format {theirs!r}, and this release knows {FORMAT} and "
                "older; use the release that made it, or a later one"
            ) from None
        raise
    return True


def _begin_mounted(file: Opening) -> None:
    """Fills an empty file that is a mount point; any other empty file is a damaged one."""
    if not _is_mounted(file.path):
        raise damaged(file.path, "it is empty; if no key was ever used with it, delete it")
    write_all(file.fileno(), _EMPTY, 0)
    os.fsync(file.fileno())


def _is_mounted(path: Path) -> bool:
    with suppress(OSError), open("/proc/self/mountinfo", "rb") as mounts:
        name = os.fsencode(path)
        for byte in b"\\ \t\n":
            name = name.replace(bytes([byte]), b"\\%03o" % byte)
        return any(line.split(b" ")[4] == name for line in mounts)
    return False


# ---- the previous format ----


def _convert(path: Path, timeout: float) -> None:
    """Replaces an older store by one of this format."""
    lock = path.with_name(f"{path.name}.lock")
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with open(fd, "rb"):
        if not succeeds_within(timeout, lambda: try_flock(fd)):
            raise held_too_long(lock, timeout)
        text = path.read_bytes()
        if not _old.is_old(text):
            return  # somebody else was faster
        try:
            records = _old.read(text)
        except ValueError as error:
            raise damaged(path, str(error)) from None
        _replace(path, records)
        lock.unlink()


def _replace(path: Path, records: list[tuple[bytes, int, int]]) -> None:
    fd, fresh = tempfile.mkstemp(".new", f"{path.name}.", path.parent)
    try:
        with open(fd, "wb") as file:
            before = os.stat(path)
            _give_to(fd, before)
            os.fchmod(fd, before.st_mode & 0o660)
            file.write(FIRST_PAGE * 2)
            for page in tree(records):
                file.write(page.sealed() * 2)
            file.flush()
            os.fsync(fd)
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
