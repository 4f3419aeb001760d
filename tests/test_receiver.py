"""What a Receiver decides around the engine: its options, keys given by hand, its end."""

import copy
import pickle

import pytest
from parties import (
    GCM,
    SUITES,
    new_receiver,
    new_sender,
    options,
)
from ratchets import LAYOUT, MLS, opens

from pysframe import (
    FrameTooOld,
    MisuseError,
    ReplayedFrame,
    SenderKeyLayout,
)

# ---- making one ----


@pytest.mark.parametrize("suite", [3, 8])
def test_short_tags_must_be_asked_for(engine, suite):
    with pytest.raises(MisuseError, match="allow_short_tags"):
        engine.Receiver(suite)
    engine.Receiver(suite, allow_short_tags=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replay_window": -1}, {"replay_window": 2**20 + 1}, {"max_frame": -1},
        {"max_frame": 2**31}, {"suite": 0}, {"suite": 9},
    ],
)  # fmt: skip
def test_values_out_of_range(engine, wrong):
    given = {"suite": GCM} | wrong
    with pytest.raises(MisuseError):
        engine.Receiver(given.pop("suite"), **given)


@pytest.mark.parametrize(
    "wrong", [{"replay_window": "1"}, {"replay_window": None}, {"max_frame": 1.5}]
)
def test_values_of_a_wrong_type(engine, wrong):
    with pytest.raises(TypeError):
        engine.Receiver(GCM, **wrong)


def test_no_copies(receiver):
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="pickled"):
            duplicate(receiver)


def test_a_repr_shows_the_suite(receiver, base_key):
    receiver.add_key(7, base_key)
    assert repr(receiver) == "<Receiver AES_128_GCM_SHA256_128>"


def test_instances_have_no_room_for_surprises(engine, receiver):
    if engine.name.startswith("native"):
        assert not hasattr(receiver, "__dict__")
    assert set(type(receiver)._fields) <= set(type(receiver).__slots__)


# ---- keys given by hand ----


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("kid", [0, 7, 8, 2**64 - 1])
def test_add_and_remove(engine, base_key, suite, kid):
    receiver = engine.Receiver(suite, **options(suite))
    sender = new_sender(engine, suite, base_key, kid)
    assert not opens(receiver, sender)
    receiver.add_key(kid, base_key)
    assert receiver.kids == (kid,)
    assert opens(receiver, sender)
    assert receiver.remove_key(kid)
    assert receiver.kids == ()
    assert not opens(receiver, sender)
    assert not receiver.remove_key(kid)


def test_kids_are_in_order(receiver, rng):
    for kid in (30, 10, 2**64 - 1, 20):
        receiver.add_key(kid, rng.randbytes(16))
    assert receiver.kids == (10, 20, 30, 2**64 - 1)


@pytest.mark.parametrize("kid", [-1, 2**64])
def test_kid_out_of_range(receiver, base_key, kid):
    with pytest.raises(MisuseError, match=f"kid is {kid}"):
        receiver.add_key(kid, base_key)


def test_a_key_that_is_too_short_or_none(receiver):
    with pytest.raises(MisuseError, match="15 bytes"):
        receiver.add_key(7, bytes(15))
    for wrong in ("sixteen letters.", None):
        with pytest.raises(TypeError):
            receiver.add_key(7, wrong)
    assert receiver.kids == ()


def test_another_key_under_a_live_kid_is_refused(engine, receiver, base_key, rng):
    sender = new_sender(engine, GCM, base_key)
    receiver.add_key(7, base_key)
    with pytest.raises(MisuseError, match="another key"):
        receiver.add_key(7, rng.randbytes(16))
    assert opens(receiver, sender)


def test_the_same_key_again_keeps_the_window(engine, receiver, base_key):
    sender = new_sender(engine, GCM, base_key)
    receiver.add_key(7, base_key)
    ciphertext = sender.protect(b"frame")
    receiver.unprotect(ciphertext)
    receiver.add_key(7, bytearray(base_key))
    with pytest.raises(ReplayedFrame):
        receiver.unprotect(ciphertext)


def test_replay_window_is_in_frames(engine, base_key):
    sender = new_sender(engine, GCM, base_key)
    frames = [sender.protect(b"frame") for _ in range(11)]
    receiver = new_receiver(engine, GCM, base_key, replay_window=10)
    receiver.unprotect(frames[10])
    with pytest.raises(FrameTooOld):
        receiver.unprotect(frames[0])
    receiver.unprotect(frames[1])
    unwatched = new_receiver(engine, GCM, base_key, replay_window=0)
    for _ in range(2):
        assert unwatched.unprotect(frames[0]) == b"frame"


# ---- one namespace ----


def test_two_layouts_do_not_mix(receiver, base_key):
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    for add in (
        lambda: receiver.add_sender_key(2, base_key, layout=SenderKeyLayout(5)),
        lambda: receiver.add_epoch(2, base_key, layout=MLS),
    ):
        with pytest.raises(MisuseError, match="laid out by SenderKeyLayout"):
            add()
    assert not receiver.remove_epoch(1)
    receiver.remove_sender_key(1)
    receiver.add_epoch(2, base_key, layout=MLS)


def test_keys_by_hand_beside_derived_ones(engine, receiver, base_key, rng):
    own = rng.randbytes(16)
    receiver.add_key(0x35, own)
    receiver.add_sender_key(1, base_key, layout=LAYOUT)
    assert opens(receiver, new_sender(engine, GCM, own, 0x35))
    for use in (lambda: receiver.add_key(0x1F, own), lambda: receiver.remove_key(0x10)):
        with pytest.raises(MisuseError, match="as a whole"):
            use()
    with pytest.raises(MisuseError, match="KID 0x35 has a key of its own"):
        receiver.add_sender_key(3, base_key, layout=LAYOUT)
    receiver.remove_key(0x35)
    receiver.add_sender_key(3, base_key, layout=LAYOUT)


# ---- end ----


def test_closed(engine, base_key, steps):
    with engine.Receiver(GCM) as receiver:
        receiver.add_sender_key(1, base_key, layout=LAYOUT)
        (held,) = receiver._derived._held.values()
        held.ahead(70).close()
        secrets = list(held._marks)
        assert len(secrets) == 3
    receiver.close()
    for use in (
        lambda: receiver.unprotect(steps[0].protect(b"")),
        lambda: receiver.add_key(7, base_key),
        lambda: receiver.add_sender_key(1, base_key, layout=LAYOUT),
        lambda: receiver.add_epoch(1, base_key, layout=MLS),
        lambda: receiver.kids,
        lambda: receiver.key_flow(0.0),
        *(secret.ratchet for secret in secrets),
    ):
        with pytest.raises(MisuseError, match="closed"):
            use()


def test_a_batch_under_a_new_step_opens_whole(engine):
    """200 rows of one unknown KID: one derivation, not one a row."""
    layout, base_key = SenderKeyLayout(4), GCM.generate_base_key()
    sender = new_sender(engine, GCM, base_key, layout.pack(1), layout=layout)
    receiver = engine.Receiver(GCM)
    receiver.add_sender_key(1, base_key, layout=layout)
    for _ in range(5):
        sender = sender.ratchet()
    frames = [bytes(size) for size in range(200)]
    batch = engine.unprotect_many(receiver, [sender.protect(frame) for frame in frames])
    assert batch.ok
    assert batch.to_list() == frames
