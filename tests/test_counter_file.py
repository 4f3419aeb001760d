"""The file of a CounterStore: what is written when, and what becomes of one that is not right."""

import errno
import fcntl
import hashlib
import os
import stat

import pytest
from counter_files import PAGES, damages, fill, lease, names, raises
from hypothesis import given
from hypothesis import strategies as st

from pysframe import CounterStore, CounterStoreError, SFrameError
from pysframe.counters import _pages
from pysframe.counters._pages import RECORDS, SIZE, Page


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters"


# ---- the order of writes ----


def test_written_synced_written_again_synced_then_used(path, monkeypatch):
    """The order is the promise: what is not on the disk was not given out."""
    lease(path)
    done, write, sync = [], os.pwrite, os.fsync

    def traced_write(fd, data, at):
        done.append(("write", at // SIZE))
        return write(fd, data, at)

    def traced_sync(fd):
        done.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))))
        return sync(fd)

    monkeypatch.setattr(os, "pwrite", traced_write)
    monkeypatch.setattr(os, "fsync", traced_sync)
    lease(path)
    synced = ("sync", "counters")
    directory = ("sync", path.parent.name)
    assert done == [synced, directory, ("write", 2), synced, ("write", 3), synced]


def test_a_new_page_is_on_the_disk_before_its_parent_points_to_it(path, monkeypatch):
    fill(path, names(RECORDS))
    done, write, sync = [], os.pwrite, os.fsync
    monkeypatch.setattr(
        os, "pwrite", lambda fd, data, at: done.append(at // SIZE) or write(fd, data, at)
    )
    monkeypatch.setattr(os, "fsync", lambda fd: done.append("sync") or sync(fd))
    assert lease(path, "f" * 32) == (0, 9)
    assert done == ["sync", "sync", 4, 5, "sync", 2, "sync", 3, "sync"]


@pytest.mark.parametrize("call", ["open", "pwrite", "fsync"])
def test_when_the_disk_refuses_nobody_gets_a_counter(path, monkeypatch, call):
    """Each call of a lease refused in turn: words, with the OSError as their cause."""
    given_out = [lease(path)]
    real = getattr(os, call)
    for nth in range(1, 9):
        calls = []

        def refuse(*args, nth=nth, calls=calls, **more):
            calls.append(args)
            if len(calls) == nth:
                raise OSError(errno.EIO, "no disk")
            return real(*args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, refuse)
            if len(calls) < nth:
                try:
                    given_out.append(lease(path))
                except CounterStoreError as error:
                    assert "no disk" in str(error) and isinstance(error.__cause__, OSError)
        given_out.append(lease(path))
        if len(calls) < nth:
            break
    assert nth > 2, "it was refused at least twice"
    firsts = [first for first, _ in given_out]
    assert firsts == sorted(set(firsts))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "make room"), (errno.EACCES, "must be able to read and write"),
        (errno.EROFS, "read-only"), (errno.EMFILE, "limit of open files"), (errno.EIO, "check"),
    ],
)  # fmt: skip
def test_an_error_says_what_to_do(path, monkeypatch, number, words):
    monkeypatch.setattr(os, "pwrite", raises(OSError(number, os.strerror(number))))
    monkeypatch.setattr(os, "open", os.open)
    with pytest.raises(CounterStoreError, match=words) as caught:
        lease(path)
    assert isinstance(caught.value, SFrameError)
    assert str(caught.value).startswith(str(path))
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_sync_a_directory(path, monkeypatch, number):
    real = os.fsync

    def sync(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, "not here")
        real(fd)

    monkeypatch.setattr(os, "fsync", sync)
    assert [lease(path), lease(path)] == [(0, 9), (10, 19)]


