"""After a fork, however it was made: the child's Sender refuses, its Receiver goes on, and the
parent notices nothing. Two processes that went on with one Sender would use its counters twice."""

import ctypes
import os
import platform
import signal
import threading
import time
from pathlib import Path

import pytest
from isolated import PATIENCE, in_child
from machine import has_native
from parties import GCM, SUITES, new_receiver, new_sender, pair
from security.shims import NO_TIMERS, SAME_PID, madvise_that, run_tests

from pysframe import DuplicateSender, SenderRetired
from pysframe import engine as engines
from pysframe.engine.twin import _process
from pysframe.engine.twin._cores import sender_state
from pysframe.engine.twin._process import ProcessId, SilentTimer, WipedPage

# PyDLL keeps the GIL: the child must not wait for a thread that it does not have.
LIBC = ctypes.PyDLL(None, use_errno=True)
FORKS = {"os.fork": os.fork, "libc fork": LIBC.fork}
if platform.machine() == "x86_64":
    SYS_FORK, SYS_CLONE = 57, 56
    FORKS["syscall fork"] = lambda: LIBC.syscall(SYS_FORK)
    FORKS["syscall clone"] = lambda: LIBC.syscall(SYS_CLONE, signal.SIGCHLD, 0, 0, 0, 0)


@pytest.fixture(params=FORKS)
def fork(request):
    return FORKS[request.param]


@pytest.fixture
def twin():
    return engines.bind("fallback")


def refusals(engine, sender):
    """The errors of everything that would use a counter."""
    out = bytearray(b"\xa5" * 60)
    calls = (
        lambda: sender.protect(b"frame"),
        lambda: sender.protect_into(b"frame", out),
        lambda: engine.protect_many([sender], [b"frame"]),
        lambda: engine.protect_many(sender, [b"frame" * 40_000] * 2),
        lambda: sender.next_ctr,
    )
    errors = []
    for call in calls:
        with pytest.raises(SenderRetired) as raised:
            call()
        errors.append(str(raised.value))
    assert set(out) == {0xA5}
    return errors


def test_the_childs_sender_refuses(engine, fork, rng):
    sender, receiver = pair(engine, GCM, rng)
    first = sender.protect(b"before")
    errors = in_child(lambda: refusals(engine, sender), fork)
    assert all("fork" in error and "0x7" in error for error in errors)
    assert sender.next_ctr == 1
    frames = [receiver.unprotect(c) for c in (first, sender.protect(b"after"))]
    assert frames == [b"before", b"after"]


def test_the_childs_child_refuses_too(engine, fork, rng):
    sender, _ = pair(engine, GCM, rng)
    nested = lambda: in_child(lambda: len(refusals(engine, sender)), fork)  # noqa: E731
    assert in_child(nested, fork) == 5


def test_the_childs_receiver_goes_on(engine, fork, rng):
    """Each process has a replay window of its own, with what was opened before the fork."""
    sender, receiver = pair(engine, GCM, rng)
    frames = [sender.protect(b"frame %d" % n) for n in range(4)]
    receiver.unprotect(frames[0])

    def child():
        receiver.add_key(8, bytes(16))
        return list(engine.unprotect_many(receiver, frames).status)

    assert in_child(child, fork) == [4, 0, 0, 0]
    assert list(engine.unprotect_many(receiver, frames).status) == [4, 0, 0, 0]
    assert receiver.kids == (7,)


def test_a_child_may_have_senders_of_its_own(engine, fork, rng):
    base_key = rng.randbytes(16)
    sender, receiver = pair(engine, GCM, rng)

    def child():
        sender.close()  # its copy: the parent's is another
        with new_sender(engine, GCM, base_key) as own:
            return own.protect(b"frame")

    ciphertext = in_child(child, fork)
    assert new_receiver(engine, GCM, base_key).unprotect(ciphertext) == b"frame"
    assert receiver.unprotect(sender.protect(b"frame")) == b"frame"


def test_a_child_cannot_take_its_parents_key(engine, fork, rng):
    """Closing the copy does not give the key back: the parent goes on with it."""
    base_key = rng.randbytes(16)
    sender = new_sender(engine, GCM, base_key)

    def child():
        sender.close()
        with pytest.raises(DuplicateSender):
            new_sender(engine, GCM, base_key, next_ctr=100)
        return True

    assert in_child(child, fork)
    assert sender.protect(b"frame")


@pytest.mark.parametrize("suite", [SUITES[0], GCM], ids=lambda suite: suite.name)
def test_a_fork_while_threads_are_at_work(engine, suite, rng):
    """What a thread of the parent held does not stop the child."""
    sender, receiver = pair(engine, suite, rng)
    frames = engine.protect_many(sender, [b"frame" * 300] * 64)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            engine.unprotect_many(receiver, frames)
            engine.protect_many(sender, [b"frame" * 300] * 64)

    def child():
        signal.alarm(PATIENCE)
        with pytest.raises(SenderRetired):
            sender.protect(b"frame")
        receiver.add_key(9, bytes(16))
        receiver.remove_key(9)
        return len(engine.unprotect_many(receiver, frames))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(child) for _ in range(20)] == [64] * 20
    finally:
        stop.set()
        for thread in threads:
            thread.join()


# ---- between reserve and seal ----


