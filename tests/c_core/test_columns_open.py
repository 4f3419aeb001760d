"""Columns are opened as single frames are, and what is refused becomes zeros."""

import pytest
from c_core.columns import Columns
from c_core.parties import CReceiver
from c_core.test_columns_seal import COUNTS, HOSTILE
from oracle import Oracle
from parties import flipped

SUITES = (4, 5, 1, 8)


class Wires:
    """Ciphertexts of some oracles, and the receivers that know them."""

    def __init__(self, kernel, rng, count, sizes=(0, 1, 40, 160, 1300)) -> None:
        keys = [(suite, rng.randbytes(16), rng.choice((3, 300, 2**63 + 1))) for suite in SUITES]
        oracles = [Oracle(*key, "cryptography") for key in keys]
        self.picked = [rng.randrange(len(keys)) for _ in range(count)]
        self.frames = [rng.randbytes(rng.choice(sizes)) for _ in range(count)]
        rows = enumerate(zip(self.picked, self.frames, strict=True))
        self.wires = [oracles[which].seal(500 + i, frame) for i, (which, frame) in rows]
        self.good = [
            (0, frame, keys[which][2], 500 + i)
            for i, (which, frame) in enumerate(zip(self.picked, self.frames, strict=True))
        ]
        self.sides = [[CReceiver(kernel, *key) for key in keys] for _ in range(2)]

    def owners(self, side=0):
        return [self.sides[side][which] for which in self.picked]

    def singly(self):
        """(status, frame) of each row on the other side's receivers."""
        return [r.unprotect(wire) for r, wire in zip(self.owners(1), self.wires, strict=True)]

    def statistics(self, side):
        found = []
        for receiver in self.sides[side]:
            totals, keys = receiver.totals(), receiver.keys()
            found.append((totals.malformed, totals.unknown, [
                (k.kid, k.opened, k.auth_failed, k.replayed, k.too_old, k.last_ctr)
                for k in keys.values()]))  # fmt: skip
        return found


def opened(columns):
    room = columns.exact_open_room()
    assert columns.open_room() >= room
    refused = columns.unprotect(columns.open_room())
    assert columns.room <= room
    rows = columns.rows()
    assert refused == sum(status != 0 for status, *_ in rows)
    assert all(row[1:] == (b"", 0, 0) for row in rows if row[0])
    return rows


def spoil(wires, rng):
    """Each kind of bad row, among the good ones."""
    for i, wire in enumerate(wires.wires):
        match rng.randrange(8):
            case 0:
                wires.wires[i] = flipped(wire, -1 - rng.randrange(4))
            case 1:
                wires.wires[i] = wire[: rng.randrange(len(wire))]
            case 2:
                wires.wires[i] = b"\x99\x77" + wire[1:]  # nobody's KID
            case 3 if i:
                same = rng.randrange(i)
                wires.wires[i], wires.picked[i] = wires.wires[same], wires.picked[same]
            case 4:
                wires.wires[i] = b""


@pytest.mark.parametrize("by_address", [False, True])
def test_columns_are_single_frames(core, kernel, by_address, rng, either_way):
    def work():
        for count in (0, *COUNTS):
            wires = Wires(kernel, rng, count)
            spoil(wires, rng)
            owners = wires.owners() or [wires.sides[0][0]]
            columns = Columns(owners, wires.wires, by_address=by_address)
            rows = opened(columns)
            assert [row[:2] for row in rows] == wires.singly()
            assert wires.statistics(0) == wires.statistics(1)

    either_way(work)


def test_kid_and_counter_of_good_rows(core, kernel, rng):
    wires = Wires(kernel, rng, 200)
    assert opened(Columns(wires.owners(), wires.wires)) == wires.good


@pytest.mark.parametrize("count", [1, 2, 64, 65])
def test_a_bad_row_at_each_position(core, kernel, count, rng):
    """Its room holds zeros, its neighbours' their frames."""
    _, lib = core
    for position in range(count):
        wires = Wires(kernel, rng, count, sizes=(1, 40, 160))
        wires.wires[position] = flipped(wires.wires[position], -1)
        columns = Columns(wires.owners(), wires.wires)
        wires.good[position] = (lib.SFR_AUTH_FAILED, b"", 0, 0)
        assert opened(columns) == wires.good
        wires.frames[position] = bytes(len(wires.frames[position]))
        assert columns.written() == b"".join(wires.frames)


