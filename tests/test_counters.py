"""CounterStore: leases on disk before use, disjoint between processes (RFC 9605 9.1)."""

import hashlib
import os
import stat
import threading
import time
import traceback
from pathlib import Path

import isolated
import pytest
from racing import in_threads

from pysframe import CounterExhausted, CounterStore, CounterStoreError, MisuseError
from pysframe.counters import fingerprint
from pysframe.counters._blocks import AT_LEAST
from pysframe.counters._locks import Opening
from pysframe.limits import KEY_BUDGET

KEY = bytes(range(16))
NAME = fingerprint(4, 7, KEY)


class Counting:
    """What a store sees of a Sender, counting by hand."""

    def __init__(self, first, last):
        self.leases, self.used = [(first, last)], 0
        self.blocks = self.last_block = 0

    def _counters_left(self):
        return sum(last + 1 - first for first, last in self.leases) - self.used

    def _grant(self, first, last):
        self.leases.append((first, last))

    def _lease_blocks(self, last):
        self.last_block = last


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters"


def attached(store, name=NAME):
    claim, lease = store.begin(name)
    sender = Counting(*lease)
    store.attach(sender, claim)
    return sender


# ---- leases ----


def test_leases_follow_one_another_across_restarts(path):
    leases = [CounterStore(path, lease=10).lease(NAME) for _ in range(3)]
    assert leases == [(0, 9), (10, 19), (20, 29)]


def test_the_size_of_leases_may_change(path):
    assert CounterStore(path, lease=10).lease(NAME) == (0, 9)
    assert CounterStore(path, lease=1).lease(NAME) == (10, 10)
    assert CounterStore(path).lease(NAME) == (11, 10 + 2**20)


@pytest.mark.parametrize("lease", [0, -1, 2**64])
def test_lease_out_of_range(path, lease):
    with pytest.raises(MisuseError, match="lease"):
        CounterStore(path, lease=lease)
    assert not path.exists()


def test_each_key_counts_for_itself(path):
    store = CounterStore(path, lease=10)
    names = {fingerprint(s, k, b) for s in (4, 5) for k in (7, 8) for b in (KEY, KEY[::-1])}
    assert len(names) == 8
    assert {store.lease(name) for name in names} == {(0, 9)}


def test_the_last_counters(path):
    store = CounterStore(path, lease=2**63)
    assert store.lease(NAME) == (0, 2**63 - 1)
    assert store.lease(NAME) == (2**63, 2**64 - 1)
    with pytest.raises(CounterExhausted, match="every counter"):
        store.lease(NAME)
    assert store.lease(fingerprint(4, 8, KEY)) == (0, 2**63 - 1)


def test_the_file_tells_no_key_and_nobody_else_reads_it(path):
    CounterStore(path).lease(NAME)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert KEY not in content
    assert KEY.hex().encode() not in content


def test_fingerprints_stay_the_same_from_release_to_release():
    """Another one would be another key to a store, and its counters would begin anew."""
    named = b"pysframe counter store 1" + bytes.fromhex("00040000000000000007") + KEY
    assert hashlib.sha256(named).hexdigest()[:32] == NAME


def test_a_base_key_may_be_any_buffer():
    assert fingerprint(4, 7, bytearray(KEY)) == fingerprint(4, 7, memoryview(KEY)) == NAME


def test_a_link_leads_to_the_same_store(path, tmp_path):
    CounterStore(path, lease=10).lease(NAME)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert CounterStore(link, lease=10).lease(NAME) == (10, 19)
    assert CounterStore(path, lease=10).lease(NAME) == (20, 29)
    assert link.is_symlink()


