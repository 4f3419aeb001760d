"""The AES blocks of a key through a CounterStore: no life of it makes it look less used."""

import errno
import logging
import os
import subprocess
import sys

import isolated
import pytest
from parties import GCM

from pysframe import CounterStore, CounterStoreError, FrameBatch, KeyExhausted, LeaseEnded
from pysframe.counters import _blocks, fingerprint

LEASE = _blocks.AT_LEAST  # blocks with a lease of few counters
HALF, WHOLE = 2**35, 2**36


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters"


@pytest.fixture
def start(engine, path, rng):
    key = rng.randbytes(16)

    def make(lease=100, kid=7):
        return engine.Sender(GCM, kid=kid, base_key=key, counters=CounterStore(path, lease=lease))

    make.name = fingerprint(GCM, 7, key)
    return make


def charged(path, name):
    with CounterStore(path)._turn() as (_, table):
        return table.get(bytes.fromhex(name))[1]


def put(path, name, blocks):
    _blocks._give_all_back()
    with CounterStore(path)._turn() as (_, table):
        table.put(bytes.fromhex(name), table.get(bytes.fromhex(name))[0], blocks)
        table.write()


def test_the_meter_goes_on_across_lives(start, path):
    for life in range(3):
        with start() as sender:
            assert sender.blocks == 3 * life
            sender.protect(b"x" * 16)
        assert charged(path, start.name) == 3 * life + LEASE
    with start() as sender:
        assert sender.blocks == 9


@pytest.mark.parametrize(
    "end", ["sender.close()", "del sender", "os._exit(0)", "os.kill(os.getpid(), 9)"]
)
def test_the_end_of_a_process(start, path, end):
    """Closed: what was used is charged. Any other end: the whole lease."""
    code = f"""
import os
from pysframe import CounterStore, Sender
sender = Sender(4, kid=7, base_key=bytes(16), counters=CounterStore({str(path)!r}, lease=1))
for _ in range(1): sender.protect(b"x" * 16)
{end}
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(isolated.SRC)})
    expected = 3 if end == "sender.close()" else LEASE
    assert charged(path, fingerprint(4, 7, bytes(16))) == expected


def test_no_frame_goes_past_the_lease_and_renew_leases_more(engine, start, path):
    with start() as sender:
        sender._raise_blocks(LEASE - 3 * 2)
        engine.protect_many(sender, [b"x" * 16])
        for refused in (
            lambda: sender.protect(b"x" * 48),
            lambda: sender.protect_into(b"", bytearray(99), b"x" * 48),
            lambda: engine.protect_many(sender, [b"x" * 48] * 2),
            lambda: engine.protect_batch(sender, FrameBatch.from_frames([b"x" * 48] * 2)),
        ):
            with pytest.raises(LeaseEnded, match="blocks"):
                refused()
        assert sender.blocks == LEASE - 3
        sender.protect(b"x" * 16)
        with pytest.raises(LeaseEnded):
            sender.protect(b"")
        assert sender._counters.renew() == 1
        assert charged(path, start.name) == 2 * LEASE
        sender.protect(b"")
        assert sender._counters.renew() == 0
    with start() as sender:
        assert sender.blocks == LEASE + 2


@pytest.mark.parametrize("rows", [1, 3, 65])
def test_a_batch_stops_where_the_lease_does(engine, start, rows):
    """However many blocks are left, rows alike or not: never one more than leased."""
    with start(lease=10_000) as sender:
        store, name = sender._counters, start.name
        for left in range(0, 5 * rows, max(1, rows // 7)):
            sender._raise_blocks(sender._claim.last_block - left)
            before = sender.blocks
            try:
                engine.protect_many(sender, [b"x" * 16 * (row % 3) for row in range(rows)])
            except LeaseEnded:
                assert 0 <= sender.blocks - before <= left
            else:
                assert 2 * rows <= sender.blocks - before <= left
            store.renew()
        assert name


def test_what_is_given_back_is_given_back_once(start, path, monkeypatch):
    """A write that failed may have come to the disk all the same."""
    start().close()
    write = os.fsync

    def refuse(fd):
        write(fd)
        raise OSError(errno.EIO, "no disk")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(CounterStoreError):
            start()
    with start() as sender:
        assert sender.blocks in (0, LEASE, 2 * LEASE)
    assert not _blocks._unused.get((os.getpid(), path), {}).get(bytes(16))
    assert charged(path, start.name) >= LEASE


def test_a_child_gives_nothing_back_that_is_its_parent_s(start, path):
    sender = start()

    def in_child():
        sender.close()
        CounterStore(path).begin("a" * 32)

    before = charged(path, start.name)
    isolated.in_child(in_child)
    assert charged(path, start.name) == before
    start(kid=8).close()
    assert _blocks._unused
    assert isolated.in_child(lambda: len(_blocks._unused)) == 0
    sender.protect(b"")


def test_half_of_the_budget_and_its_end(start, path, caplog):
    caplog.set_level(logging.WARNING, logger="pysframe")
    with start() as sender:
        sender.protect(b"")
    put(path, start.name, HALF - 3)
    with start() as sender:
        sender.protect(b"")
        assert not caplog.records
        sender.protect(b"")
        assert len(caplog.records) == 1
    put(path, start.name, HALF)
    with start() as sender:
        assert len(caplog.records) == 2, "told again in a new life"
    put(path, start.name, WHOLE - 5)
    with start() as sender:
        for _ in range(2):
            sender.protect(b"")
        assert sender._counters.renew() == 0, "there are no more"
        with pytest.raises(KeyExhausted):
            sender.protect(b"")
    put(path, start.name, WHOLE)
    with pytest.raises(
        KeyExhausted, match=r"2\^36 AES blocks .* Senders that were never .*fresh key"
    ):
        start()


@pytest.mark.parametrize("beyond", [0, 5])
def test_nothing_is_given_back_of_a_lease_that_was_used_up(start, path, beyond):
    with start() as sender:
        sender._raise_blocks(LEASE + beyond)
    _blocks._give_all_back()
    assert charged(path, start.name) == LEASE


def test_the_end_of_a_process_does_not_wait_for_a_store_in_use(start, path, monkeypatch):
    monkeypatch.setattr(_blocks, "WAIT", 0)
    start().close()
    with CounterStore(path)._turn():
        _blocks._give_all_back()
    assert charged(path, start.name) == LEASE


def test_starts_and_stops_cost_a_key_nothing(start, path):
    store = CounterStore(path, lease=100)
    for _ in range(50):
        start().close()
    claim, _ = store.begin(start.name)
    assert claim.first_block == 0
