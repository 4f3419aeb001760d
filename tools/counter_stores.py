"""What a counter store does in odd places: the table of docs/counter-store.md.

    python tools/counter_stores.py [--old counters.py] [row ...]

Each row is run against SQLite (sqlite3 of the standard library: a row for each key, a rollback
journal, synchronous=EXTRA), against pysframe.CounterStore and, with --old, against the JSON file of
before, from `git show 0e73e49:src/pysframe/counters.py`. Needs root, unshare and strace.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import random
import secrets
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pysframe

NAME = "ab" * 16
LEASE = 10
SERVICE = 1234  # a user who is not root


class Sqlite:
    """As short as it can be: one row for each key, with a digest of its own."""

    def __init__(self, path, *, lease=LEASE, timeout=3.0):
        self.path, self.size, self.timeout = str(path), lease, timeout

    def lease(self, name):
        connection = sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=TRUNCATE")
            connection.execute("PRAGMA synchronous=EXTRA")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS keys(name PRIMARY KEY, next, digest)")
            found = connection.execute("SELECT next, digest FROM keys WHERE name=?", (name,))
            following, digest = found.fetchone() or ("0", digest_of(name, "0"))
            if digest != digest_of(name, following):
                raise sqlite3.DatabaseError("the digest of a row differs")
            put(connection, name, int(following) + self.size)
            connection.execute("COMMIT")
        finally:
            connection.close()
        return int(following), int(following) + self.size - 1


def digest_of(name, following):
    return hashlib.sha256(f"{name} {following}".encode()).hexdigest()[:32]


def put(connection, name, following):
    row = name, str(following), digest_of(name, following)
    connection.execute("INSERT OR REPLACE INTO keys VALUES(?, ?, ?)", row)


def old_store(path):
    spec = importlib.util.spec_from_file_location("pysframe.counters_before", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda path, **more: module.CounterStore(path, **{"lease": LEASE} | without_timeout(more))


def without_timeout(more):
    return {name: value for name, value in more.items() if name != "timeout"}


def own_store(path, **more):
    return pysframe.CounterStore(path, **{"lease": LEASE} | more)


STORES = {"sqlite": Sqlite, "own": own_store}
ROWS = {}


def row(function):
    ROWS[function.__doc__] = function
    return function


def attempt(work):
    try:
        return work()
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:150]


def forked(work, patience=8.0, uid=0):
    """What work() says in a child, or that it is still at it after so many seconds."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        if uid:
            os.setgroups([]), os.setgid(uid), os.setuid(uid)
        os.write(writer, str(attempt(work)).encode()[:4000])
        os._exit(0)
    os.close(writer)
    end = time.monotonic() + patience
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    os.waitpid(pid, 0)
    with os.fdopen(reader, "rb") as pipe:
        return pipe.read().decode() or f"nothing after {patience:g} s"


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
        libc = __import__("ctypes").CDLL(None)
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
def signal_handler(make, folder):
    "a signal handler leases in the middle of a lease"

    def work():
        store, ends, said = make(folder / "counters"), time.monotonic() + 4, {}

        def handler(*_):
            answer = str(attempt(lambda: store.lease("cd" * 16))).partition(":")[0][:40]
            said[answer if answer[0] != "(" else "leased"] = 1

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0017)
        done = 0
        while time.monotonic() < ends:
            done += isinstance(attempt(lambda: store.lease(NAME)), tuple)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return f"{'goes on' if done else 'nothing done'}; the handler: {sorted(said)}"

    return forked(work, 15)


@row
def stopped_holder(make, folder):
    "another process is stopped in the middle of a lease"
    path = folder / "counters"
    make(path).lease(NAME)
    for _ in range(200):  # until it is stopped where it matters
        pid = os.fork()
        if pid == 0:
            store = make(path)
            while True:
                store.lease(NAME)
        time.sleep(random.uniform(0.02, 0.05))
        os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        said = forked(lambda: make(path).lease(NAME), 8)
        took = time.monotonic() - begun
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if took > 1:
            return f"{said} (after {took:.1f} s)"
    return "never stopped in a lease"


@row
def times(make, folder):
    "ms for one more key at 1,000 / 20,000 / 200,000 keys (median of 9)"
    medians = []
    for count in 1000, 20_000, 200_000:
        path = folder / f"of {count}"
        fill(make, path, [secrets.token_hex(16) for _ in range(count)], 1 << 20)
        make(path).lease(NAME)
        took = []
        for _ in range(9):
            begun = time.perf_counter()
            make(path).lease(secrets.token_hex(16))
            took.append(time.perf_counter() - begun)
        medians.append(f"{statistics.median(took) * 1e3:.1f}")
    return " / ".join(medians)


def fill(make, path, names, following):
    if make is Sqlite:
        make(path).lease(NAME)
        with sqlite3.connect(path) as connection:
            for name in names:
                put(connection, name, following)
        connection.close()
    else:  # the older format, which the newer converts
        table = dict.fromkeys(names, following)
        digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
        content = {"format": "pysframe-counters/1", "next": table, "sha256": digest}
        path.write_text(json.dumps(content, indent=1))
        make(path).lease(NAME)


