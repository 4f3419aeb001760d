"""The replay window, against a model that remembers every counter it has seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import Oracle, library_for
from parties import GCM, LAST_CTR, flipped, new_receiver, status_of

from pysframe import FrameStatus

BASE_KEY = bytes(range(100, 116))
OK, TOO_OLD = FrameStatus.OK, FrameStatus.TOO_OLD
REPLAYED, FAILED = FrameStatus.REPLAYED, FrameStatus.AUTHENTICATION_FAILED

WINDOWS = st.sampled_from([0, 1, 2, 3, 31, 63, 64, 65, 100, 127, 128, 129, 1000, 1024])
STARTS = st.sampled_from([0, 1, 7, 63, 1000, 2**32 - 3, 2**63, LAST_CTR - 40, LAST_CTR])
STEPS = st.one_of(
    st.integers(-3, 3),
    st.integers(-150, 150),
    st.sampled_from(
        [-1025, -1024, -1023, -65, -64, -63, 63, 64, 65, 1023, 1024, 1025, 5000, 1 << 40]
    ),
)
# (step from the counter before, whether the frame is authentic)
MOVES = st.lists(st.tuples(STEPS, st.integers(0, 9).map(bool)), min_size=1, max_size=40)


class Model:
    """RFC 9605 9.3 in words: a set of all counters opened, and the highest of them."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.opened: set[int] = set()

    def judge(self, ctr: int, authentic: bool) -> FrameStatus:
        top = max(self.opened, default=None)
        if self.window and top is not None and ctr <= top:
            if top - ctr >= self.window:
                return TOO_OLD
            if ctr in self.opened:
                return REPLAYED
        if not authentic:
            return FAILED
        self.opened.add(ctr)
        return OK


def counters(start, moves):
    ctr = start
    for step, authentic in moves:
        ctr = min(max(ctr + step, 0), LAST_CTR)
        yield ctr, authentic


def frames_of(engine, start, moves):
    """[(counter, authentic, ciphertext)]"""
    oracle = Oracle(GCM, BASE_KEY, 7, library_for(engine))
    for ctr, authentic in counters(start, moves):
        ciphertext = oracle.seal(ctr, b"frame")
        yield ctr, authentic, ciphertext if authentic else flipped(ciphertext, -1)


@given(window=WINDOWS, start=STARTS, moves=MOVES)
def test_like_a_set(engine, window, start, moves):
    """Frame by frame, and the same frames as one batch."""
    model, rows = Model(window), list(frames_of(engine, start, moves))
    expected = [model.judge(ctr, authentic) for ctr, authentic, _ in rows]
    singly = new_receiver(engine, GCM, BASE_KEY, replay_window=window)
    at_once = new_receiver(engine, GCM, BASE_KEY, replay_window=window)
    assert [status_of(singly, ciphertext)[0] for *_, ciphertext in rows] == expected
    batch = engine.unprotect_many(at_once, [ciphertext for *_, ciphertext in rows])
    assert list(batch.status) == expected
    for receiver in (singly, at_once):
        (stats,) = receiver._stats().keys
        counted = stats.opened, stats.auth_failed, stats.replayed, stats.too_old
        assert counted == tuple(expected.count(s) for s in (OK, FAILED, REPLAYED, TOO_OLD))
        assert stats.last_ctr == max(model.opened, default=0)


def test_the_model_notices_a_window_that_forgets(engine):
    """The seeded fault: a window of 64 where 128 were promised."""
    moves = [(0, True), (100, True), (-70, True), (0, True)]
    model, rows = Model(128), list(frames_of(engine, 0, moves))
    expected = [model.judge(ctr, authentic) for ctr, authentic, _ in rows]
    receiver = new_receiver(engine, GCM, BASE_KEY, replay_window=64)
    assert [status_of(receiver, ciphertext)[0] for *_, ciphertext in rows] != expected


@pytest.mark.parametrize("window", [1, 64, 100, 1024])
def test_the_edges(engine, window):
    """The oldest counter of the window is taken once, the one behind it never."""
    seal = Oracle(GCM, BASE_KEY, 7, library_for(engine)).seal
    receiver = new_receiver(engine, GCM, BASE_KEY, replay_window=window)
    top = 5000
    assert receiver.unprotect(seal(top, b"x")) == b"x"
    assert status_of(receiver, seal(top - window, b"x"))[0] == TOO_OLD
    oldest = seal(top - window + 1, b"x")
    assert status_of(receiver, oldest)[0] == (REPLAYED if window == 1 else OK)
    assert status_of(receiver, oldest)[0] == REPLAYED
    assert status_of(receiver, seal(LAST_CTR, b"x"))[0] == OK
    assert status_of(receiver, seal(LAST_CTR, b"x"))[0] == REPLAYED
    assert status_of(receiver, seal(top + 1, b"x"))[0] == TOO_OLD


def test_every_order_of_a_window(engine, rng):
    """All frames of a window, shuffled, each once; then each is a replay."""
    seal = Oracle(GCM, BASE_KEY, 7, library_for(engine)).seal
    receiver = new_receiver(engine, GCM, BASE_KEY)
    frames = [seal(ctr, b"x") for ctr in range(3, 3 + 1024)]
    rng.shuffle(frames)
    assert set(engine.unprotect_many(receiver, frames).status) == {OK}
    assert set(engine.unprotect_many(receiver, frames).status) == {REPLAYED}


def test_each_kid_has_a_window(engine):
    receiver = new_receiver(engine, GCM, BASE_KEY)
    receiver.add_key(8, BASE_KEY)
    for kid in (7, 8):
        frame = Oracle(GCM, BASE_KEY, kid, library_for(engine)).seal(9, b"x")
        assert [status_of(receiver, frame)[0] for _ in range(2)] == [OK, REPLAYED]


def test_a_key_added_again_keeps_its_window(engine):
    receiver = new_receiver(engine, GCM, BASE_KEY)
    frame = Oracle(GCM, BASE_KEY, 7, library_for(engine)).seal(9, b"x")
    assert status_of(receiver, frame)[0] == OK
    receiver.add_key(7, BASE_KEY)
    assert status_of(receiver, frame)[0] == REPLAYED
