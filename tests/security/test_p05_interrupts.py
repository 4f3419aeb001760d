"""Promise 5, in the middle of a call: an exception, a signal or a fork leaves a gap at most."""

import ctypes
import mmap
import os
import resource
from itertools import count
from types import SimpleNamespace

import numpy
import pytest
from isolated import in_child
from parties import GCM, new_sender
from security.interrupted import at_bytecode, soon
from security.ledger import Ledger

from pysframe import CounterStore, DuplicateSender, FrameBatch, MisuseError, SenderRetired
from pysframe import engine as engines
from pysframe.engine.twin import _sender

FRAMES = [b"frame"] * 4
FIRST, ROW = 1 << 24, 5 + 5 + 16  # counters of four bytes; header, frame, tag

# What is raised in a finalizer is lost, and told so.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def twin():
    return engines.bind("fallback")


class Stop(KeyboardInterrupt):
    """Ctrl-C, that no other may be taken for."""


def stop():
    raise Stop


def ways_to_seal(engine, sender, ledger):
    """Calls that note what they seal, and what notes it when they end in the middle."""
    out = bytearray(len(FRAMES) * ROW)
    batch = FrameBatch.from_frames(FRAMES)

    def note_out(_=None):
        written = bytes(out)
        out[:] = bytes(len(out))
        ledger.note(*filter(any, (written[at : at + ROW] for at in range(0, len(out), ROW))))

    return [
        (lambda: ledger.note(sender.protect(b"frame")), lambda: None),
        (lambda: note_out(sender.protect_into(b"frame", out)), note_out),
        (lambda: ledger.note(*engine.protect_many(sender, FRAMES)), lambda: None),
        (lambda: note_out(engine.protect_batch(sender, batch, out=out)), note_out),
    ]


def stopped_everywhere(call, note, stride):
    """How many bytecodes the call has, about; it was stopped before every stride-th of them."""
    for nth in count(1, stride):
        try:
            if not at_bytecode(nth, stop, call):
                return nth
        except Stop:
            pass
        finally:
            note()


def stop_sealing(engine, sender, stride):
    ledger, sizes = Ledger(), []
    for call, note in ways_to_seal(engine, sender, ledger):
        sizes.append(stopped_everywhere(call, note, stride))
        ledger.note(sender.protect(b"frame"))
    return ledger, sizes


# ---- exceptions ----


def test_stopped_at_any_bytecode(twin, rng, by_tier, figure):
    stride = by_tier(13, 1, 1)
    sender = new_sender(twin, GCM, rng.randbytes(16), next_ctr=FIRST)
    ledger, sizes = stop_sealing(twin, sender, stride)
    figure(f"{sum(sizes) // stride} interruptions, {ledger}")
    assert min(sizes) > 100
    assert ledger.duplicates == 0


def test_counters_that_are_given_back_are_noticed(twin, rng):
    """The seeded fault: a batch that fails gives its counters back, though rows are written."""
    sender = new_sender(twin, GCM, rng.randbytes(16), next_ctr=FIRST)

    def protect_batch(*args, **kwargs):
        before = sender._twin._next
        try:
            return twin.protect_batch(*args, **kwargs)
        except BaseException:
            sender._twin._next = before
            raise

    faulty = SimpleNamespace(protect_many=twin.protect_many, protect_batch=protect_batch)
    assert stop_sealing(faulty, sender, 13)[0].duplicates > 0


def test_leases_stopped_at_any_bytecode(twin, rng, tmp_path, by_tier, figure):
    """From the making of a Sender to the end of its lease and over renew(): who comes next
    on the same store, in this process or not, uses no counter again."""
    ledger, done = Ledger(), 0
    for number in range(by_tier(60, 600, 6000)):
        store = CounterStore(tmp_path / f"counters of {number // 100}", lease=3)
        base_key = rng.randbytes(16)
        done += live_until_stopped(twin, store, base_key, rng.randrange(1, 3000), ledger)
        live(twin, store, base_key, ledger)
    figure(f"{done} interruptions, {ledger}")
    assert done > by_tier(30, 300, 3000)
    assert ledger.duplicates == 0


def live_until_stopped(twin, store, base_key, nth, ledger):
    """Whether it was stopped in time."""
    try:
        at_bytecode(nth, stop, lambda: live(twin, store, base_key, ledger))
    except Stop:
        return True
    return False


def live(twin, store, base_key, ledger):
    """Frames across two leases, unless the key is claimed by one that was stopped."""
    try:
        with twin.Sender(GCM, kid=7, base_key=base_key, counters=store) as sender:
            for _ in range(5):
                store.renew()
                ledger.note(sender.protect(b"frame"), key=base_key)
    except DuplicateSender:
        pass


def test_the_registry_stopped_at_any_bytecode(twin, rng):
    """Whenever close() or a successor's start is stopped: a used counter never comes back."""
    for nth in count(1):
        base_key = rng.randbytes(16)
        sender = new_sender(twin, GCM, base_key)
        sender.protect(b"frame")
        ended = not stopped(nth, sender.close)
        ended &= not stopped(nth, lambda key=base_key: new_sender(twin, GCM, key, next_ctr=1))
        with pytest.raises(DuplicateSender):
            new_sender(twin, GCM, base_key)
        if ended:
            break
    assert nth > 100


def stopped(nth, call):
    try:
        return at_bytecode(nth, stop, call)
    except Stop:
        return True
    except DuplicateSender:
        return False


