"""CounterStore: leases on disk before use, disjoint between processes (RFC 9605 9.1)."""

import errno
import hashlib
import json
import os
import stat
import threading
from pathlib import Path

import isolated
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pysframe import CounterExhausted, CounterStore, CounterStoreError, MisuseError
from pysframe.counters import fingerprint

KEY = bytes(range(16))
NAME = fingerprint(4, 7, KEY)


class Counting:
    """What a store sees of a Sender, counting by hand."""

    def __init__(self, first, last):
        self.leases, self.used = [(first, last)], 0

    def _counters_left(self):
        return sum(last + 1 - first for first, last in self.leases) - self.used

    def _grant(self, first, last):
        self.leases.append((first, last))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters"


def attached(store, name=NAME):
    sender = Counting(*store.lease(name))
    store.attach(sender, name)
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
    for name in (path, path.with_name("counters.lock")):
        assert stat.S_IMODE(name.stat().st_mode) == 0o600
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
    with pytest.raises(FileNotFoundError):
        CounterStore(tmp_path / "missing" / "counters").lease(NAME)


# ---- renewal ----


def test_renew_leases_more_below_half(path):
    store = CounterStore(path, lease=10)
    sender = attached(store)
    for used, renewed in ((0, 0), (5, 0), (6, 1), (6, 0), (15, 0), (16, 1)):
        sender.used = used
        assert store.renew() == renewed
    assert sender.leases == [(0, 9), (10, 19), (20, 29)]


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
    assert len(syncs) == 2, "the file and its directory"
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
    other.used = 2**64
    before = path.stat().st_ino
    assert store.renew() == store.renew() == 0
    monkeypatch.setattr(os, "open", None)
    assert store.renew() == 0, "and then without a look at the disk"
    assert path.stat().st_ino != before


# ---- the disk ----


def test_written_synced_renamed_synced_then_used(path, monkeypatch):
    """The order is the promise: what is not on the disk was not given out."""
    done = []
    sync, replace = os.fsync, os.replace

    def traced_sync(fd):
        name = os.readlink(f"/proc/self/fd/{fd}")
        done.append(("fsync", name, None if Path(name).is_dir() else Path(name).read_text()))
        return sync(fd)

    def traced_replace(old, new):
        done.append(("replace", str(new), None))
        return replace(old, new)

    monkeypatch.setattr(os, "fsync", traced_sync)
    monkeypatch.setattr(os, "replace", traced_replace)
    CounterStore(path).lease(NAME)
    written = path.read_text()
    assert done == [
        ("fsync", f"{path}.new", written),
        ("replace", str(path), None),
        ("fsync", str(path.parent), None),
    ]


@pytest.mark.parametrize(
    ("call", "nth", "lost"),
    [
        ("open", 1, 0),  # the lock
        ("open", 2, 0),  # the new file
        ("fsync", 1, 0),
        ("replace", 1, 0),
        ("open", 3, 1),  # the directory, when the rename has happened
        ("fsync", 2, 1),
    ],
)
def test_when_the_disk_refuses_nobody_gets_a_counter(path, monkeypatch, call, nth, lost):
    store = CounterStore(path, lease=10)
    sender = attached(store)
    sender.used = 10
    real, calls = getattr(os, call), []

    def refuse(*args):
        calls.append(args)
        if len(calls) == nth:
            raise OSError(errno.EIO, "no disk")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(OSError, match="no disk"):
            store.renew()
    assert sender.leases == [(0, 9)]
    assert store.lease(NAME)[0] == 10 + 10 * lost


def content(next_ctr=5, changed=None, **others):
    """A file's text, as an earlier release may have left it; `changed` after it was digested."""
    table = {NAME: next_ctr} | others
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
    fields = {"format": "pysframe-counters/1", "next": table, "sha256": digest}
    return json.dumps(fields | (changed or {}))


def test_the_format_of_the_file(path):
    path.write_text(content(5))
    assert CounterStore(path, lease=10).lease(NAME) == (5, 14)
    assert path.read_text() == json.dumps(json.loads(content(15)), indent=1)


