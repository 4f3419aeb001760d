"""What every store does, one suite for all of them: one log in order, races, refusals."""

import asyncio
from pathlib import Path
from tempfile import mkdtemp

import pytest
from keyservice.stores import OTHER, ROOM, OneFile, come, run

from pysframe.keyservice.store import Conflict, Kind, RoomState, Stale, StoreError

RACERS, TURNS = 16, 50


@pytest.fixture(params=[OneFile])
def place(request, quick_disk):
    """Where stores of one kind are; nothing in it yet."""
    return request.param(Path(mkdtemp(dir=quick_disk)))


# ---- one log, in order ----


def test_a_room_nobody_was_in_is_empty(place):
    async def test(store):
        assert await store.state(ROOM) == RoomState(0, 0, 0)
        assert list(await store.after(ROOM, 0)) == []

    run(place, test)


def test_entries_have_their_places_and_keep_them(place):
    async def test(store):
        alice, bob = await come(store, "alice", "bob")
        message = await store.append(ROOM, b"sealed")
        left = await store.change(ROOM, Kind.LEFT, "alice", b"", expected=2)
        carol = await store.change(ROOM, Kind.JOINED, "carol", b"c", expected=3)
        rows = [alice, bob, message, left, carol]
        assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
        assert [row.revision for row in rows] == [1, 2, 2, 3, 4]
        assert [row.index for row in rows] == [0, 1, 0, 0, 2]  # 0 is never given out again
        assert [row.member for row in rows] == ["alice", "bob", "", "alice", "carol"]
        assert list(await store.after(ROOM, 0)) == rows
        assert list(await store.after(ROOM, 2, limit=2)) == rows[2:4]
        assert list(await store.after(ROOM, 5)) == []
        return rows

    rows = run(place, test)

    async def again(store):
        assert list(await store.after(ROOM, 0)) == rows
        assert await store.state(ROOM) == RoomState(5, 4, 3)

    run(place, again)


def test_tenants_share_nothing(place):
    async def test(store):
        await come(store, "alice")
        assert await store.state(OTHER) == RoomState()
        (row,) = await come(store, "alice", room=OTHER)
        assert (row.seq, row.revision, row.index) == (1, 1, 0)
        assert len(await store.after(OTHER, 0)) == len(await store.after(ROOM, 0)) == 1

    run(place, test)


def test_who_is_there_cannot_join_and_who_is_not_cannot_leave(place):
    async def test(store):
        await come(store, "alice")
        for kind, name in ((Kind.JOINED, "alice"), (Kind.LEFT, "bob"), (Kind.RENEWED, "bob")):
            with pytest.raises(Conflict):
                await store.change(ROOM, kind, name, b"", expected=1)
        assert await store.state(ROOM) == RoomState(1, 1, 1)
        row = await store.change(ROOM, Kind.RENEWED, "alice", b"", expected=1)
        assert (row.index, row.revision) == (0, 2)

    run(place, test)


def test_a_change_of_an_older_roster_is_stale(place):
    async def test(store):
        await come(store, "alice", "bob")
        with pytest.raises(Stale, match="revision 2 by now") as caught:
            await store.change(ROOM, Kind.JOINED, "carol", b"", expected=1)
        assert caught.value.state == await store.state(ROOM) == RoomState(2, 2, 2)

    run(place, test)


# ---- races ----


@pytest.mark.parametrize("stores", [1, 2])
def test_of_sixteen_racers_one_wins_each_time(place, stores):
    async def test(*opened):
        async def race(racer, revision):
            store, name = opened[racer % stores], f"{revision}-{racer}"
            try:
                return await store.change(ROOM, Kind.JOINED, name, b"", expected=revision)
            except Stale:
                return None

        for revision in range(TURNS):
            rows = await asyncio.gather(*(race(racer, revision) for racer in range(RACERS)))
            (winner,) = [row for row in rows if row is not None]
            assert winner.revision == revision + 1
        for store in opened:
            assert await store.state(ROOM) == RoomState(TURNS, TURNS, TURNS)

    run(place, test, stores)


@pytest.mark.parametrize("stores", [1, 2])
def test_messages_of_many_have_each_a_place_of_their_own(place, stores):
    async def test(*opened):
        bodies = [f"{n}".encode() for n in range(300)]
        asked = [opened[n % stores].append(ROOM, body) for n, body in enumerate(bodies)]
        rows = await asyncio.gather(*asked)
        assert sorted(row.seq for row in rows) == list(range(1, 301))
        assert [row.body for row in rows] == bodies
        for store in opened:
            found = await store.after(ROOM, 0, limit=1000)
            assert list(found) == sorted(rows, key=lambda row: row.seq)

    run(place, test, stores)


def test_who_does_not_wait_any_more_harms_nobody(place):
    async def test(store):
        asked = [asyncio.ensure_future(store.append(ROOM, b"%d" % n)) for n in range(20)]
        await asyncio.sleep(0)
        for task in asked[::2]:
            task.cancel()
        rows = [await task for task in asked[1::2]]
        found = {row.seq: row for row in await store.after(ROOM, 0)}
        assert all(found[row.seq] == row for row in rows)

    run(place, test)


def test_a_closed_store_says_so(place):
    async def test(store):
        await store.append(ROOM, b"")
        await store.close()
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.append(ROOM, b"")

    run(place, test)