def test_a_fork_between_reserve_and_seal(twin, fork, rng):
    """The child has the counter, and the frame may have changed: it seals nothing."""
    frame = bytearray(b"frame")
    state = sender_state(new_sender(twin, GCM, rng.randbytes(16)))
    departure = state.departure(frame, b"", 0)
    reserved = state.reserve(departure, None, lambda: False)

    def child():
        frame[:] = b"other"
        with pytest.raises(SenderRetired, match="fork"):
            reserved.seal(departure)
        return True

    assert in_child(child, fork)
    assert len(reserved.seal(departure)) == reserved.size_of(departure)


# ---- the twin's ways to see a fork ----


def numbers(process):
    """What a process says of itself, twice, and then what its child says."""
    mine = [process.generation() for _ in range(2)]
    return [*mine, in_child(process.generation)]


@pytest.mark.parametrize("way", [WipedPage, SilentTimer, ProcessId])
def test_a_generation_is_one_processs(way, fork):
    process = way()
    mine = process.generation()
    child, again, grandchild = in_child(lambda: numbers(process), fork)
    assert child == again
    assert len({mine, child, grandchild}) == 3
    assert process.generation() == mine >= 1


@pytest.mark.parametrize(
    ("way", "seen"), [(WipedPage, FORKS), (SilentTimer, FORKS), (ProcessId, ["os.fork"])]
)
def test_which_forks_each_way_sees_where_process_ids_are_the_same(way, seen, monkeypatch):
    monkeypatch.setattr(_process.os, "getpid", lambda: 1)
    process = way()
    mine = process.generation()
    told = [name for name, fork in FORKS.items() if in_child(process.generation, fork) != mine]
    assert told == list(seen)


def test_another_timer_of_the_same_number_is_not_ours():
    """A child's own timers are numbered from the start."""
    process = SilentTimer()
    mine = process.generation()

    def child():
        others = [SilentTimer() for _ in range(20)]
        return process.generation() != mine and len({p.generation() for p in others}) == 20

    assert in_child(child, LIBC.fork)


def test_the_timer_never_rings(monkeypatch):
    """It tells nobody, and not before two years have gone."""
    asked = []

    class Watched:
        timer_gettime = LIBC.timer_gettime

        def timer_create(self, clock, event, timer):
            asked.append((clock, event[3]))
            return LIBC.timer_create(clock, event, timer)

        def timer_settime(self, timer, flags, setting, before):
            asked.append((flags, setting[0] == setting[2], setting[2] > 2 * 365 * 86400))
            return LIBC.timer_settime(timer, flags, setting, before)

    monkeypatch.setattr(_process.ctypes, "PyDLL", lambda _: Watched())
    SilentTimer()
    assert repr(asked) == repr([(time.CLOCK_MONOTONIC, _process.SIGEV_NONE), (0, True, True)])


def test_the_best_way_that_there_is(monkeypatch):
    assert type(_process.PROCESS) is type(_process._best())
    with monkeypatch.context() as patch:
        patch.setattr(_process.sys, "platform", "plan9")
        assert isinstance(_process._best(), SilentTimer)
    monkeypatch.setattr(_process, "MADV_WIPEONFORK", -1)  # no advice of this kernel's
    assert isinstance(_process._best(), SilentTimer)
    for refused in ("timer_create", "timer_settime", "timer_gettime"):
        libc = Refusing(refused)
        monkeypatch.setattr(_process.ctypes, "PyDLL", lambda _, libc=libc: libc)
        assert isinstance(_process._best(), ProcessId)


class Refusing:
    """libc, but for one function that refuses."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        return (lambda *_: -1) if name == self._name else getattr(LIBC, name)


# ---- what the operating system may refuse ----

THESE = str(Path(__file__).relative_to(Path(__file__).parents[2]))
SEEN = "not another_kernel and (childs_sender or cannot_take or reserve_and_seal)"


def under(library, select):
    """The outcome of these tests with the library in front of libc."""
    done = run_tests(library, THESE, "-k", select)
    return done.returncode, done.stdout


@pytest.mark.parametrize("answer", ["wipes", "refuses", "nods"])
def test_the_same_process_id_and_another_kernel(answer, tmp_path):
    """A child has its parent's process id: it was given again, or each is the first of its
    namespace. A page that is wiped tells; where there is none, though it was promised, a timer."""
    code, output = under(madvise_that(answer, tmp_path, SAME_PID), SEEN)
    assert (code, " passed" in output) == (0, True), output


NOTHING = ("refuses", SAME_PID + NO_TIMERS)
X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="not x86-64")


@X86
def test_with_no_page_no_timer_and_the_same_process_id_on_another_kernel(tmp_path):
    """What forks by libc is seen all the same; by the twin, what forks by Python."""
    answer, more = NOTHING
    forks = "(native and (os.fork or libc)) or (fallback and os.fork)"
    code, output = under(madvise_that(answer, tmp_path, more), f"{SEEN} and ({forks})")
    assert (code, " passed" in output) == (0, True), output


def test_a_kernel_that_lies_is_noticed_by_these_tests(tmp_path):
    """The seeded fault: nothing is wiped though the kernel said so, on each engine."""
    for engine in ("native", "fallback") if has_native() else ("fallback",):
        code, output = under(madvise_that("lies", tmp_path), f"{engine} and childs_sender")
        assert (code, "DID NOT RAISE" in output) == (1, True), output
