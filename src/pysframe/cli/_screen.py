"""Shows the running call: a live picture on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ..demo.report import COLUMNS, QUANTILES, hears, rows
from ..demo.stage import LEVELS, Stage
from ._console import LABEL, Table, console, fancy, say
from ._streams import visible
from ._terminal import Display, display

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 78  # columns; on a terminal of 80 this leaves room for the ^C that Ctrl-C prints
HEIGHT = 28  # lines of the whole picture; a lower terminal shows fewer events
WIDE = 60  # columns from which there is room to show loudness
EVENTS = 5  # lines of them on the screen
STYLES = {
    "publisher": "bold cyan",
    "agent": "bold magenta",
    "subscriber": "bold green",
    "forwarder": "yellow",
    "no key": "red",
    "wrong key": "red",
}
_FLOORS = {True: " _.-=*#", False: " ▁▂▃▄▅▆▇█"}  # by ascii_only; quiet to loud
_QUIETEST_DB = -50.0


class Screen(Protocol):
    """Shows the progress of a stage; used in a `with` around the whole call."""

    def show(self, stage: Stage) -> None: ...


@contextmanager
def screen(title: str, *, silent: bool) -> Iterator[Screen]:
    """The screen that fits stdout."""
    if silent:
        yield Silent()
    elif fancy():
        with display() as shown:
            yield LivePicture(visible(title), shown)
    else:
        yield PlainLines(title)


class Silent:
    """For --json: nothing is shown but the object at the end."""

    def show(self, stage: Stage) -> None:
        pass


class PlainLines:
    """One line for each event, as it happens."""

    def __init__(self, title: str) -> None:
        self._told = 0
        say(title)

    def show(self, stage: Stage) -> None:
        for when, event in stage.events[self._told :]:
            say(f"{when:5.1f} s  {event}")
        self._told = len(stage.events)


class LivePicture:
    """The whole picture, redrawn in place; the final one stays on the terminal."""

    def __init__(self, title: str, shown: Display) -> None:
        self._title, self._display = title, shown

    def show(self, stage: Stage) -> None:
        width, height = console().size
        self._display.draw(picture(stage, self._title, min(width, WIDTH), height))


def picture(stage: Stage, title: str, width: int = WIDTH, height: int = HEIGHT) -> RenderableType:
    """The state of the call: progress, counters, who hears what, latest events."""
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.padding import Padding
    from rich.text import Text

    events = EVENTS if stage.done else max(1, EVENTS - max(0, HEIGHT - height))
    lines = [f"{when:5.1f} s  {event}" for when, event in stage.events[-events:]]
    lines += [""] * (events - len(lines))
    latest = Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")
    table = Padding(party_table(stage).fit(width).rich(), (1, 0))
    parts = _headline(title), _progress(stage), table, _ears(stage, width), Padding(latest, (1, 0))
    return Constrain(Group(*parts), width)


def _headline(title: str) -> RenderableType:
    from rich.text import Text

    first, *rest = title.splitlines()
    text = Text(first, style="bold", no_wrap=True, overflow="ellipsis")
    return text.append("".join(f"\n{line}" for line in rest), style="not bold dim")


def party_table(stage: Stage) -> Table:
    """COLUMNS for each party, in its colour."""
    columns = [f"{c}\n{QUANTILES if c.endswith(' us') else ''}" for c in COLUMNS]
    return Table(columns, [*rows(stage)], frozenset(("in\n", "out\n")), STYLES)


def plain_table(stage: Stage) -> Table:
    """The table without rich."""
    columns = [f"{c} {QUANTILES.strip()}" if c.endswith(" us") else c for c in COLUMNS]
    return Table(columns, [*rows(stage)], frozenset(("in", "out")))


def _progress(stage: Stage) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table as RichTable

    total = max(stage.expected_ticks, stage.ticks)
    grid = RichTable.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    bar = ProgressBar(total=total, completed=total if stage.done else stage.ticks)
    grid.add_row(bar, f"{_turn(stage)}  {stage.now:4.1f} s")
    return grid


def _turn(stage: Stage) -> str:
    if stage.done:
        return "call ended"
    if stage.publisher.speaking:
        return "publisher speaks"
    return "agent answers" if stage.agent.answer else "agent thinks"


def _ears(stage: Stage, width: int) -> RenderableType:
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=LABEL)
    if width >= WIDE:
        grid.add_column(width=LEVELS // 2)
    grid.add_column(overflow="ellipsis", no_wrap=True)
    for name in stage.names:
        style = STYLES[name]
        heard = Text("\n".join(hears(stage, name)))
        spark = Text(sparkline(stage.levels[name]), style)
        grid.add_row(Text(name, style), *(spark, heard)[width < WIDE :])
    return grid


def sparkline(levels: Iterable[float]) -> str:
    """Loudness over time, one character for two ticks; levels are RMS of full scale."""
    found = list(levels)
    marks = _FLOORS[console().options.ascii_only]
    pairs = [max(found[i : i + 2]) for i in range(0, len(found), 2)]
    return "".join(marks[_height(level, len(marks))] for level in pairs)


def _height(level: float, steps: int) -> int:
    decibels = 20 * math.log10(max(level, 1e-9))
    return max(0, min(steps - 1, int((1 - decibels / _QUIETEST_DB) * steps)))
