"""What only the twin has inside; that it does as the native engine does is in test_lockstep.py."""

import ast
import contextlib
import copy
import ctypes
import hashlib
import inspect
import re
import sys
import threading
from importlib import import_module, metadata
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isolated import PATIENCE, in_child
from parties import pair

from pysframe import (
    CipherSuite,
    FrameRejected,
    FrameStatus,
    MisuseError,
    SenderRetired,
    limits,
)
from pysframe import engine as engines
from pysframe.engine import Reach, _aead, twin
from pysframe.engine.twin import _registry
from pysframe.engine.twin._guard import new_lock
from pysframe.engine.twin._keys import FrameKey, Secret
from pysframe.engine.twin._memory import _address, distance, overlap
from pysframe.engine.twin._registry import SenderRegistry
from pysframe.engine.twin._sender import SenderState
from pysframe.engine.twin._shares import (
    ALLOWANCE,
    FRAMES_PER_ALLOWANCE,
    SHARES,
    WAIT,
    Shares,
)
from pysframe.engine.twin._strangers import GONE, STAYS, TRACKED, Strangers
from pysframe.engine.twin._trail import Trail
from pysframe.engine.twin._window import ReplayWindow
from pysframe.errors import MisuseCode, misuse

SUITE = CipherSuite.AES_128_GCM_SHA256_128
STUB = Path(engines.__file__).with_name("_native.pyi")
CSRC = Path(__file__).parents[1] / "csrc"


# ---- the contract ----


def stubbed() -> dict[tuple[str, str], tuple[list[str], list[str]]]:
    """(class or "", function) -> its positional and keyword arguments, from the native stub."""
    functions = {}
    for node in ast.parse(STUB.read_text()).body:
        owner, body = (node.name, node.body) if isinstance(node, ast.ClassDef) else ("", [node])
        for item in body:
            if isinstance(item, ast.FunctionDef):
                positional = [a.arg for a in (*item.args.posonlyargs, *item.args.args)]
                keywords = [a.arg for a in item.args.kwonlyargs]
                functions[owner, item.name] = positional, keywords
    return functions


def member(module, owner: str, name: str):
    return inspect.getattr_static(getattr(module, owner) if owner else module, name)


@pytest.mark.parametrize(("owner", "name"), sorted(stubbed().keys() - {("", "init")}))
def test_the_twin_offers_what_the_stub_says(owner, name):
    found = member(twin, owner, name)
    if inspect.ismemberdescriptor(found):  # a field of a dataclass, for a property of the stub
        assert stubbed()[owner, name] == (["self"], [])
        return
    function = getattr(found, "fget", None) or getattr(found, "__func__", found)
    parameters = inspect.signature(function).parameters.values()
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert (positional, keywords) == stubbed()[owner, name]


def test_the_native_engine_offers_what_the_stub_says():
    if any(name.startswith("native") for name in engines.available()):
        native = import_module("pysframe.engine._native")
        for owner, name in stubbed():
            assert member(native, owner, name) is not None


def test_the_versions_are_those_of_the_libraries_that_can_run():
    can_run = [name for name, why in twin.KERNELS.items() if not why]
    assert {name: metadata.version(name) for name in can_run} == twin.VERSIONS


def test_a_core_leaves_all_other_names_to_the_policy():
    for core in (twin.SenderCore, twin.ReceiverCore):
        assert core.__slots__ == ("_twin",)
        assert not hasattr(core(), "__dict__")


@pytest.mark.parametrize("cls", [twin.SenderCore, twin.ReceiverCore, Secret])
def test_what_cannot_be_copied_says_what_it_is(cls):
    said = f"^{cls.__name__} cannot be pickled or copied; make another one$"
    with pytest.raises(TypeError, match=said):
        copy.copy(cls.__new__(cls))


@pytest.mark.parametrize("core", [twin.SenderCore, twin.ReceiverCore])
def test_a_core_that_was_never_opened_says_so(core):
    verb = core().protect if core is twin.SenderCore else core().unprotect
    with pytest.raises(MisuseError, match="never opened"):
        verb(b"frame")
    core().close()


@pytest.mark.parametrize("named", [None, "a provider"])
def test_a_core_runs_on_the_provider_that_its_class_names(monkeypatch, named):
    source, asked = _aead.provider(None), []
    monkeypatch.setattr(_aead, "provider", lambda name: asked.append(name) or source)
    more = {"_kernel": named} if named else {}
    sender, receiver = (
        type("Core", (core,), more)() for core in (twin.SenderCore, twin.ReceiverCore)
    )
    sender._open(SUITE, 1, Secret(SUITE, bytes(16)), 0, 0, 0)
    receiver._open(SUITE, 0, 0, True)
    assert asked == [named] * 2