def test_the_order_of_keys_in_the_file_is_nothing(path):
    first = content(5, other=8)
    path.write_text(first)
    store = CounterStore(path, lease=10)
    assert (store.lease(NAME), store.lease("other")) == ((5, 14), (8, 17))
    turned = json.loads(first)
    turned["next"] = dict(reversed(turned["next"].items()))
    path.write_text(json.dumps(turned))
    assert (store.lease(NAME), store.lease("other")) == ((5, 14), (8, 17))


def test_the_last_counter_of_all_is_given_out(path):
    path.write_text(content(2**64 - 1))
    assert CounterStore(path).lease(NAME) == (2**64 - 1, 2**64 - 1)
    with pytest.raises(CounterExhausted):
        CounterStore(path).lease(NAME)


def test_a_repr_names_the_file(path):
    assert repr(CounterStore(path)) == f"<CounterStore {str(path)!r}>"


@pytest.mark.parametrize(
    "damaged",
    [
        "", "null", "[]", "{}", "0", '"text"', "{", "\x00" * 100, "[" * 100_000,
        *(content(changed=wrong) for wrong in (
            {"format": "pysframe-counters/2"}, {"next": {}}, {"next": None}, {"next": []},
            {"next": {NAME: "5"}}, {"sha256": ""}, {"sha256": None},
        )),
    ],
)  # fmt: skip
def test_a_damaged_file_is_left_as_it_is(path, damaged):
    path.write_text(damaged)
    for use in (lambda store: store.lease(NAME), lambda store: store.lease("other")):
        with pytest.raises(CounterStoreError, match="damaged"):
            use(CounterStore(path))
    assert path.read_text() == damaged


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"format": "x/2"}, "its format is 'x/2'"),
        ({"sha256": ""}, "its content and its sha256 differ"),
    ],
)
def test_what_is_wrong_and_what_to_do(path, wrong, why):
    path.write_text(content(changed=wrong))
    with pytest.raises(CounterStoreError) as caught:
        CounterStore(path).lease(NAME)
    said = str(caught.value)
    assert said.startswith(str(path)) and why in said
    assert said.endswith("another path: a guess could use a counter twice")


@given(st.data())
def test_no_flipped_bit_and_no_cut_lowers_a_counter(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("store") / "counters"
    intact = content(1000).encode()
    changed = bytearray(intact)
    changed[data.draw(st.integers(0, len(intact) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(intact) - 1)))
    path.write_bytes(changed if cut is None else intact[:cut])
    try:
        first, _ = CounterStore(path, lease=10).lease(NAME)
    except CounterStoreError:
        assert path.read_bytes() == (changed if cut is None else intact[:cut])
    else:
        assert first == 1000


def test_renew_with_a_damaged_file_takes_nothing_away(path):
    store = CounterStore(path, lease=10)
    sender = attached(store)
    sender.used = 9
    path.write_bytes(b"")
    with pytest.raises(CounterStoreError):
        store.renew()
    assert sender.leases == [(0, 9)]


def test_what_a_killed_process_left_behind_is_no_hindrance(path):
    path.with_name("counters.new").write_bytes(b"half a file " * 1000)
    path.with_name("counters.lock").write_bytes(b"")
    assert CounterStore(path, lease=10).lease(NAME) == (0, 9)


# ---- at the same time ----


def test_threads_get_disjoint_leases(path):
    store = CounterStore(path, lease=10)
    leases = []
    threads = [
        threading.Thread(target=lambda: leases.extend(store.lease(NAME) for _ in range(25)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(leases) == [(10 * n, 10 * n + 9) for n in range(100)]


def test_processes_get_disjoint_leases(path):
    code = f"""
from pysframe import CounterStore
store = CounterStore({str(path)!r}, lease=10)
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


def test_a_child_forked_in_the_middle_of_a_lease_does_not_keep_the_lock(path, monkeypatch):
    store = CounterStore(path, lease=10)
    replace = os.replace
    pids = []

    def fork_then_replace(*args):
        pid = os.fork()
        if pid == 0:
            threading.Event().wait(30)
            os._exit(0)
        pids.append(pid)
        return replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fork_then_replace)
        store.lease(NAME)
    try:
        assert store.lease(NAME) == (10, 19)
    finally:
        os.kill(pids[0], 9)
        os.waitpid(pids[0], 0)
