"""The file of a store: its schema, whose it is, and disks without room."""

import asyncio
import sqlite3
import stat
from contextlib import closing

import pytest
from keyservice.stores import ROOM, OneFile, come, run

from pysframe.keyservice import store_sqlite
from pysframe.keyservice.store import RoomId, RoomState, StoreError
from pysframe.keyservice.store_sqlite import MIGRATIONS, SqliteStore

MOVED = "CREATE TABLE notes (seq INTEGER); INSERT INTO notes SELECT seq FROM rooms"
NEXT = (*MIGRATIONS, MOVED)


@pytest.fixture
def place(tmp_path):
    return OneFile(tmp_path)


def asked(path, sql):
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(sql).fetchall()


def schema(path):
    return asked(path, "PRAGMA user_version")[0][0]


def test_a_new_file_is_its_owners_alone(place):
    run(place, come)
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert schema(place.path) == len(MIGRATIONS)


def test_a_commit_waits_for_the_disk(place):
    async def test(store):
        assert store_sqlite._pragma(store._connection, "synchronous") == "2"  # FULL
        assert store_sqlite._pragma(store._connection, "journal_mode") == "wal"

    run(place, test)


# ---- versions ----


def test_an_older_schema_moves_on_and_keeps_what_it_has(place, monkeypatch):
    run(place, lambda store: come(store, "alice", "bob"))
    monkeypatch.setattr(store_sqlite, "MIGRATIONS", NEXT)
    assert run(place, lambda store: store.state(ROOM)) == RoomState(2, 2, 2)
    assert schema(place.path) == len(NEXT)
    assert asked(place.path, "SELECT seq FROM notes") == [(2,)]


def test_a_step_that_fails_leaves_the_file_as_it_was(place, monkeypatch):
    run(place, lambda store: come(store, "alice"))
    broken = MOVED + "; INSERT INTO nowhere VALUES (1)"
    monkeypatch.setattr(store_sqlite, "MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(StoreError, match="nowhere"):
        SqliteStore(place.path)
    assert schema(place.path) == len(MIGRATIONS)
    monkeypatch.undo()
    assert run(place, lambda store: store.state(ROOM)) == RoomState(1, 1, 1)


def test_a_newer_schema_is_refused_in_words_and_left_alone(place, monkeypatch):
    monkeypatch.setattr(store_sqlite, "MIGRATIONS", NEXT)
    run(place, lambda store: come(store, "alice"))
    before = place.path.read_bytes()
    monkeypatch.undo()
    with pytest.raises(StoreError, match=rf"schema {len(NEXT)}, of a newer.*newer one again"):
        SqliteStore(place.path)
    assert place.path.read_bytes() == before


def test_somebody_elses_file_is_refused_and_left_alone(place):
    asked(place.path, "CREATE TABLE theirs (x)")
    before = place.path.read_bytes()
    with pytest.raises(StoreError, match="somebody else's database"):
        SqliteStore(place.path)
    place.path.with_name("text").write_text("not a database, but long enough to be read as one\n")
    with pytest.raises(StoreError, match="cannot be used: file is not a database"):
        SqliteStore(place.path.with_name("text"))
    assert place.path.read_bytes() == before


def test_somebody_elses_file_of_a_schema_that_is_known_is_refused(place):
    """Many applications count their schemas from 1, too."""
    asked(place.path, "CREATE TABLE theirs (x)")
    asked(place.path, "PRAGMA user_version=1")
    before = place.path.read_bytes()
    with pytest.raises(StoreError, match="somebody else's database"):
        SqliteStore(place.path)
    assert place.path.read_bytes() == before


@pytest.mark.parametrize("where", ["nowhere/rooms.db", ".", "nul\0"])
def test_a_place_for_no_file_is_refused_in_words(tmp_path, where):
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteStore(tmp_path / where)


# ---- a disk without room, a bug ----


@pytest.mark.parametrize(
    "impossible",
    [
        lambda store: store.after(ROOM, 1 << 63),
        lambda store: store.append(RoomId("acme", "\ud800"), b""),
        lambda store: store._ask(lambda db: (store_sqlite._append(db, ROOM, b"half"), int("x"))),
    ],
)
def test_a_request_that_cannot_be_fails_for_itself(place, impossible):
    async def test(store):
        asked = [store.append(ROOM, b"1"), impossible(store), store.append(ROOM, b"2")]
        first, none, second = await asyncio.gather(*asked, return_exceptions=True)
        assert (first.seq, type(none), second.seq) == (1, StoreError, 2)
        assert [row.body for row in await store.after(ROOM, 0)] == [b"1", b"2"]

    run(place, test)


def test_without_room_nothing_is_acknowledged_and_all_goes_on_later(place):
    async def test(store):
        await store.append(ROOM, b"first")
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count={pages}")
        many = [store.append(ROOM, bytes(10_000)) for _ in range(5)]
        failed = await asyncio.gather(*many, return_exceptions=True)
        assert {str(error) for error in failed} == {
            "the store did not write: database or disk is full"
        }
        assert [row.body for row in await store.after(ROOM, 0)] == [b"first"]
        store._connection.execute("PRAGMA max_page_count=100000")
        assert (await store.append(ROOM, b"second")).seq == 2

    run(place, test)


def test_a_fault_of_one_request_ends_no_other_store(place):
    """What is unforeseen rolls back, and everybody who waits is told."""

    async def test(store):
        def write_and_fail(db):
            store_sqlite._append(db, ROOM, b"half")
            raise ZeroDivisionError

        with pytest.raises(StoreError, match="did not write"):
            await store._ask(write_and_fail)
        assert (await store.append(ROOM, b"whole")).seq == 1

    run(place, test)