def defined(file: str, name: str) -> int:
    """The number that csrc/ defines by this name."""
    found = re.search(rf"^#define {name} +(.+?) *(?:/\*.*)?$", (CSRC / file).read_text(), re.M)
    assert found, f"{name} is not in {file}"
    return eval(re.sub(r"\((size_t|uint64_t)\)|(?<=\d)u\b", "", found[1]))


@pytest.mark.parametrize(
    ("ours", "file", "theirs"),
    [
        (limits.MIN_BASE_KEY, "sfr.h", "SFR_MIN_BASE_KEY"),
        (limits.MAX_ASKED, "sfr_keys.h", "SFR_MAX_ASKED"),
        (limits.SHORT_TAG_FAILURES, "frame/receiver.h", "SHORT_TAG_FAILURES"),
        (limits.KEY_BUDGET, "frame/sender.h", "KEY_BUDGET"),
        (limits.LIMIT_MAX_FRAME, "sfr.h", "SFR_LIMIT_MAX_FRAME"),
        (ALLOWANCE, "frame/receiver.h", "ALLOWANCE"),
        (FRAMES_PER_ALLOWANCE, "frame/receiver.h", "FRAMES_PER_ALLOWANCE"),
        (WAIT, "frame/receiver.h", "WAIT"),
        (SHARES, "frame/reach.c", "SHARES"),
        (TRACKED, "sfr_keys.h", "SFR_UNKNOWN_TRACKED"),
    ],
    ids=lambda value: str(value),
)
def test_both_have_the_same_limits(ours, file, theirs):
    assert ours == defined(file, theirs)


# ---- what an error says (the native engine says it in the interpreter's words) ----


def named_calls(wrong, rng):
    """(the argument that is wrong, a call with it)"""
    engine = engines.bind("fallback")
    sender, receiver = pair(engine, SUITE, rng)
    good = sender.protect(b"frame")
    return [
        ("frame", lambda: sender.protect(wrong)),
        ("metadata", lambda: sender.protect(b"frame", wrong)),
        ("out", lambda: sender.protect_into(b"frame", wrong)),
        ("row 1: frame", lambda: engine.protect_many(sender, [b"frame", wrong])),
        ("ciphertext", lambda: receiver.unprotect(wrong)),
        ("metadata", lambda: receiver.unprotect(good, wrong)),
        ("out", lambda: receiver.unprotect_into(good, wrong)),
        ("row 1: ciphertext", lambda: engine.unprotect_many(receiver, [good, wrong])),
        ("base_key", lambda: receiver.add_key(8, wrong)),
    ]


def test_errors_name_the_argument_and_its_row(rng):
    for name, call in named_calls("text", rng):
        with pytest.raises(TypeError, match=f"^{name} must be a bytes-like object, not str$"):
            call()
    for name, call in named_calls(memoryview(bytearray(99))[::2], rng):
        with pytest.raises(BufferError, match=f"^{name} must be contiguous; copy a strided view"):
            call()


def test_errors_of_a_batch_say_which_argument_and_what_it_is(rng):
    engine = engines.bind("fallback")
    sender, receiver = pair(engine, SUITE, rng)
    two, each = [b"frame"] * 2, "has 1 rows for 2 frames; give one, or one each"
    for said, call in (
        ("batch must be a FrameBatch, not list", lambda: engine.protect_batch(sender, two)),
        (f"senders {each}", lambda: engine.protect_many([sender], two)),
        (f"receivers {each}", lambda: engine.unprotect_many([receiver], two)),
        (f"metadata {each}", lambda: engine.protect_many(sender, two, [b"m"])),
        (
            "row 1: int is no Sender of this engine",
            lambda: engine.protect_many([sender, 7], two),
        ),
        (
            "row 0: Sender is no Receiver of this engine",
            lambda: engine.unprotect_many([sender, receiver], two),
        ),
    ):
        with pytest.raises((TypeError, MisuseError)) as raised:
            call()
        assert str(raised.value) == said


def test_an_out_that_is_read_only_is_named(rng):
    sender, receiver = pair(engines.bind("fallback"), SUITE, rng)
    good = sender.protect(b"frame")
    said = "^out must be writable, and this bytes is not; use a bytearray$"
    for call in (
        lambda: sender.protect_into(b"frame", bytes(99)),
        lambda: receiver.unprotect_into(good, bytes(99)),
    ):
        with pytest.raises(BufferError, match=said):
            call()


# ---- the window ----