def test_the_path_stays_the_same_when_the_directory_changes(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = CounterStore("counters", lease=10)
    store.lease(NAME)
    monkeypatch.chdir("/")
    assert store.lease(NAME) == (10, 19)
    assert path.exists()


def test_a_directory_that_is_missing(tmp_path):
    with pytest.raises(CounterStoreError, match="make its directory first") as caught:
        CounterStore(tmp_path / "missing" / "counters").lease(NAME)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


# ---- renewal ----


def test_renew_leases_more_below_half(path):
    store = CounterStore(path, lease=10)
    sender = attached(store)
    for used, renewed in ((0, 0), (5, 0), (6, 1), (6, 0), (15, 0), (16, 1)):
        sender.used = used
        assert store.renew() == renewed
    assert sender.leases == [(0, 9), (10, 19), (20, 29)]


def test_renew_leases_more_below_half_of_the_blocks(path):
    store = CounterStore(path, lease=10)
    sender = attached(store)
    for used, renewed in ((0, 0), (AT_LEAST // 2, 0), (AT_LEAST // 2 + 1, 1), (AT_LEAST, 0)):
        sender.blocks = used
        assert store.renew() == renewed
    assert sender.last_block == 2 * AT_LEAST
    assert sender.leases == [(0, 9), (10, 19)]


@pytest.mark.parametrize(("lease", "blocks"), [(1, 2**22), (2**18, 2**22), (2**20, 2**24)])
def test_blocks_in_a_lease(path, lease, blocks):
    claim, _ = CounterStore(path, lease=lease).begin(NAME)
    assert (claim.first_block, claim.last_block) == (0, blocks)


def test_renew_is_one_sync_for_all_and_none_for_nobody(path, monkeypatch):
    store = CounterStore(path, lease=10)
    senders = [attached(store, fingerprint(4, kid, KEY)) for kid in range(50)]
    syncs = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: syncs.append(fd) or sync(fd))
    assert store.renew() == 0
    assert not syncs
    for sender in senders[:40]:
        sender.used = 9
    assert store.renew() == 40
    assert len(syncs) == 3, "of what was there, of each page's first copy, then of its second"
    assert [len(sender.leases) for sender in senders] == [2] * 40 + [1] * 10


def test_renew_forgets_senders_that_are_gone(path):
    store = CounterStore(path, lease=10)
    sender = attached(store)
    sender.used = 10
    del sender
    assert store.renew() == 0


def test_renew_cares_for_the_others_when_one_key_has_no_counter_left(path, monkeypatch):
    store = CounterStore(path, lease=2**63)
    spent, other = attached(store), attached(store, fingerprint(4, 8, KEY))
    store.lease(NAME)
    spent.used = other.used = 2**63
    assert store.renew() == 1
    assert other.leases[1:] == [(2**63, 2**64 - 1)]
    assert spent.last_block == KEY_BUDGET, "no other lease will follow"
    other.used = 2**64
    assert store.renew() == 0
    monkeypatch.setattr(os, "open", None)
    assert store.renew() == 0, "and then without a look at the disk"


def test_no_key_in_the_traceback_of_a_fingerprint():
    with pytest.raises(OverflowError) as raised:
        fingerprint(4, -1, KEY)
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)][1:]
    assert frames and all(KEY not in frame.f_locals.values() for frame in frames)


# ---- at the same time ----


def test_threads_get_disjoint_leases(path):
    store = CounterStore(path, lease=10, timeout=60)
    each = in_threads(*[lambda: [store.lease(NAME) for _ in range(25)]] * 4)
    leases = [lease for mine in each for lease in mine]
    assert sorted(leases) == [(10 * n, 10 * n + 9) for n in range(100)]


def test_renew_while_another_thread_opens_the_file(path):
    """The list of openings changes under the one who reads it: a long one here, to be met."""
    store = CounterStore(path, lease=10, timeout=60)
    store.lease(NAME)
    others = [Opening(path) for _ in range(500)]
    done = threading.Event()

    def opens():
        for _ in range(30):
            store.lease(NAME)
        done.set()

    def renews():
        while not done.is_set():
            store.renew()

    in_threads(opens, renews)
    assert len(others) == 500


def test_a_fork_waits_for_whoever_opens_the_file(path, monkeypatch):
    """Else the child would share an opening that it does not know, and with it later locks."""
    store, opened = CounterStore(path, lease=10), threading.Event()
    store.lease(NAME)
    real = os.open

    def slow(*given, **more):
        fd = real(*given, **more)
        if str(given[0]) == str(path):
            opened.set()
            time.sleep(0.2)
        return fd

    def leaked():
        links = [Path("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
        return any(os.readlink(link) == str(path) for link in links if link.is_symlink())

    monkeypatch.setattr(os, "open", slow)
    thread = threading.Thread(target=store.lease, args=(NAME,))
    thread.start()
    assert opened.wait(60)
    assert isolated.in_child(leaked) is False
    thread.join()


def test_processes_get_disjoint_leases(path):
    code = f"""
from pysframe import CounterStore
store = CounterStore({str(path)!r}, lease=10, timeout=60)
print(*(store.lease({NAME!r})[0] for _ in range(25)))
"""
    outputs, threads = [], []
    for _ in range(3):
        threads.append(
            threading.Thread(target=lambda: outputs.append(isolated.python(code).stdout))
        )
        threads[-1].start()
    for thread in threads:
        thread.join()
    firsts = sorted(int(first) for output in outputs for first in output.split())
    assert firsts == [10 * n for n in range(75)]


def test_a_forked_child_shares_the_store(path):
    store = CounterStore(path, lease=10)
    assert store.lease(NAME) == (0, 9)
    assert isolated.in_child(lambda: store.lease(NAME)) == (10, 19)
    assert store.lease(NAME) == (20, 29)
