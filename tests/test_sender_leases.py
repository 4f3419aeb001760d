"""Counters that a Sender leases: from a CounterStore, and as the engine keeps them."""

import gc
import itertools
import os
import threading
import weakref

import pytest
from parties import (
    GCM,
    LAST_CTR,
    core_of,
    ctrs,
    stored,
)
from racing import in_threads

from pysframe import (
    CounterExhausted,
    CounterStore,
    CounterStoreError,
    Header,
    LeaseEnded,
    MisuseError,
    SenderKeyLayout,
    errors,
    ratchet_base_key,
)

LAYOUT = SenderKeyLayout(4)


# ---- counter stores ----


def test_leases_are_used_in_order_and_never_again(engine, base_key, store):
    with stored(engine, store, base_key) as sender:
        assert ctrs(sender, 9) == [*range(9)]
        assert store.renew() == 1
        assert ctrs(sender, 11) == [*range(9, 20)]
    with stored(engine, store, base_key) as sender:
        assert ctrs(sender, 1) == [20]
    with stored(engine, store, base_key, kid=8) as sender:
        assert ctrs(sender, 1) == [0]


def test_an_ended_lease_says_renew(engine, base_key, store):
    with stored(engine, store, base_key) as sender:
        ctrs(sender, 10)
        for use in (
            lambda: sender.protect(b""), lambda: sender.next_ctr,
            lambda: engine.protect_many(sender, [b"", b""]),
        ):  # fmt: skip
            with pytest.raises(LeaseEnded, match=r"renew\(\)"):
                use()
        assert store.renew() == 1
        assert sender.next_ctr == 10
        assert ctrs(sender, 10) == [*range(10, 20)]
        assert isinstance(LeaseEnded(), CounterExhausted)


def test_protect_never_syncs(engine, base_key, store, monkeypatch):
    with stored(engine, store, base_key) as sender:
        monkeypatch.setattr(os, "fsync", None)
        monkeypatch.setattr(os, "open", None)
        ctrs(sender, 10)
        with pytest.raises(LeaseEnded):
            sender.protect(b"")


def test_renewing_ahead_of_another_process_leaves_a_gap(engine, base_key, store):
    """A lease of another process lies between two of ours: counters jump, and none repeats."""
    with stored(engine, store, base_key) as sender:
        taken = ctrs(sender, 6)
        (claim,) = store._senders.values()
        assert store.lease(claim.name.hex()) == (10, 19)
        assert store.renew() == 1
        assert store.renew() == 0
        taken += ctrs(sender, 8)
        assert taken == [*range(10), *range(20, 24)]
        assert sender._counters_left() == 6
        assert store.renew() == 0
        taken = ctrs(sender, 2)
        assert store.renew() == 1
        assert ctrs(sender, 14) == [*range(26, 40)]


def test_a_batch_goes_across_leases(engine, base_key, store):
    with stored(engine, store, base_key) as sender:
        ctrs(sender, 8)
        (claim,) = store._senders.values()
        store.lease(claim.name.hex())
        store.renew()
        sealed = engine.protect_many(sender, [b"frame"] * 5)
        assert [Header.parse(frame).ctr for frame in sealed] == [8, 9, 20, 21, 22]


def test_renew_reaches_every_live_sender(engine, rng, store):
    senders = [stored(engine, store, rng.randbytes(16)) for _ in range(20)]
    for sender in senders:
        ctrs(sender, 7)
    senders.pop().close()
    del sender
    senders.pop()
    gc.collect()
    assert store.renew() == 18
    assert all(ctrs(sender, 13)[-1] == 19 for sender in senders)


def test_a_store_lives_as_long_as_its_senders_and_no_longer(engine, base_key, tmp_path):
    sender = stored(engine, CounterStore(tmp_path / "counters", lease=10), base_key)
    store = weakref.ref(sender._counters)
    ctrs(sender, 9)
    assert store().renew() == 1
    sender.close()
    del sender
    assert store() is None