def test_a_file_system_that_cannot_make_nameless_files(path, monkeypatch):
    real = os.open

    def opened(name, flags, *mode, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return real(name, flags, *mode, **more)

    monkeypatch.setattr(os, "open", opened)
    assert [lease(path), lease(path)] == [(0, 9), (10, 19)]
    assert os.listdir(path.parent) == ["counters"]


def test_a_system_without_proc(path, monkeypatch):
    """Where a nameless file cannot be named."""
    monkeypatch.setattr(os, "link", raises(FileNotFoundError(errno.ENOENT, "no /proc")))
    assert [lease(path), lease(path)] == [(0, 9), (10, 19)]
    assert os.listdir(path.parent) == ["counters"]


def test_a_file_system_that_cannot_lock(path, monkeypatch):
    for number in errno.ENOLCK, errno.EINVAL:
        monkeypatch.setattr(fcntl, "fcntl", raises(OSError(number, os.strerror(number))))
        with pytest.raises(CounterStoreError, match="local disk"):
            lease(path)


def test_a_system_without_these_locks(path, monkeypatch):
    monkeypatch.setattr("pysframe.counters._turn.HAS_LOCKS", False)
    with pytest.raises(CounterStoreError, match=r"^this system .* two processes .* counters=$"):
        lease(path)
    assert not path.exists()


def test_copies_are_alike_before_one_is_changed(path, monkeypatch):
    """Else a torn first copy would leave a second that is two changes behind."""
    lease(path)
    old = path.read_bytes()
    lease(path)
    path.write_bytes(path.read_bytes()[: PAGES + SIZE] + old[PAGES + SIZE :])
    done, write, sync = [], os.pwrite, os.fsync
    monkeypatch.setattr(
        os, "pwrite", lambda fd, data, at: done.append(at // SIZE) or write(fd, data, at)
    )
    monkeypatch.setattr(os, "fsync", lambda fd: done.append("sync") or sync(fd))
    lease(path)
    assert done == ["sync", "sync", 3, "sync", 2, "sync", 3, "sync"]


# ---- growth ----


def test_many_keys(path, rng):
    keys = names(3 * RECORDS)
    store = CounterStore(path, lease=10)
    assert {store.lease(name) for name in keys} == {(0, 9)}
    for name in rng.sample(keys, 40):
        assert CounterStore(path, lease=10).lease(name) == (10, 19)
    assert path.stat().st_size < 10 * PAGES


def recorded(real, name, calls):
    return lambda *args: calls.append(name) or real(*args)


def test_reads_and_writes_of_a_lease_grow_with_the_logarithm_of_the_keys(path, monkeypatch):
    counts = {}
    for keys in 100, 10_000:
        fill(path, names(keys))
        calls = []
        with monkeypatch.context() as patch:
            for name in "pread", "pwrite", "fsync":
                real = getattr(os, name)
                patch.setattr(os, name, recorded(real, name, calls))
            assert lease(path, names(keys)[-1]) == (1000, 1009)
        counts[keys] = calls.count("pread"), calls.count("pwrite"), calls.count("fsync")
        path.unlink()
    assert counts[100] == (3, 2, 4)
    assert counts[10_000][0] <= 3 + 10
    assert counts[10_000][1:] == (2, 4)


def test_names_within_other_fields_are_not_found():
    """Bytes of counters, of the head, and behind the last record may look like a fingerprint."""
    page = Page(1)
    like = int.from_bytes(b"\0" + b"b" * 7)
    page.put(page.add(b"a" * 16), int.from_bytes(b"\0" * 8 + b"b" * 8), int.from_bytes(b"b" * 8))
    assert not page.find(b"b" * 16)
    page.put(page.find(b"a" * 16), like, like)
    at = page.add(b"b" * 16)
    page.put(page.add(b"c" * 16), int.from_bytes(b"b" * 16), int.from_bytes(b"b" * 8))
    assert page.find(b"b" * 16) == at
    assert not page.find(page.sealed()[:16])
    behind = bytearray(page.sealed()[: SIZE - 16])
    behind[32 + 3 * 40 : 32 + 3 * 40 + 16] = b"d" * 16
    assert not Page(1, bytes(behind)).find(b"d" * 16)


def test_the_bytes_of_the_format():
    """They stay the same from release to release."""
    page = Page(0x0102030405060708)
    for name in b"a", b"b":
        page.add(name * 16)
    page.put(page.find(b"b" * 16), 2**64, 2**36 - 1)
    for side, child in enumerate((0x1112131415161718, 0x2122232425262728)):
        page.set_child(side, child)
        assert page.child(side) == child
    body = bytes.fromhex(
        "0102030405060708" "0000000000000002" "1112131415161718" "2122232425262728"
        + "61" * 16 + 24 * "00"
        + "62" * 16 + "0000000000000001" "0000000000000000" "0000000fffffffff"
    )  # fmt: skip
    assert page.number == 0x0102030405060708
    assert page.sealed() == sealed_by_hand(body)
    assert Page(page.number, page.sealed()[:-16]).sealed() == page.sealed()
    assert sealed_by_hand(b"pysframe-counters/2\n") == _pages.FIRST_PAGE
    (filled,) = _pages.tree([(b"a" * 16, 0, 0), (b"b" * 16, 2**64, 2**36 - 1)])
    assert filled.sealed()[32:112] == body[32:]
    assert filled.sealed()[:32] == bytes.fromhex("00000000000000010000000000000002") + bytes(16)
    assert RECORDS == (4096 - 16 - 32) // 40


def sealed_by_hand(body):
    body = body.ljust(4096 - 16, b"\0")
    return body + hashlib.sha256(body).digest()[:16]


def test_which_child_goes_on():
    """The bits of a fingerprint from the lowest of its first byte on, over and over."""
    name = bytes(range(1, 17))
    bits = [byte >> bit & 1 for byte in name for bit in range(8)]
    assert [_pages.branch(name, depth) for depth in range(300)] == (bits * 3)[:300]


def test_a_page_that_has_just_become_full():
    page = Page(1)
    for number in range(RECORDS):
        assert not page.is_full
        page.add(number.to_bytes(16))
    assert page.is_full and page.sealed()[8:16] == RECORDS.to_bytes(8)


def test_many_new_pages_at_once(path):
    """Full pages and their children, all new in one turn."""
    keys = names(6 * RECORDS)
    store = CounterStore(path)
    with store._turn() as (_, table):
        for number, name in enumerate(keys):
            table.put(bytes.fromhex(name), number + 1, number)
        table.write()
    with store._turn() as (_, table):
        for number, name in enumerate(keys):
            assert table.get(bytes.fromhex(name)) == (number + 1, number)
        assert table.get(b"new " * 4) == (0, 0)
    pages = path.stat().st_size // PAGES
    assert path.stat().st_size % PAGES == 0 and pages <= 10
    fill(path, keys)
    assert path.stat().st_size // PAGES == pages


def test_a_page_that_is_only_read_is_made_whole_again(path):
    keys = names(2 * RECORDS)
    fill(path, keys)
    intact = path.read_bytes()
    for copy in 0, 1:
        at = PAGES + copy * SIZE
        path.write_bytes(intact[:at] + bytes(SIZE) + intact[at + SIZE :])
        assert lease(path, keys[-1]) == (1000, 1009)
        assert path.read_bytes()[PAGES : 2 * PAGES] == intact[PAGES : 2 * PAGES]


def test_a_disk_that_takes_a_part(path, monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:1000], at))
    assert [lease(path), lease(path)] == [(0, 9), (10, 19)]
    monkeypatch.undo()
    assert path.read_bytes()[: 2 * SIZE] == _pages.FIRST_PAGE * 2
    assert lease(path) == (20, 29)


