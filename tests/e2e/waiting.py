"""Waiting with an end: what does not come is named, with how long it was waited for.

Rule: every wait of a scenario goes through here, and its patience is generous. A loaded machine is
slow, and slow is no failure; what hangs must still end, in words.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
PATIENCE = 60.0  # seconds


class NotYet(NamedTuple):
    """What a probe gives while it is not true: how it stands."""

    how: Any

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return repr(self.how)


class Hung(Exception):
    """A part of the call has not done what it was waited for."""


async def within(what: str, awaited: Awaitable[T], patience: float = PATIENCE) -> T:
    try:
        async with asyncio.timeout(patience):
            return await awaited
    except TimeoutError:
        raise Hung(f"{what}: nothing came in {patience:.0f} s") from None


async def until(
    what: str, probe: Callable[[], Awaitable[Any]], patience: float = PATIENCE, every: float = 0.1
) -> Any:
    """What probe() gives once that is true; the last of it is told when it never is."""
    last: Any = None
    for _ in range(int(patience / every)):
        last = await within(what, probe(), patience)
        if last:
            return last
        await asyncio.sleep(every)
    raise Hung(f"{what}: not in {patience:.0f} s; it was {last!r}")
