"""Programs of objects that were compiled with different flags or patches."""

from collections.abc import Sequence
from pathlib import Path

from security.deep.builds import HARNESS, cached, compiled, run, sources


def linked(
    name: str, own: Sequence[Path], cc: str, flags: str, rest: Sequence[Path], link: str = ""
) -> Path:
    """The executable of files of our own, compiled with these flags, and objects made elsewhere."""
    folders = dict.fromkeys([sources(), HARNESS, *(path.parent for path in own)])
    parts = [compiled(path, cc, flags, *folders) for path in own]
    command = [cc, *flags.split(), *parts, *rest, *link.split()]
    return cached(name, command, lambda made: run(*command, "-o", made / name)) / name
