"""Promise 5, across restarts: SIGKILL and power cuts at any moment, two processes on one store.

The order of the system calls themselves is in deep/test_p05_syscalls.py.
"""

import os
import stat
from contextlib import contextmanager, nullcontext, suppress
from typing import ClassVar

import pytest
from security.lives import PHASES, EndedByItself, Lives

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

    _late: ClassVar[list] = []

    @contextmanager
    def _turn(self):
        with super()._turn() as (file, table):
            for record in self._late:
                table.put(*record)
            table.write()
            self._late.clear()
            yield file, Later(table, self._late)


class Later:
    def __init__(self, table, late):
        self._table, self._late, self.get = table, late, table.get

    def put(self, *record):
        self._table.put(*record)
        self._late.append(record)

    def write(self):
        pass


class NotSynced(CounterStore):
    """Leaves out the syncs of what `mode` is for: the file, or its directory."""

    is_left_out = staticmethod(stat.S_ISREG)

    @contextmanager
    def _turn(self):
        sync = os.fsync

        def left_out(fd):
            if not self.is_left_out(os.fstat(fd).st_mode):
                sync(fd)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", left_out)
            with super()._turn() as turn:
                yield turn


class DirectoryNotSynced(NotSynced):
    is_left_out = staticmethod(stat.S_ISDIR)


@pytest.mark.parametrize("store", [WrittenLater, NotSynced, DirectoryNotSynced])
def test_a_store_that_forgets_is_noticed(lives, store):
    """A counter comes twice, or a power cut has torn both copies of a page."""
    many = lives(store)
    with suppress(EndedByItself) if store is NotSynced else nullcontext():
        while not many.run(many.phases.total() + 20).duplicates:
            assert many.phases.total() < 400, many


def test_a_life_that_fails_says_why(lives):
    class Failing(CounterStore):
        def renew(self):
            raise RuntimeError("no luck today")

    with pytest.raises(EndedByItself, match=r"in renew\n.*\n.*no luck today"):
        lives(Failing).run(100)


@pytest.mark.parametrize("store", [NotSynced, DirectoryNotSynced])
def test_kills_alone_do_not_notice_a_missing_sync(lives, store):
    """Why power cuts are played: the page cache outlives a killed process."""
    assert lives(store).run(30, power_cuts=False).duplicates == 0
