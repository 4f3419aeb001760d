"""A picture that is redrawn in place, and a terminal that is whole again however it ends.

Rule: rich hides the cursor, and shows it again when its display is stopped. A signal that kills the
process stops no display, so such a signal shows the cursor first; Ctrl-Z does so at the next draw.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from ._console import console
from ._streams import Output

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

SHOW_CURSOR = b"\x1b[?25h"
DEADLY = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Display:
    """What a terminal shows between start() and stop(); transient: nothing of it stays."""

    def __init__(self, *, transient: bool = False) -> None:
        self._transient = transient
        self._output = Output(sys.stdout)
        self._rest = False

    def start(self) -> None:
        self._live = self._fresh()
        self._live.start()

    def draw(self, what: RenderableType) -> None:
        if self._rest:
            self._rest_now()
        self._live.update(what, refresh=True)

    def stop(self) -> None:
        try:
            self._live.stop()
        finally:  # a second Ctrl-C, or a terminal that has gone
            self._show_cursor()

    def ask_to_rest(self, _number: int, _frame: FrameType | None) -> None:
        """Handles Ctrl-Z: a redraw may be under way, so nothing is done before the next one."""
        self._rest = True

    def die(self, number: int, _frame: FrameType | None) -> None:
        """Dies of the signal, as its sender expects, with the cursor on a line of its own."""
        self._show_cursor(b"\n")
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def _fresh(self) -> Live:
        from rich.live import Live

        return Live(
            console=console(), auto_refresh=False, transient=self._transient, redirect_stdout=False
        )

    def _rest_now(self) -> None:
        """Gives the terminal back, stops the process, and begins below when it is continued."""
        self.stop()
        self._rest = False
        with _handled((signal.SIGTSTP,), signal.SIG_DFL):
            signal.raise_signal(signal.SIGTSTP)
        self.start()

    def _show_cursor(self, then: bytes = b"") -> None:
        """Past the buffers: a signal may come while one of them is being written."""
        with suppress(OSError):
            os.write(self._output.fileno(), SHOW_CURSOR + then)


@contextmanager
def display(*, transient: bool = False) -> Iterator[Display]:
    """A display that is started, and stopped at the end."""
    shown = Display(transient=transient)
    with _handled(DEADLY, shown.die), _handled((signal.SIGTSTP,), shown.ask_to_rest):
        shown.start()
        try:
            yield shown
        finally:
            shown.stop()


@contextmanager
def _handled(signals: tuple[signal.Signals, ...], handler: Any) -> Iterator[None]:
    """Handles signals for a while, but none that is ignored, as under nohup."""
    before = {number: signal.getsignal(number) for number in signals}
    ours = [number for number in signals if before[number] not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():
        ours = []  # Python allows signal handlers to the main thread alone
    for number in ours:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
