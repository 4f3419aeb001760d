"""How a key is written down by people and programs, and where an error shows one."""

import base64
import traceback
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]

PIECE = 8  # bytes of a key; a dozen in a row have one of the pieces that are looked for


def spellings(secret: bytes) -> set[str]:
    """Of each piece of a secret: hex, decimal, base64 at its three alignments, repr."""
    said = set()
    for at in range(0, len(secret) - PIECE + 1, 4):
        piece = secret[at : at + PIECE]
        said |= {piece.hex(), piece.hex(" "), piece.hex(":"), str(list(piece))[1:-1]}
        said |= {repr(piece)[2:-1], base64.b64encode(piece)[:10].decode()}
    return said | {spelling.upper() for spelling in said}


def shown(said: str, *secrets: bytes) -> list[str]:
    return [s for secret in secrets for s in spellings(secret) if s in said]


def family_of(error: BaseException) -> Iterator[BaseException]:
    """The error, and all its causes and contexts, each once."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            yield one


def leaks(error: BaseException, *secrets: bytes) -> list[str]:
    """Where an error, its causes and contexts show a secret: words, attributes, and the local
    variables of all code that is not a test's own."""
    said: list[str] = []
    for one in family_of(error):
        said.append(f"{one!r} {one} {one.args!r} {vars(one)!r}")
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if not Path(frame.f_code.co_filename).is_relative_to(TESTS):
                said += [repr(value) for value in frame.f_locals.values()]
                said += [repr(vars(value)) for value in frame.f_locals.values() if is_plain(value)]
    return shown("\n".join(said), *secrets)


def is_plain(value: object) -> bool:
    return hasattr(value, "__dict__") and not isinstance(value, type)
