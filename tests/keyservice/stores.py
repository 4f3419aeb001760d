"""Stores to test: where each kind lives, and one suite's worth of rooms in it."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from pysframe.keyservice.store import Kind, RoomId
from pysframe.keyservice.store_sqlite import SqliteStore

ROOM, OTHER = RoomId("acme", "standup"), RoomId("umbrella", "standup")


class OneFile:
    """A SQLite file; each store that is opened has a connection of its own."""

    def __init__(self, folder):
        self.path = folder / "rooms.db"

    @asynccontextmanager
    async def opened(self):
        store = SqliteStore(self.path)
        try:
            yield store
        finally:
            await store.close()


def run(place, test, stores=1):
    """Runs test(store, ...) with so many stores over one place."""

    async def whole():
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(place.opened()) for _ in range(stores)]
            return await test(*opened)

    return asyncio.run(whole())


async def come(store, *names, room=ROOM):
    """These join, one after the other."""
    rows = []
    for name in names:
        expected = (await store.state(room)).revision
        rows.append(await store.change(room, Kind.JOINED, name, name.encode(), expected=expected))
    return rows
