"""Promise 12: keys are in no memory after close(): heap, stack, key pages, registers.

The process that is looked into is keeper.py; what is looked for, remains.py.
"""

import ctypes
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import machine
import pytest
from c_core.core import KERNELS
from isolated import SRC
from security import remains
from security.natively import kernel_or_skip, native

from pysframe import CipherSuite

KEEPER = Path(__file__).with_name("keeper.py")
SUITES = [CipherSuite(number) for number in (4, 5, 1, 6)]
SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)


@pytest.fixture(params=KERNELS)
def kernel(request):
    return kernel_or_skip(request.param)


class Keeper:
    """A running keeper.py, at one of its words."""

    def __init__(self, kernel: str, suite: CipherSuite, base_key: bytes, *more: str) -> None:
        arguments = f"native:{kernel}", str(int(suite)), str(remains.KID), *more
        command = [sys.executable, str(KEEPER), *arguments]
        environment = os.environ | {"PYTHONPATH": str(SRC)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, bufsize=0, env=environment
        )
        self.pid = self.process.pid
        os.write(self.process.stdin.fileno(), base_key)

    def hears(self, word: str) -> None:
        assert self.process.stdout.readline() == f"{word}\n".encode()

    def go_on(self) -> None:
        os.write(self.process.stdin.fileno(), b".")


@contextmanager
def keeper(kernel: str, suite: CipherSuite, base_key: bytes, *more: str):
    running = Keeper(kernel, suite, base_key, *more)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


@SUITE
def test_nothing_is_left_after_close(kernel, suite, rng):
    base_key = rng.randbytes(32)
    given, kept = remains.given(base_key), remains.kept(kernel, suite, base_key)
    passing = remains.passing(suite, base_key)
    assert len(kept) > 20
    with keeper(kernel, suite, base_key) as process:
        process.hears("given")
        assert remains.hits_in_process(process.pid, given).keys() == {
            "base_key+0",
            "base_key+16",
        }
        process.go_on()
        process.hears("kept")
        found = remains.hits_in_process(process.pid, given | passing | kept)
        assert_kept(found, kept)
        process.go_on()
        process.hears("closed")
        assert remains.hits_in_process(process.pid, given | passing | kept) == {}
    print(f"{kernel} {suite.name}: {len(found)} patterns found, {sum(found.values())} places")


def assert_kept(found: dict[str, int], kept: dict[str, bytes]) -> None:
    """Everything that is kept is there, and nothing else."""
    as_they_are = {name for name in kept if not name.endswith("reversed")}
    assert as_they_are <= found.keys() <= kept.keys()


@pytest.fixture
def pages_with_keys(kernel, rng):
    """(VmFlags, kB that are locked) of each mapping of a process in which a key is found."""
    base_key = rng.randbytes(32)
    kept = remains.kept(kernel, SUITES[0], base_key)
    with keeper(kernel, SUITES[0], base_key) as process:
        process.hears("given")
        process.go_on()
        process.hears("kept")
        states = states_of_mappings(process.pid)
        with_keys = [
            name for name, content in remains.writable_mappings(process.pid)
            if remains.hits(content, kept)
        ]  # fmt: skip
    assert with_keys
    return [states[name] for name in with_keys]


def test_key_pages_are_left_out_of_core_dumps(pages_with_keys):
    """The pages with keys are marked for the system not to dump them; no others have keys."""
    assert all("dd" in flags for flags, _ in pages_with_keys)


def test_key_pages_are_locked(pages_with_keys):
    """No page with a key is ever written to swap, where the system lets us lock it."""
    if not machine.can_lock_memory():
        pytest.skip("memory cannot be locked")
    assert all("lo" in flags and locked for flags, locked in pages_with_keys)


