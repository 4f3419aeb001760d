"""Sender keys (RFC 9605 5.1): which ratchet steps a Receiver follows, whatever else happens."""

import math
import threading
from time import perf_counter_ns

import isolated
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parties import GCM, new_sender
from racing import in_threads
from ratchets import LAYOUT, forged, make_steps, opens

from pysframe import (
    AuthenticationFailed,
    FrameRejected,
    MisuseError,
    ReplayedFrame,
    SenderKeyLayout,
    UnknownKey,
    ratchet_base_key,
)
from pysframe.engine import KeyKind

# ---- sender keys: RFC 9605 5.1 ----


def test_a_real_sender_that_ratchets(engine, receiver):
    base_key = GCM.generate_base_key()
    sender = new_sender(engine, GCM, base_key, LAYOUT.pack(1), layout=LAYOUT)
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    for _ in range(40):
        late = sender.protect(b"late")
        sender = sender.ratchet()
        assert opens(receiver, sender)
        assert receiver.unprotect(late) == b"late"
    assert len(receiver.kids) == 3


@pytest.mark.parametrize("R", range(5))
def test_few_bits_for_steps(engine, receiver, base_key, R):
    layout = SenderKeyLayout(R)
    sender = new_sender(engine, GCM, base_key, layout.pack(5), layout=layout)
    receiver.add_sender_key(5, base_key, layout=layout)
    assert opens(receiver, sender)
    for _ in range(20 if R else 0):
        sender = sender.ratchet()
        assert opens(receiver, sender)


