"""Promise 5: no counter twice, whoever seals, and whatever becomes of the key meanwhile.

Beside this: tests/test_objects.py (no copies), tests/test_counters.py (the store).
"""

import time
from contextlib import nullcontext, suppress
from itertools import count
from types import SimpleNamespace

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import ratchet
from parties import GCM, LAST_CTR, new_sender
from racing import in_threads, switching_often
from security.ledger import Ledger

from pysframe import (
    CounterExhausted,
    CounterStore,
    DuplicateSender,
    FrameBatch,
    Header,
    MisuseError,
    SenderKeyLayout,
)
from pysframe import engine as engines
from pysframe.engine.twin._sender import SenderState

THREADS = 8
ROWS = FrameBatch.from_frames([b""] * 1000)


@pytest.fixture(autouse=True)
def _switch_often():
    """Threads take turns as often as Python can, so that a race has its chance."""
    with switching_often():
        yield


@pytest.fixture
def twin():
    return engines.bind("fallback")


# ---- threads ----


def counters_from_threads(engine, sender, each):
    """All counters that THREADS threads used, `each` of them or some more, in every way."""

    def work():
        mine, out = [], bytearray(40)
        while sum(map(len, mine)) < each:
            sealed = [sender.protect(b"x") for _ in range(25)]
            sealed += engine.protect_many(sender, [b"x"] * 20)
            sealed += [bytes(out) for _ in range(5) if sender.protect_into(b"x", out)]
            singly = [Header.parse(ciphertext).ctr for ciphertext in sealed]
            mine.append(numpy.array(singly, "uint64"))
            mine += [engine.protect_batch(sender, ROWS).ctr for _ in range(2)]
            mine.append(engine.protect_batch([sender] * 1000, ROWS).ctr)
        return numpy.concatenate([numpy.asarray(part, "uint64") for part in mine])

    return numpy.concatenate(in_threads(*[work] * THREADS))


def test_a_million_counters(engine, rng, by_tier, figure):
    """On the best kernel always, on every native one in deep runs; fewer on the twin."""
    if engine.name == engines.available()[0]:
        each = by_tier(1 << 17, 1 << 18, 1 << 22)
    elif engine.name.startswith("native"):
        each = by_tier(1 << 14, 1 << 17, 1 << 22)
    else:
        each = by_tier(100, 3000, 200_000)
    first = rng.choice((0, 2**32 - 1000, 2**63))
    sender = new_sender(engine, GCM, rng.randbytes(16), next_ctr=first)
    used = counters_from_threads(engine, sender, each)
    unique = numpy.unique(used)
    figure(f"{len(used)} counters from {THREADS} threads, {len(used) - len(unique)} used twice")
    assert len(used) >= THREADS * each
    assert len(unique) == len(used)
    assert (int(unique[0]), int(unique[-1])) == (first, first + len(used) - 1)


def test_a_racy_counter_is_noticed(twin, rng, monkeypatch):
    """The seeded fault: read, then written, without the lock, and another thread in between."""

    def take_ctr(self):
        ctr = self._next
        time.sleep(0)
        self._next = ctr + 1
        return ctr

    monkeypatch.setattr(SenderState, "_take_ctr", take_ctr)
    sender = new_sender(twin, GCM, rng.randbytes(16))
    sender._twin._lock = nullcontext()
    used = counters_from_threads(twin, sender, 100)
    assert len(numpy.unique(used)) < len(used)


# ---- the end ----


@pytest.mark.parametrize("left", [1, 2, 3, 64, 65])
def test_the_end_of_all_counters(engine, left, rng):
    """Batches up to the end and none beyond; then nobody has this key again."""
    base_key, ledger, first = rng.randbytes(16), Ledger(), LAST_CTR - left + 1
    sender = new_sender(engine, GCM, base_key, next_ctr=first)
    while rest := left - ledger.total:
        ledger.note(*engine.protect_many(sender, [b"x"] * rng.randrange(1, rest + 1)))
    (used,) = ledger.used.values()
    assert sorted(used) == [*range(first, LAST_CTR + 1)]
    for call in (sender.protect, lambda frame: engine.protect_many(sender, [frame])):
        with pytest.raises(CounterExhausted):
            call(b"x")
    sender.close()
    for next_ctr in (0, first, LAST_CTR):
        with pytest.raises(DuplicateSender):
            new_sender(engine, GCM, base_key, next_ctr=next_ctr)


