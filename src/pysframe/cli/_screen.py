"""The call while it runs: a live picture on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from ._console import LABEL, Table, console, fancy, say
from ._report import COLUMNS, QUANTILES, hears, rows
from ._stage import LEVELS, Stage

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable

WIDTH = 78  # columns; on a terminal of 80 this leaves room for the ^C that Ctrl-C prints
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
    """Shows a stage that moves on; used in a `with` around the whole call."""

    def show(self, stage: Stage) -> None: ...


def screen(stage: Stage, title: str, *, silent: bool) -> AbstractContextManager[Screen]:
    """The screen that fits stdout."""
    if silent:
        return nullcontext(Silent())
    return LivePicture(stage, title) if fancy() else nullcontext(PlainLines(title))


class Silent:
    """For --json: the object at the end is all there is."""

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
    """The whole picture, redrawn in place; the last one stays on the terminal."""

    def __init__(self, stage: Stage, title: str) -> None:
        from rich.live import Live

        self._title = title
        self._live = Live(picture(stage, title), console=console(), auto_refresh=False)

    def __enter__(self) -> LivePicture:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, stage: Stage) -> None:
        self._live.update(picture(stage, self._title), refresh=True)


def picture(stage: Stage, title: str) -> RenderableType:
    """The call at this moment: progress, counters, who hears what, latest events."""
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.padding import Padding
    from rich.text import Text

    lines = [f"{when:5.1f} s  {event}" for when, event in stage.events[-EVENTS:]]
    lines += [""] * (EVENTS - len(lines))
    events = Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")
    table = Padding(party_table(stage), (1, 0))
    parts = (_headline(title), _progress(stage), table, _ears(stage), Padding(events, (1, 0)))
    return Constrain(Group(*parts), WIDTH)


def _headline(title: str) -> RenderableType:
    from rich.text import Text

    first, *rest = title.splitlines()
    text = Text(first, style="bold", no_wrap=True, overflow="ellipsis")
    return text.append("".join(f"\n{line}" for line in rest), style="not bold dim")


def party_table(stage: Stage) -> RichTable:
    """COLUMNS for each party, in its colour."""
    columns = [f"{c}\n{QUANTILES if c.endswith(' us') else ''}" for c in COLUMNS]
    return Table(columns, [*rows(stage)], frozenset(("in\n", "out\n")), STYLES).rich()


def plain_table(stage: Stage) -> Table:
    """The same without rich."""
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


def _ears(stage: Stage) -> RenderableType:
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=LABEL)
    grid.add_column(width=LEVELS // 2)
    grid.add_column(overflow="ellipsis", no_wrap=True)
    for name in stage.names:
        style = STYLES[name]
        spark = Text(sparkline(stage.levels[name]), style)
        grid.add_row(Text(name, style), spark, Text("\n".join(hears(stage, name))))
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
