"""Promise 16: whatever moment a SIGKILL comes at, nothing acknowledged is lost.

The order of the system calls themselves is in deep/test_p16_syscalls.py: the page cache outlives a
killed process.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from isolated import SRC
from keyservice.stores import ROOM, OneFile, run

WRITER = Path(__file__).parents[1] / "keyservice" / "store_writer.py"
MOST_WAITED = 60  # lines of one process


@pytest.fixture
def place(tmp_path):
    return OneFile(tmp_path)


def writer(path, name, count=0, fault="none"):
    """A process that says, a line each, what the store has acknowledged."""
    return subprocess.Popen(
        [sys.executable, WRITER, path, name, str(count), fault],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=os.environ | {"PYTHONPATH": str(SRC)},
    )


def said_until_killed(writers, name, rng):
    """What a process says that is killed soon after a random one of its lines."""
    writers.stdin.write(f"{name}\n")
    pid, said, wanted = int(writers.stdout.readline()), [], rng.randint(1, MOST_WAITED)
    while (line := writers.stdout.readline().strip()) != "ended":
        said.append(line)
        if len(said) == wanted:
            time.sleep(rng.random() / 200)
            os.kill(pid, signal.SIGKILL)
    assert len(said) >= wanted, "it ended by itself"
    return said


def killed(place, times, rng, fault="none"):
    """(acknowledged, written) by so many processes in turn, each of which was killed."""
    with writer(place.path, "-", fault=fault) as writers:
        said = [one for turn in range(times) for one in said_until_killed(writers, turn, rng)]
        writers.stdin.close()
    rows = run(place, lambda store: store.after(ROOM, 0, limit=1 << 24))
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    bodies = [row.body.decode() for row in rows]
    assert len(set(bodies)) == len(bodies)
    return set(said), set(bodies)


def test_nothing_acknowledged_is_lost_by_a_kill(place, rng, by_tier, figure):
    kills = by_tier(20, 200, 1000)
    acknowledged, written = killed(place, kills, rng)
    figure(
        f"{kills} kills, {len(acknowledged)} messages acknowledged, {len(written - acknowledged)} "
        f"written of which nobody was told, {len(acknowledged - written)} lost"
    )
    assert acknowledged <= written


def test_a_writer_that_tells_too_early_is_noticed(place, rng):
    """The seeded fault."""
    acknowledged, written = killed(place, 12, rng, fault="early")
    assert not acknowledged <= written


def test_two_processes_on_one_file_lose_and_double_nothing(place):
    """Not how it should run; but who starts a second one by mistake must not harm the first."""
    writers = [writer(place.path, name, count=60) for name in "ab"]
    said = [line for each in writers for line in each.communicate()[0].splitlines()]
    assert [each.returncode for each in writers] == [0, 0]
    rows = run(place, lambda store: store.after(ROOM, 0, limit=1000))
    assert len(rows) == 120 and {row.body.decode() for row in rows} == set(said)
