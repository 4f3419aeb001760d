"""How commands say things: colours and tables on a terminal, plain lines everywhere else.

Rules: rich is an extra, so nothing here needs it; NO_COLOR (no-color.org), a dumb terminal or a
pipe means plain lines; results go to stdout, complaints to stderr; on a terminal no line is
longer than the terminal is wide.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Literal, TextIO, cast

from ..demo.optional import trouble
from ._streams import Output, columns, limit, visible, write

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable


LABEL = 12  # columns that labels at the left take
WIDEST = 120  # columns: longer lines of words are hard to read
LEAST_ROOM = 24  # columns beside a label for words that stand in a column
GAP = 2  # columns between two of a table


class CommandError(Exception):
    """The reason why a command cannot run, in words for its user."""


def need(extra: str, **modules: str) -> None:
    """Raises CommandError unless every module (import name=what people call it) can be used."""
    troubles = {called: trouble(module) for module, called in modules.items()}
    missing = [called for called, trouble in troubles.items() if trouble]
    if missing:
        why = "; ".join(f"{called} {troubles[called]}" for called in missing)
        raise CommandError(
            f"{why}; this installs what is needed:\n    pip install 'pysframe[{extra}]'"
        )


def fancy() -> bool:
    """Whether stdout is a terminal with colours and rich is installed."""
    wanted = Output(sys.stdout).isatty() and not os.environ.get("NO_COLOR")
    dumb = os.environ.get("TERM", "") in ("", "dumb", "unknown")
    return wanted and not dumb and not trouble("rich.console")


def console() -> Console:
    return _console_on(sys.stdout)


@lru_cache(maxsize=1)
def _console_on(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=cast("IO[str]", Output(stream)), highlight=False)


def say(text: str = "", style: str = "") -> None:
    """Prints words, styled where colours are on, wrapped to the terminal."""
    for line in text.split("\n"):
        for part in _wrapped(line, limit()):
            _line(visible(part), style)


def _line(line: str, style: str = "", end: str = "\n") -> None:
    if fancy():
        console().print(line, style=style or None, end=end, markup=False, soft_wrap=True)
    else:
        write(line + end)


def _wrapped(line: str, width: int | None) -> list[str]:
    if width is None or len(line) <= width:
        return [line]
    return textwrap.wrap(line, width) or [""]


def say_pair(label: str, words: str, style: str = "", rest: str = "", column: int = LABEL) -> None:
    """Prints a label in its style and, beside it from a fixed column on, words in the style `rest`;
    where that leaves little room, the words follow directly."""
    width = min(columns(), WIDEST)
    if width - column < LEAST_ROOM:
        _run_on(f"{visible(label).rstrip()}  {visible(words)}", style, width)
        return
    first, *others = _wrapped(visible(words), width - column)
    _line(
        visible(label).ljust(column) if len(label) < column else f"{visible(label)} ", style, end=""
    )
    for line in (first, *(" " * column + other for other in others)):
        _line(line, rest)


def _run_on(text: str, style: str, width: int) -> None:
    for line in textwrap.wrap(text, width, subsequent_indent=" " * GAP):
        _line(line, style)


def say_json(found: Mapping[str, Any]) -> None:
    """Prints one JSON object, in ASCII."""
    write(f"{json.dumps(found, indent=2)}\n")


@dataclass
class Table:
    """Columns of text. Numbers are right-aligned: `right` holds their headings."""

    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    right: frozenset[str] = frozenset()
    styles: dict[str, str] = field(default_factory=dict)  # of a row, by its first cell
    names: int = 1  # leading cells that identify a row

    @property
    def widths(self) -> list[int]:
        lines = [self.columns, *self.rows]
        return [
            max(len(part) for line in lines for part in line[i].split("\n"))
            for i in range(len(self.columns))
        ]

    @property
    def width(self) -> int:
        return sum(self.widths) + GAP * (len(self.columns) - 1)

    def show(self) -> None:
        """A table if the terminal is wide enough, otherwise row by row."""
        if self.width > (limit() or self.width):
            self._show_rows()
        elif fancy():
            console().print(self.rich())
        else:
            say(self.plain())

    def fit(self, width: int) -> Table:
        """The table without the rightmost columns for which there is no room."""
        table = self
        while table.width > width and len(table.columns) > 1:
            cut = [row[:-1] for row in table.rows]
            table = Table(table.columns[:-1], cut, self.right, self.styles, self.names)
        return table

    def plain(self) -> str:
        return "\n".join(self._line(line) for line in [self.columns, *self.rows])

    def _line(self, cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column in self.right else cell.ljust(width)
            for cell, width, column in zip(cells, self.widths, self.columns, strict=True)
        )
        return (" " * GAP).join(padded).rstrip()

    def _show_rows(self) -> None:
        for row in self.rows:
            say("  ".join(row[: self.names]), self.styles.get(row[0], "bold"))
            for label, cell in self._pairs(row):
                say_pair(f"  {label}", cell, column=max(map(len, self.columns)) + 2 * GAP)

    def _pairs(self, row: Sequence[str]) -> Iterator[tuple[str, str]]:
        pairs = zip(self.columns[self.names :], row[self.names :], strict=True)
        return ((label, cell.strip()) for label, cell in pairs if cell.strip())

    def rich(self) -> RichTable:
        from rich import box
        from rich.table import Table as RichTable

        table = RichTable(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            header_style="bold",
        )
        for column in self.columns:
            justify: Literal["left", "right"] = "right" if column in self.right else "left"
            table.add_column(column, justify=justify, no_wrap=True)
        for row in self.rows:
            table.add_row(*row, style=self.styles.get(row[0]))
        return table
