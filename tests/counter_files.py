"""Leases straight from a counter store's file, without any Sender."""

import pytest

from pysframe import CounterStore, CounterStoreError
from pysframe.counters import fingerprint

NAME = fingerprint(4, 7, bytes(range(16)))


def lease(path, name=NAME):
    return CounterStore(path, lease=10).lease(name)


def names(count):
    return [fingerprint(4, kid, bytes(16)) for kid in range(count)]


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
