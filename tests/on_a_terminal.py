"""A command on a terminal of its own: what it wrote, and how it ended."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

from isolated import PATIENCE

# Whoever runs the tests may ignore these signals, which is inherited: a shell's background jobs.
MAIN = (
    "import signal, sys\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):\n"
    "    signal.signal(number, signal.SIG_DFL)\n"
    "from pysframe_command import main\n"
    "sys.exit(main())"
)
HIDDEN, SHOWN = b"\x1b[?25l", b"\x1b[?25h"


def run(*words, columns=80, environment=(), send=None, after=0.1, patience=PATIENCE, code=MAIN):
    """(output, exit status) of `pysframe WORDS`; a negative status is the signal it died of.

    send: a signal sent `after` seconds from when the cursor was hidden. code: what Python runs.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=_variables() | dict(environment),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        out = b"".join(_output(ours, process, send, after, patience))
        return out, process.wait(timeout=patience)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _variables():
    unset = ("COLUMNS", "LINES", "NO_COLOR")
    return {k: v for k, v in os.environ.items() if k not in unset} | {"TERM": "xterm-256color"}


def _output(terminal, process, send, after, patience):
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
            process.send_signal(send)
            send = None


def last_picture(out, encoding="utf-8"):
    """The lines that stay, without colours."""
    text = out.decode(encoding).rpartition("\x1b[2K")[2]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").split("\n")
