"""Promise 6: a key is used so much and no more, counted block by block.

draft-irtf-cfrg-aead-limits: 2^36 blocks of AES keep the advantage of an attacker below 2^-57;
2^12 failures of a 4-byte tag leave a forger 2^-20.
"""

import logging
from itertools import count

import pytest
from oracle import encode_header
from parties import GCM, SUITES, new_receiver, new_sender, status_of

from pysframe import (
    CipherSuite,
    CounterStore,
    FrameBatch,
    FrameStatus,
    KeyExhausted,
    KeyState,
    LeaseEnded,
    MLSLayout,
)
from pysframe import engine as engines
from pysframe.engine.twin._sender import Departure
from pysframe.header import header_size

HALF, WHOLE = 2**35, 2**36
SHORT = [suite for suite in SUITES if suite.Nt == 4]
LONG = [suite for suite in SUITES if suite.Nt > 4]
OK, FAILED = FrameStatus.OK, FrameStatus.AUTHENTICATION_FAILED
SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)


def blocks_of(kid, ctr, size, clear, metadata):
    """What the draft counts of one frame: blocks of its payload, of its AAD, and the tag's."""
    ceil = lambda octets: -(-octets // 16)  # noqa: E731
    return ceil(size - clear) + ceil(header_size(kid, ctr) + clear + metadata) + 1


# ---- the sender's meter ----


def seal_anything(engine, sender, rng, calls):
    """Blocks that random frames take, sealed in every way and across lengths of headers."""
    expected, ctr = 0, sender.next_ctr
    for _ in range(calls):
        rows = []
        for _ in range(rng.choice((1, 1, 2, 7, 33, 65))):
            size = rng.choice((0, 1, 15, 16, 17, 160, rng.randrange(1300), rng.randrange(6000)))
            rows.append(
                (bytes(size), bytes(rng.choice((0, 0, 3, 16, 90))), rng.randrange(size + 1))
            )
        for row, (frame, metadata, clear) in enumerate(rows):
            expected += blocks_of(sender.kid, ctr + row, len(frame), clear, len(metadata))
        ctr += len(rows)
        frames, metadata, clear = map(list, zip(*rows, strict=True))
        if len(rows) > 1:
            engine.protect_batch(sender, FrameBatch.from_frames(frames), metadata, clear)
        elif rng.random() < 0.5:
            sender.protect(frames[0], metadata[0], clear=clear[0])
        else:
            sender.protect_into(frames[0], bytearray(7000), metadata[0], clear=clear[0])
    return expected


@SUITE
def test_the_meter_is_the_sum_over_all_frames(engine, suite, rng, by_tier):
    kid, first = rng.choice((0, 7, 8, 2**40)), rng.choice((0, 2**16 - 9, 2**40))
    sender = new_sender(engine, suite, rng.randbytes(16), kid, first)
    assert sender.blocks == 0
    expected = seal_anything(engine, sender, rng, by_tier(12, 100, 1000))
    assert sender.blocks == expected


def test_a_meter_that_forgets_the_aad_is_noticed(rng, monkeypatch):
    """The seeded fault: only the payload and the tag are counted."""
    monkeypatch.setattr(Departure, "blocks", lambda self, _: -(-(self.size - self.clear) // 16) + 1)
    twin = engines.bind("fallback")
    sender = new_sender(twin, GCM, rng.randbytes(16))
    assert seal_anything(twin, sender, rng, 3) > sender.blocks


def spend(engine, sender, frames, batched):
    """Seals frames of three blocks each, until the key refuses; how many it sealed."""
    sealed = 0
    for _ in range(frames):
        try:
            engine.protect_many(sender, [b"x" * 16]) if batched else sender.protect(b"x" * 16)
        except KeyExhausted:
            break
        sealed += 1
    return sealed


@pytest.mark.parametrize("batched", [False, True])
def test_a_warning_at_half_and_a_refusal_at_the_end(engine, batched, rng, caplog):
    caplog.set_level(logging.WARNING, logger="pysframe")
    sender = new_sender(engine, GCM, rng.randbytes(16))
    sender._raise_blocks(HALF - 7)
    for sealed, warnings in ((1, 0), (1, 0), (1, 1), (50, 1)):
        assert spend(engine, sender, sealed, batched) == sealed
        assert len(caplog.records) == warnings
    sender._raise_blocks(WHOLE - 3 * 5 - 2)
    assert spend(engine, sender, 99, batched) == 5
    assert sender.blocks == WHOLE - 2
    before = sender.next_ctr
    assert spend(engine, sender, 99, batched) == 0
    sender.protect(b"")  # two blocks: the last
    assert (sender.blocks, sender.next_ctr) == (WHOLE, before + 1)
    with pytest.raises(KeyExhausted):
        sender.protect(b"")
    assert len(caplog.records) == 1


def test_the_warning_comes_though_the_rest_of_its_batch_is_refused(engine, rng, caplog, tmp_path):
    """Half of the budget is reached by a frame of a batch whose next frame is refused."""
    caplog.set_level(logging.WARNING, logger="pysframe")
    store = CounterStore(tmp_path / "counters", lease=3)
    sender = engine.Sender(GCM, kid=7, base_key=rng.randbytes(16), counters=store)
    sender._raise_blocks(HALF - 4)
    sender._lease_blocks(WHOLE)
    with pytest.raises(LeaseEnded):
        engine.protect_many(sender, [b""] * 4)
    assert len(caplog.records) == 1


def test_the_meter_of_a_key_that_was_used_before(engine, rng):
    """It is raised, never lowered, stops at the budget, and can be read after close()."""
    sender = new_sender(engine, GCM, rng.randbytes(16))
    sender.protect(b"x" * 16)
    for raised, blocks in ((0, 3), (2, 3), (1000, 1000), (999, 1000), (2**64 - 1, WHOLE)):
        sender._raise_blocks(raised)
        assert sender.blocks == blocks
    with pytest.raises(KeyExhausted):
        sender.protect(b"")
    sender.close()
    assert sender.blocks == WHOLE


# ---- the receiver's failures ----


def forged(suite, rng):
    """Frames of KID 7 with bad tags: no two alike."""
    return [bytes([0x70 | 7]) + rng.randbytes(20 + suite.Nt) for _ in range(64)]


@pytest.mark.parametrize("suite", SHORT, ids=lambda suite: suite.name)
@pytest.mark.parametrize("batched", [False, True])
def test_a_key_with_short_tags_closes(engine, suite, batched, rng):
    """With the 4096th failure, to the frame: and only that key, and key_flow() tells."""
    base_key = rng.randbytes(16)
    sender, other = (new_sender(engine, suite, base_key, kid) for kid in (7, 8))
    receiver = new_receiver(engine, suite, base_key)
    receiver.add_key(8, base_key)
    fail(engine, receiver, forged(suite, rng), 4095, batched)
    assert receiver.unprotect(sender.protect(b"good")) == b"good"
    fail(engine, receiver, forged(suite, rng), 1, batched)
    assert status_of(receiver, sender.protect(b"good"))[0] == FAILED
    assert list(engine.unprotect_many(receiver, [sender.protect(b"good")]).status) == [FAILED]
    assert receiver.unprotect(other.protect(b"good")) == b"good"
    receiver.add_key(7, base_key)
    assert status_of(receiver, sender.protect(b"good"))[0] == FAILED, "the same key again"
    assert receiver.key_flow(now=1.0)[7].state is KeyState.WRONG_KEY
    assert [key.closed for key in receiver._stats().keys if key.kid == 7] == [True]


def test_a_key_that_closes_in_the_middle_of_a_batch(engine, rng):
    """Rows are judged in their order: the frame before the 4096th failure opens, none after."""
    suite, base_key = CipherSuite(SHORT[0]), rng.randbytes(16)
    sender, receiver = new_sender(engine, suite, base_key), new_receiver(engine, suite, base_key)
    bad = forged(suite, rng)
    fail(engine, receiver, bad, 4094, True)
    rows = [
        sender.protect(b"x"),
        bad[0],
        sender.protect(b"x"),
        bad[1],
        sender.protect(b"x"),
        bad[2],
    ]
    assert list(engine.unprotect_many(receiver, rows).status) == [OK, FAILED, OK] + [FAILED] * 3


@pytest.mark.parametrize("suite", SHORT, ids=lambda suite: suite.name)
@pytest.mark.parametrize("at_a_time", [700, 4096])
def test_a_key_that_made_room_does_not_start_anew(engine, suite, at_a_time, rng):
    """Forged headers have it derived and pushed out again; its failures add up all the same."""
    layout, base_key = MLSLayout(E=4, S=10), rng.randbytes(16)
    receiver = new_receiver(engine, suite)
    receiver.add_epoch(7, base_key, layout=layout)
    kid = layout.pack(7, 1, context=9)
    bad = [encode_header(kid, ctr) + rng.randbytes(20) for ctr in range(64)]
    genuine = [new_sender(engine, suite, base_key, number) for number in (kid, kid + (1 << 30))]
    others = count(1 << 40, 16)
    for _ in range(6):
        if receiver._kind(kid) is None:
            receiver._resolve(kid)  # as a forged header does when its turn comes
        fail(engine, receiver, bad, at_a_time, True)
        for _ in range(128):
            receiver._resolve(next(others) + 7)
        assert receiver._kind(kid) is None
    statuses = []
    for sender in genuine:
        receiver._resolve(sender.kid)
        statuses.append(status_of(receiver, sender.protect(b"frame"))[0])
    assert statuses[0] == FAILED
    charged = receiver._stats().keys[-1].closed  # for the failures of another: 1 in 1,024
    assert statuses[1] == OK or charged


@pytest.mark.parametrize("suite", LONG, ids=lambda suite: suite.name)
def test_keys_with_longer_tags_stay_open(engine, suite, rng, by_tier):
    base_key = rng.randbytes(16)
    sender, receiver = new_sender(engine, suite, base_key), new_receiver(engine, suite, base_key)
    fail(engine, receiver, forged(suite, rng), by_tier(5000, 20_000, 500_000), True)
    assert receiver.unprotect(sender.protect(b"good")) == b"good"
    assert not receiver._stats().keys[0].closed


def fail(engine, receiver, bad, count, batched):
    while count:
        rows = bad[: min(count, len(bad))]
        if batched:
            statuses = list(engine.unprotect_many(receiver, rows).status)
        else:
            statuses = [status_of(receiver, row)[0] for row in rows]
        assert set(statuses) == {FAILED}
        count -= len(rows)
