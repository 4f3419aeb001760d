"""Lives of a process that seals with counters from a store, and how each of them ends.

Rules of this harness:
  1. A counter counts as used when its frame is on the wire: appended to a file, since what a
     killed process wrote to a file stays written.
  2. A life ends by SIGKILL, from outside at any moment, or from inside at a chosen step. In which
     phase it ended stands in shared memory.
  3. A killed process leaves the page cache behind, a power cut does not. So the disk is played,
     too: it has what was synced, and of what was written since then any sectors or none; a file
     whose directory was not synced is not there. After a power cut the store is put back to that.
  4. A killed process returns no AES blocks, so each life costs its key 2^22 of 2^36 a lease. How
     many leases that are is bounded by steps, never by time, which a faster machine would use up.
"""

import mmap
import os
import random
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy
from parties import GCM
from security.ledger import Ledger

from pysframe import CounterStore, DuplicateSender, Header

PHASES = ("start", "lease", "write", "fsync", "use")
PATIENCE = 60.0  # seconds for a life to come to its aim: many more than the slowest machine needs
HELD_UP = 0.4  # seconds that a life may wait for another one, which may have no end of its own
LEASE = 8  # counters: a life of some frames has many leases
SECTOR = 512  # bytes that a disk writes as one
ROUNDS = 100  # of a life, with one lease each at most; then it waits for its end
LIVES_OF_A_KEY = 100  # times ROUNDS is less than the 2^14 leases of a key's budget


class EndedByItself(Exception):
    """A life could not begin, or not go on; with the traceback of what it ended with."""


class Stage:
    """Where a life is, as the one who kills it can see, and the step at which it kills itself."""

    def __init__(self) -> None:
        self.shared = mmap.mmap(-1, mmap.PAGESIZE)  # phase, and whether it waits
        self.aim: tuple[str, int] | None = None
        self.steps: Counter[str] = Counter()

    def enter(self, phase: str) -> None:
        self.shared[0] = PHASES.index(phase)
        self.steps[phase] += 1
        if self.aim == (phase, self.steps[phase]):
            os.kill(os.getpid(), signal.SIGKILL)

    @property
    def phase(self) -> str:
        return PHASES[self.shared[0]]

    @property
    def waits(self) -> bool:
        """For another life, or for its end: no step comes before somebody else acts."""
        return bool(self.shared[1])

    @waits.setter
    def waits(self, value: bool) -> None:
        self.shared[1] = value


class Disk:
    """What a power cut would leave of the store, in a file beside it."""

    def __init__(self, path: Path) -> None:
        self.path, self.durable = path, path.with_name("durable")

    def fsync(self, name: Path) -> None:
        """In one step, since whoever is killed in the middle must not have half of it."""
        if name == self.path.parent or self.durable.exists():
            spare = self.path.with_name(f"durable.{os.getpid()}")
            shutil.copy(self.path, spare)
            spare.rename(self.durable)

    def power_cut(self, rng: random.Random) -> None:
        if not self.durable.exists():
            self.path.unlink(missing_ok=True)
            return
        written, kept = self.path.read_bytes(), bytearray(self.durable.read_bytes())
        kept.extend(bytes(max(0, len(written) - len(kept))))
        share = rng.choice([0, 0.5, 1])
        for at in range(0, len(written), SECTOR):
            if rng.random() < share:
                kept[at : at + SECTOR] = written[at : at + SECTOR]
        self.path.write_bytes(kept)
        self.durable.write_bytes(kept)


def watch(stage: Stage, disk: Disk, patch: Callable[[str, Any], None]) -> None:
    """Shows this process's steps on the disk to the stage and to the played disk."""
    opened, write, fsync = os.open, os.pwrite, os.fsync

    def watched_open(path, *arguments, **more):
        if str(path) == str(disk.path):
            stage.enter("lease")
        return opened(path, *arguments, **more)

    def watched_write(fd, data, at):
        """In two halves, to be killed between them."""
        stage.enter("write")
        half = len(data) // 2
        write(fd, data[:half], at)
        stage.enter("write")
        return half + write(fd, data[half:], at + half)

    def watched_fsync(fd):
        stage.enter("fsync")
        fsync(fd)
        name = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if name in (disk.path, disk.path.parent):
            disk.fsync(name)
        stage.enter("fsync")

    patch("open", watched_open)
    patch("pwrite", watched_write)
    patch("fsync", watched_fsync)


