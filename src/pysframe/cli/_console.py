"""Where commands write: colours and tables on a terminal, plain lines everywhere else.

Rules: rich is an extra, so nothing here needs it; NO_COLOR (no-color.org), a dumb terminal or a
pipe means plain lines; results go to stdout, complaints to stderr.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable


LABEL = 12  # columns that labels at the left take


class CommandError(Exception):
    """What keeps a command from running, in words for its user."""


def need(extra: str, **modules: str) -> None:
    """Raises CommandError unless every module (import name=what people call it) is there."""
    missing = [called for module, called in modules.items() if find_spec(module) is None]
    if missing:
        raise CommandError(
            f"{' and '.join(missing)} not installed; this installs what is needed:\n"
            f"    pip install 'pysframe[{extra}]'"
        )


def fancy() -> bool:
    """Whether stdout is a terminal that wants colours, and rich is there to make them."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return wanted and os.environ.get("TERM") != "dumb" and find_spec("rich") is not None


@cache
def console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def say(line: str = "", style: str = "") -> None:
    """One line, in a rich style where there is colour."""
    if fancy():
        console().print(line, style=style or None, markup=False, soft_wrap=True)
    else:
        print(line, flush=True)


def say_pair(label: str, words: str, style: str = "") -> None:
    """A label in its style, and words beside it, wrapped to the width of the terminal."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120) - LABEL
    first, *others = textwrap.wrap(words, width)
    if fancy():
        console().print(label.ljust(LABEL), style=style or None, end="", markup=False)
        say(first)
    else:
        say(label.ljust(LABEL) + first)
    for line in others:
        say(" " * LABEL + line)


@dataclass
class Table:
    """Columns of text. Numbers go to the right: `right` holds their headings."""

    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    right: frozenset[str] = frozenset()
    styles: dict[str, str] = field(default_factory=dict)  # of a row, by its first cell

    def show(self) -> None:
        if fancy():
            console().print(self.rich())
        else:
            print(self.plain(), flush=True)

    def plain(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        return "\n".join(self._line(line, widths) for line in lines)

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = (
            cell.rjust(width) if column in self.right else cell.ljust(width)
            for cell, width, column in zip(cells, widths, self.columns, strict=True)
        )
        return "  ".join(padded).rstrip()

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
