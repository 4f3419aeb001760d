"""Promise 5, as the operating system sees it: written, synced, written again, synced, then used.

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
from pysframe.counters._pages import ROOT, SIZE, Page, opened

TESTS = SRC.parent / "tests"
CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>\d+)(<.*>)?$")
BYTES = re.compile(r'"((\\x[0-9a-f]{2})*)"')

LIFE = """
import os
from pysframe import CounterStore, Header, engine
from security.test_p05_kills import DirectoryNotSynced, NotSynced, WrittenLater

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
    calls = "write,pwrite64,writev,fsync,fdatasync"
    command = ["strace", "-y", "-xx", "-s", "20000", "-o", log, "-e", f"trace={calls}"]
    environment = os.environ | {"PYTHONPATH": f"{SRC}:{TESTS}"}
    subprocess.run([*command, sys.executable, script], cwd=folder, env=environment, check=True)
    found = map(CALL.match, log.read_text().splitlines())
    return [(call["name"], call["arguments"]) for call in found if call]


class Judge:
    """Follows one store through a trace: which counters are safe on the disk at each moment."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.written, self.synced, self.named = folder, bytearray(), b"", False
        self.used = self.too_early = 0

    def see(self, name: str, arguments: str) -> None:
        """The file has no name while it is made: its descriptor leads to "#inode (deleted)"."""
        file = arguments.partition("<")[2].partition(">")[0].encode().decode("unicode_escape")
        if "write" in name and file == f"{self.folder}/wire":
            self.used += 1
            self.too_early += int(data_of(arguments).split()[1]) >= self.safe()
        elif file == f"{self.folder}/counters" or file.startswith(f"{self.folder}/#"):
            if "write" in name:
                self.write(data_of(arguments), int(arguments.rpartition(" ")[2]))
            else:
                self.synced = bytes(self.written)
        elif "sync" in name and file == str(self.folder):
            self.named = True

    def write(self, data: bytes, at: int) -> None:
        self.written.extend(bytes(max(0, at + len(data) - len(self.written))))
        self.written[at : at + len(data)] = data

    def safe(self) -> int:
        """The counter that a Sender would begin with after a power cut."""
        page = opened(ROOT, self.synced[2 * ROOT * SIZE :][:SIZE]) if self.named else None
        if page is None:
            return 0
        (name,) = {page[32:48]}  # of the one key that there is
        return Page(ROOT, page).get(Page(ROOT, page).find(name))[0]


def data_of(arguments: str) -> bytes:
    return bytes.fromhex(BYTES.search(arguments)[1].replace("\\x", ""))


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
        f"{judge.used} frames on the wire, {judge.too_early} of them before their lease was synced"
    )
    assert judge.too_early == 0


@pytest.mark.parametrize("store", ["WrittenLater", "NotSynced", "DirectoryNotSynced"])
def test_a_store_that_forgets_is_noticed(tmp_path, store):
    """The seeded faults: used before the write, and each of the two syncs missing."""
    assert judged(tmp_path, store).too_early > 0
