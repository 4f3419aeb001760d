"""What a Sender decides before the engine seals: its options, its key, its ratchet, its budget."""

import copy
import inspect
import io
import logging
import pickle
import pydoc
from unittest import mock

import isolated
import pytest
import rich
from parties import (
    GCM,
    LAST_CTR,
    SUITES,
    ctrs,
    fresh_sender,
    new_receiver,
    new_sender,
    options,
    stored,
)
from racing import in_threads
from rich.console import Console

from pysframe import (
    CounterExhausted,
    DuplicateSender,
    Header,
    KeyExhausted,
    MisuseError,
    MLSLayout,
    SenderKeyLayout,
    SenderRetired,
    ratchet_base_key,
)

LAYOUT = SenderKeyLayout(4)


# ---- making one ----


def test_counters_must_come_from_somewhere(engine, base_key, store):
    for given in ({}, {"next_ctr": 0, "counters": store}):
        with pytest.raises(MisuseError, match=r"either next_ctr .* or counters"):
            engine.Sender(GCM, kid=7, base_key=base_key, **given)


@pytest.mark.parametrize("kid", [0, 7, 8, 2**64 - 1])
@pytest.mark.parametrize("next_ctr", [0, 8, LAST_CTR])
def test_first_frame(engine, base_key, kid, next_ctr):
    with new_sender(engine, GCM, base_key, kid, next_ctr) as sender:
        assert (sender.kid, sender.next_ctr, sender.suite) == (kid, next_ctr, GCM)
        header = Header.parse(sender.protect(b"frame"))
        assert (header.kid, header.ctr) == (kid, next_ctr)


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_may_be_its_number(engine, base_key, suite):
    with engine.Sender(
        int(suite), kid=7, base_key=base_key, next_ctr=0, **options(suite)
    ) as sender:
        assert sender.suite is suite


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kid", -1), ("kid", 2**64), ("next_ctr", -1), ("next_ctr", 2**64), ("max_frame", -1),
        ("max_frame", 2**31), ("suite", 0), ("suite", 9), ("base_key", bytes(15)),
    ],
)  # fmt: skip
def test_values_out_of_range(engine, base_key, name, value):
    given = {"suite": GCM, "kid": 7, "base_key": base_key, "next_ctr": 0} | {name: value}
    with pytest.raises(MisuseError, match=str(value) if isinstance(value, int) else "15 bytes"):
        engine.Sender(given.pop("suite"), **given)
    new_sender(engine, GCM, base_key).close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kid", "7"), ("kid", 7.0), ("kid", None), ("next_ctr", "0"), ("next_ctr", 1.5),
        ("max_frame", None), ("base_key", "sixteen letters."), ("base_key", None),
        ("base_key", [0] * 16),
    ],
)  # fmt: skip
def test_values_of_a_wrong_type(engine, base_key, name, value):
    given = {"kid": 7, "base_key": base_key, "next_ctr": 0} | {name: value}
    with pytest.raises(TypeError):
        engine.Sender(GCM, **given)


@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_a_base_key_may_be_any_buffer(engine, base_key, buffer, rng):
    with engine.Sender(GCM, kid=7, base_key=buffer(base_key), next_ctr=0) as sender:
        receiver = new_receiver(engine, GCM, base_key)
        assert receiver.unprotect(sender.protect(b"frame")) == b"frame"


@pytest.mark.parametrize("suite", [3, 8])
def test_short_tags_must_be_asked_for(engine, base_key, suite):
    with pytest.raises(MisuseError, match="allow_short_tags"):
        new_sender(engine, suite, base_key, allow_short_tags=False)
    new_sender(engine, suite, base_key, allow_short_tags=True).close()


def test_max_frame(engine, base_key):
    with new_sender(engine, GCM, base_key, max_frame=100) as sender:
        sender.protect(bytes(100))
        with pytest.raises(MisuseError, match="101"):
            sender.protect(bytes(101))
        assert sender.next_ctr == 1


# ---- a fresh key ----


@pytest.mark.parametrize("suite", SUITES)
def test_a_fresh_key(engine, suite):
    base_key = suite.generate_base_key()
    assert (type(base_key), len(base_key)) == (bytes, 32 if "SHA512" in suite.name else 16)
    with new_sender(engine, suite, base_key) as sender:
        receiver = new_receiver(engine, suite, base_key)
        assert receiver.unprotect(sender.protect(b"frame")) == b"frame"


def test_fresh_keys_differ():
    assert len({GCM.generate_base_key() for _ in range(50)}) == 50


LOOKS = {
    "hasattr": lambda sender: hasattr(sender, "base_key"),
    "getmembers": inspect.getmembers,
    "getmembers_static": inspect.getmembers_static,
    "Mock(spec)": lambda sender: mock.Mock(spec=sender),
    "Mock(spec_set)": lambda sender: mock.Mock(spec_set=sender),
    "create_autospec": lambda sender: mock.create_autospec(sender, instance=True),
    "create_autospec of the class": lambda sender: mock.create_autospec(type(sender)),
    "pydoc": lambda sender: pydoc.render_doc(type(sender)),
    "rich": lambda sender: rich.inspect(sender, all=True, console=Console(file=io.StringIO())),
}


