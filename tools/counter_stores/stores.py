"""The candidates, each with lease(name), and how to fill them."""

import hashlib
import importlib.util
import json
import sqlite3

import pysframe

NAME = "ab" * 16
LEASE = 10


class Sqlite:
    """As short as it can be: one row for each key, with a digest of its own."""

    def __init__(self, path, *, lease=LEASE, timeout=3.0):
        self.path, self.size, self.timeout = str(path), lease, timeout

    def lease(self, name):
        connection = sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=TRUNCATE")
            connection.execute("PRAGMA synchronous=EXTRA")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS keys(name PRIMARY KEY, next, digest)")
            found = connection.execute("SELECT next, digest FROM keys WHERE name=?", (name,))
            following, digest = found.fetchone() or ("0", digest_of(name, "0"))
            if digest != digest_of(name, following):
                raise sqlite3.DatabaseError("the digest of a row differs")
            put(connection, name, int(following) + self.size)
            connection.execute("COMMIT")
        finally:
            connection.close()
        return int(following), int(following) + self.size - 1


def digest_of(name, following):
    return hashlib.sha256(f"{name} {following}".encode()).hexdigest()[:32]


def put(connection, name, following):
    row = name, str(following), digest_of(name, following)
    connection.execute("INSERT OR REPLACE INTO keys VALUES(?, ?, ?)", row)


def own_store(path, **more):
    return pysframe.CounterStore(path, **{"lease": LEASE} | more)


def old_store(path):
    spec = importlib.util.spec_from_file_location("pysframe.counters_before", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda path, **more: module.CounterStore(
        path, **{"lease": LEASE} | without_timeout(more)
    )


def without_timeout(more):
    return {name: value for name, value in more.items() if name != "timeout"}


def fill(make, path, names, following):
    if make is Sqlite:
        make(path).lease(NAME)
        with sqlite3.connect(path) as connection:
            for name in names:
                put(connection, name, following)
        connection.close()
    else:  # the older format, which the newer converts
        table = dict.fromkeys(names, following)
        digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
        content = {"format": "pysframe-counters/1", "next": table, "sha256": digest}
        path.write_text(json.dumps(content, indent=1))
        make(path).lease(NAME)


STORES = {"sqlite": Sqlite, "own": own_store}