def test_frames_of_neighbouring_steps_in_any_order(engine, receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    order = [1, 0, 2, 0, 1, 4, 3, 2, 6, 5, 4, 9, 8, 7]
    assert [opens(receiver, steps[step]) for step in order] == [True] * len(order)
    assert [opens(receiver, steps[step]) for step in (6, 0)] == [False, False]


@pytest.mark.parametrize(
    ("R", "max_steps", "late", "error"),
    [
        (1, 16, 1, AuthenticationFailed),
        (2, 16, 2, AuthenticationFailed),
        (4, 16, 3, AuthenticationFailed),
        (4, 3, 3, UnknownKey),
    ],
)
def test_a_frame_of_a_step_that_is_gone(engine, receiver, base_key, R, max_steps, late, error):
    """Where its KID can mean a step ahead as well, its tag does not fit that step's key."""
    layout = SenderKeyLayout(R)
    sender = new_sender(engine, GCM, base_key, layout.pack(5), layout=layout)
    receiver.add_sender_key(5, base_key, layout=layout, max_steps=max_steps)
    frames = []
    for _ in range(6):
        frames.append(sender.protect(b"frame"))
        assert opens(receiver, sender)
        sender = sender.ratchet()
    with pytest.raises(error):
        receiver.unprotect(frames[-1 - late])
    assert [receiver.unprotect(frame) for frame in frames[-late:]] == [b"frame"] * late


def test_who_joins_gets_a_later_step(receiver, base_key, steps):
    joined = ratchet_base_key(GCM, base_key, 5)
    receiver.add_sender_key(1, joined, layout=LAYOUT, ratchet_step=5)
    assert receiver.kids == (0x15,)
    assert opens(receiver, steps[5])
    assert opens(receiver, steps[6])
    assert not opens(receiver, steps[4])


def test_kids_are_real_keys_only(receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    assert receiver.kids == (0x10,)
    opens(receiver, steps[1])
    assert receiver.kids == (0x10, 0x11)


def test_forged_headers_move_nothing(receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    for kid in [*range(0x11, 0x20), *range(0x20, 0x60)]:
        with pytest.raises((UnknownKey, AuthenticationFailed)):
            receiver.unprotect(forged(kid))
    assert receiver.kids == (0x10,)
    assert [opens(receiver, steps[step]) for step in (0, 1, 2, 3)] == [True] * 4


def test_a_step_too_far_is_unknown(receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT, max_steps=3)
    assert not opens(receiver, steps[4])
    assert opens(receiver, steps[3])
    assert opens(receiver, steps[6])


def test_sixteen_steps_ahead_unless_told_otherwise(engine, receiver, base_key):
    layout = SenderKeyLayout(8)
    receiver.add_sender_key(1, base_key, layout=layout)
    for step, opened in ((17, False), (16, True)):
        kid = layout.pack(1, step)
        with new_sender(engine, GCM, ratchet_base_key(GCM, base_key, step), kid) as sender:
            assert opens(receiver, sender) is opened


def first_frames(engine, rng, count):
    """A receiver of so many other keys, and frames of which each is the first of its step."""
    layout, key = SenderKeyLayout(8), rng.randbytes(16)
    receiver = engine.Receiver(GCM)
    others = engine.Receiver._Secret(GCM, rng.randbytes(16))
    for number in range(count):
        receiver._add(layout.pack(2 + number), others, KeyKind.GIVEN)
    receiver.add_sender_key(1, key, layout=layout, max_steps=64)
    sender = new_sender(engine, GCM, key, layout.pack(1), layout=layout)
    wires = []
    for _ in range(60):
        sender = sender.ratchet()
        wires.append(sender.protect(b"frame"))
    return receiver, wires


def best_of_first_frames(engine, rng):
    """{keys beside: ns}: each in turn on every receiver, so that load strikes all alike."""
    scenes = {count: first_frames(engine, rng, count) for count in (10, 1_000, 10_000)}
    best = dict.fromkeys(scenes, math.inf)
    for number in range(60):
        for count, (receiver, wires) in scenes.items():
            start = perf_counter_ns()
            assert receiver.unprotect(wires[number]) == b"frame"
            best[count] = min(best[count], perf_counter_ns() - start)
    return best


def test_the_first_frame_of_a_derived_key_costs_the_same_beside_many_keys(engine, rng):
    """The quietest of sixty; measured again where a busy machine had no quiet moment."""
    for _ in range(6):
        best = best_of_first_frames(engine, rng)
        if max(best.values()) < 2.5 * best[10]:
            return
    pytest.fail(f"{best}")


def test_old_secrets_are_closed_when_a_chain_advances(engine, receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    (held,) = receiver._derived._held.values()
    old = held.secret
    assert opens(receiver, steps[1])
    with pytest.raises(MisuseError, match="closed"):
        old.ratchet()


def test_a_generation_stays_until_the_next_but_one_is_heard(engine, receiver, rng):
    keys = [rng.randbytes(16) for _ in range(4)]
    senders = [new_sender(engine, GCM, key, LAYOUT.pack(number)) for number, key in enumerate(keys)]
    for number in range(3):
        receiver.add_sender_key(number, keys[number], layout=LAYOUT)
    assert [opens(receiver, sender) for sender in senders] == [True, True, True, False]
    assert [opens(receiver, sender) for sender in senders] == [False, True, True, False]
    receiver.add_sender_key(3, keys[3], layout=LAYOUT)
    assert [opens(receiver, sender) for sender in senders] == [False, True, True, True]
    assert [opens(receiver, sender) for sender in senders] == [False, False, True, True]


def test_a_generation_is_removed_as_a_whole(receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    opens(receiver, steps[2])
    assert receiver.remove_sender_key(1)
    assert not receiver.remove_sender_key(1)
    assert receiver.kids == ()
    assert not any(opens(receiver, sender) for sender in steps[:6])


def test_a_generation_again_keeps_its_windows_and_its_step(receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    ciphertext = steps[5].protect(b"frame")
    receiver.unprotect(ciphertext)
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    with pytest.raises(ReplayedFrame):
        receiver.unprotect(ciphertext)
    assert not opens(receiver, steps[0])
    with pytest.raises(MisuseError, match="another base_key"):
        receiver.add_sender_key(1, bytes(16), layout=LAYOUT)
    assert opens(receiver, steps[6])


@pytest.mark.parametrize(
    "wrong",
    [
        {"generation": -1}, {"generation": 2**60}, {"ratchet_step": -1}, {"max_steps": -1},
        {"max_steps": 1025}, {"base_key": bytes(15)},
    ],
)  # fmt: skip
def test_a_sender_key_that_is_wrong_leaves_nothing(receiver, base_key, steps, wrong):
    given = {"generation": 1, "base_key": base_key, "layout": LAYOUT} | wrong
    with pytest.raises(MisuseError):
        receiver.add_sender_key(**given)
    assert receiver.kids == ()
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    assert opens(receiver, steps[1])


def test_a_key_that_a_header_asks_for_opens_its_frame_into_out(receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    out = bytearray(5)
    assert receiver.unprotect_into(steps[9].protect(b"frame"), out) == 5
    assert out == b"frame"


# ---- whatever happens ----


@given(st.data())
def test_an_honest_sender_is_always_heard(engine, data):
    """Ratchets, new generations, forged KIDs, keys given twice: the newest frames always open."""
    receiver = engine.Receiver(GCM)
    generation, step = 0, 0
    base_key, sender = b"", None
    for _ in range(data.draw(st.integers(1, 12))):
        action = data.draw(st.sampled_from(["ratchet", "generation", "forged", "again", "frame"]))
        if sender is None or action == "generation":
            generation, step = generation + 1, 0
            base_key = GCM.generate_base_key()
            sender = new_sender(engine, GCM, base_key, LAYOUT.pack(generation), layout=LAYOUT)
            receiver.add_sender_key(generation, base_key, layout=LAYOUT)
        elif action == "ratchet":
            for _ in range(data.draw(st.integers(1, 13))):
                sender, step = sender.ratchet(), step + 1
        elif action == "again":
            receiver.add_sender_key(generation, base_key, layout=LAYOUT)
        elif action == "forged":
            with pytest.raises(FrameRejected):
                receiver.unprotect(forged(data.draw(st.integers(0, 511))))
        assert opens(receiver, sender)
        assert len(receiver._stats().keys) <= 128 + 2 * 3


def test_threads_that_ratchet_one_receiver(engine, receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    frames = [[sender.protect(b"frame") for sender in steps[:12]] for _ in range(8)]

    def opened_of(ciphertext):
        try:
            return receiver.unprotect(ciphertext)
        except (UnknownKey, AuthenticationFailed):
            return None  # another thread is more than two steps ahead

    works = [lambda mine=mine: [opened_of(one) for one in mine] for mine in frames]
    opened = [one for each in in_threads(*works) for one in each]
    assert len(opened) == 96
    assert set(opened) <= {b"frame", None}
    assert opens(receiver, steps[12])
    assert not opens(receiver, steps[1])


def test_news_of_a_key_that_is_gone_move_nothing(receiver, base_key, steps):
    """Told late by a slower thread: by now KID 0x11 stands for step 17, which nobody has sent."""
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    assert opens(receiver, steps[1])
    assert opens(receiver, steps[12])
    assert not opens(receiver, steps[1])
    receiver._confirmed([0x11])
    assert opens(receiver, steps[13])


def test_a_batch_across_steps_and_generations(engine, receiver, rng):
    first, second = rng.randbytes(16), rng.randbytes(16)
    one, two = make_steps(engine, first, 1, 4), make_steps(engine, second, 2, 4)
    receiver.add_sender_key(1, first, layout=LAYOUT)
    receiver.add_sender_key(2, second, layout=LAYOUT)
    frames = [sender.protect(b"frame") for sender in (*one, *two, one[3], two[0])]
    assert engine.unprotect_many(receiver, frames).ok
    assert opens(receiver, two[3])


def test_a_forked_child_goes_on(engine, receiver, base_key, steps):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    frames = [sender.protect(b"frame") for sender in steps[:3]]

    def in_child():
        return [receiver.unprotect(frame) for frame in frames]

    assert isolated.in_child(in_child) == [b"frame"] * 3
    assert in_child() == [b"frame"] * 3


def test_a_fork_finds_no_change_half_made(engine, receiver, base_key, steps):
    """Another thread changes keys all the time; a child is never stuck behind it."""
    busy, stop = engine.Receiver(GCM), threading.Event()

    def change():
        while not stop.is_set():
            busy.add_sender_key(1, base_key, layout=LAYOUT)
            busy.remove_sender_key(1)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        receiver.add_sender_key(1, base_key, layout=LAYOUT)
        frame = steps[3].protect(b"frame")
        for _ in range(10):
            assert isolated.in_child(lambda: receiver.unprotect(frame)) == b"frame"
    finally:
        stop.set()
        thread.join()