def test_a_layout_of_another_kind(engine, base_key):
    """In its place may stand a key, so the words show its type alone."""
    for layout in 5, base_key, MLSLayout(E=4, S=6):
        with pytest.raises(TypeError, match="layout must be a SenderKeyLayout, not ") as caught:
            engine.Sender(GCM, kid=7, base_key=base_key, next_ctr=0, layout=layout)
        assert base_key.hex() not in str(caught.value) and repr(base_key) not in str(caught.value)
    with engine.Receiver(GCM) as receiver:
        with pytest.raises(TypeError, match="layout must be a SenderKeyLayout, not int"):
            receiver.add_sender_key(1, base_key, layout=5)
        with pytest.raises(TypeError, match="layout must be a MLSLayout, not SenderKeyLayout"):
            receiver.add_epoch(1, base_key, layout=SenderKeyLayout(4))


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_looking_at_a_sender_changes_nothing(engine, base_key, look):
    with new_sender(engine, GCM, base_key, layout=LAYOUT) as sender:
        fields = {name: getattr(sender, name) for name in type(sender)._fields}
        for _ in range(2):
            look(sender)
        assert fields == {name: getattr(sender, name) for name in type(sender)._fields}
        assert (sender.next_ctr, sender.blocks) == (0, 0)


@pytest.mark.parametrize("name", ["generate", "base_key"])
def test_names_of_the_past_say_what_to_write_instead(engine, base_key, name):
    with new_sender(engine, GCM, base_key) as sender:
        assert name not in dir(sender)
        assert name not in dict(inspect.getmembers(sender))
        for there in (sender, type(sender)):
            assert not hasattr(there, name)
            with pytest.raises(AttributeError, match="generate_base_key"):
                getattr(there, name)


# ---- one of a kind ----


def test_no_copies(engine, base_key):
    with new_sender(engine, GCM, base_key) as sender:
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="pickled"):
                duplicate(sender)


def test_a_repr_shows_kid_and_suite_and_no_key(engine):
    sender = fresh_sender(engine, GCM, 0x1234, layout=LAYOUT)
    shown = repr(sender)
    assert shown == "<Sender kid=0x1234 AES_128_GCM_SHA256_128>"
    sender.close()
    assert repr(sender) == shown


def test_instances_have_no_room_for_surprises(engine):
    """The policy adds slots; what the twin adds is its own affair."""
    sender = fresh_sender(engine, GCM)
    if engine.name.startswith("native"):
        assert not hasattr(sender, "__dict__")
    assert set(type(sender)._fields) <= set(type(sender).__slots__)


def test_a_second_sender_is_refused(engine, base_key):
    sender = new_sender(engine, GCM, base_key)
    with pytest.raises(DuplicateSender):
        new_sender(engine, GCM, base_key)
    ctrs(sender, 5)
    sender.close()
    with pytest.raises(DuplicateSender):
        new_sender(engine, GCM, base_key, next_ctr=4)
    new_sender(engine, GCM, base_key, next_ctr=5).close()


def test_closed(engine, base_key):
    with new_sender(engine, GCM, base_key, layout=LAYOUT) as sender:
        pass
    sender.close()
    for use in (
        lambda: sender.protect(b""), lambda: sender.next_ctr, lambda: sender.ratchet(),
    ):  # fmt: skip
        with pytest.raises(SenderRetired):
            use()
    assert sender.kid == 7


def test_a_forked_child_can_do_nothing_with_it(engine, base_key, store):
    sender = fresh_sender(engine, GCM, 0x10, layout=LAYOUT)
    leased = stored(engine, store, base_key)

    def in_child():
        for use in (
            lambda: sender.protect(b""), lambda: sender.next_ctr, lambda: sender.ratchet(),
            lambda: leased.protect(b""),
        ):  # fmt: skip
            with pytest.raises(SenderRetired):
                use()
        return store.renew(), store.lease("0" * 32)

    ctrs(leased, 9)
    assert isolated.in_child(in_child) == (0, (0, 9))
    assert ctrs(sender, 1) == [0]
    assert store.renew() == 1
    assert ctrs(sender.ratchet(), 1) == [0]


# ---- ratchet ----


def test_ratchet(engine, base_key):
    """Each step's frames open with the base_key of that step and with no other."""
    sender = new_sender(engine, GCM, base_key, kid=0x2E, layout=LAYOUT)
    for kid in (0x2F, 0x20, 0x21):
        ctrs(sender, 3)
        before, sender = sender, sender.ratchet()
        base_key = ratchet_base_key(GCM, base_key)
        assert (sender.kid, sender.next_ctr, sender.suite) == (kid, 0, GCM)
        assert type(sender) is type(before)
        receiver = new_receiver(engine, GCM, base_key, kid)
        assert receiver.unprotect(sender.protect(b"frame")) == b"frame"
        with pytest.raises(SenderRetired, match=f"ratcheted on to KID {kid:#x}"):
            before.protect(b"frame")


