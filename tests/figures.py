"""The figures in vectors, see the README there."""

import json
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors"


@cache
def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def everywhere(part: str) -> list[Any]:
    """The rows of one part, `suites` or `sframe`, from every file that has it."""
    files = [load(path.stem) for path in sorted(VECTORS.glob("*.json"))]
    return [row for file in files for row in file.get(part, [])]


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


def integer(text: str) -> int:
    return int(text, 16)