# ---- damage ----


@pytest.mark.parametrize("content", ["", "null", "[]", "0", "\x00" * 100, "\x00" * 4 * SIZE, "x"])
def test_a_file_that_is_no_store(path, content):
    path.write_text(content)
    assert "damaged, or no counter store" in damages(path)


def test_a_later_format(path):
    path.write_bytes(_pages.seal(b"pysframe-counters/3\n") * 2)
    assert "'pysframe-counters/3'" in damages(path)
    assert "a later one" in damages(path)
    path.write_bytes(b"pysframe-counters/\xff" + b"x" * 100 + b"\n\n")
    assert f"'pysframe-counters/\ufffd{21 * 'x'}'" in damages(path)


@given(st.data())
def test_no_flipped_bit_and_no_cut_lowers_a_counter(quick_disk, data):
    path = quick_disk / "counters"
    path.unlink(missing_ok=True)
    keys = names(2 * RECORDS)
    fill(path, keys)
    changed = bytearray(path.read_bytes())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = changed[: data.draw(st.integers(0, len(changed)))]
    path.write_bytes(changed)
    key = data.draw(st.sampled_from(keys))
    try:
        first, _ = lease(path, key)
    except CounterStoreError:
        with pytest.raises(CounterStoreError):  # and it is not made new
            lease(path, key)
    else:
        assert first == 1000


def test_every_page_spoiled_in_turn(quick_disk):
    """One copy: the other is taken, and both are whole again. Both: refused."""
    path = quick_disk / "spoiled"
    keys = names(2 * RECORDS)
    fill(path, keys)
    intact = path.read_bytes()
    pages = len(intact) // PAGES
    for number in range(pages):
        for copy in 0, 1:
            spoiled = bytearray(intact)
            at = number * PAGES + copy * SIZE
            spoiled[at : at + SIZE] = bytes(SIZE)
            path.write_bytes(spoiled)
            assert {lease(path, name) for name in keys} == {(1000, 1009)}
            assert path.read_bytes()[: len(intact)].count(bytes(SIZE)) == 0
        spoiled[number * PAGES : (number + 1) * PAGES] = bytes(PAGES)
        path.write_bytes(spoiled)
        refused = 0
        for name in keys:
            try:
                assert lease(path, name) == (1000, 1009)
            except CounterStoreError:
                refused += 1
        assert refused, number


def test_a_page_in_the_place_of_another(path):
    fill(path, names(2 * RECORDS))
    intact = path.read_bytes()
    path.write_bytes(intact[:PAGES] + intact[2 * PAGES : 3 * PAGES] + intact[2 * PAGES :])
    assert damages(path).startswith(f"{path} is damaged")
    assert "page 1" in damages(path)


def test_a_write_cut_short_before_it_was_done(path):
    """The first copy is new and the second old: the new one counts, also when the next write is
    cut short in its turn."""
    lease(path)
    old = path.read_bytes()
    lease(path)
    new = path.read_bytes()
    path.write_bytes(new[: PAGES + SIZE] + old[PAGES + SIZE :])
    assert lease(path) == (20, 29)
    path.write_bytes(new[: PAGES + SIZE // 2] + old[PAGES + SIZE // 2 :])
    assert lease(path) == (10, 19), "nobody was given what a torn page would have said"
