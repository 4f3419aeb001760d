"""After a fork, however it was made: the child's Sender refuses, its Receiver goes on, and the
parent notices nothing. Two processes that went on with one Sender would use its counters twice."""

import ctypes
import os
import platform
import signal
import threading
from pathlib import Path

import pytest
from isolated import in_child
from machine import has_native
from parties import GCM, SUITES, new_receiver, new_sender, pair
from security.shims import madvise_that, run_tests

from pysframe import DuplicateSender, SenderRetired

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
        signal.alarm(20)
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


# ---- where the operating system cannot wipe a page ----

THESE = str(Path(__file__).relative_to(Path(__file__).parents[2]))
NATIVE = "native and not under_another_kernel"


def under(answer, tmp_path, select, *more):
    """The outcome of these tests of the native engine, under such a madvise."""
    if not has_native():
        pytest.skip("no native engine")
    done = run_tests(madvise_that(answer, tmp_path), THESE, "-k", select, *more)
    return done.returncode, done.stdout


@pytest.mark.parametrize("answer", ["refuses", "nods"])
def test_the_same_under_another_kernel(answer, tmp_path, by_tier):
    """No wiping, or qemu's false promise of it: the process id tells, in all these tests."""
    some = f"{NATIVE} and (childs_sender or cannot_take)"
    code, output = under(answer, tmp_path, by_tier(some, NATIVE, NATIVE))
    assert (code, " passed" in output) == (0, True), output


def test_a_kernel_that_lies_is_noticed_by_these_tests(tmp_path):
    """The seeded fault: nothing is wiped, and nobody looks at the process id."""
    code, output = under("lies", tmp_path, f"{NATIVE} and childs_sender")
    assert (code, "DID NOT RAISE" in output) == (1, True), output
