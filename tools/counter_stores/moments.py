"""Rows: signals, kills, several processes, damage, time."""

import os
import random
import secrets
import shutil
import signal
import statistics
import subprocess
import time

from stores import NAME, digest_of, fill, own_store
from trial import attempt, forked, row

import pysframe


@row
def signal_handler(make, folder):
    "a signal handler leases in the middle of a lease"

    def work():
        store, ends, said = make(folder / "counters"), time.monotonic() + 4, {}

        def handler(*_):
            answer = str(attempt(lambda: store.lease("cd" * 16))).partition(":")[0][:40]
            said[answer if answer[0] != "(" else "leased"] = 1

        signal.signal(signal.SIGALRM, handler)
        done = 0
        while time.monotonic() < ends:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 5e-3))
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
        time.sleep(random.uniform(0.05, 0.3))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    firsts = wire.read_text().split()
    after = attempt(lambda: make(path).lease(NAME))
    repeated = len(firsts) - len(set(firsts))
    rest = sorted(name for name in os.listdir(folder) if name not in ("wire", "counters"))
    return f"{len(firsts)} leases, {repeated} twice; then {after}; beside it {rest}"


@row
def lost_directory(make, folder):
    "killed, and what lay beside the file is lost with its container, 300 times"
    path, wire = folder / "counters", folder / "wire"
    make(path).lease(NAME)
    names = [digest_of(str(n), "") for n in range(400)]
    fill(make, path, names, 1000)
    for _ in range(300):
        pid = os.fork()
        if pid == 0:
            out = os.open(wire, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            while True:
                name = random.choice(names)
                os.write(out, f"{name} {make(path).lease(name)[0]}\n".encode())
        time.sleep(random.uniform(0.05, 0.3))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for beside in folder.glob("counters?*"):
            beside.unlink()
    used = wire.read_text().splitlines()
    said = [attempt(lambda name=name: make(path).lease(name)) for name in names]
    refused = sorted({str(answer)[:60] for answer in said if not isinstance(answer, tuple)})
    return f"{len(used)} leases, {len(used) - len(set(used))} twice; then refused: {refused}"


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
    return spoiled(
        make, path, names, 400, lambda content: content[: random.randrange(len(content))]
    )


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
