"""Work in a process of its own: for what would harm this one, or must not be remembered by it."""

import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

SRC = Path(__file__).parents[1] / "src"
PATIENCE = 300  # seconds: a process that takes longer hangs, on the slowest machine, too


class Died(Exception):
    """The child was killed by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


def in_child(work: Callable[[], Any], fork: Callable[[], int] = os.fork) -> Any:
    """What work() returns in a forked child; an exception of the child is an AssertionError."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a test runner's own threads
        pid = fork() if fork is os.fork else _unseen(fork)
    if pid == 0:
        _answer(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        raise Died(os.WTERMSIG(status))
    failure, value = pickle.loads(answer)
    assert failure is None, f"in the child:\n{failure}"
    return value


def _unseen(fork: Callable[[], int]) -> int:
    """A fork that Python does not know of, while no other thread asks for the GIL: the child would
    hand it over and wait for ever for a thread that it does not have."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    time.sleep(0)  # whoever has asked already gets it now
    pid = fork()
    if pid:
        sys.setswitchinterval(interval)
    return pid


def _answer(work: Callable[[], Any], writer: int) -> None:
    faulthandler.disable()  # a death that is expected needs no report
    try:
        answer = (None, work())
    except BaseException:
        answer = (traceback.format_exc(), None)
    with os.fdopen(writer, "wb") as pipe:
        pickle.dump(answer, pipe)
    os._exit(0)


def python(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter; a variable that is None is taken away."""
    given = {k: v for k, v in os.environ.items() if not k.startswith("PYSFRAME_")}
    given["PYTHONPATH"] = str(SRC)
    given |= {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, timeout=PATIENCE
    )
