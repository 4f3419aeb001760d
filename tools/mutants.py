"""Mutation testing: small faults, one at a time, each of which the tests must notice.

    .venv/bin/python tools/mutants.py               all modules of tests/mutants.toml
    .venv/bin/python tools/mutants.py kid header    those with such a word in their path

Rules of this file:
  1. No file changes. A mutant of a function lives in a forked child, which swaps the function's
     code and runs the tests that call it, quickest first. What runs at import (constants,
     decorators, defaults) is mutated before a child imports it; then all tests run.
  2. The tests run on the plain-Python engine, whose every line is Python: tests over C code could
     notice nothing here. They pass without a mutant, in the same order, or nothing is judged.
  3. A mutant is dead when a test fails, hangs or cannot begin.
  4. Who survives is listed in tests/mutants.toml with a reason. A survivor that is not there, an
     entry that nobody needs any more, and less than 90 % dead in any module fail the run.
"""

import contextlib
import gc
import importlib.util
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple, NoReturn

import pytest
from _pytest.runner import runtestprotocol
from mutations import Mutant, mutants_of

ROOT = Path(__file__).parent.parent
LIST = ROOT / "tests" / "mutants.toml"
BAR = 0.9  # of a module's mutants are dead
ENGINE = "fallback:cryptography"  # one provider: they are not under test here
# No native engine; few examples, unshrunk: see tests/conftest.py.
SWITCHES = {"PYSFRAME_MAX_ISA": "none", "HYPOTHESIS_PROFILE": "mutants"}
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--partial", "--seed=1", "--assert=plain")
HEAVY = ("numpy", "hypothesis", "cffi", "Crypto.Cipher.AES", "Crypto.Hash.SHA512",
         "cryptography.hazmat.primitives.ciphers.aead")  # fmt: skip
PATIENCE = 10  # seconds of CPU time beyond what the same tests take without a mutant
MEMORY = 2 << 30  # bytes of data that a child may have: a mutant may fill a list for ever
IDLE = 30  # seconds without any CPU time after which a child hangs
TESTS_FAILED = 1


def main(words: list[str]) -> int:
    os.environ |= SWITCHES
    os.environ.pop("PYSFRAME_BACKEND", None)
    sys.dont_write_bytecode = True
    os.chdir(ROOT)
    for name in HEAVY:
        __import__(name)  # once, and not in every child
    listed = tomllib.loads(LIST.read_text())
    wanted = [row for row in listed["module"] if not words or any(w in row["file"] for w in words)]
    if not words:
        check_itself()
    leave_out = [f"--deselect={test}" for test in listed["leave_out"]]
    print("  killed   alive  listed   mutants", flush=True)
    complaints = [
        examine(row["file"], [*row["tests"], *leave_out], listed.get("survivor", []))
        for row in wanted
    ]
    return 1 if not wanted or sum(complaints) else 0


def check_itself() -> None:
    """The judge is seen to judge: mutants of layouts.py, by its own tests and by another's."""
    path = ROOT / "src/pysframe/keys/layouts.py"
    mutants = [mutant for mutant in mutants_of(path) if mutant.function in ("_field", "")][-12:]
    for tests, dies in (("tests/test_kid.py", True), ("tests/test_suites.py", False)):
        wrong = [m.change for m, dead in judged(path, mutants, [tests]) if dead != dies]
        if wrong:
            raise SystemExit(f"{tests} should {'kill' if dies else 'pass'}: {wrong}")


def examine(file: str, tests: list[str], survivors: list[dict]) -> int:
    """Judges all mutants of a module and prints the figures; the number of complaints."""
    start, path = time.monotonic(), ROOT / file
    mutants = list(mutants_of(path))
    alive = [mutant for mutant, dead in judged(path, mutants, tests) if not dead]
    known = {(s["function"], s["change"]) for s in survivors if s["file"] == file}
    listed = [mutant for mutant in alive if mutant[:2] in known]
    stale = known - {mutant[:2] for mutant in alive}
    killed = len(mutants) - len(alive)
    share = killed / len(mutants)
    print(
        f"{killed:5d} {share:4.0%} {len(alive):6d} {len(listed):7d}   {len(mutants):5d} of {file}"
        f", {time.monotonic() - start:.0f} s",
        flush=True,
    )
    for function, change, *_ in alive:
        if (function, change) not in known:
            print(f"  SURVIVED  {function or 'at import'}: {change}")
    for function, change in sorted(stale):
        print(f"  LISTED, BUT DEAD OR GONE  {function}: {change}")
    if share < BAR:
        print(f"  TOO FEW DIED: {share:.1%}, the bar is {BAR:.0%}")
    return len(alive) - len(listed) + len(stale) + (share < BAR)


def judged(path: Path, mutants: list[Mutant], tests: list[str]) -> list[tuple[Mutant, bool]]:
    """Each mutant, and whether it is dead."""
    inside = [mutant for mutant in mutants if mutant.function]
    outside = [mutant for mutant in mutants if not mutant.function]
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    with tempfile.NamedTemporaryFile() as answer:
        judge = Judge(name, path, inside, answer.name)
        ended = in_child(lambda: run(tests, judge), quiet=True)
        if ended:
            raise SystemExit(f"{path}: its tests do not pass without a mutant: {' '.join(tests)}")
        seconds, dead = pickle.load(answer)
    if outside and is_dead(lambda: run_mutated(name, path, path.read_text(), tests), seconds):
        raise SystemExit(f"{path}: its tests do not pass where it is imported anew")
    at_import = [
        is_dead(lambda m=mutant: run_mutated(name, path, m.source, tests), seconds)
        for mutant in outside
    ]
    return [*zip(inside, dead, strict=True), *zip(outside, at_import, strict=True)]


