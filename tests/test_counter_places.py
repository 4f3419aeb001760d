"""Where the file of a CounterStore lies, whose it is, and what was there before."""

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import stat
import subprocess
import tempfile
from pathlib import Path

import isolated
import pytest
from counter_files import NAME, damages, lease, names, raises
from hypothesis import given
from hypothesis import strategies as st

from pysframe import CounterExhausted, CounterStore, CounterStoreError, MisuseError
from pysframe.counters import _making, _pages
from pysframe.counters._pages import RECORDS, SIZE


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters"


# ---- what is in its place ----


def test_a_link_put_in_its_place_is_not_followed(path, tmp_path):
    store = CounterStore(path)
    other = tmp_path / "other"
    for target in other, tmp_path / "missing":
        other.write_bytes(b"precious")
        path.symlink_to(target)
        with pytest.raises(CounterStoreError, match="symbolic link"):
            store.lease(NAME)
        path.unlink()
    assert other.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["other"]


@pytest.mark.parametrize("odd", ["", ".", "a\0b"])
def test_paths_of_no_file(odd):
    with pytest.raises(CounterStoreError, match="path of no file"):
        CounterStore(odd)


@pytest.mark.parametrize("more", [{"lease": 0}, {"timeout": -1}, {"timeout": None}])
def test_a_store_that_was_not_made_can_be_shown(path, more):
    store = CounterStore.__new__(CounterStore)
    with pytest.raises((CounterStoreError, MisuseError, TypeError)):
        store.__init__(path, **more)
    assert repr(store) == f"<CounterStore {str(path)!r}>"


def test_a_store_with_no_path_can_be_shown():
    store = CounterStore.__new__(CounterStore)
    with pytest.raises(TypeError):
        store.__init__(5)
    assert repr(store) == "<CounterStore '.'>"


