"""A picture that is redrawn in place, on a terminal that is restored however the program ends.

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
    """A picture shown between start() and stop(); a transient one is removed at the end."""

    def __init__(self, *, transient: bool = False) -> None:
        self._transient = transient
        self._output = Output(sys.stdout)
        self._rest = False
        self._live = self._fresh()

    def start(self) -> None:
        self._live.start()

    def draw(self, what: RenderableType) -> None:
        if self._rest:
            self._rest_now()
        self._live.update(what, refresh=True)

    def stop(self) -> None:
        try:
            self._live.stop()
        finally:  # also after a second Ctrl-C, or when the terminal is gone
            self._show_cursor()

    def ask_to_rest(self, _number: int, _frame: FrameType | None) -> None:
        """Handles Ctrl-Z. A redraw may be in progress, so it acts before the next one."""
        self._rest = True

    def die(self, number: int, _frame: FrameType | None) -> None:
        """Dies of the signal, as its sender expects, with the cursor on a fresh line."""
        self._show_cursor(b"\n")
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def _fresh(self) -> Live:
        from rich.live import Live

        return Live(
            console=console(), auto_refresh=False, transient=self._transient, redirect_stdout=False
        )

    def _rest_now(self) -> None:
        """Restores the terminal, stops the process, and resumes below when it is continued."""
        self.stop()
        self._rest = False
        with _handled((signal.SIGTSTP,), signal.SIG_DFL):
            signal.raise_signal(signal.SIGTSTP)
        self._live = self._fresh()
        self.start()

    def _show_cursor(self, then: bytes = b"") -> None:
        """Writes past the buffers: a signal may arrive while one of them is being written."""
        with suppress(OSError):
            os.write(self._output.fileno(), SHOW_CURSOR + then)


@contextmanager
def display(*, transient: bool = False) -> Iterator[Display]:
    """Starts a display, and stops it at the end."""
    shown = Display(transient=transient)
    with _handled(DEADLY, shown.die), _handled((signal.SIGTSTP,), shown.ask_to_rest):
        try:  # Ctrl-C in the middle of start() must show the cursor, too
            shown.start()
            yield shown
        finally:
            shown.stop()


@contextmanager
def _handled(signals: tuple[signal.Signals, ...], handler: Any) -> Iterator[None]:
    """Handles signals temporarily, except those that are ignored, as under nohup."""
    before = {number: signal.getsignal(number) for number in signals}
    ours = [number for number in signals if before[number] not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():
        ours = []  # Python allows signal handlers in the main thread only
    for number in ours:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
