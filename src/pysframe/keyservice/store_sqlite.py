"""Rooms' logs in one SQLite file: the store that needs nothing else to start.

Rules of this file:
  1. WAL with synchronous=FULL: a commit is on the disk before its requests are answered.
  2. One thread has the connection. What waits for it meanwhile is committed together, so that the
     disk's sync is shared. A request that asks for what cannot be still fails for itself; when the
     disk fails, all of them do.
  3. A file of a newer schema, or of somebody else, is refused and left as it is.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from typing import TypeVar

from .store import Conflict, Kind, RoomId, RoomState, Row, Stale, StoreError

_TABLES = """
CREATE TABLE rooms (
    tenant TEXT NOT NULL, room TEXT NOT NULL,
    seq INTEGER NOT NULL, revision INTEGER NOT NULL, next_index INTEGER NOT NULL,
    PRIMARY KEY (tenant, room)
) WITHOUT ROWID, STRICT;
CREATE TABLE log (
    tenant TEXT NOT NULL, room TEXT NOT NULL, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, revision INTEGER NOT NULL, member TEXT NOT NULL, number INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, room, seq)
) WITHOUT ROWID, STRICT;
CREATE TABLE members (
    tenant TEXT NOT NULL, room TEXT NOT NULL, member TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (tenant, room, member)
) WITHOUT ROWID, STRICT;
"""
MIGRATIONS: tuple[str, ...] = (_TABLES,)  # from schema 0, an empty file, to 1, to 2, ...
_OURS = {"rooms", "log", "members"}  # tables of every schema
_TOGETHER = 256  # requests that share a commit
_PATIENCE = 30.0  # seconds for another process to let go of the file

_T = TypeVar("_T")


@dataclass(slots=True)
class _Request:
    work: Callable[[sqlite3.Connection], object]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[object]


class SqliteStore:
    """A Store in one file. Any number of threads and loops; one process at a time writes well."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Opens the file, or makes it for its owner alone. Raises StoreError, in words."""
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._connection = _opened(path)
        self._thread = threading.Thread(target=self._work, name="pysframe-store", daemon=True)
        self._thread.start()

    async def append(self, room: RoomId, body: bytes) -> Row:
        """Adds a message; on the disk when this returns."""
        return await self._ask(lambda db: _append(db, room, body))

    async def change(
        self, room: RoomId, kind: Kind, member: str, body: bytes, *, expected: int
    ) -> Row:
        """Adds a change of the roster. Raises Stale or Conflict, and then nothing has changed."""
        return await self._ask(lambda db: _change(db, room, kind, member, body, expected))

    async def after(self, room: RoomId, seq: int, limit: int = 256) -> Sequence[Row]:
        """The entries that follow this number, in order."""
        return await self._ask(lambda db: _after(db, room, seq, limit))

    async def state(self, room: RoomId) -> RoomState:
        """Where the room stands."""
        return await self._ask(lambda db: _state(db, room))

    async def close(self) -> None:
        """Ends the store when all that was asked is done; idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._requests.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _ask(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            self._requests.put(_Request(work, loop, future))
        return await future  # type: ignore[return-value]  # what work returned

    # ---- the writer's thread ----

    def _work(self) -> None:
        request = self._requests.get()
        while request is not None:
            together = [request]
            while len(together) < _TOGETHER and not self._requests.empty():
                request = self._requests.get()
                if request is None:
                    break
                together.append(request)
            self._commit(together)
            request = self._requests.get() if request is not None else None
        self._connection.close()

    def _commit(self, requests: list[_Request]) -> None:
        """One transaction for all; nobody is answered before it is on the disk."""
        answers: list[tuple[_Request, object]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answers = [(request, self._one(request)) for request in requests]
            self._connection.execute("COMMIT")
        except Exception as error:  # whatever it is, everybody who waits must be told
            _roll_back(self._connection)
            failure = StoreError(f"the store did not write: {error}")
            answers = [(request, failure) for request in requests]
        for request, answer in answers:
            with suppress(RuntimeError):  # its loop has been closed, and nobody waits
                request.loop.call_soon_threadsafe(_answer, request.future, answer)

    def _one(self, request: _Request) -> object:
        """Its result, or the StoreError that it alone ends with. Raises what concerns all."""
        self._connection.execute("SAVEPOINT one")
        answer: object
        try:
            answer = request.work(self._connection)
        except StoreError as refusal:
            answer = refusal
        except (ValueError, OverflowError) as error:  # a number or name that SQLite cannot have
            self._connection.execute("ROLLBACK TO one")
            answer = StoreError(f"the store did not write: {error}")
        self._connection.execute("RELEASE one")
        return answer


def _answer(future: asyncio.Future[object], answer: object) -> None:
    if future.cancelled():
        return
    if isinstance(answer, StoreError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _opened(path: str | PathLike[str]) -> sqlite3.Connection:
    connection = _connected(path)
    try:
        _refuse_what_is_not_ours(connection, path)
        if _pragma(connection, "journal_mode=WAL") != "wal":
            raise StoreError(f"{path} lies where SQLite cannot have a write-ahead log")
        _pragma(connection, "synchronous=FULL")
        _migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path} cannot be used: {error}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def _connected(path: str | PathLike[str]) -> sqlite3.Connection:
    try:
        with suppress(FileExistsError):  # who is in which room is nobody else's business
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE
        )
    except (OSError, ValueError, sqlite3.Error) as error:
        raise StoreError(f"{path!s} cannot be opened: {error}") from error


def _refuse_what_is_not_ours(connection: sqlite3.Connection, path: str | PathLike[str]) -> int:
    """The file's schema. Nothing is written to a file that is refused."""
    version = int(_pragma(connection, "user_version"))
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} has schema {version}, of a newer pysframe than this one, which knows "
            f"{len(MIGRATIONS)}; install the newer one again, or restore a backup"
        )
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    if tables if version == 0 else not tables >= _OURS:
        raise StoreError(f"{path} is somebody else's database; name another file")
    return version


