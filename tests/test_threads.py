"""Many threads at one Sender or Receiver: no counter twice, no frame twice, no harm in a close."""

import ctypes
import itertools
import sys
import threading
import time

import pytest
from parties import GCM, SUITES, new_receiver, new_sender, pair
from racing import in_threads, race, switching_often

from pysframe import FrameStatus, MisuseError, SenderRetired, UnknownKey
from pysframe import engine as engines

OK, REPLAYED, UNKNOWN = FrameStatus.OK, FrameStatus.REPLAYED, FrameStatus.UNKNOWN_KEY
THREADS = 4
LONG = bytes(3000)  # 64 of them are enough for the native engine to let go of the GIL


@pytest.fixture(autouse=True)
def _switch_often():
    with switching_often():
        yield


def turns_of(engine):
    """About as long for all: a batch takes the twin fifty times as long."""
    return 200 if engine.name.startswith("native") else 6


# ---- one sender; its counters are in security/test_p05_counters.py ----


def test_what_threads_seal_opens(engine, rng):
    """The buffers of one call never mix with another's."""
    suite = rng.choice(SUITES)
    sender, receiver = pair(engine, suite, rng, replay_window=0)

    def work(mark):
        frames = [bytes([mark]) * (100 + n) for n in range(64)]

        def often():
            for _ in range(turns_of(engine)):
                sealed = engine.protect_many(sender, frames)
                assert engine.unprotect_many(receiver, sealed).to_list() == frames
                assert receiver.unprotect(sender.protect(frames[5])) == frames[5]

        return often

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

    both = {OK, UNKNOWN}
    race(open_all, open_one, come_and_go, turns=turns_of(engine), until=lambda: seen == both)
    assert seen == both


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

    race(use, use, close, turns=turns_of(engine))


# ---- the GIL ----

NATIVE = [name for name in engines.available() if name.startswith("native")]
ENOUGH, TRIES = 10, 100  # on a busy machine the other thread may not come to its turn at once


class Ticker:
    """A thread that counts its turns while another is inside a call."""

    def __init__(self):
        self.ticks, self.inside, self.ended = 0, False, False

    def run(self):
        while not self.ended:
            self.ticks += self.inside
            time.sleep(0.0001)

    def during(self, call):
        """Between the two marks only the call itself lets the GIL go."""
        self.ticks, self.inside = 0, True
        call()
        self.inside = False
        return self.ticks


def ticks_during(call):
    """The first number of turns that is more than ENOUGH; else the largest of all tries."""
    ticker = Ticker()
    thread = threading.Thread(target=ticker.run)
    thread.start()
    sys.setswitchinterval(1000)  # Python takes the GIL from nobody, until the test has ended
    try:
        most = 0
        for _ in range(TRIES):
            most = max(most, ticker.during(call))
            if most > ENOUGH:
                break
        return most
    finally:
        ticker.ended = True
        thread.join()


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
        assert ticks_during(call) > ENOUGH


def test_a_call_that_keeps_the_gil_is_noticed():
    """The seeded fault: 2 ms in C without letting go, as often as a call is tried."""
    usleep = ctypes.PyDLL(None).usleep
    assert ticks_during(lambda: usleep(2000)) == 0
