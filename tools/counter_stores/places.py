"""Rows: where the file lies, who owns it, what lies beside it."""

import ctypes
import os
import secrets
import subprocess
import sys

from stores import NAME, STORES
from trial import SERVICE, attempt, forked, row


def again(make, path, times=2):
    return [attempt(lambda: make(path).lease(NAME)) for _ in range(times)]


def mounted(make, folder, content):
    """In a namespace of its own, where the file is a mount point."""
    outside, inside = folder / "outside", folder / "in" / "counters"
    inside.parent.mkdir()
    if content:
        make(outside).lease(NAME)
    else:
        outside.touch()

    def work():
        libc = ctypes.CDLL(None)
        assert libc.unshare(0x20000) == 0
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        inside.touch()
        subprocess.run(["mount", "--bind", outside, inside], check=True)
        return again(make, inside), sorted(os.listdir(inside.parent))

    return forked(work)


@row
def mounted_file(make, folder):
    "the file is a bind mount"
    return mounted(make, folder, True)


@row
def mounted_empty_file(make, folder):
    "the same, empty at first"
    return mounted(make, folder, False)


@row
def read_only_directory(make, folder):
    "the file may be written, its directory not"
    path = folder / "counters"
    make(path).lease(NAME)
    for file in folder.iterdir():
        os.chown(file, SERVICE, SERVICE)
    return forked(lambda: make(path).lease(NAME), uid=SERVICE)


@row
def one_start_as_root(make, folder):
    "one start as root in a service's directory"
    os.chown(folder, SERVICE, SERVICE)
    path = folder / "counters"
    make(path).lease(NAME)
    return forked(lambda: make(path).lease(NAME), uid=SERVICE)


@row
def full_disk(make, folder):
    "a disk of 64 KiB gets full"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        path, given = folder / "counters", 0
        for _ in range(2000):
            said = attempt(lambda: make(path).lease(secrets.token_hex(16)))
            if not isinstance(said, tuple):
                break
            given += 1
        return f"{given} keys, then {said}; beside it {sorted(os.listdir(folder))}"
    finally:
        subprocess.run(["umount", folder], check=True)


def injected(make, folder, what, *more):
    """A lease in a process whose system calls fail so."""
    path = folder / "counters"
    if more:
        make(path).lease(NAME)
    old = sys.argv[1:3] if "--old" in sys.argv else []
    me = [sys.executable, os.path.dirname(__file__), *old]
    name = next(name for name, store in STORES.items() if store is make)
    command = ["strace", "-f", "-qq", "-o", "/dev/null", *what, *me, "--lease", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip()[-150:]


@row
def no_directory_sync(make, folder):
    "the directory cannot be synced (EINVAL)"
    return injected(make, folder, ["-P", str(folder), "-e", "inject=fsync,fdatasync:error=EINVAL"])


@row
def no_locks(make, folder):
    "the file system cannot lock (ENOLCK)"
    path = folder / "counters"
    paths = ["-P", str(path), "-P", f"{path}.lock"]
    return injected(make, folder, [*paths, "-e", "inject=fcntl,flock:error=ENOLCK"], True)


@row
def planted_links(make, folder):
    "a link is planted where a file beside it is made"
    make(folder / "counters").lease(NAME)
    said = []
    for beside in "counters.new", "counters.lock", "counters-journal", "counters-wal":
        victim, planted = folder / "victim", folder / beside
        victim.write_bytes(b"precious")
        planted.unlink(missing_ok=True)
        planted.symlink_to(victim)
        answer = attempt(lambda: make(folder / "counters").lease(NAME))
        whole = victim.read_bytes() == b"precious"
        if not (whole and isinstance(answer, tuple)):
            said.append(f"{beside}: {'refused' if whole else 'VICTIM OVERWRITTEN'} ({answer})")
        planted.unlink(missing_ok=True)
    return said or "no harm"


@row
def hard_link(make, folder):
    "the file has a second name, in use by another process"
    first, second = folder / "counters", folder / "other"
    make(first).lease(NAME)
    os.link(first, second)
    given = [attempt(lambda path=path: make(path).lease(NAME)) for path in (first, second) * 2]
    return given


@row
def no_module(make, folder):
    "a Python built without SQLite"
    code = 'import sys; sys.modules["_sqlite3"] = None\n'
    if make is STORES["sqlite"]:
        code += "import sqlite3"
    else:
        code += f"""
from pysframe import CounterStore
print(CounterStore({str(folder / "counters")!r}, lease=10).lease({NAME!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().splitlines()[-1]


@row
def cost_of_import(make, folder):
    "import: ms and KiB"
    own = make is STORES["own"]
    module = "sqlite3" if make is STORES["sqlite"] else "hashlib" if own else "json, hashlib"
    code = f"""
import time
def pages(): return int(open("/proc/self/statm").read().split()[1])
before, begun = pages(), time.perf_counter()
import {module}
took = time.perf_counter() - begun
print(f"{{took * 1e3:.1f}} ms, {{4 * (pages() - before)}} KiB ({module})")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout.strip()
