"""Something happens in the middle of a call: at any bytecode of the twin, or at any moment.

CPython delivers a signal between some bytecodes. Here it may come between any two, so that what
holds here holds for every CPython.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pysframe
from pysframe._common import policy_lock
from pysframe.counters._locks import listing
from pysframe.engine.twin import _guard

PACKAGE = str(Path(pysframe.__file__).parent)


class Tracer:
    """Counts the bytecodes that the package runs, and acts before the nth of them."""

    def __init__(self, nth: int, act: Callable[[], None]) -> None:
        self.left, self.act = nth, act

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                self.act()
        return self


def at_bytecode(nth: int, act: Callable[[], None], call: Callable[[], Any]) -> bool:
    """Runs call() and act() before its nth bytecode; whether call() was that long."""
    tracer = Tracer(nth, act)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        call()
    finally:
        sys.settrace(before)
        let_go()
    return tracer.left <= 0


def let_go() -> None:
    """Releases the locks of the whole process, and the twin's, that the call has left held.

    An exception before the bytecode that leaves a `with` block does that. CPython delivers no
    signal there, but a Tracer strikes there too, and threads of later tests would wait forever.
    """
    for lock in [policy_lock, listing, *_guard._locks]:
        while lock._is_owned():
            lock.release()


def soon(seconds: float, error: type[BaseException], call: Callable[[], Any]) -> None:
    """Runs call() again and again until a signal handler has raised `error` once."""
    fired = False

    def fire(number: int, frame: Any) -> None:
        nonlocal fired
        fired = True
        raise error

    # No thread sends it: that would wait for its turn. The test runner gets its timer back.
    before = signal.signal(signal.SIGALRM, fire)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while not fired:  # not only until it is raised: a finalizer may swallow it
            call()
    except error:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)