def test_paths_that_lead_nowhere(path, tmp_path):
    path.symlink_to(path)
    for odd, words in (path, f"^{path}: Too many .*circle"), (tmp_path / ("x" * 300), "shorter"):
        with pytest.raises(CounterStoreError, match=words) as caught:
            CounterStore(odd).lease(NAME)
        assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_link_of_a_stranger_is_not_followed(path, tmp_path):
    path.symlink_to(tmp_path / "other")
    os.lchown(path, 4321, 4321)
    with pytest.raises(CounterStoreError, match=f"^{path} is .* uid 4321.*should lead to$"):
        CounterStore(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_link_of_root_is_followed(shared):
    (shared / "link").symlink_to(shared / "counters")
    os.chown(shared, 1234, 1234)
    assert as_user(1234, shared / "link") == (0, 9)


def test_a_second_name_is_refused(path, tmp_path):
    lease(path)
    os.link(path, tmp_path / "other")
    assert "has 2 names" in damages(path) and damages(path).endswith("would change the other")
    os.unlink(tmp_path / "other")
    assert lease(path) == (10, 19)


def test_what_is_no_file(path):
    path.mkdir()
    with pytest.raises(CounterStoreError, match="directory"):
        lease(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(CounterStoreError, match="no regular file"):
        lease(path)


# ---- owners and mounts: what a container does ----


def as_user(uid, path):
    """What a process of this user is told."""

    def work():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        return told(path)

    return isolated.in_child(work)


def told(path):
    try:
        return lease(path)
    except CounterStoreError as error:
        return str(error)


@pytest.fixture
def shared():
    """A directory that other users can come to."""
    with tempfile.TemporaryDirectory(prefix="pysframe-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_service_goes_on_after_a_start_as_root(shared):
    os.chown(shared, 1234, 1234)
    for first in 0, 1234:
        path = shared / f"counters of {first}"
        given = [as_user(uid, path) for uid in (first, 1234, 0, 1234)]
        assert given == [(0, 9), (10, 19), (20, 29), (30, 39)]
        status = path.stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (1234, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_file_alone_may_be_writable(shared):
    """Its directory need not be: nothing else is made there."""
    path = shared / "counters"
    lease(path)
    os.chown(path, 1234, 1234)
    assert as_user(1234, path) == (10, 19)
    assert "uid 4321, must be able to" in as_user(4321, path)
    assert os.listdir(shared) == ["counters"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_older_file_stays_whose_it_was(shared):
    path = shared / "counters"
    path.write_text(content(5))
    os.chown(path, 1234, 1234)
    os.chown(shared, 4321, 4321)
    assert lease(path) == (5, 14)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1234)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_file_alone_is_mounted(tmp_path):
    """docker -v ./counters:/data/counters, also when ./counters is empty at first."""
    outside, inside = tmp_path / "outside", tmp_path / "in \\\t side" / "counters"
    inside.parent.mkdir()
    outside.touch()
    inside.touch()
    given = [isolated.in_child(lambda: mounted(outside, inside)) for _ in range(2)]
    assert given == [[(0, 9), (10, 19)], [(20, 29), (30, 39)]]
    assert os.listdir(inside.parent) == ["counters"]
    assert outside.read_bytes()[: 2 * SIZE] == _pages.FIRST_PAGE * 2
    assert lease(outside) == (40, 49)


def mounted(outside, inside):
    """Two leases in a namespace of its own, where the one file is mounted at the other."""
    assert ctypes.CDLL(None).unshare(0x20000) == 0  # CLONE_NEWNS
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", outside, inside], check=True)
    return [told(inside), told(inside)]


def test_an_empty_file_that_is_not_mounted(path, monkeypatch):
    path.touch()
    assert damages(path).startswith(f"{path} is damaged, or no counter store (it is empty; if no")
    monkeypatch.setattr("builtins.open", raises(FileNotFoundError(errno.ENOENT, "no /proc")))
    assert not _making._is_mounted(path)


# ---- how it is made ----


def test_a_new_file(path, monkeypatch):
    """In one step, where a file can be made without a name."""
    monkeypatch.setattr(_making, "_make_in_place", None)
    _making.make(path)
    assert path.read_bytes() == _pages.FIRST_PAGE * 2 + _pages.Page(1).sealed() * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_file_in_place(path):
    _making._make_in_place(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert lease(path) == (0, 9)


def test_somebody_else_makes_it_at_the_same_time(path, monkeypatch):
    monkeypatch.setattr(_making, "_link_whole", lambda path: path.write_bytes(b"theirs") < 0)
    _making.make(path)
    assert path.read_bytes() == b"theirs"


# ---- the format before ----


def content(following=5, changed=None, **others):
    """A file's text, as 0.1 left it; `changed` after it was digested."""
    table = {NAME: following} | others
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
    fields = {"format": "pysframe-counters/1", "next": table, "sha256": digest}
    return json.dumps(fields | (changed or {}), indent=1)


@pytest.mark.parametrize("count", [0, 1, RECORDS - 1, RECORDS, RECORDS + 1, 2000])
def test_an_older_file_is_converted_without_loss(path, count):
    others = {name: kid for kid, name in enumerate(names(count))}
    path.write_text(content(5, **others))
    path.with_name("counters.lock").write_bytes(b"")
    path.chmod(0o645)
    assert lease(path) == (5, 14)
    store = CounterStore(path, lease=10)
    with store._turn() as (_, table):
        for name, kid in others.items():
            assert table.get(bytes.fromhex(name))[0] == kid
        assert table.get(b"new " * 4) == (0, 0)
    pages = path.read_bytes()
    assert pages[: 2 * SIZE] == _pages.FIRST_PAGE * 2
    assert len(pages) % (2 * SIZE) == 0 and (count > 1 or len(pages) == 4 * SIZE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(path.parent) == ["counters"]


def test_an_older_file_did_not_remember_blocks(path):
    others = {names(2)[0]: 2**60, names(2)[1]: 3}
    path.write_text(content(5, **others))
    with CounterStore(path)._turn() as (_, table):
        blocks = [table.get(bytes.fromhex(name))[1] for name in names(2)]
    assert blocks == [2**35, 48]


def test_the_last_counter_of_all_is_given_out(path):
    path.write_text(content(2**64 - 1))
    assert lease(path) == (2**64 - 1, 2**64 - 1)
    with pytest.raises(CounterExhausted):
        lease(path)


@pytest.mark.parametrize(
    "damaged",
    [
        "{}", "{", "{" + "[" * 100_000,
        *(content(changed=wrong) for wrong in (
            {"format": "pysframe-counters/9"}, {"next": {}}, {"next": None}, {"next": []},
            {"next": {NAME: "5"}}, {"sha256": ""}, {"sha256": None},
        )),
        content(-1), content(2**64 + 1), content("5"), content(None), content(1.0),
        content(other=5), content(ab=5),
    ],
)  # fmt: skip
def test_an_older_file_that_is_damaged(path, damaged):
    path.write_text(damaged)
    assert "damaged" in damages(path)
    assert sorted(os.listdir(path.parent)) in (["counters"], ["counters", "counters.lock"])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (content(changed={"format": "x/2"}), "its format is 'x/2'"),
        (content(changed={"sha256": ""}), "its content and its sha256 differ"),
        (content(2**64 + 1), f"'{NAME}': {2**64 + 1} is no key and counter"),
        ("{", "JSONDecodeError"),
        ("{}", "KeyError('format')"),
    ],
)
def test_what_is_wrong_with_an_older_file_and_what_to_do(path, wrong, why):
    path.write_text(wrong)
    said = damages(path)
    assert said.startswith(str(path)) and why in said
    assert said.endswith("another path: a guess could use a counter twice")


def test_an_older_file_whose_key_has_no_counter_left(path):
    path.write_text(content(2**64))
    with pytest.raises(CounterExhausted, match="every counter"):
        lease(path)


@given(st.data())
def test_no_flipped_bit_and_no_cut_lowers_a_counter_of_an_older_file(quick_disk, data):
    path = quick_disk / "older"
    path.unlink(missing_ok=True)
    intact = content(1000).encode()
    changed = bytearray(intact)
    changed[data.draw(st.integers(0, len(intact) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(intact) - 1)))
    path.write_bytes(changed if cut is None else intact[:cut])
    try:
        first, _ = lease(path)
    except CounterStoreError:
        assert path.read_bytes() == (changed if cut is None else intact[:cut])
    else:
        assert first == 1000


def test_a_link_in_the_place_of_the_older_lock(path, tmp_path):
    path.write_text(content(5))
    path.with_name("counters.lock").symlink_to(tmp_path / "other")
    assert "symbolic link" in damages(path)
    assert sorted(os.listdir(tmp_path)) == ["counters", "counters.lock"]


def test_the_lock_of_the_older_format_is_private(path, monkeypatch):
    path.write_text(content(5))
    monkeypatch.setattr(_making, "try_flock", raises(OSError(errno.EIO, "no disk")))
    with pytest.raises(CounterStoreError):
        lease(path)
    assert stat.S_IMODE(path.with_name("counters.lock").stat().st_mode) == 0o600


def test_a_release_before_that_holds_the_lock(path):
    path.write_text(content(5))
    with open(path.with_name("counters.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CounterStoreError, match=f"^{lock.name} was held"):
            CounterStore(path, timeout=0.05).lease(NAME)
    assert lease(path) == (5, 14)


def test_an_older_file_that_is_mounted_alone_says_what_to_do(path, monkeypatch):
    path.write_text(content(5))
    monkeypatch.setattr(os, "replace", raises(OSError(errno.EBUSY, "busy")))
    with pytest.raises(CounterStoreError, match="directory is mounted"):
        lease(path)
    assert path.read_text() == content(5)
    assert not list(path.parent.glob("*.new"))