# Not on pycryptodome: in 4.4.0 CtrMode.__init__ owns the state of its block cipher before that is
# told (release()), and an exception in between frees it twice. SECURITY.md says so.
@pytest.mark.parametrize("name", [n for n in engines.available() if "pycryptodome" not in n])
def test_signals_at_any_moment(name, rng, by_tier, figure):
    """Ctrl-C by a real signal, while frames are sealed in every way."""
    engine = engines.bind(name)
    sender, ledger = new_sender(engine, GCM, rng.randbytes(16), next_ctr=FIRST), Ledger()
    signals = by_tier(50, 1000, 30_000)
    ways = ways_to_seal(engine, sender, ledger)
    for _ in range(signals):
        call, note = rng.choice(ways)
        soon(rng.uniform(20e-6, 600e-6), Stop, call)
        note()
        ledger.note(sender.protect(b"frame"))
    figure(f"{signals} signals, {ledger}")
    assert ledger.duplicates == 0


def test_failed_batches_leave_gaps(engine, rng):
    """TypeError, BufferError, MisuseError and MemoryError, each between frames that are sealed."""
    sender, ledger = new_sender(engine, GCM, rng.randbytes(16)), Ledger()
    strided, small = memoryview(bytes(9))[::2], bytearray(3 * 22)
    batch = FrameBatch.from_frames(FRAMES)
    failing = [
        (lambda: engine.protect_many(sender, [b"a", b"b", "text"]), TypeError),
        (lambda: engine.protect_many(sender, [b"a", b"b", strided]), BufferError),
        (lambda: engine.protect_many(sender, FRAMES, None, [0, 0, 0, 9]), MisuseError),
        (lambda: engine.protect_batch(sender, batch, out=small), MisuseError),
        (lambda: engine.protect_batch(sender, batch, out=bytes(999)), (BufferError, TypeError)),
        (lambda: sender.protect_into(b"frame", bytearray(21)), MisuseError),
    ]
    for _ in range(200):
        call, error = rng.choice(failing)
        with pytest.raises(error):
            call()
        ledger.note(sender.protect(b"frame"), *engine.protect_many(sender, FRAMES))
    assert (ledger.total, ledger.duplicates) == (1000, 0)


def without_memory(engine, sender):
    """Counters of frames sealed before, between and after batches that no memory is left for."""
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * mmap.PAGESIZE
    frame, small, ledger = bytes(16 << 20), FrameBatch.from_frames(FRAMES), Ledger()
    large = FrameBatch(frame, [0] * 20, [len(frame)] * 20)
    mmap_threshold = -3
    ctypes.CDLL(None).mallopt(mmap_threshold, 1 << 20)  # not from what earlier tests have freed
    resource.setrlimit(resource.RLIMIT_AS, (used + (80 << 20), resource.RLIM_INFINITY))
    for _ in range(3):
        for call in (
            lambda: engine.protect_many(sender, [frame] * 20),
            lambda: engine.protect_batch(sender, large),
        ):
            with pytest.raises(MemoryError):
                call()
            ledger.note(sender.protect(b"frame"), *engine.protect_batch(sender, small).to_list())
    return ledger.total, ledger.duplicates, sender.next_ctr


def test_memory_errors_leave_gaps(engine, rng):
    base_key = rng.randbytes(16)
    work = lambda: without_memory(engine, new_sender(engine, GCM, base_key))  # noqa: E731
    total, duplicates, next_ctr = in_child(work)
    assert (total, duplicates) == (30, 0)
    assert next_ctr >= 30


# ---- forks ----


def test_forked_at_any_bytecode(twin, rng, by_tier, figure):
    """The child goes on in the middle of its parent's call, over a buffer that has changed
    meanwhile: it refuses, or has what the parent has, and never seals another frame."""
    sender = new_sender(twin, GCM, rng.randbytes(16), next_ctr=FIRST)
    shared, done = numpy.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), dtype=numpy.uint8), 0
    for nth in count(rng.randrange(1, 9), by_tier(9, 1, 1)):
        outcome = fork_in(nth, lambda: sender.protect(shared[:5]), shared)
        if outcome is None:
            break
        assert outcome in ("refused", "the same")
        done += 1
    figure(f"{done} forks")
    assert done > by_tier(10, 100, 100)


def fork_in(nth, call, shared):
    """What a child that was forked before the nth bytecode of call() makes of the rest."""
    reader, writer = os.pipe()
    pids, made = [], []

    def fork():
        pids.append(os.fork())
        if pids[0] == 0:
            shared[0] ^= 1

    try:
        at_bytecode(nth, fork, lambda: made.append(call()))
    except SenderRetired:
        made.append(b"refused")
    finally:
        if 0 in pids:
            os.write(writer, made[0] if made else b"an error")
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    if not pids:
        return None
    os.waitpid(pids[0], 0)
    if answer[:5] == made[0][:5]:
        return "the same" if answer == made[0] else "another frame"
    return answer.decode(errors="replace")


def test_a_child_that_seals_is_noticed(twin, rng, monkeypatch):
    """The seeded fault: whoever has a counter seals, in whatever process."""
    monkeypatch.setattr(_sender, "generation", lambda: 1)
    sender = new_sender(twin, GCM, rng.randbytes(16), next_ctr=FIRST)
    shared = numpy.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), dtype=numpy.uint8)
    protect = lambda: sender.protect(shared[:5])  # noqa: E731
    assert "another frame" in {fork_in(nth, protect, shared) for nth in range(1, 300, 9)}
