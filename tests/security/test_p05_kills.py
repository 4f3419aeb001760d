"""Promise 5, across restarts: SIGKILL and power cuts at any moment, two processes on one store.

The order of the system calls themselves is in deep/test_p05_syscalls.py.
"""

import os
from typing import ClassVar

import pytest
from security.lives import PHASES, Lives

from pysframe import CounterStore
from pysframe import engine as engines


@pytest.fixture
def lives(tmp_path, rng):
    bound = [engines.bind(name) for name in engines.available()]
    return lambda store=CounterStore: Lives(tmp_path, bound, rng, store)


def test_killed_at_any_moment(lives, by_tier, figure):
    many = lives()
    ledger = many.run(by_tier(40, 400, 5000))
    figure(f"{many}; {ledger}")
    assert ledger.duplicates == 0
    assert ledger.total > 100
    assert all(many.phases[phase] for phase in PHASES[1:])


# ---- the seeded faults: what each of these stores forgets is noticed ----


class WrittenLater(CounterStore):
    """Gives a lease out and writes it when the next is asked for."""

    _unwritten: ClassVar[dict] = {}

    def _read(self):
        return super()._read() | self._unwritten

    def _write(self, table):
        super()._write(self._unwritten)
        self._unwritten = dict(table)


class NotSynced(CounterStore):
    def _write(self, table):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda fd: None)
            super()._write(table)


class RenameNotSynced(CounterStore):
    def _sync_directory(self):
        pass


@pytest.mark.parametrize("store", [WrittenLater, NotSynced, RenameNotSynced])
def test_a_store_that_forgets_is_noticed(lives, store):
    assert lives(store).run(30).duplicates > 0


@pytest.mark.parametrize("store", [NotSynced, RenameNotSynced])
def test_kills_alone_do_not_notice_a_missing_sync(lives, store):
    """Why power cuts are played: the page cache outlives a killed process."""
    assert lives(store).run(30, power_cuts=False).duplicates == 0
