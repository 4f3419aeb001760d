"""The file of a CounterStore after a power cut, also where somebody had been killed before."""

import os
import stat
from contextlib import suppress
from itertools import count

import pytest
from counter_files import fill, lease, names

from pysframe import CounterStoreError
from pysframe.counters import _file, _turn
from pysframe.counters._pages import RECORDS


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters"


class Killed(BaseException):
    pass


def power_cuts(path, monkeypatch, rng, kills=()):
    """What any power cut in the course of three leases could leave: before each write and sync, all
    that was synced, and of what was written since then any sectors.

    kills: the steps at which who takes a lease is killed. Then the next one begins with what was
    written by then, of which the disk may have nothing yet."""
    states, pending, steps = [], [], count(1)
    write, sync = os.pwrite, os.fsync
    durable = bytearray(path.read_bytes())

    def apply(state, data, at):
        state.extend(bytes(max(0, at + len(data) - len(state))))
        state[at : at + len(data)] = data

    def cut():
        for share in 0, 0.5, 0.5, 0.5, 0.5, 1:
            state = bytearray(durable)
            for data, at in pending:
                for sector in range(0, len(data), 512):
                    if rng.random() < share:
                        apply(state, data[sector : sector + 512], at + sector)
            states.append(bytes(state))

    def cut_and_write(fd, data, at):
        half = len(data) // 2
        for part in slice(half), slice(half, None):
            pending.append((data[part], at + (part.start or 0)))
            cut()
            write(fd, *pending[-1])
            die_in_time()
        return len(data)

    def die_in_time():
        if next(steps) in kills:
            raise Killed

    def cut_and_sync(fd):
        cut()
        die_in_time()
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            for change in pending:
                apply(durable, *change)
            pending.clear()
        sync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", cut_and_write)
        patch.setattr(os, "fsync", cut_and_sync)
        given_out = 0
        for _ in range(3):
            before = len(states)
            last = None
            while last is None:
                with suppress(Killed):
                    _, last = lease(path, "f" * 32)
            yield from ((state, given_out) for state in states[before:])
            given_out = last + 1
            yield bytes(durable), given_out


@pytest.mark.parametrize("keys", [0, RECORDS - 1, RECORDS, 2 * RECORDS])
def test_a_power_cut_at_any_point(path, monkeypatch, rng, keys):
    """Within one page, and where a new one is needed."""
    fill(path, names(keys))
    cuts = list(power_cuts(path, monkeypatch, rng))
    assert len(cuts) > 60
    for state, given_out in cuts:
        path.write_bytes(state)
        assert lease(path, "f" * 32)[0] >= given_out
        assert {lease(path, name)[0] for name in names(keys)[-1:]} <= {1000}


def harms(path, cuts):
    """Whether a store refuses one of these states, or gives counters out of it a second time."""
    for state, given_out in cuts:
        path.write_bytes(state)
        try:
            if lease(path, "f" * 32)[0] < given_out:
                return True
        except CounterStoreError:
            return True
    return False


STEPS = 16  # writes and syncs of two leases, or a few more


def after_kills(path, monkeypatch, rng, keys):
    """Power cuts after a kill at each step, and after a second one soon thereafter."""
    for step in range(1, STEPS):
        fill(path, names(keys))
        kills = {step, step + rng.randrange(8)}
        yield from list(power_cuts(path, monkeypatch, rng, kills))


@pytest.mark.parametrize("keys", [0, RECORDS])
def test_a_power_cut_after_a_kill(path, monkeypatch, rng, keys):
    """What a killed process wrote without a sync can be read, but is not on the disk."""
    assert not harms(path, after_kills(path, monkeypatch, rng, keys))


def test_a_power_cut_after_a_kill_harms_a_store_that_begins_without_a_sync(path, monkeypatch, rng):
    """The seeded fault: a page was repaired from a copy that was not on the disk."""
    monkeypatch.setattr(_turn, "_has_begun", _turn.is_ready)
    assert harms(path, after_kills(path, monkeypatch, rng, 0))


def test_a_power_cut_harms_a_store_that_syncs_both_copies_at_once(path, monkeypatch, rng):
    """The seeded fault."""
    monkeypatch.setattr(
        _file.Table, "write", lambda table: table._write(list(table._changed.values()), (0, 1))
    )
    fill(path, [])
    assert harms(path, list(power_cuts(path, monkeypatch, rng)))
