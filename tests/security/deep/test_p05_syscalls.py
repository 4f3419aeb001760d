"""Promise 5, as the operating system sees it: written, synced, renamed, synced, then used.

A killed process proves no order, since the page cache outlives it; a trace of system calls does.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from isolated import SRC

from pysframe import engine as engines

TESTS = SRC.parent / "tests"
CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>\d+)(<.*>)?$")
NEXT = re.compile(r'[0-9a-f]{32}\\": (\d+)')

LIFE = """
import os
from pysframe import CounterStore, Header, engine
from security.test_p05_kills import NotSynced, RenameNotSynced, WrittenLater

wire = os.open("wire", os.O_WRONLY | os.O_CREAT)
engine = engine.bind({engine!r})
store = {store}("counters", lease=5)
sender = engine.Sender(4, kid=7, base_key=bytes(16), counters=store)
for _ in range(100):
    store.renew()
    sealed = sender.protect(b"frame")
    os.write(wire, b"ctr %d" % Header.parse(sealed).ctr)
"""


def trace(folder: Path, store: str, engine: str) -> list[tuple[str, str]]:
    """(name, arguments) of the system calls of one life, those that failed left out."""
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    script, log = folder / "life.py", folder / "trace"
    script.write_text(LIFE.format(store=store, engine=engine))
    calls = "openat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2"
    command = ["strace", "-y", "-s", "10000", "-o", log, "-e", f"trace={calls}"]
    environment = os.environ | {"PYTHONPATH": f"{SRC}:{TESTS}"}
    subprocess.run([*command, sys.executable, script], cwd=folder, env=environment, check=True)
    found = map(CALL.match, log.read_text().splitlines())
    return [(call["name"], call["arguments"]) for call in found if call]


class Judge:
    """Follows one store through a trace: which counters are safe on the disk at each moment."""

    def __init__(self, folder: Path) -> None:
        self.new, self.wire = f"<{folder}/counters.new>", f"<{folder}/wire>"
        self.folder = f"<{folder}>"
        self.content, self.synced, self.renamed, self.safe = "", False, "", 0
        self.used = self.too_early = 0

    def see(self, name: str, arguments: str) -> None:
        if name == "openat" and "counters.new" in arguments:
            self.content, self.synced = "", False
        elif "write" in name and self.new in arguments:
            self.content, self.synced = self.content + arguments, False
        elif "sync" in name and self.new in arguments:
            self.synced = True
        elif "rename" in name and "counters.new" in arguments:
            self.renamed = self.content if self.synced else ""
        elif "sync" in name and arguments.endswith(self.folder):
            self.safe = max([self.safe, *map(int, NEXT.findall(self.renamed))])
        elif "write" in name and self.wire in arguments:
            self.used += 1
            self.too_early += int(re.search(r"ctr (\d+)", arguments)[1]) >= self.safe


def judged(folder: Path, store: str, engine: str = "native") -> Judge:
    here = {name.split(":")[0] for name in engines.available()}
    judge, engine = Judge(folder), engine if engine in here else "fallback"
    for name, arguments in trace(folder, store, engine):
        judge.see(name, arguments)
    assert judge.used == 100
    return judge


@pytest.mark.parametrize("engine", ["native", "fallback"])
def test_no_counter_is_used_before_it_is_safe(tmp_path, engine, figure):
    judge = judged(tmp_path, "CounterStore", engine)
    figure(
        f"{judge.used} frames on the wire, {judge.too_early} of them before fsync, rename, fsync"
    )
    assert judge.too_early == 0


@pytest.mark.parametrize("store", ["WrittenLater", "NotSynced", "RenameNotSynced"])
def test_a_store_that_forgets_is_noticed(tmp_path, store):
    """The seeded faults: used before the write, and each of the two syncs missing."""
    assert judged(tmp_path, store).too_early > 0