def _migrate(connection: sqlite3.Connection, path: str | PathLike[str]) -> None:
    """To the newest schema, all at once or not at all; one process does it, others wait."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in MIGRATIONS[_refuse_what_is_not_ours(connection, path) :]:
            for statement in script.split(";"):
                connection.execute(statement)
        _pragma(connection, f"user_version={len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _pragma(connection: sqlite3.Connection, words: str) -> str:
    """What a PRAGMA answers, or "" if that is nothing."""
    row = connection.execute(f"PRAGMA {words}").fetchone()
    return str(row[0]) if row else ""


# ---- what is asked of the database; every query has the tenant ----


def _state(db: sqlite3.Connection, room: RoomId) -> RoomState:
    row = db.execute(
        "SELECT seq, revision, next_index FROM rooms WHERE tenant = ? AND room = ?",
        (room.tenant, room.room),
    ).fetchone()
    return RoomState(*row) if row else RoomState()


def _append(db: sqlite3.Connection, room: RoomId, body: bytes) -> Row:
    state = _state(db, room)
    row = Row(state.seq + 1, Kind.MESSAGE, state.revision, "", 0, body)
    _write(db, room, row, state.next_index)
    return row


def _change(
    db: sqlite3.Connection, room: RoomId, kind: Kind, member: str, body: bytes, expected: int
) -> Row:
    state = _state(db, room)
    if state.revision != expected:
        raise Stale(state)
    index = _seat(db, room, kind, member, state.next_index)
    row = Row(state.seq + 1, kind, state.revision + 1, member, index, body)
    _write(db, room, row, max(state.next_index, index + 1))
    return row


def _seat(db: sqlite3.Connection, room: RoomId, kind: Kind, member: str, next_index: int) -> int:
    """The member's index, after what the change does to its seat."""
    where = (room.tenant, room.room, member)
    found = db.execute(
        "SELECT number FROM members WHERE tenant = ? AND room = ? AND member = ?", where
    ).fetchone()
    if (found is None) != (kind is Kind.JOINED):
        raise Conflict(f"a member of this name is {'not ' if found is None else ''}in the room")
    if kind is Kind.JOINED:
        db.execute("INSERT INTO members VALUES (?, ?, ?, ?)", (*where, next_index))
        return next_index
    if kind is Kind.LEFT:
        db.execute("DELETE FROM members WHERE tenant = ? AND room = ? AND member = ?", where)
    return int(found[0])


def _write(db: sqlite3.Connection, room: RoomId, row: Row, next_index: int) -> None:
    values = (row.revision, row.member, row.index, row.body)
    db.execute(
        "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (room.tenant, room.room, row.seq, row.kind.value, *values),
    )
    db.execute(
        "INSERT INTO rooms VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, room) DO UPDATE SET "
        "seq = excluded.seq, revision = excluded.revision, next_index = excluded.next_index",
        (room.tenant, room.room, row.seq, row.revision, next_index),
    )


def _after(db: sqlite3.Connection, room: RoomId, seq: int, limit: int) -> list[Row]:
    rows = db.execute(
        "SELECT seq, kind, revision, member, number, body FROM log "
        "WHERE tenant = ? AND room = ? AND seq > ? ORDER BY seq LIMIT ?",
        (room.tenant, room.room, seq, limit),
    )
    return [Row(number, Kind(kind), *rest) for number, kind, *rest in rows]
