"""How far a recording has been read: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ..media.recordings import Recording
from ._console import console, fancy, say
from ._terminal import Display, display

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 78  # columns
REDRAW = 0.1  # seconds between two redraws of the bar
QUIET = 5.0  # seconds between two plain lines; a quicker run prints none


class Progress(Protocol):
    """Receives reports of what is being done."""

    def at(self, doing: str) -> None: ...


@contextmanager
def progress(recordings: Sequence[Recording], *, silent: bool) -> Iterator[Progress]:
    """The progress that fits stdout. It leaves nothing behind on a terminal."""
    if silent:
        yield _Silent()
    elif fancy():
        with display(transient=True) as shown:
            yield _Bar(recordings, shown)
    else:
        yield _Lines(recordings)


def _percent(recordings: Sequence[Recording]) -> int:
    size = sum(recording.size for recording in recordings)
    return min(100, 100 * sum(recording.position for recording in recordings) // max(1, size))


class _Silent:
    def at(self, doing: str) -> None:
        pass


class _Lines:
    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings, self._last = recordings, time.monotonic()

    def at(self, doing: str) -> None:
        if time.monotonic() - self._last > QUIET:
            self._last = time.monotonic()
            say(f"{doing}: {_percent(self._recordings)} %")


class _Bar:
    def __init__(self, recordings: Sequence[Recording], shown: Display) -> None:
        self._recordings, self._display = recordings, shown
        self._doing, self._last = "", 0.0

    def at(self, doing: str) -> None:
        if doing == self._doing and time.monotonic() - self._last < REDRAW:
            return
        self._display.draw(_picture(doing, _percent(self._recordings)))
        self._doing, self._last = doing, time.monotonic()


def _picture(doing: str, percent: int) -> RenderableType:
    from rich.constrain import Constrain
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(doing, ProgressBar(total=100, completed=percent), f"{percent:3} %")
    return Constrain(grid, min(console().size.width, WIDTH))