@given(st.integers(0, 70), st.lists(st.integers(0, 200) | st.integers(2**64 - 80, 2**64 - 1)))
def test_the_window_is_a_set_of_counters(size, ctrs):
    window, opened = ReplayWindow(size), set()
    for ctr in ctrs:
        if not size or not opened or ctr > max(opened):
            expected = FrameStatus.OK
        elif max(opened) - ctr >= size:
            expected = FrameStatus.TOO_OLD
        else:
            expected = FrameStatus.REPLAYED if ctr in opened else FrameStatus.OK
        assert window.judge(ctr) == expected
        if expected == FrameStatus.OK:
            window.mark(ctr)
            opened.add(ctr)
        assert window.top == max(opened)


@pytest.mark.parametrize("size", [1, 2, 64, 1000])
def test_the_window_remembers_no_more_than_its_size(size):
    window = ReplayWindow(size)
    for ctr in range(3 * size):
        window.mark(ctr)
    assert window._seen == (1 << size) - 1


# ---- bounded memory ----


def test_strangers_are_counted_and_few_are_remembered():
    strangers = Strangers()
    for kid in range(10_000):
        strangers.note(kid, 0)
        strangers.note(7, kid)
    assert strangers.frames == 20_000
    assert len(strangers.kids) == TRACKED
    assert strangers.stats()[7].frames >= 10_000 - STAYS


def test_each_stranger_is_counted_by_itself():
    strangers = Strangers()
    for ctr, kid in enumerate((7, 8, 7, 7)):
        strangers.note(kid, 100 + ctr)
    assert (strangers.stats(), strangers.frames) == ({7: (3, 2), 8: (1, 0)}, 4)


def test_a_stranger_keeps_its_place_for_a_while_and_no_longer():
    strangers = Strangers()
    for kid in range(TRACKED):
        strangers.note(kid, 0)
    for kid in range(STAYS - TRACKED):
        strangers.note(100 + kid, 0)
    assert list(strangers.kids) == list(range(TRACKED))
    strangers.note(999, 0)
    assert list(strangers.kids) == [*range(1, TRACKED), 999]


def test_of_the_strangers_that_are_gone_the_rarest_makes_room():
    strangers = Strangers()
    for kid in (*range(TRACKED), *range(5), *range(6, TRACKED)):
        strangers.note(kid, 0)
    for ctr in range(STAYS):
        strangers.note(0, ctr)
    strangers.note(999, 0)
    assert set(strangers.kids) == {*range(TRACKED), 999} - {5}


def test_a_stranger_with_frames_outlives_rarer_ones_until_it_is_gone():
    strangers = Strangers()
    for ctr in range(100):
        strangers.note(7, ctr)
    for kid in range(1000, 1000 + GONE - 1):
        strangers.note(kid, 0)
    assert strangers.stats()[7] == (100, 99)
    for kid in range(5000, 5000 + STAYS):
        strangers.note(kid, 0)
    assert 7 not in strangers.kids


@pytest.mark.parametrize(
    ("ctrs", "advanced"),
    [
        ((1000, 1001, 1002), 2),
        ((1000, 1032, 1064), 2),  # the longest step that is one
        ((1000, 1033, 1066), 0),
        ((1000, 1000, 1000), 0),
        ((1000, 999, 744, 1001), 1),  # late, as far as it goes
        ((1000, 5000, 1001, 5001, 1002), 3),  # two senders
        ((1000, 5000, 9000, 13000, 1001, 5001, 9001, 13001), 4),
        ((1000, 5000, 9000, 13000, 17000, 1001), 0),  # a run too many
        (range((1 << 32) - 320, (1 << 32) + 64, 32), 11),
        (range((1 << 64) - 1000, (1 << 64) - 990), 9),
        ((1000, *range(800, 815), 815, 816), 1),  # starts again: told by the 16th frame
        ((1000, *range(800, 815), 1001, 816), 1),  # comes back before that
        ((0, 1, 2), 2),
        ((1,), 0),
    ],
)
def test_what_goes_on_from_frames_before(ctrs, advanced):
    trail = Trail()
    for ctr in ctrs:
        trail.follow(ctr)
    assert trail.advanced == advanced


def sharing():
    """What a receiver may derive where all KIDs are in reach and none are few."""
    shares = Shares()
    shares.reach(Reach(0, 0, 2**64 - 1, 0, 0, 2**64 - 1, 0))
    return shares


def burst(shares, kids):
    """KIDs served before the first that has to wait; a KID that has waited for nothing is none."""
    served = 0
    while shares._allowance:
        assert shares.may_derive(next(kids))
        served += 1
    return served


