"""What a counter store does in odd places: the table of docs/counter-store.md.

    python tools/counter_stores [--old counters.py] [row ...]

Each row is run against SQLite (sqlite3 of the standard library: a row for each key, a rollback
journal, synchronous=EXTRA), against pysframe.CounterStore and, with --old, against the JSON file of
before, from `git show 0e73e49:src/pysframe/counters.py`. Needs root, unshare and strace.
"""

import argparse
import shutil
import tempfile
from functools import partial
from pathlib import Path

import moments  # noqa: F401  # their rows
import places  # noqa: F401
from stores import NAME, STORES, old_store
from trial import ROWS, attempt


def show(words, function):
    print(f"\n{words}")
    for name, make in STORES.items():
        folder = Path(tempfile.mkdtemp(prefix="pysframe-store-"))
        folder.chmod(0o755)
        print(f"  {name:7}", attempt(partial(function, make, folder)), flush=True)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--old", help="counters.py of before")
    parser.add_argument("--lease", nargs=2, help="one lease: which store, which file")
    parser.add_argument("rows", nargs="*", help="names of functions; all of them by default")
    given = parser.parse_args()
    if given.old:
        STORES["json"] = old_store(given.old)
    if given.lease:
        print(attempt(lambda: STORES[given.lease[0]](given.lease[1]).lease(NAME)))
        return
    for words, function in ROWS.items():
        if not given.rows or function.__name__ in given.rows:
            show(words, function)


if __name__ == "__main__":
    main()