@pytest.mark.parametrize("distance", [1, 63, 64, 199])
def test_replays_within_a_batch(core, kernel, distance, rng, either_way):
    _, lib = core

    def work():
        wires = Wires(kernel, rng, 200)
        wires.wires[distance], wires.picked[distance] = wires.wires[0], wires.picked[0]
        rows = opened(Columns(wires.owners(), wires.wires))
        wires.good[distance] = (lib.SFR_REPLAYED, b"", 0, 0)
        assert rows == wires.good
        again = opened(Columns(wires.owners(), wires.wires))
        assert {status for status, *_ in again} == {lib.SFR_REPLAYED}

    either_way(work)


@pytest.mark.parametrize(("offset", "length"), HOSTILE)
def test_a_row_outside_the_data(core, kernel, offset, length, rng):
    ffi, _ = core
    receiver = CReceiver(kernel, 4, rng.randbytes(16))
    for position in range(3):
        columns = Columns([receiver] * 3, [bytes(100)])
        rows = [(0, 50), (50, 50), (100, 0)]
        rows[position] = (offset, length)
        columns.place([at for at, _ in rows], [size for _, size in rows])
        assert columns.open_room() == int(ffi.cast("size_t", -1))


def test_closed_receivers(core, kernel, rng):
    _, lib = core
    wires = Wires(kernel, rng, 65)
    for receiver in wires.sides[0]:
        receiver.close()
    rows = opened(Columns(wires.owners(), wires.wires))
    assert {status for status, *_ in rows} == {lib.SFR_UNKNOWN_KEY}


# ---- rows that another thread changed since their room was measured ----


@pytest.mark.parametrize("position", [0, 63, 64, 69])
@pytest.mark.parametrize("size", [40, 160])
def test_a_header_that_grew(core, kernel, position, size, rng):
    """Its row is smaller then, and holds zeros, not what lay there."""
    wires = Wires(kernel, rng, 70, sizes=(size,))
    columns = Columns(wires.owners(), wires.wires)
    room = columns.exact_open_room()
    columns.data[columns.offsets[position]] = 0xFF  # KID and counter of eight bytes each
    columns.unprotect(room)
    rows = columns.rows()
    assert [row for i, row in enumerate(rows) if i != position] == [
        row for i, row in enumerate(wires.good) if i != position
    ]
    assert rows[position][0] and rows[position][1:] == (b"", 0, 0)
    kept = bytearray(columns.written())
    for start, length in zip(columns.made[0][0:70], columns.made[1][0:70], strict=True):
        kept[start : start + length] = bytes(length)
    assert not any(kept)


def test_a_header_that_shrank(core, kernel, rng):
    """The last row finds less room than it needs: malformed, and nothing is written beyond."""
    _, lib = core
    wires = Wires(kernel, rng, 70, sizes=(160,))
    columns = Columns(wires.owners(), wires.wires)
    room = columns.exact_open_room()
    columns.data[columns.offsets[0]] = 0
    columns.unprotect(room)
    rows = columns.rows()
    assert rows[1:-1] == wires.good[1:-1] and rows[0][0]
    assert rows[-1] == (lib.SFR_MALFORMED, b"", 0, 0)


@pytest.mark.parametrize("less", [1, 160, 161, 9000])
def test_room_too_small(core, kernel, less, rng, either_way):
    _, lib = core

    def work():
        wires = Wires(kernel, rng, 70, sizes=(160,))
        columns = Columns(wires.owners(), wires.wires)
        columns.unprotect(columns.exact_open_room() - less)
        whole = (70 * 160 - less) // 160
        assert columns.rows()[:whole] == wires.good[:whole]
        assert columns.rows()[whole:] == [(lib.SFR_MALFORMED, b"", 0, 0)] * (70 - whole)

    either_way(work)