def comes_to_its_aim(stage: Stage, pid: int) -> bool:
    """Whether the life has ended: at its step, unless others hold it up."""
    begun = time.monotonic()
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() - begun > (HELD_UP if stage.waits else PATIENCE):
            return False
        time.sleep(0.001)
    return True


@dataclass
class Lives:
    """Processes that seal with one key and one store, one after the other or two at a time."""

    folder: Path
    engines: list[Any]
    rng: random.Random
    store: type[CounterStore] = CounterStore
    phases: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.path, self.wire = self.folder / "counters", self.folder / "wire"
        self.trouble = self.folder / "trouble"
        self.wire.touch()
        self.base_key = self.rng.randbytes(16)

    def run(self, kills: int, power_cuts: bool = True) -> Ledger:
        aims = cycle(PHASES[1:])
        while self.phases.total() < kills:
            together = 2 if self.rng.random() < 0.2 else 1
            self.kinds["in pairs"] += together if together > 1 else 0
            for stage, pid in [self.begin(next(aims)) for _ in range(together)]:
                self.end(stage, pid)
            if power_cuts and self.rng.random() < 0.5:
                Disk(self.path).power_cut(self.rng)
                self.kinds["and a power cut"] += 1
        ledger = Ledger()
        for kid, ctr in numpy.fromfile(self.wire, dtype=">u8").reshape(-1, 2).tolist():
            ledger.note_counters([ctr], key=kid)
        return ledger

    def begin(self, phase: str) -> tuple[Stage, int]:
        stage, engine = Stage(), self.rng.choice(self.engines)
        kid = self.phases.total() // LIVES_OF_A_KEY
        if self.rng.random() < 0.7:
            stage.aim = phase, self.rng.randrange(1, 80 if phase == "use" else 9)
        pid = os.fork()
        if pid == 0:
            try:
                self.live(stage, engine, kid)
            finally:
                self.trouble.write_text(traceback.format_exc())
                os._exit(1)
        return stage, pid

    def end(self, stage: Stage, pid: int) -> None:
        """Kills at any moment, unless the life has an aim and comes to it."""
        at_a_step = stage.aim is not None and comes_to_its_aim(stage, pid)
        if not at_a_step:
            time.sleep(self.rng.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
        end = os.waitid(os.P_PID, pid, os.WEXITED)
        if end is None or end.si_status != signal.SIGKILL:
            raise EndedByItself(self.trouble.read_text())
        self.kinds["at a step" if at_a_step else "at any moment"] += 1
        self.phases[stage.phase] += 1

    def live(self, stage: Stage, engine: Any, kid: int) -> None:
        watch(stage, Disk(self.path), lambda name, watched: setattr(os, name, watched))
        wire = os.open(self.wire, os.O_WRONLY | os.O_APPEND)
        store = self.store(self.path, lease=LEASE, timeout=PATIENCE)
        sender = self.when_the_other_is_dead(stage, engine, kid, store)
        for _ in range(ROUNDS):
            store.renew()
            for _ in range(3):
                stage.enter("use")
                header = Header.parse(sender.protect(b"frame"))
                stage.enter("use")
                os.write(wire, header.kid.to_bytes(8) + header.ctr.to_bytes(8))
        stage.waits = True
        signal.pause()

    def when_the_other_is_dead(
        self, stage: Stage, engine: Any, kid: int, store: CounterStore
    ) -> Any:
        while True:
            try:
                sender = engine.Sender(GCM, kid=kid, base_key=self.base_key, counters=store)
            except DuplicateSender:
                stage.waits = True
                time.sleep(0.001)
            else:
                stage.waits = False
                return sender

    def __str__(self) -> str:
        histogram = ", ".join(f"{phase} {self.phases[phase]}" for phase in PHASES)
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return f"{self.phases.total()} kills ({kinds}): {histogram}"
