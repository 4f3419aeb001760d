"""A command on a terminal of its own: what it wrote, and how it ended."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

MAIN = "import sys; from pysframe_command import main; sys.exit(main())"
HIDDEN, SHOWN = b"\x1b[?25l", b"\x1b[?25h"


def run(*words, columns=80, environment=(), send=None, after=0.5, patience=60, code=MAIN):
    """(output, exit status) of `pysframe WORDS`; a negative status is the signal it died of.

    send: a signal sent `after` seconds from when the cursor was hidden. code: what Python runs.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        _become(code, words, dict(environment))
    size = struct.pack("HHHH", 24, columns, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    try:
        out = b"".join(_output(terminal, pid, send, after, patience))
        return out, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(terminal)


def _become(code, words, environment):
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTSTP):  # CI may ignore them
        signal.signal(number, signal.SIG_DFL)
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        os.environ.pop(name, None)
    os.environ |= {"TERM": "xterm-256color"} | environment
    os.execv(sys.executable, [sys.executable, "-c", code, *words])


def _output(terminal, pid, send, after, patience):
    hidden_at, until = None, time.monotonic() + patience
    while time.monotonic() < until:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # Linux, when nobody has the terminal open any more
                return
            if HIDDEN in part and hidden_at is None:
                hidden_at = time.monotonic()
            yield part
        if send and hidden_at and time.monotonic() > hidden_at + after:
            os.kill(pid, send)
            send = None
    os.kill(pid, signal.SIGKILL)


def last_picture(out, encoding="utf-8"):
    """The lines that stay, without colours."""
    text = out.decode(encoding).rpartition("\x1b[2K")[2]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").split("\n")
