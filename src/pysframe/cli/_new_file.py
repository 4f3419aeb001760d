"""A file that is there whole, or not at all.

Rules of this file:
  1. The file has no name until it is complete: Ctrl-C, a full disk or SIGKILL leaves nothing
     behind. Where a file system has no nameless files, its temporary name begins with a dot.
  2. No file is replaced unless the user asked for that, and none is written through a link, whose
     target somebody else may have chosen.
  3. Only its owner can read it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from ._console import CommandError
from ._streams import named

DESCRIPTORS = "/proc/self/fd"
NAMELESS = getattr(os, "O_TMPFILE", None)
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # FAT, some network file systems
NOT_HERE = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


class NewFile:
    """`with NewFile(path) as file:` write, then keep(). Without keep() no file remains."""

    def __init__(self, path: str, *, replace: bool = False) -> None:
        self.path, self._replace = Path(path), replace
        self._part: Path | None = None  # its name until it is whole
        self.refuse()

    def refuse(self) -> None:
        """Raises CommandError when the path cannot be given to a new file."""
        path = named(self.path)
        try:
            found = self.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            self._refuse_directory()
            return
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}") from None
        if stat.S_ISLNK(found.st_mode):
            raise CommandError(
                f"{path} is a link to {named(os.readlink(self.path))}; name the file"
            )
        if not stat.S_ISREG(found.st_mode):
            raise CommandError(f"{path} is there, and no regular file")
        if not self._replace:
            raise CommandError(f"{path} is there already; --force replaces it")

    def is_one_of(self, files: list[BinaryIO]) -> bool:
        """Whether replacing the path would replace one of these."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return any(os.path.samestat(found, os.fstat(file.fileno())) for file in files)

    def __enter__(self) -> BinaryIO:
        try:
            self._file = self._opened()
        except OSError as error:
            raise self._failed(error) from None
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._file.close()
        if self._part is not None:
            with suppress(OSError):
                self._part.unlink()

    def keep(self) -> None:
        """Gives the complete file its name. Raises CommandError when that is no longer possible."""
        self.refuse()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._name()
        except FileExistsError:
            raise CommandError(f"{named(self.path)} has just been made by somebody else") from None
        except OSError as error:
            raise self._failed(error) from None

    def _name(self) -> None:
        if not self._replace and self._linked(self.path):
            return
        if self._part is None:
            name = self._beside()
            self._linked(name)
            self._part = name
        os.replace(self._part, self.path)
        self._part = None

    def _linked(self, name: Path) -> bool:
        """Gives the file its name unless that is taken; False where there are no hard links."""
        if self._part is None:
            # With a directory Python calls linkat(), which alone follows what /proc has.
            directory = os.open(DESCRIPTORS, os.O_RDONLY)
            try:
                os.link(str(self._file.fileno()), name, src_dir_fd=directory, follow_symlinks=True)
            finally:
                os.close(directory)
            return True
        try:
            os.link(self._part, name)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return False
        return True

    def _opened(self) -> BinaryIO:
        if NAMELESS is not None and os.path.isdir(DESCRIPTORS):
            try:
                number = os.open(self.path.parent, NAMELESS | os.O_RDWR, 0o600)
                return cast(BinaryIO, os.fdopen(number, "wb"))
            except OSError as error:
                if error.errno not in NOT_HERE:
                    raise
        name = self._beside()
        number = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._part = name
        return cast(BinaryIO, os.fdopen(number, "wb"))

    def _beside(self) -> Path:
        return self.path.with_name(f".{self.path.name[:100]}.{secrets.token_hex(4)}.part")

    def _refuse_directory(self) -> None:
        if not self.path.name or not self.path.parent.is_dir():
            raise CommandError(f"{named(self.path.parent)} is no directory to write into")

    def _failed(self, error: OSError) -> CommandError:
        return CommandError(f"{named(self.path)} cannot be written: {error.strerror or error}")
