"""The format of 0.1, "pysframe-counters/1": one JSON text, read once to be converted."""

import hashlib
import json
from operator import index
from typing import Any

FORMAT = "pysframe-counters/1"
BLOCKS = 16  # charged for each counter leased, since this format did not remember blocks
MOST_BLOCKS = 1 << 35  # charged so at most: half of what a key may seal


def is_old(head: bytes) -> bool:
    """Whether a file that begins so may have this format."""
    return head.startswith(b"{")


def read(text: bytes) -> list[tuple[bytes, int, int]]:
    """(fingerprint, next counter, blocks) of every key. ValueError says what is wrong."""
    try:
        table = _checked(json.loads(text))
        return [_record(key, following) for key, following in table.items()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(repr(error)) from None


def _checked(content: Any) -> dict[str, int]:
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}")
    table: dict[str, int] = content["next"]
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
    if content["sha256"] != digest:
        raise ValueError("its content and its sha256 differ")
    return table


def _record(key: str, following: int) -> tuple[bytes, int, int]:
    name = bytes.fromhex(key)
    if len(name) != 16 or not 0 <= index(following) <= 1 << 64:
        raise ValueError(f"{key!r}: {following!r} is no key and counter")
    return name, following, min(following * BLOCKS, MOST_BLOCKS)
