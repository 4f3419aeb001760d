"""Promise 16, as the operating system sees it: written to the log, synced, then acknowledged."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from isolated import SRC
from security.test_p16_kills import WRITER

COUNT = 100
CALLS = "write,pwrite64,fsync,fdatasync"
BEGUN = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<arguments>.*?)(?P<end>\) += .*|<unf.*)$")
RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>.*= +\d+$")
BODY = re.compile(rb"<w-\d+>")


def trace(folder, fault):
    """(name, arguments) of the system calls, each when it has ended; a write when it begins."""
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    log = folder / "trace"
    command = ["strace", "-f", "-y", "-xx", "-s", "100000", "-o", log, "-e", f"trace={CALLS}"]
    program = [sys.executable, WRITER, folder / "rooms.db", "w", str(COUNT), fault]
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    subprocess.run(
        [*command, *program], env=environment, check=True, stdout=subprocess.DEVNULL, timeout=600
    )
    unfinished = {}
    for line in log.read_text().splitlines():
        if call := BEGUN.match(line):
            if "sync" in call["name"] and call["end"].startswith("<"):
                unfinished[call["thread"]] = call["name"], call["arguments"]
            else:
                yield call["name"], call["arguments"]
        elif (call := RESUMED.match(line)) and call["thread"] in unfinished:
            yield unfinished.pop(call["thread"])


def told_too_early(folder, fault="none"):
    """(how many were acknowledged, how many of them were not yet synced)."""
    written, synced, told, early = set(), set(), 0, 0
    for name, arguments in trace(folder, fault):
        file = arguments.partition("<")[2].partition(">")[0].encode().decode("unicode_escape")
        if "sync" in name and file.endswith("rooms.db-wal"):
            synced |= written
        elif "write" in name and file.endswith("rooms.db-wal"):
            written |= bodies_of(arguments)
        elif "write" in name and arguments.startswith("1<"):
            (body,) = bodies_of(arguments)
            told, early = told + 1, early + (body not in synced)
    return told, early


def bodies_of(arguments):
    """The messages in what was written."""
    data = arguments.partition('"')[2].partition('"')[0]
    return set(BODY.findall(bytes.fromhex(data.replace("\\x", ""))))


def test_nobody_is_told_before_the_disk_has_it(tmp_path, figure):
    told, early = told_too_early(tmp_path)
    figure(f"{told} messages acknowledged, {early} of them before they were synced")
    assert (told, early) == (COUNT, 0)


@pytest.mark.parametrize("fault", ["early", "unsynced"])
def test_a_store_that_forgets_is_noticed(tmp_path, fault):
    """The seeded faults: told before it is asked, and a commit that no sync follows."""
    told, early = told_too_early(tmp_path, fault)
    assert told == COUNT and early > 0
