"""Reads matrix.toml, and prints it: `python tests/e2e/matrix.py`."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("matrix.toml")


class Cell(NamedTuple):
    line: str
    measure: str
    says: str  # "shown", or why it cannot be

    @property
    def is_shown(self) -> bool:
        return self.says == "shown"


def content() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def cells() -> list[Cell]:
    """Of every line and measure, line by line; one that is missing says nothing."""
    table = content()
    return [
        Cell(name, measure, line["cells"].get(measure, ""))
        for name, line in table["lines"].items()
        for measure in table["measures"]
    ]


if __name__ == "__main__":
    for cell in cells():
        print(f"{cell.line:22} {cell.measure:14} {cell.says}")