@pytest.mark.parametrize("over", [1, 2, 64])
def test_a_batch_over_the_end_is_refused_whole(engine, over, rng):
    """Whatever it took is gone: what is sealed afterwards, if anything, is new."""
    sender, ledger = new_sender(engine, GCM, rng.randbytes(16), next_ctr=LAST_CTR - 9), Ledger()
    ledger.note(*engine.protect_many(sender, [b"x"] * 5))
    with pytest.raises(CounterExhausted):
        engine.protect_many(sender, [b"x"] * (5 + over))
    with suppress(CounterExhausted):
        ledger.note(sender.protect(b"x"))
    assert ledger.duplicates == 0


# ---- any life of keys ----

LAYOUT = SenderKeyLayout(2)  # a KID comes again after four ratchet steps
KIDS = [LAYOUT.pack(1, 0), LAYOUT.pack(1, 1), LAYOUT.pack(2, 0)]
fresh = count()

FIRST_CTRS = st.sampled_from([0, 1, 2, 5, 30, "store", LAST_CTR - 3])
ADD = st.tuples(st.just("add"), st.sampled_from([0, 1]), st.sampled_from(KIDS), FIRST_CTRS)
ACTIONS = st.one_of(
    ADD,
    st.tuples(st.sampled_from(["close", "drop", "ratchet", "renew"]), st.integers(0, 9)),
    st.tuples(st.sampled_from(["protect", "batch", "into"]), st.integers(0, 9), st.integers(1, 7)),
)


class World:
    """Two base keys, one store, and the senders that live; every ciphertext is noted."""

    def __init__(self, engine, path):
        self.engine, self.senders, self.ledger = engine, [], Ledger()
        self.store = CounterStore(path, lease=4)
        number = next(fresh)  # a key that an earlier example closed would be refused
        self.keys = [(number << 1 | which).to_bytes(16) for which in (0, 1)]

    def run(self, actions):
        for name, *arguments in actions:
            with suppress(MisuseError):
                getattr(self, name)(*arguments)
        for sender, _ in self.senders:
            sender.close()
        return self.ledger

    def add(self, which, kid, first):
        counters = {"counters": self.store} if first == "store" else {"next_ctr": first}
        key = self.keys[which]
        sender = self.engine.Sender(GCM, kid=kid, base_key=key, layout=LAYOUT, **counters)
        self.senders.append((sender, key))

    def close(self, which):
        self.chosen(which)[0].close()

    def drop(self, which):
        self.chosen(which)
        del self.senders[which % len(self.senders)]

    def ratchet(self, which):
        sender, key = self.chosen(which)
        following = sender.ratchet(next_ctr=0 if which % 2 else None)
        self.senders.append((following, ratchet(GCM, key)))

    def renew(self, _):
        self.store.renew()

    def protect(self, which, frames):
        sender, key = self.chosen(which)
        for _ in range(frames):
            self.ledger.note(sender.protect(b"x"), key=key)

    def batch(self, which, frames):
        chosen = [self.chosen(which + row) for row in range(frames)]
        senders, keys = zip(*chosen, strict=True)
        sealed = self.engine.protect_many(senders, [b"x"] * frames)
        for ciphertext, key in zip(sealed, keys, strict=True):
            self.ledger.note(ciphertext, key=key)

    def into(self, which, _):
        sender, key = self.chosen(which)
        out = bytearray(40)
        sender.protect_into(b"x", out)
        self.ledger.note(out, key=key)

    def chosen(self, which):
        if not self.senders:
            raise MisuseError("nobody is there")
        return self.senders[which % len(self.senders)]


@given(
    actions=st.tuples(ADD, ADD, st.lists(ACTIONS, min_size=8, max_size=40)).map(
        lambda parts: [*parts[:2], *parts[2]]
    ),
    which=st.integers(0, 99),
)
def test_no_life_of_keys_uses_a_nonce_twice(quick_disk, actions, which):
    names = engines.available()
    path = quick_disk / "lives.counters"
    path.unlink(missing_ok=True)
    ledger = World(engines.bind(names[which % len(names)]), path).run(actions)
    assert ledger.duplicates == 0


def test_a_registry_that_forgets_is_noticed(twin, tmp_path, monkeypatch):
    """The seeded fault: whoever asks for a key gets it."""
    everybody = SimpleNamespace(open=lambda *_: 0, close=lambda *_: None)
    monkeypatch.setattr("pysframe.engine.twin._sender.SENDERS", everybody)
    life = [
        ("add", 0, 16, 0),
        ("protect", 0, 3),
        ("close", 0),
        ("add", 0, 16, 1),
        ("protect", 1, 1),
    ]
    assert World(twin, tmp_path / "counters").run(life).duplicates == 1
