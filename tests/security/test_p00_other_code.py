"""Limits that other code sets, as SECURITY.md states them: a library's fault, and a fork unseen."""

import os
import signal
import subprocess
import sys
import time
from itertools import count

import pytest
from isolated import PATIENCE, SRC, Died, in_child
from parties import GCM, new_sender

from pysframe import CounterStore, DuplicateSender, Sender
from pysframe import engine as engines

KEY = bytes(range(16))


def stated(words):
    return words in " ".join((SRC.parent / "SECURITY.md").read_text().split())


# ---- pycryptodome, stopped while it makes a cipher object ----


def no_memory_at(nth, call):
    """Whether call() came to the nth line of what makes the object: there it is a MemoryError."""
    left = nth

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.endswith("_mode_ctr.py"):
            return None
        left -= event == "line"
        if left == 0:
            raise MemoryError
        return trace

    sys.settrace(trace)
    try:
        call()
    except MemoryError:
        pass
    finally:
        sys.settrace(None)
    return left <= 0


def seals(nth):
    sender = new_sender(engines.bind("fallback:pycryptodome"), GCM, KEY)
    sender.protect(b"frame")
    return no_memory_at(nth, lambda: sender.protect(b"frame"))


def ends():
    """How a process ends that has no memory at the first line, the second, and so on."""
    for nth in count(1):
        try:
            if not in_child(lambda nth=nth: seals(nth)):
                return
            yield 0
        except Died as death:
            yield death.signal


def test_an_exception_while_pycryptodome_makes_an_object_can_end_the_process():
    """Somewhere, and not everywhere: else it is another fault than the one that is stated."""
    found = [*ends()]
    assert {signal.SIGABRT, signal.SIGSEGV} & {*found} and 0 in found, found
    assert stated("on the plain-Python engine over pycryptodome")
    assert stated("in the middle of making one of its cipher objects frees memory twice")


# ---- a fork that Python does not see ----

HOLDS = """
import ctypes, os, signal, sys, time
import pysframe
store = pysframe.CounterStore(sys.argv[1], lease=10)
sender = pysframe.Sender(4, kid=7, base_key=bytes(range(16)), counters=store)
if ctypes.PyDLL(None).fork():
    time.sleep(600)
print(os.getpid(), flush=True)
os.close(1)
os.kill(os.getppid(), signal.SIGKILL)
time.sleep(600)
"""


def start(path):
    return Sender(GCM, kid=7, base_key=KEY, counters=CounterStore(path))


def start_when_free(path):
    """A process that was killed takes a moment to go."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return start(path)
        except DuplicateSender:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def test_a_child_of_an_unseen_fork_keeps_its_parents_claims_until_it_ends(tmp_path):
    path = tmp_path / "counters"
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    command = [sys.executable, "-c", HOLDS, path]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
    try:
        assert parent.returncode == -signal.SIGKILL
        with pytest.raises(DuplicateSender):
            start(path)
    finally:
        os.kill(child, signal.SIGKILL)
    with start_when_free(path) as sender:
        assert sender.next_ctr == 10
    assert stated("forked by C code without an exec, unseen by Python, keeps what its parent has")
    assert stated("claimed in a `CounterStore` claimed until it ends")
