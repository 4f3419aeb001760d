"""Keys of the twin, the memory they lie in, and its locks."""

import contextlib
import ctypes
import threading

import numpy as np
import pytest
from isolated import PATIENCE, in_child
from parties import pair

from pysframe import (
    CipherSuite,
    FrameRejected,
    FrameStatus,
    MisuseError,
    SenderRetired,
)
from pysframe import engine as engines
from pysframe.engine import _aead, twin
from pysframe.engine.twin._guard import new_lock
from pysframe.engine.twin._keys import FrameKey, Secret
from pysframe.engine.twin._memory import _address, distance, overlap
from pysframe.engine.twin._sender import SenderState
from pysframe.errors import MisuseCode, misuse

SUITE = CipherSuite.AES_128_GCM_SHA256_128


# ---- keys ----


def test_a_key_is_wiped_when_its_last_holder_lets_go(rng):
    secret = Secret(SUITE, rng.randbytes(16))
    key = FrameKey(secret, 1, _aead.provider("pycryptodome"))
    material, held = key._sframe_key, key
    del key
    assert any(material)
    del held
    assert not any(material)


def test_a_secret_is_wiped_and_then_refuses(rng):
    secret = Secret(SUITE, rng.randbytes(16))
    material = secret._sframe_secret
    later = secret.ratchet()
    secret.close()
    secret.close()
    assert not any(material)
    assert any(later._sframe_secret)
    with pytest.raises(MisuseError, match="closed"):
        secret.ratchet()


def test_a_secret_that_is_forgotten_is_wiped(rng):
    secret = Secret(SUITE, rng.randbytes(16))
    material = secret._sframe_secret
    del secret
    assert len(material) == 32 and not any(material)


def test_a_key_knows_the_size_of_its_tags(rng):
    for suite in CipherSuite:
        key = FrameKey(Secret(suite, rng.randbytes(16)), 1, _aead.provider(None))
        assert key.tag_size == suite.Nt == len(key.seal(0, b"", b""))


def test_what_a_secret_refuses(rng):
    secret, base_key = Secret(SUITE, rng.randbytes(16)), rng.randbytes(16)
    for said, call in (
        ("ssrc is -1; it must be 0..4294967295", lambda: Secret.for_ssrc(SUITE, base_key, -1)),
        (
            "ssrc is 4294967296; it must be 0..4294967295",
            lambda: Secret.for_ssrc(SUITE, base_key, 1 << 32),
        ),
        ("steps is -1; it must be 0..65535", lambda: secret.ratchet(-1)),
        (
            "the secret is of AES_128_GCM_SHA256_128, not of AES_256_GCM_SHA512_128",
            lambda: secret.of_suite(CipherSuite(5)),
        ),
        ("base_key has 15 bytes; it needs at least 16", lambda: Secret(SUITE, bytes(15))),
    ):
        with pytest.raises(MisuseError) as raised:
            call()
        assert str(raised.value) == said
    for ssrc in (0, (1 << 32) - 1):
        assert Secret.for_ssrc(SUITE, base_key, ssrc)._open()
    with pytest.raises(TypeError, match=r"^base_key must be a bytes-like object, not str$"):
        Secret(SUITE, "text")


def test_a_secret_closed_while_it_is_read_is_never_read_as_zeros(rng):
    for _ in range(300):
        secret = Secret(SUITE, rng.randbytes(16))
        closer = threading.Thread(target=secret.close)
        closer.start()
        with contextlib.suppress(MisuseError):
            assert any(secret._open())
        closer.join()


def test_a_sender_closed_after_reserving_still_seals_with_its_key(rng):
    base_key = rng.randbytes(16)
    source = _aead.provider(None)
    states = [
        SenderState(SUITE, kid, Secret(SUITE, base_key), 0, 9, 1 << 10, source)
        for kid in (1, 1 << 8)
    ]
    departure = states[0].departure(b"frame", b"", 0)
    reserved = states[0].reserve(departure, None, lambda: False)
    states[0].retire("closed")
    receiver = twin.ReceiverCore()
    receiver._open(SUITE, 0, 1 << 10, True)
    receiver._add(1, Secret(SUITE, base_key), False)
    assert receiver.unprotect(reserved.seal(departure)) == b"frame"


def test_a_counter_reserved_before_a_fork_is_its_parents(rng):
    state = SenderState(SUITE, 1, Secret(SUITE, rng.randbytes(16)), 0, 9, 99, _aead.provider(None))
    departure = state.departure(b"frame", b"", 0)
    reserved = state.reserve(departure, None, lambda: False)

    def seal_in_child():
        with pytest.raises(SenderRetired) as raised:
            reserved.seal(departure)
        return str(raised.value)

    assert in_child(seal_in_child) == str(misuse(MisuseCode.FORKED, kid=1))
    assert reserved.seal(departure)


@pytest.mark.parametrize("status", [FrameStatus.UNKNOWN_KEY, FrameStatus.REPLAYED])
def test_what_happens_while_a_frame_is_opened_counts(rng, monkeypatch, status):
    """Its key goes, or its copy is opened first: commit looks again."""
    sender, receiver = pair(engines.bind("fallback"), SUITE, rng, next_ctr=5)
    frame, opened = sender.protect(b"frame"), FrameKey.open

    def open_after(key, *args):
        monkeypatch.undo()
        first = receiver.unprotect if status == FrameStatus.REPLAYED else receiver.remove_key
        first(frame if status == FrameStatus.REPLAYED else 7)
        return opened(key, *args)

    monkeypatch.setattr(FrameKey, "open", open_after)
    with pytest.raises(FrameRejected) as caught:
        receiver.unprotect(frame)
    assert (caught.value.status, caught.value.kid, caught.value.ctr) == (status, 7, 5)


# ---- memory ----


@pytest.mark.parametrize("read_only", [False, True])
def test_overlap_is_a_shared_byte(read_only):
    room = memoryview(bytearray(40))
    other = room[10:20]
    for start in range(31):
        for size in (0, 1, 5, 10):
            view = room[start : start + size]
            view = view.toreadonly() if read_only else view
            shared = bool(set(range(start, start + size)) & set(range(10, 20)))
            assert overlap(view, other) == overlap(other, view) == shared
            if size:
                assert distance(view, other) == start - 10


def test_what_cannot_be_written_overlaps_nothing():
    """Other objects may share a bytes object's memory, but then nobody can write to it."""
    data = bytes(range(100))
    same = np.frombuffer(data, np.uint8)
    for a, b in ((data, data), (data, same), (same, data)):
        assert not overlap(memoryview(a), memoryview(b))
    assert overlap(memoryview(same), memoryview(same))


def test_the_address_of_read_only_memory_is_that_of_its_bytes():
    data = bytes(range(100))
    pointer = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
    assert _address(memoryview(data)) == pointer
    assert _address(memoryview(data)[7:]) == pointer + 7


# ---- locks ----


def test_a_lock_held_by_another_thread_is_free_in_a_forked_child():
    lock, held, done = new_lock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            done.wait(PATIENCE)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(PATIENCE)

    def take():
        with lock:
            return "taken"

    try:
        assert in_child(take) == "taken"
    finally:
        done.set()
        holder.join()


def test_a_finalizer_may_take_a_lock_that_its_thread_holds():
    lock = new_lock()
    with lock, lock:
        pass


def test_a_child_forked_in_the_middle_may_leave_its_lock():
    """By a signal handler, say: the lock that it leaves is new, and nobody holds it."""
    lock = new_lock()
    with lock:
        assert in_child(lambda: lock.__exit__(None, None, None) or "left") == "left"