def test_a_damaged_store_makes_no_sender(engine, base_key, store, tmp_path):
    (tmp_path / "counters").write_bytes(b"?")
    with pytest.raises(CounterStoreError):
        stored(engine, store, base_key)


def test_a_sender_with_a_store_is_ratcheted_by_hand(engine, base_key, store):
    """Its next step's counters are remembered, too."""
    sender = stored(engine, store, base_key, kid=0x10, layout=LAYOUT)
    with pytest.raises(MisuseError, match="ratchet_base_key"):
        sender.ratchet()
    assert ctrs(sender, 1) == [0]
    for expected in (0, 10):
        next_key = ratchet_base_key(GCM, base_key)
        with stored(engine, store, next_key, kid=0x11, layout=LAYOUT) as following:
            assert ctrs(following, 1) == [expected]


def test_threads_that_meet_the_end_of_a_lease(engine, base_key, tmp_path):
    """Every counter once, while renew() and others hand leases over."""
    store = CounterStore(tmp_path / "counters", lease=64)
    sender = stored(engine, store, base_key)
    stop, sealing = threading.Event(), itertools.count(1)

    def seal():
        mine = []
        while len(mine) < 500:
            try:
                mine += ctrs(sender, 1)
            except LeaseEnded:
                stop.wait(0.001)
        if next(sealing) == 4:
            stop.set()
        return mine

    def renew():
        (claim,) = store._senders.values()
        while not stop.is_set():
            store.renew()
            store.lease(claim.name.hex())
        return []

    taken = [ctr for mine in in_threads(*[seal] * 4, renew) for ctr in mine]
    assert len(taken) == len(set(taken)) == 2000


# ---- leases as the engine keeps them ----


@pytest.fixture
def leased(engine, base_key):
    """A core without a policy, which has the counters 0..9."""
    core = core_of(engine.Sender)
    core._open(GCM, 7, engine.Secret(GCM, base_key), 0, 9, 100)
    return core


@pytest.mark.parametrize("used", [0, 4, 9, 10])
@pytest.mark.parametrize(
    "leases", [[(10, 10), (11, 12)], [(15, 16)], [(10, 12), (LAST_CTR, LAST_CTR)]]
)
def test_counters_go_on_in_the_next_lease(leased, used, leases):
    """In the same stretch, behind a gap, and after the last counter was used; to their end."""
    ctrs(leased, used)
    for lease in leases:
        leased._extend(*lease)
    expected = [*range(used, 10), *(n for first, last in leases for n in range(first, last + 1))]
    assert ctrs(leased, len(expected)) == expected
    with pytest.raises(CounterExhausted):
        leased.protect(b"")


@pytest.mark.parametrize("used", [4, 10])
@pytest.mark.parametrize("lease", [(9, 20), (0, 3), (12, 11)])
def test_a_lease_that_does_not_follow_is_refused(leased, used, lease):
    """A counter that was leased before, or a lease of none: nothing changes."""
    ctrs(leased, used)
    with pytest.raises(MisuseError, match=r"^the lease does not follow the one before$"):
        leased._extend(*lease)
    leased._extend(10, 10)
    assert ctrs(leased, 11 - used) == [*range(used, 11)]


def test_one_lease_may_wait_behind_a_gap(leased):
    leased._extend(15, 16)
    with pytest.raises(MisuseError, match=r"^the lease does not follow the one before$"):
        leased._extend(17, 20)
    assert ctrs(leased, 12) == [*range(10), 15, 16]


def test_why_a_core_refuses(leased, engine):
    """Of two reasons the one that lasts: a retired sender needs no more counters."""
    ctrs(leased, 10)
    for code in (errors.MisuseCode.LEASE_ENDED, errors.MisuseCode.RETIRED):
        for row, use in (
            (None, lambda: leased.protect(b"")), (None, lambda: leased.next_ctr),
            (0, lambda: engine.protect_many(leased, [b"", b""])),
        ):  # fmt: skip
            expected = errors.misuse(code, kid=7, row=row, reason="moved")
            with pytest.raises(type(expected)) as raised:
                use()
            assert str(raised.value) == str(expected)
        leased._retire("moved")