def states_of_mappings(pid: int) -> dict[str, tuple[set[str], int]]:
    """Name -> (VmFlags, kB locked), by the names that writable_mappings gives."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    head = r"^(\w+)-\w+ \S+ \S+ \S+ \S+ *(.*)\n((?:[A-Z]\w+:.*\n)*?)VmFlags: (.*)$"
    found = {}
    for start, name, body, flags in re.findall(head, text, flags=re.MULTILINE):
        locked = int(re.search(r"^Locked: +(\d+) kB$", body, flags=re.MULTILINE)[1])
        found[name or f"anonymous {start}"] = set(flags.split()), locked
    return found


# ---- right after a call ----

AAD = bytes(range(1, 41))  # as in scanner.c
SIZES = (0, 15, 160, 240, 400, 432, 700, 700, 5000)
ROOM = remains.REGISTERS + remains.STACK + remains.ROWS
ALIKE = [(size,) * 9 for size in (40, 100, 160, 300, 400)]  # what kernels run side by side


class Bench:
    """Memory for nine rows of zeros, and for what a call leaves in registers and on the stack."""

    def __init__(self, kernel: str, suite: CipherSuite, sframe_key: bytes) -> None:
        self.owner, self.key = remains.raw_key(kernel, suite, sframe_key)
        size = sum(SIZES)
        self.plain, self.sealed, self.opened = (ctypes.create_string_buffer(size) for _ in range(3))
        self.tags = ctypes.create_string_buffer(16 * len(SIZES))
        self.residue = ctypes.create_string_buffer(ROOM)
        self.library = native("scanner")

    def run(self, name: str, source, out, sizes=SIZES) -> tuple[bytes, list[int]]:
        """(what is left, statuses)"""
        c_sizes = (ctypes.c_size_t * len(sizes))(*sizes)
        statuses = (ctypes.c_int * len(sizes))()
        rows = source, out, self.tags, c_sizes, ctypes.c_size_t(len(sizes)), statuses
        self.library.run_and_look(name.encode(), self.key, *rows, self.residue)
        return self.residue.raw, list(statuses)


def nonce(row: int) -> bytes:
    return row.to_bytes(8, "little") + bytes(4)


def secrets_of(kernel: str, suite: CipherSuite, sframe_key: bytes) -> dict[str, bytes]:
    state = remains.key_state(kernel, suite, sframe_key)
    return remains.pieces("key", sframe_key) | remains.pieces("state", state)


def sums_of(
    kernel: str, suite: CipherSuite, sframe_key: bytes, sizes, ciphertext: bytes
) -> dict[str, bytes]:
    """Those of each row, and the products that they are made of."""
    found, state = {}, remains.key_state(kernel, suite, sframe_key)
    for row, size in enumerate(sizes):
        part, ciphertext = ciphertext[:size], ciphertext[size:]
        sums = remains.hash_sums(suite, sframe_key, nonce(row), AAD, part)
        sums |= remains.products(kernel, suite, state, part)
        found |= {f"row {row} {name}": pattern for name, pattern in sums.items()}
    return found


@SUITE
def test_nothing_is_left_in_registers_and_stack(kernel, suite, rng):
    """After sealing, opening and refusing; rows together, and each alone."""
    sframe_key = rng.randbytes(suite.Nk)
    secrets, bench = secrets_of(kernel, suite, sframe_key), Bench(kernel, suite, sframe_key)
    remaining = {}
    for sizes in (SIZES, *((size,) for size in SIZES), *ALIKE):
        sealed, _ = bench.run("seal", bench.plain, bench.sealed, sizes)
        opened, statuses = bench.run("open", bench.sealed, bench.opened, sizes)
        bench.tags[:] = bytes(b ^ 1 for b in bench.tags.raw)
        refused, refusals = bench.run("open", bench.sealed, bench.opened, sizes)
        assert not any(statuses) and all(refusals)
        patterns = secrets | sums_of(kernel, suite, sframe_key, sizes, bench.sealed.raw)
        for what, left in (("seal", sealed), ("open", opened), ("refuse", refused)):
            if found := remains.hits(left, patterns):
                remaining[what, sizes] = found
    assert remaining == {}


@SUITE
def test_nothing_is_left_of_key_set_up(kernel, suite, rng):
    base_key = rng.randbytes(32)
    secrets = remains.given(base_key) | remains.passing(suite, base_key)
    secrets |= remains.kept(kernel, suite, base_key)
    left = ctypes.create_string_buffer(ROOM)
    kid, size = ctypes.c_uint64(remains.KID), ctypes.c_size_t(len(base_key))
    native("scanner").set_up_and_look(kernel.encode(), suite, kid, base_key, size, left)
    assert remains.hits(left.raw, secrets) == {}


def test_what_a_careless_call_leaves_is_found(kernel, rng):
    """The seeded fault: round keys on the stack, and one in a register."""
    sframe_key = rng.randbytes(16)
    secrets = secrets_of(kernel, SUITES[0], sframe_key)
    left, _ = Bench(kernel, SUITES[0], sframe_key).run("careless", *[None] * 2, (0,))
    registers, stack = left[: remains.REGISTERS], left[remains.REGISTERS : -remains.ROWS]
    assert remains.hits(stack, secrets) and remains.hits(registers, secrets)