def test_a_derivation_is_earned_by_so_many_frames_that_open_and_not_by_one_less():
    shares, kids = sharing(), count()
    assert burst(shares, kids) == ALLOWANCE
    for _ in range(3):
        for _ in range(FRAMES_PER_ALLOWANCE - 1):
            shares.count_opened()
        assert burst(shares, kids) == 0
        shares.count_opened()
        assert burst(shares, kids) == 1
    for _ in range(1000 * FRAMES_PER_ALLOWANCE):
        shares.count_opened()
    assert burst(shares, kids) == ALLOWANCE


def test_a_kid_alone_is_served_in_time():
    """By its WAITth frame, every time, and by the first as often as by the last."""
    shares, kids = sharing(), count()
    burst(shares, kids)
    waits = []
    for _ in range(2000):
        waits.append(1)
        while not shares.may_derive(7):
            waits[-1] += 1
    assert max(waits) <= WAIT
    assert sum(wait <= WAIT // 4 for wait in waits) > 350  # of 500 expected
    assert sum(wait > WAIT // 4 * 3 for wait in waits) > 350


def test_kids_that_count_up_are_spread_over_all_shares():
    shares, kids = sharing(), count()
    burst(shares, kids)
    for kid in range(20 * SHARES):
        shares.may_derive(kid << 4)
    assert len(shares._wait) > SHARES // 2


def test_the_registry_never_forgets():
    registry = SenderRegistry()
    names = [number.to_bytes(16) for number in range(100_000)]
    assert all(registry.open(name, 0) == 0 for name in names)
    assert not any(registry.open(name, 2**64 - 1) for name in names)
    for number, name in enumerate(names[1:]):
        registry.close(name, 5, spent=False, blocks=number)
    assert registry.open(names[0], 2**64 - 1) is None  # alive
    assert all(registry.open(name, 4) is None for name in names)
    assert [registry.open(name, 5) for name in names[1:]] == [*range(99_999)]


@pytest.mark.parametrize("last", [5, 2**64 - 1])
def test_the_registry_knows_whether_the_last_counter_was_used(last):
    registry, name = SenderRegistry(), bytes(16)
    assert registry.open(name, 0) == 0
    registry.close(name, last, spent=True, blocks=9)
    assert registry.open(name, last) is None
    assert registry.open(name, last + 1) == 9


def test_who_closes_again_or_was_never_there_changes_nothing():
    registry = SenderRegistry()
    registry.close(b"nobody", 5, spent=False, blocks=9)
    assert registry.open(b"nobody", 0) == 0
    registry.close(b"nobody", 5, spent=False, blocks=9)
    registry.close(b"nobody", 0, spent=False, blocks=0)
    assert (registry.open(b"nobody", 4), registry.open(b"nobody", 5)) == (None, 9)


def test_an_heir_may_have_been_told_before():
    """In an import that failed half-way: what has become of the keys since then counts."""
    before, heir = SenderRegistry(), SenderRegistry()
    for registry in (before, heir):
        for name in (b"open again", b"went on"):
            registry.open(name, 0)
            registry.close(name, 5, spent=False, blocks=9)
    before.open(b"open again", 6)
    before.open(b"went on", 6)
    before.close(b"went on", 8, spent=False, blocks=12)
    before.hand_over(heir)
    assert heir.open(b"open again", 2**64 - 1) is None
    assert (heir.open(b"went on", 7), heir.open(b"went on", 8)) == (None, 12)


def test_the_registry_is_where_no_purge_reaches():
    held = sys._pysframe_senders
    assert held is _registry.SENDERS or held is _registry.SENDERS._heir


def test_a_registry_tells_its_heir_everything():
    """And from then on asks it, also about what it told."""
    before, heir = SenderRegistry(), SenderRegistry()
    for name in (b"alive", b"closed", b"spent"):
        before.open(name, 3)
    before.close(b"closed", 7, spent=False, blocks=70)
    before.close(b"spent", 2**64 - 1, spent=True, blocks=80)
    before.hand_over(heir)
    for registry in (before, heir):
        assert registry.open(b"alive", 2**64 - 1) is None
        assert registry.open(b"spent", 2**64 - 1) is None
        assert registry.open(b"closed", 6) is None
    before.close(b"alive", 9, spent=False, blocks=90)
    assert (heir.open(b"alive", 9), before.open(b"closed", 7)) == (90, 70)
    assert heir.open(b"closed", 2**64 - 1) is None


def test_a_fingerprint_is_short_and_means_nothing_to_another_process(rng):
    key, salt = rng.randbytes(16), rng.randbytes(12)
    name = _registry.fingerprint(key, salt)
    assert len(name) == 16
    assert name != hashlib.sha256(key + salt).digest()[:16]
    assert [len(registry.secret) for registry in (_registry.SENDERS, SenderRegistry())] == [32] * 2


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