# ---- children ----


def in_child(work: Callable[[], int], seconds: float = 0, quiet: bool = False) -> int:
    """The status with which a forked child ends that does this; it has only so much CPU time."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        carry_out(work, seconds, quiet)
    if seconds:
        end_when_idle(pid)
    status = os.waitpid(pid, 0)[1]
    signal.setitimer(signal.ITIMER_REAL, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # children of its own, which may wait for ever
    return status


def end_when_idle(pid: int) -> None:
    """Kills a group of processes that does nothing for a while, however slow the machine is."""
    before = [-1]

    def look(number: int, frame: object) -> None:
        before.append(cpu_ticks(pid))
        if before[-1] == before[-2]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, IDLE, IDLE)


def cpu_ticks(group: int) -> int:
    """Of all living processes of a group together."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()  # from the third on: the state
            ticks += (int(fields[2]) == group) * (int(fields[11]) + int(fields[12]))
    return ticks


def carry_out(work: Callable[[], int], seconds: float, quiet: bool) -> NoReturn:
    code = 70
    try:
        os.setpgid(0, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if quiet:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
        if seconds:
            limit = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime + seconds + PATIENCE)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        code = work()
    finally:
        os._exit(code)


def is_dead(work: Callable[[], int], seconds: float) -> bool:
    status = in_child(work, seconds, quiet=True)
    code = os.waitstatus_to_exitcode(status)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise SystemExit("no tests were run")
    return code != 0


def run(tests: list[str], plugin: object) -> int:
    """pytest in this process; the plugin decides what happens."""
    return int(pytest.main([*OPTIONS, *tests], plugins=[plugin]))


def run_mutated(name: str, path: Path, source: str, tests: list[str]) -> int:
    sys.meta_path.insert(0, Mutated(name, path, source))
    return run(tests, OneEngine())


class OneEngine:
    """A plugin: the fixture `engine` is one engine, once its module may be imported."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:  # tests/conftest.py reads what is available
        from pysframe import engine

        engine.available = lambda: [ENGINE]


class Judge(OneEngine):
    """Runs collected tests against the mutants of functions, each in a child of its own."""

    def __init__(self, name: str, path: Path, mutants: list[Mutant], answer: str) -> None:
        self.name, self.path, self.mutants, self.answer = name, path, mutants, answer

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        gc.collect()
        gc.freeze()  # what is here is not looked at, and so not copied, in every child
        calls = self.watched(session.items)
        order = sorted(range(len(calls)), key=lambda number: calls[number].seconds)
        tests = [(session.items[number], calls[number]) for number in order]
        touched = {
            function: [test for test in tests if function in test[1].functions] or tests
            for function in {mutant.function for mutant in self.mutants}
        }
        for function, some in touched.items():
            if self.dies(lambda: None, some):
                raise pytest.UsageError(f"without a mutant the tests of {function} fail")
        dead = [self.is_dead(mutant, touched[mutant.function]) for mutant in self.mutants]
        seconds = sum(call.seconds for call in calls)
        Path(self.answer).write_bytes(pickle.dumps((seconds, dead)))
        return True

    def watched(self, items: list[pytest.Item]) -> list["Call"]:
        """What each test is without a mutant. In a child, too: here no test leaves a trace."""

        def watch() -> int:
            calls = [watched_call(item, str(self.path)) for item in items]
            Path(self.answer).write_bytes(pickle.dumps(calls))
            return 0

        in_child(watch)
        calls = pickle.loads(Path(self.answer).read_bytes())
        if failed := [item.nodeid for item, call in zip(items, calls, strict=True) if call.failed]:
            raise pytest.UsageError(f"without a mutant: {failed}")
        return calls

    def is_dead(self, mutant: Mutant, tests: list[tuple[pytest.Item, "Call"]]) -> bool:
        function, code = self.find(mutant.function), mutant.code()
        return self.dies(lambda: setattr(function, "__code__", code), tests)

    def dies(self, change: Callable[[], None], tests: list[tuple[pytest.Item, "Call"]]) -> bool:
        def work() -> int:
            change()
            return TESTS_FAILED if any(fails(item) for item, _ in tests) else 0

        return is_dead(work, sum(call.seconds for _, call in tests))

    def find(self, function: str) -> object:
        found: object = sys.modules[self.name]
        for part in function.split("."):
            found = vars(found)[part]
        found = getattr(found, "fget", None) or getattr(found, "__func__", found)
        return getattr(found, "__wrapped__", found)


class Call(NamedTuple):
    """One test without a mutant: whether it fails, its CPU time, what it calls in the module."""

    failed: bool
    seconds: float
    functions: set[str]


def watched_call(item: pytest.Item, path: str) -> Call:
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename == path:
            codes.add(frame.f_code)

    start = time.process_time()
    threading.setprofile(note)
    sys.setprofile(note)
    failed = fails(item)
    sys.setprofile(None)
    threading.setprofile(None)
    functions = {code.co_qualname.split(".<locals>")[0] for code in codes}
    return Call(failed, time.process_time() - start, functions)


def fails(item: pytest.Item) -> bool:
    item._repr_failure_py = lambda *_, **__: "fails"  # nobody reads why, and to write it is slow
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


class Mutated(SourceFileLoader):
    """Finds and loads one module, of another source than its file's."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        super().__init__(name, str(path))
        self.source = source

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, name: str) -> CodeType:
        return compile(self.source, self.path, "exec")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
