"""Leases straight from a counter store's file, without any Sender."""

import pytest

from pysframe import CounterStore, CounterStoreError
from pysframe.counters import _pages, fingerprint

PAGES = 2 * _pages.SIZE  # bytes that a page takes, with its copy
NAME = fingerprint(4, 7, bytes(range(16)))


def lease(path, name=NAME):
    return CounterStore(path, lease=10).lease(name)


def names(count):
    return [fingerprint(4, kid, bytes(16)) for kid in range(count)]


def fill(path, keys, following=1000):
    """A store of several pages."""
    path.write_bytes(
        _pages.FIRST_PAGE * 2
        + b"".join(
            page.sealed() * 2
            for page in _pages.tree([(bytes.fromhex(name), following, 0) for name in keys])
        )
    )


def damages(path):
    """The file is left as it is, and no counter is given out."""
    before = path.read_bytes()
    with pytest.raises(CounterStoreError) as caught:
        lease(path)
    assert path.read_bytes() == before
    return str(caught.value)


def raises(error):
    def call(*_, **__):
        raise error

    return call