@row
def syncs(make, folder):
    "syncs for each lease, of 10"
    path = folder / "counters"
    make(path).lease(NAME)
    log = folder / "trace"
    pid = os.getpid()
    trace = subprocess.Popen(
        ["strace", "-f", "-o", log, "-e", "trace=fsync,fdatasync", "-p", str(pid)],
        stderr=subprocess.PIPE,
    )
    trace.stderr.readline()
    store = make(path)
    for _ in range(10):
        store.lease(NAME)
    trace.send_signal(signal.SIGINT)
    trace.communicate()
    return log.read_text().count("sync(") / 10


@row
def kills(make, folder):
    "SIGKILL at random moments, 100 times"
    path, wire = folder / "counters", folder / "wire"
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            out = os.open(wire, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            while True:
                os.write(out, b"%d\n" % make(path).lease(NAME)[0])
        time.sleep(random.uniform(0.005, 0.05))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    firsts = wire.read_text().split()
    after = attempt(lambda: make(path).lease(NAME))
    repeated = len(firsts) - len(set(firsts))
    rest = sorted(name for name in os.listdir(folder) if name not in ("wire", "counters"))
    return f"{len(firsts)} leases, {repeated} twice; then {after}; beside it {rest}"


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
    me = [sys.executable, __file__, *sys.argv[1:3]] if "--old" in sys.argv else [sys.executable, __file__]
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
def flips(make, folder):
    "one of all bits flipped, 4,000 times, 200 keys"
    names = [digest_of(str(n), "") for n in range(200)]
    path = folder / "counters"
    fill(make, path, names, 1000)
    return spoiled(make, path, names, 4000, flipped)


@row
def cuts(make, folder):
    "the file cut short, 400 times"
    names = [digest_of(str(n), "") for n in range(200)]
    path = folder / "counters"
    fill(make, path, names, 1000)
    return spoiled(make, path, names, 400, lambda content: content[: random.randrange(len(content))])


def flipped(content):
    changed, at = bytearray(content), random.randrange(8 * len(content))
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def spoiled(make, path, names, times, spoil):
    content, counts = path.read_bytes(), {"right": 0, "refused": 0, "LOWER": 0}
    for _ in range(times):
        path.write_bytes(spoil(content))
        for beside in path.parent.glob("counters?*"):
            beside.unlink()
        name = random.choice(names)
        said = attempt(lambda name=name: make(path).lease(name))
        if isinstance(said, tuple):
            counts["right" if said[0] == 1000 else "LOWER"] += 1
        else:
            counts["refused"] += 1
    return ", ".join(f"{count} {what}" for what, count in counts.items())


@row
def replaced(make, folder):
    "an older copy is put back while a Sender of the key lives"
    path = folder / "counters"
    store = make(path)
    if make is own_store:
        sender = pysframe.Sender(4, kid=1, base_key=os.urandom(16), counters=store)
        shutil.copy(path, folder / "old")
        for _ in range(9):
            sender.protect(b"")
        store.renew()
        for _ in range(9):
            sender.protect(b"")
        shutil.copy(folder / "old", path)
        return attempt(store.renew)
    store.lease(NAME)
    shutil.copy(path, folder / "old")
    store.lease(NAME)
    shutil.copy(folder / "old", path)
    return attempt(lambda: store.lease(NAME))


@row
def two_workers(make, folder):
    "two processes seal under one key"
    path, key = folder / "counters", os.urandom(16)
    if make is own_store:
        sender = pysframe.Sender(4, kid=1, base_key=key, counters=make(path))
        other = forked(lambda: pysframe.Sender(4, kid=1, base_key=key, counters=make(path)))
        return f"{sender.next_ctr}; {other}"
    return f"{make(path).lease(NAME)}; {forked(lambda: make(path).lease(NAME))}"


@row
def no_module(make, folder):
    "a Python built without SQLite"
    code = f"""
import sys; sys.modules["_sqlite3"] = None
import pysframe; print(pysframe.CounterStore({str(folder / "counters")!r}, lease=10).lease({NAME!r}))
"""
    if make is Sqlite:
        code = 'import sys; sys.modules["_sqlite3"] = None; import sqlite3'
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().splitlines()[-1]


@row
def cost_of_import(make, folder):
    "import: ms and KiB"
    module = "sqlite3" if make is Sqlite else "json, hashlib" if make is not own_store else "hashlib"
    code = f"""
import time, resource
before, begun = resource.getrusage(0).ru_maxrss, time.perf_counter()
import {module}
took = time.perf_counter() - begun
print(f"{{took * 1e3:.1f}} ms, {{resource.getrusage(0).ru_maxrss - before}} KiB ({module})")
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--old")
    parser.add_argument("--lease", nargs=2)
    parser.add_argument("rows", nargs="*")
    given = parser.parse_args()
    if given.old:
        STORES["json"] = old_store(given.old)
    if given.lease:
        print(attempt(lambda: STORES[given.lease[0]](given.lease[1]).lease(NAME)))
        return
    for words, function in ROWS.items():
        if given.rows and function.__name__ not in given.rows:
            continue
        print(f"\n{words}")
        for name in ("json", "sqlite", "own"):
            if name in STORES:
                folder = Path(tempfile.mkdtemp(prefix="pysframe-store-"))
                folder.chmod(0o755)
                print(f"  {name:7}", attempt(lambda: function(STORES[name], folder)), flush=True)
                shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
