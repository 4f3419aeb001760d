"""Promise 12: where the pages of keys cannot be locked, pysframe says so, once in the log and in
every report.

A process without the right to lock memory: its limit is 0, and root's exemption is taken away.
"""

import os
import subprocess
import sys

import machine
import pytest
from isolated import PATIENCE, SRC
from security.natively import kernel_or_skip

import pysframe
from pysframe import engine as engines

SAID = "could not be locked and may be swapped out; raise RLIMIT_MEMLOCK (ulimit -l)"
LIVES = """
import logging, os, pysframe
said = []
logger = logging.getLogger("pysframe")
logger.handle = lambda record: said.append((record.levelname, record.getMessage()))
for kid in range(3000):
    key = pysframe.CipherSuite(4).generate_base_key()
    sender = pysframe.Sender(4, kid=kid, base_key=key, next_ctr=0)
    receiver = pysframe.Receiver(4)
    receiver.add_key(kid, key)
    assert receiver.unprotect(sender.protect(b"frame")) == b"frame"
print(said)
print(pysframe.backend_info().memory)
"""
COMMAND = "import pysframe.cli as cli; raise SystemExit(cli.main(['doctor']))"


def unlocked(code: str, **switches: str) -> list[str]:
    """What this code prints in a process that may lock nothing."""
    limited = ["prlimit", "--memlock=0:0"]
    if os.geteuid() == 0:
        limited += ["setpriv", "--bounding-set=-ipc_lock"]
    done = subprocess.run(
        [*limited, sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(SRC), **switches},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def native():
    kernel_or_skip("aesni")


def test_it_is_said_once_in_the_log(native):
    said, memory = unlocked(LIVES, PYSFRAME_BACKEND="native")
    assert SAID in memory
    ((level, message),) = eval(said)
    assert level == "WARNING"
    first = int(message.split()[0])
    assert message == f"{first} KiB of pages for keys {SAID}; this is said once"
    assert int(memory.split()[0]) > first > 0


def test_doctor_says_it_and_all_is_well(native):
    """A limit of the machine is no fault of the installation."""
    said = " ".join(" ".join(unlocked(COMMAND, PYSFRAME_BACKEND="native")).split())
    assert SAID in said
    assert "PROBLEM" not in said


def test_locked_memory_is_said_to_be_locked(native):
    if not machine.can_lock_memory():
        pytest.skip("memory cannot be locked")
    if engines.default().name.startswith("native"):
        assert pysframe.backend_info().memory == "locked, and left out of core dumps"


def test_the_twin_says_what_it_cannot_do():
    said = " ".join(unlocked(COMMAND, PYSFRAME_BACKEND="fallback"))
    assert "cannot be locked" in said