@pytest.mark.parametrize("layout", [None, SenderKeyLayout(0)])
def test_ratchet_needs_bits_for_steps(engine, base_key, layout):
    with new_sender(engine, GCM, base_key, layout=layout) as sender:
        with pytest.raises(MisuseError, match=r"layout=SenderKeyLayout\(R\)"):
            sender.ratchet()
        assert ctrs(sender, 1) == [0], "it goes on"


def test_ratchet_keeps_the_limits(engine, base_key):
    following = new_sender(engine, 3, base_key, layout=LAYOUT, max_frame=10).ratchet().ratchet()
    assert len(following.protect(bytes(10))) < 20
    with pytest.raises(MisuseError):
        following.protect(bytes(11))


def test_a_resumed_key_must_say_where_its_next_step_goes_on(engine, base_key):
    sender = new_sender(engine, GCM, base_key, next_ctr=5, layout=LAYOUT)
    with pytest.raises(MisuseError, match="next_ctr="):
        sender.ratchet()
    assert ctrs(sender, 1) == [5]
    following = sender.ratchet(next_ctr=9)
    assert ctrs(following, 1) == [9]
    with pytest.raises(MisuseError, match="next_ctr="):
        following.ratchet()
    assert ctrs(following.ratchet(next_ctr=0).ratchet(), 1) == [0]


@pytest.mark.parametrize("next_ctr", [-1, 2**64])
def test_ratchet_next_ctr_out_of_range(engine, base_key, next_ctr):
    with new_sender(engine, GCM, base_key, layout=LAYOUT) as sender:
        with pytest.raises(MisuseError, match="next_ctr"):
            sender.ratchet(next_ctr=next_ctr)
        assert ctrs(sender, 1) == [0]


def test_a_step_that_was_taken_before_is_refused(engine, base_key):
    ctrs(new_sender(engine, GCM, base_key, layout=LAYOUT).ratchet(), 3)
    again = new_sender(engine, GCM, base_key, next_ctr=0, layout=LAYOUT)
    with pytest.raises(DuplicateSender):
        again.ratchet()
    assert ctrs(again, 1) == [0], "what failed retired nothing"
    assert ctrs(again.ratchet(next_ctr=3), 1) == [3]


def test_a_key_whose_counters_are_used_up_can_ratchet(engine, base_key):
    sender = new_sender(engine, GCM, base_key, next_ctr=LAST_CTR, layout=LAYOUT)
    ctrs(sender, 1)
    with pytest.raises(CounterExhausted):
        sender.protect(b"")
    assert ctrs(sender.ratchet(next_ctr=0), 1) == [0]


def test_of_many_threads_one_ratchets(engine, base_key):
    sender = new_sender(engine, GCM, base_key, layout=LAYOUT)

    def ratchet():
        try:
            return sender.ratchet()
        except SenderRetired:
            return None

    assert len([following for following in in_threads(*[ratchet] * 8) if following]) == 1


# ---- key budget ----


@pytest.mark.parametrize(("used", "told"), [(2**35 - 1, 0), (2**35, 1), (2**36 - 100, 1)])
def test_a_key_resumed_past_half_of_its_budget_is_told_once(engine, base_key, caplog, used, told):
    caplog.set_level(logging.WARNING, logger="pysframe")
    with new_sender(engine, GCM, base_key, kid=0xABC) as sender:
        sender._raise_blocks(used)
    assert not caplog.records
    with new_sender(engine, GCM, base_key, kid=0xABC) as resumed:
        assert resumed.blocks == used
        assert len(caplog.records) == told, "told when it is resumed"
        ctrs(resumed, 20)
    assert len(caplog.records) == 1, "and not again"


def test_a_ratchet_step_resumed_past_half_of_its_budget_is_told(engine, base_key, caplog):
    caplog.set_level(logging.WARNING, logger="pysframe")
    step = {"layout": LAYOUT, "next_ctr": 0}
    with new_sender(engine, GCM, base_key, kid=0x10, **step).ratchet() as following:
        following._raise_blocks(2**35)
    assert not caplog.records
    with new_sender(engine, GCM, base_key, kid=0x10, **step).ratchet():
        assert len(caplog.records) == 1


def test_half_of_the_budget_is_told_once(engine, base_key, caplog):
    caplog.set_level(logging.WARNING, logger="pysframe")
    with new_sender(engine, GCM, base_key, kid=0xABC) as sender:
        sender._raise_blocks(2**35 - 4)  # an empty frame takes two: its header and its tag
        ctrs(sender, 1)
        assert not caplog.records
        ctrs(sender, 20)
        (record,) = caplog.records
        assert "0xabc" in record.getMessage()
        sender._raise_blocks(2**36)
        with pytest.raises(KeyExhausted):
            sender.protect(b"")
        assert len(caplog.records) == 1
