"""Appends to a store and says each message once it is acknowledged: PATH NAME COUNT FAULT.

COUNT: 0 for ever. NAME: or "-" to read names from the input, each of which is then a process of its
own, forked from this one, to be killed. FAULT: "none"; "early", which says it before it is;
"unsynced", which leaves the commit to the operating system.
"""

import asyncio
import itertools
import os
import sys

from pysframe.keyservice.store import RoomId
from pysframe.keyservice.store_sqlite import SqliteStore

ROOM, TOGETHER = RoomId("acme", "standup"), 4


async def main(path, name, count, fault):
    store = SqliteStore(path)
    if fault == "unsynced":
        store._connection.execute("PRAGMA synchronous=NORMAL")

    async def one(number):
        body = f"<{name}-{number}>"
        if fault == "early":
            os.write(1, f"{body}\n".encode())
        await store.append(ROOM, body.encode())
        if fault != "early":
            os.write(1, f"{body}\n".encode())

    numbers = iter(range(count)) if count else itertools.count()
    while batch := list(itertools.islice(numbers, TOGETHER)):
        await asyncio.gather(*map(one, batch))
    await store.close()


def fork(path, name, fault):
    """Says who it is, then what it appends; and this process, when that one has been killed."""
    child = os.fork()
    if child == 0:
        os.write(1, f"{os.getpid()}\n".encode())
        asyncio.run(main(path, name, 0, fault))
    os.waitpid(child, 0)
    os.write(1, b"ended\n")


path, name, count, fault = sys.argv[1:]
if name == "-":
    for line in sys.stdin:
        fork(path, line.strip(), fault)
else:
    asyncio.run(main(path, name, int(count), fault))
