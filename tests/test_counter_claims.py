"""CounterStore between processes and threads: turns with an end, one Sender for a key."""

import copy
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import typing
from contextlib import contextmanager

import isolated
import pytest

from pysframe import CounterStore, CounterStoreError, DuplicateSender, Sender
from pysframe.counters import Claim, fingerprint

NAME, OTHER = "7" * 32, "8" * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters"


@pytest.fixture
def key(rng):
    return rng.randbytes(16)


@pytest.fixture
def start(path, key):
    """Makes a Sender as a restarted process would."""

    def make(kid=7, **settings):
        return Sender(4, kid=kid, base_key=key, counters=CounterStore(path, lease=10, **settings))

    return make


@pytest.fixture
def process(path, key):
    return lambda code: _process(path, key, code)


@contextmanager
def _process(path, key, code):
    """Runs code with `store` in a process of its own, up to where it prints something."""
    setup = f"""
from pysframe import CounterStore, Sender
store, key = CounterStore({str(path)!r}, lease=10), {key!r}
"""
    child = subprocess.Popen(
        [sys.executable, "-c", setup + code],
        env=os.environ | {"PYTHONPATH": str(isolated.SRC)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        try:
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


SEALS = """
sender = Sender(4, kid=7, base_key=key, counters=store)
print(sender.next_ctr, flush=True)
"""
WAITS = "input()\n"


# ---- one Sender for a key ----


def test_a_second_process_with_one_key_is_refused(start, process):
    with process(SEALS + WAITS) as (_, first):
        assert first == "0"
        with pytest.raises(DuplicateSender, match=r"^another process.* or key of its own$"):
            start()
        other = start(kid=8)
        assert other.next_ctr == 0
    assert start().next_ctr == 10


@pytest.mark.parametrize("end", ["sender.close()", "del sender"])
def test_a_sender_that_is_gone_holds_nothing(end, start, process):
    code = f"{SEALS}{end}\nprint('gone', flush=True)\n{WAITS}"
    with process(code) as (child, _):
        assert child.stdout.readline() == "gone\n"
        assert start().next_ctr == 10


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_holds_nothing(number, start, process):
    with process(SEALS + WAITS) as (child, _):
        child.send_signal(number)
        child.wait()
        assert start().next_ctr == 10


def test_a_child_does_not_keep_what_its_parent_held(start, process):
    """The parent is killed, and its child lives on."""
    code = f"""{SEALS}
import os
import time
if os.fork():
    time.sleep(60)
print(os.getpid(), flush=True)
os.close(1)
os.kill(os.getppid(), 9)
time.sleep(60)
"""
    with process(code) as (child, _):
        pid = int(child.stdout.readline())
        child.wait()
        os.kill(pid, 0)
        try:
            assert start().next_ctr == 10
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_child_has_no_part_in_what_its_parent_holds(path, key, start, process):
    sender = start()
    store = sender._counters

    def in_child():
        for use in (store, CounterStore(path)):
            with pytest.raises(DuplicateSender):
                Sender(4, kid=7, base_key=key, counters=use)
        other = Sender(4, kid=8, base_key=key, counters=store)
        sender.close()
        return other.next_ctr, store.renew()

    assert isolated.in_child(in_child) == (0, 0)
    with process(SEALS) as (_, said):
        assert said == "", "what the child closed is still the parent's"


def test_a_child_of_an_unseen_fork_has_no_part_either(path):
    """Its parent's openings are its own, too."""
    store = CounterStore(path, lease=10)
    claim, _ = store.begin(NAME)

    def in_child():
        with pytest.raises(DuplicateSender):
            store.begin(NAME)
        claim.release()

    isolated.in_child(in_child, ctypes.PyDLL(None).fork)
    with pytest.raises(DuplicateSender):
        CounterStore(path).begin(NAME)


def test_a_sender_that_could_not_be_made_holds_nothing(path, key):
    first = Sender(4, kid=7, base_key=key, next_ctr=0)
    store = CounterStore(path, lease=10)
    for _ in range(2):
        with pytest.raises(DuplicateSender, match="this process"):
            Sender(4, kid=7, base_key=key, counters=store)
    first.close()
    assert not store._claims._counts


def test_claims_of_one_key_are_counted(path):
    store = CounterStore(path, lease=10)
    one, (two, _) = store.begin(NAME)[0], store.begin(NAME)
    one.release()
    one.release()
    with pytest.raises(DuplicateSender):
        CounterStore(path).begin(NAME)
    del two
    assert CounterStore(path).begin(NAME)[1] == (20, 20 + 2**20 - 1)


# ---- a file that is exchanged under a Sender ----


@pytest.mark.parametrize("what", ["deleted", "replaced", "an older copy"])
def test_a_file_exchanged_under_a_sender(path, tmp_path, what, start):
    sender = start()
    older = path.read_bytes()
    sender._counters.lease(NAME)
    for _ in range(9):
        sender.protect(b"")
    sender._counters.renew()
    for _ in range(9):
        sender.protect(b"")
    if what == "deleted":
        path.unlink()
    elif what == "replaced":
        (tmp_path / "copy").write_bytes(older)
        os.replace(tmp_path / "copy", path)
    else:
        path.write_bytes(older)
    words = {"an older copy": "older copy"}.get(what, "deleted or replaced.* fresh keys$")
    with pytest.raises(CounterStoreError, match=words):
        sender._counters.renew()
    assert path.exists() == (what != "deleted")
    sender.close()


def test_a_file_deleted_when_nobody_leases_from_it_is_made_anew(path):
    store = CounterStore(path, lease=10)
    store.begin(NAME)[0].release()
    path.unlink()
    claim, lease = store.begin(NAME)
    assert lease == (0, 9)
    with pytest.raises(DuplicateSender):
        CounterStore(path).begin(NAME)
    claim.release()


# ---- whoever holds the turn ----


def test_a_process_stopped_in_its_turn(path, start, process):
    start().close()
    code = """
import os, signal
with store._turn():
    print("in", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    with process(code):
        begun = time.monotonic()
        with pytest.raises(
            CounterStoreError, match=f"^{path} was held by another process.*fuser"
        ) as caught:
            start(timeout=0.2)
        assert time.monotonic() - begun >= 0.2
        assert "for 0.2 s" in str(caught.value)
    assert start().next_ctr == 10


def test_the_wait_for_a_turn_ends_when_it_is_free(start, process):
    code = "import time\nwith store._turn():\n    print('in', flush=True); time.sleep(0.3)\n"
    with process(code):
        assert start(timeout=60).next_ctr == 0


def test_a_file_that_is_replaced_while_somebody_waits(path, start, process, tmp_path):
    """Whoever waited goes on with the new one, as where another process converts an older file."""
    store = CounterStore(path, lease=10, timeout=60)
    store.lease(NAME)
    other = CounterStore(tmp_path / "other", lease=1000)
    other.lease(NAME)
    code = f"""
import os, time
with store._turn():
    print("in", flush=True); time.sleep(0.3)
    os.replace({str(tmp_path / "other")!r}, {str(path)!r})
"""
    with process(code):
        assert store.lease(NAME) == (1000, 1009)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 86401])
def test_timeout_out_of_range(path, timeout):
    with pytest.raises(ValueError, match="timeout"):
        CounterStore(path, timeout=timeout)


def test_a_child_forked_in_the_middle_of_a_lease_does_not_keep_the_lock(path, monkeypatch):
    store = CounterStore(path, lease=10)
    write, pids = os.pwrite, []

    def fork_then_write(*args):
        if not pids:
            pid = os.fork()
            if pid == 0:
                threading.Event().wait(30)
                os._exit(0)
            pids.append(pid)
        return write(*args)

    store.lease(NAME)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fork_then_write)
        store.lease(NAME)
    try:
        assert store.lease(NAME) == (20, 29)
    finally:
        os.kill(pids[0], 9)
        os.waitpid(pids[0], 0)


def test_a_child_forked_in_the_middle_of_its_own_lease_has_none(path, monkeypatch):
    """A signal handler forks, and both go on: the child is refused, and writes nothing."""
    store = CounterStore(path, lease=10)
    store.lease(NAME)
    parent, write = os.getpid(), os.pwrite

    def fork_then_write(*args):
        monkeypatch.setattr(os, "pwrite", write)
        child = os.fork()
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        return write(*args)

    monkeypatch.setattr(os, "pwrite", fork_then_write)
    try:
        assert store.lease(NAME) == (10, 19)
    except CounterStoreError as error:
        os._exit(3 if "try again" in str(error) and os.getpid() != parent else 1)
    if os.getpid() != parent:
        os._exit(2)
    assert store.lease(NAME) == (20, 29)


# ---- signals ----


@pytest.fixture
def interrupted(monkeypatch):
    """Calls `handler` in the middle of the next write of this thread, as a signal would."""

    def arrange(handler):
        write = os.pwrite

        def interrupted_write(*args):
            monkeypatch.setattr(os, "pwrite", write)
            signal.raise_signal(signal.SIGUSR1)
            return write(*args)

        monkeypatch.setattr(os, "pwrite", interrupted_write)
        signal.signal(signal.SIGUSR1, lambda *_: handler())

    before = signal.getsignal(signal.SIGUSR1)
    yield arrange
    signal.signal(signal.SIGUSR1, before)


def test_renew_in_a_signal_handler_is_done_when_the_interrupted_call_ends(interrupted, start):
    sender = start()
    store, said = sender._counters, []
    for _ in range(6):
        sender.protect(b"")
    interrupted(lambda: said.append((store.renew(), sender._counters_left())))
    assert store.lease(OTHER) == (0, 9)
    assert said == [(0, 4)]
    assert sender._counters_left() == 14


def test_a_sender_cannot_be_made_in_a_handler_that_interrupted_the_store(path, interrupted):
    store = CounterStore(path, lease=10)
    store.lease(NAME)
    caught = []

    def handler():
        for again in (store, CounterStore(path)):
            try:
                again.lease(NAME)
            except CounterStoreError as error:
                caught.append(str(error))

    interrupted(handler)
    assert store.lease(NAME) == (10, 19)
    assert len(caught) == 2 and "signal handler" in caught[0]


# ---- spawned workers ----


def test_it_can_be_pickled_and_copied(path, start):
    class Mine(CounterStore):
        pass

    sender = start(timeout=7)
    store = sender._counters
    for other in pickle.loads(pickle.dumps(store)), copy.copy(store), copy.deepcopy(store):
        assert (other._path, other._size, other._timeout) == (path, 10, 7)
        assert not other._senders and other.lease(OTHER)
    assert type(copy.copy(Mine(path))) is Mine


def test_type_hints_resolve():
    for method in "__init__", "renew", "lease", "begin", "attach":
        assert typing.get_type_hints(getattr(CounterStore, method))
    assert typing.get_type_hints(Claim.__init__) and typing.get_type_hints(fingerprint)
