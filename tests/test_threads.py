"""Many threads at one Sender or Receiver: no counter twice, no frame twice, no harm in a close."""

import ctypes
import itertools
import threading
import time
from statistics import median

import pytest
from parties import GCM, SUITES, new_receiver, new_sender, pair
from racing import again_and_again, in_threads, switching_often

from pysframe import FrameStatus, MisuseError, SenderRetired, UnknownKey
from pysframe import engine as engines

OK, REPLAYED, UNKNOWN = FrameStatus.OK, FrameStatus.REPLAYED, FrameStatus.UNKNOWN_KEY
THREADS = 4
LONG = bytes(3000)  # 64 of them are enough for the native engine to let go of the GIL


@pytest.fixture(autouse=True)
def _switch_often():
    with switching_often():
        yield


# ---- one sender; its counters are in security/test_p05_counters.py ----


def test_what_threads_seal_opens(engine, rng):
    """The buffers of one call never mix with another's."""
    suite = rng.choice(SUITES)
    sender, receiver = pair(engine, suite, rng, replay_window=0)

    def work(mark):
        frames = [bytes([mark]) * (100 + n) for n in range(64)]

        def once():
            sealed = engine.protect_many(sender, frames)
            assert engine.unprotect_many(receiver, sealed).to_list() == frames
            assert receiver.unprotect(sender.protect(frames[5])) == frames[5]

        return lambda: again_and_again(once)

    in_threads(*map(work, range(THREADS)))


# ---- one receiver ----


def test_no_frame_twice(engine, rng):
    """Every frame is offered to all threads, singly and in batches; one of them gets it."""
    sender, receiver = pair(engine, GCM, rng, replay_window=1 << 16)
    frames = [sender.protect(b"frame %d" % n) for n in range(1500)]

    def singly():
        opened = []
        for frame in frames:
            try:
                opened.append(receiver.unprotect(frame))
            except Exception as error:
                assert error.status == REPLAYED
        return opened

    def at_once():
        batch = engine.unprotect_many(receiver, frames)
        assert set(batch.status) <= {OK, REPLAYED}
        return [
            row for row, status in zip(batch.to_list(), batch.status, strict=True) if not status
        ]

    opened = [row for each in in_threads(singly, at_once, singly, at_once) for row in each]
    assert sorted(opened) == sorted(b"frame %d" % n for n in range(1500))


def test_keys_that_go_during_batches(engine, rng):
    """A row opens to its own frame, or its KID is unknown; nothing else can be seen."""
    base_key = rng.randbytes(16)
    sender, receiver = new_sender(engine, GCM, base_key), new_receiver(engine, GCM, replay_window=0)
    frames = [rng.randbytes(1500) for _ in range(100)]
    sealed = engine.protect_many(sender, frames)
    seen = set()
    stays = itertools.cycle((0.001, 0.05))  # seconds: a sanitized batch takes longer than the first

    def open_all():
        batch = engine.unprotect_many(receiver, sealed)
        for row, frame, status in zip(batch.to_list(), frames, batch.status, strict=True):
            assert row == (frame if status == OK else b"")
        seen.update(batch.status)

    def open_one():
        try:
            assert receiver.unprotect(sealed[0]) == frames[0]
        except UnknownKey:
            seen.add(UNKNOWN)

    def come_and_go():
        receiver.add_key(7, base_key)
        time.sleep(next(stays))
        receiver.remove_key(7)

    works = [lambda call=call: again_and_again(call) for call in (open_all, open_one, come_and_go)]
    in_threads(*works)
    assert seen == {OK, UNKNOWN}


def test_parties_closed_during_batches(engine, rng):
    """Each call either does all of its work or says that the party is closed."""
    current = [pair(engine, GCM, rng, replay_window=0)]
    frames = [rng.randbytes(1500) for _ in range(64)]

    def use():
        sender, receiver = current[0]
        try:
            sealed = engine.protect_many(sender, frames)
            batch = engine.unprotect_many(receiver, sealed)
        except (SenderRetired, MisuseError):
            return
        for row, frame, status in zip(batch.to_list(), frames, batch.status, strict=True):
            assert row == (frame if status == OK else b"")

    def close():
        old, current[0] = current[0], pair(engine, GCM, rng, replay_window=0)
        for party in old:
            party.close()
        time.sleep(0.002)

    works = [
        lambda: again_and_again(use),
        lambda: again_and_again(use),
        lambda: again_and_again(close),
    ]
    in_threads(*works)


# ---- the GIL ----

NATIVE = [name for name in engines.available() if name.startswith("native")]


def ticks_during(call):
    """How often another thread ran in the middle half of call()."""
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        start = time.perf_counter()
        call()
        end = time.perf_counter()
    finally:
        stop.set()
        thread.join()
    quarter = (end - start) / 4
    return sum(start + quarter < at < end - quarter for at in ticks)


@pytest.mark.parametrize("name", NATIVE)
def test_long_work_lets_go_of_the_gil(name, rng):
    engine, suite = engines.bind(name), SUITES[5]  # HMAC with SHA-512: the slowest
    sender, receiver = pair(engine, suite, rng, replay_window=0)
    frame = bytes(16 << 20)
    sealed = sender.protect(frame)
    rows = [bytes(1 << 16)] * 200
    for call in (
        lambda: sender.protect(frame),
        lambda: receiver.unprotect(sealed),
        lambda: engine.protect_many(sender, rows),
    ):
        assert median(ticks_during(call) for _ in range(3)) > 10


def test_a_call_that_keeps_the_gil_is_noticed():
    """The seeded fault: 50 ms in C without letting go."""
    usleep = ctypes.PyDLL(None).usleep
    assert median(ticks_during(lambda: usleep(50_000)) for _ in range(3)) <= 10
