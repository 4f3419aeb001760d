"""Batches equal the same single calls in row order, whatever their rows are."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import Oracle, encode_header, library_for, ratchet
from parties import GCM, SUITES, flipped, new_receiver, new_sender, status_of

from pysframe import FrameStatus, MisuseError, MLSLayout, SenderKeyLayout

OK, UNKNOWN = FrameStatus.OK, FrameStatus.UNKNOWN_KEY
FAILED, REPLAYED = FrameStatus.AUTHENTICATION_FAILED, FrameStatus.REPLAYED
BASE_KEYS = [bytes([i]) * 16 for i in range(4)]

# ---- any batch equals the same single calls ----

DAMAGES = ("duplicate", "bit", "cut", "unknown kid", "wrong receiver", "empty", "", "", "")
DESCRIPTIONS = st.lists(
    st.tuples(
        st.integers(0, 3),  # which party
        st.sampled_from([0, 1, 16, 40, 160, 1300]),  # bytes
        st.sampled_from([0, 0, 1, 10]),  # of them clear
        st.sampled_from([b"", b"", b"meta", b"metadata of some twenty bytes"]),
        st.sampled_from(DAMAGES),
        st.integers(0, 2**32),  # where the damage is
    ),
    min_size=1,
    max_size=30,
)


@dataclass
class Row:
    """A ciphertext as it arrives, and the number of the receiver it arrives at."""

    ciphertext: bytes
    receiver: int
    metadata: bytes
    clear: int


def rows_of(engine, suites, descriptions):
    """Party i has KID 300 + i; counters are those of the rows."""
    parties = list(zip(suites, BASE_KEYS, range(300, 304), strict=True))
    oracles = [Oracle(*party, library_for(engine)) for party in parties]
    rows = []
    for ctr, (which, size, clear, metadata, damage, place) in enumerate(descriptions):
        clear = min(clear, size)
        ciphertext = oracles[which].seal(ctr, bytes(size), metadata, clear)
        rows.append(damaged(Row(ciphertext, which, metadata, clear), damage, place, rows))
    return rows


def damaged(row, damage, place, rows):
    ciphertext, clear = row.ciphertext, row.clear
    position = place % len(ciphertext)
    match damage:
        case "duplicate":
            return rows[place % len(rows)] if rows else row
        case "bit":
            ciphertext = flipped(ciphertext, position, 1 << place % 8)
        case "cut":
            ciphertext = ciphertext[:position]
        case "unknown kid":
            ciphertext = ciphertext[:clear] + encode_header(9, 9) + ciphertext[clear + 3 :]
        case "wrong receiver":
            row.receiver = place % 4
        case "empty":
            ciphertext = b""
    return replace(row, ciphertext=ciphertext)


def receivers_of(engine, suites, window):
    receivers = [new_receiver(engine, suite, replay_window=window) for suite in suites]
    for i, receiver in enumerate(receivers):
        receiver.add_key(300 + i, BASE_KEYS[i])
    return receivers


@given(
    suites=st.tuples(*[st.sampled_from(SUITES)] * 4),
    window=st.sampled_from([0, 2, 64, 1024]),
    descriptions=DESCRIPTIONS,
)
def test_opening(engine, suites, window, descriptions):
    """Statuses, frames, KIDs and every statistic."""
    rows = rows_of(engine, suites, descriptions)
    ours, theirs = (receivers_of(engine, suites, window) for _ in range(2))
    expected = [
        status_of(ours[row.receiver], row.ciphertext, row.metadata, clear=row.clear) for row in rows
    ]
    batch = engine.unprotect_many(
        [theirs[row.receiver] for row in rows],
        [row.ciphertext for row in rows],
        [row.metadata for row in rows],
        [row.clear for row in rows],
    )
    assert list(zip(batch.status, batch.to_list(), strict=True)) == expected
    assert [r._stats() for r in ours] == [r._stats() for r in theirs]
    for row, status, kid in zip(rows, batch.status, batch.kid, strict=True):
        assert kid == (300 + row.receiver if status == OK else 0)


@pytest.mark.parametrize("count", [*range(1, 66), 127, 128, 129, 500])
def test_sealing(engine, count, rng):
    """Every count of rows: mixed suites, lengths and metadata, each what the oracle makes."""
    senders, oracles, ctrs = [], [], []
    for suite in rng.sample(SUITES, 3):
        base_key, kid, first = rng.randbytes(16), rng.getrandbits(20), rng.getrandbits(30)
        senders.append(new_sender(engine, suite, base_key, kid, first))
        oracles.append(Oracle(suite, base_key, kid, library_for(engine)))
        ctrs.append(first)
    rows, expected = [], []
    for _ in range(count):
        which, frame = rng.randrange(3), rng.randbytes(rng.choice((0, 5, 40, 160, 161, 900)))
        metadata, clear = rng.randbytes(rng.choice((0, 20))), rng.choice((0, 0, len(frame) // 2))
        rows.append((senders[which], frame, metadata, clear))
        expected.append(oracles[which].seal(ctrs[which], frame, metadata, clear))
        ctrs[which] += 1
    assert engine.protect_many(*map(list, zip(*rows, strict=True))) == expected


@pytest.mark.parametrize("count", [1, 2, 3, 8, 16, 33, 64, 65])
def test_a_bad_frame_at_each_position(engine, count, rng):
    """The others open; where it is, there is a status and no byte of plaintext."""
    suites = rng.sample(SUITES, 4)
    oracles = [Oracle(suites[i], BASE_KEYS[i], 300 + i, library_for(engine)) for i in range(4)]
    frames = [rng.randbytes(rng.choice((1, 40, 160, 700))) for _ in range(count)]
    good = [oracles[i % 4].seal(i, frame) for i, frame in enumerate(frames)]
    for position in range(count):
        receivers = receivers_of(engine, suites, 1024)
        rows = list(good)
        rows[position] = flipped(rows[position], -1 - rng.randrange(4), 1 << rng.randrange(8))
        batch = engine.unprotect_many([receivers[i % 4] for i in range(count)], rows)
        expected = [b"" if i == position else frame for i, frame in enumerate(frames)]
        assert batch.to_list() == expected
        assert list(batch.status) == [FAILED if i == position else OK for i in range(count)]
        assert not [f for f in leftovers(batch) if any(f)]


def leftovers(batch):
    """What lies in the data of a batch beside its rows."""
    data, end = memoryview(batch.data), 0
    for start, length in sorted(zip(batch.offsets, batch.lengths, strict=True)):
        yield bytes(data[end:start])
        end = max(end, start + length)
    yield bytes(data[end:])


# ---- rows under KIDs that the policy derives ----


def test_ratchet_steps_in_one_batch(engine):
    """Steps that nobody derived before are found in row order, as single calls find them."""
    layout, steps = SenderKeyLayout(4), (0, 1, 1, 2, 3, 6, 7, 9)
    rows = ratcheted_frames(engine, layout, steps)
    singly, at_once = engine.Receiver(GCM), engine.Receiver(GCM)
    for receiver in (singly, at_once):
        receiver.add_sender_key(5, BASE_KEYS[0], layout=layout)
    expected = [status_of(singly, row) for row in rows]
    batch = engine.unprotect_many(at_once, rows)
    assert list(zip(batch.status, batch.to_list(), strict=True)) == expected
    assert set(batch.status) == {OK}
    assert at_once.kids == singly.kids


def ratcheted_frames(engine, layout, steps):
    """One frame for each entry, under the key of its step."""
    keys = [BASE_KEYS[0]]
    while len(keys) <= max(steps):
        keys.append(ratchet(GCM, keys[-1]))
    return [
        Oracle(GCM, keys[step], layout.pack(5, step), library_for(engine)).seal(ctr, b"frame")
        for ctr, step in enumerate(steps)
    ]


def test_derivations_are_bounded_in_a_batch(engine):
    """200 members of an epoch without a roster speak at once: the first 64 are expected, and as
    many others are derived as they come. Of the rest a few are served, one in 64 or so."""
    layout = MLSLayout(E=4, S=10)
    rows = [
        Oracle(GCM, BASE_KEYS[0], layout.pack(3, member), library_for(engine)).seal(0, b"frame")
        for member in range(200)
    ]
    singly, at_once = engine.Receiver(GCM), engine.Receiver(GCM)
    for receiver in (singly, at_once):
        receiver.add_epoch(3, BASE_KEYS[0], layout=layout)
    for statuses in (
        [status_of(singly, row)[0] for row in rows],
        list(engine.unprotect_many(at_once, rows).status),
    ):
        assert statuses[:128] == [OK] * 128
        assert statuses[128:].count(UNKNOWN) > 50


def test_a_key_that_arrives_makes_the_same_frames_open(engine):
    """UNKNOWN_KEY alone is worth a retry, and a retry is no replay."""
    frames = [Oracle(GCM, BASE_KEYS[0], 7, library_for(engine)).seal(i, b"x") for i in range(5)]
    receiver = new_receiver(engine, GCM)
    assert set(engine.unprotect_many(receiver, frames).status) == {UNKNOWN}
    receiver.add_key(7, BASE_KEYS[0])
    assert set(engine.unprotect_many(receiver, frames).status) == {OK}
    assert set(engine.unprotect_many(receiver, frames).status) == {REPLAYED}


@pytest.mark.parametrize("frame", [b"", b"frame"])
def test_a_receiver_closed_while_its_policy_is_asked(engine, frame):
    """Statuses are those there are, also of a row that has no room; or the call is refused."""

    class Closing(engine.Receiver):
        def _resolve(self, kid):
            self.close()
            return True

    receiver = Closing(GCM)
    receiver.add_epoch(3, BASE_KEYS[0], layout=MLSLayout(E=4, S=10))
    rows = [Oracle(GCM, BASE_KEYS[0], 9, library_for(engine)).seal(i, frame) for i in range(3)]
    try:
        statuses = list(engine.unprotect_many(receiver, rows).status)
    except MisuseError:  # closed is for the caller to know
        return
    assert {FrameStatus(status) for status in statuses} <= {FrameStatus.MALFORMED, UNKNOWN}
