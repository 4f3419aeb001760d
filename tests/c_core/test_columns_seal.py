"""Columns are sealed to the bytes of single frames, or no row is sealed."""

import pytest
from c_core.columns import FILL, Columns
from c_core.parties import LAST_CTR, MAX_FRAME, CSender
from oracle import Oracle

COUNTS = (1, 63, 64, 65, 200)
HALF, BUDGET = 1 << 35, 1 << 36
SUITES = (4, 5, 1, 8)


def senders_and_oracles(kernel, rng, first):
    made = []
    for suite in SUITES:
        base_key, kid = rng.randbytes(16), rng.choice((3, 300, rng.getrandbits(64)))
        oracle = Oracle(suite, base_key, kid, "cryptography")
        made.append((CSender(kernel, suite, base_key, kid, first), oracle))
    return made


@pytest.mark.parametrize("by_address", [False, True])
@pytest.mark.parametrize("first", [0, 300, 1 << 40])
def test_columns_are_the_oracle_s_frames(core, kernel, first, by_address, rng, either_way):
    def work():
        for count in COUNTS:
            pairs = senders_and_oracles(kernel, rng, first + 1000)
            rows, expected, used = [], [], [first + 1000] * len(pairs)
            picked = [rng.randrange(len(pairs)) for _ in range(count)]
            for which in picked:
                rows.append(rng.randbytes(rng.choice((0, 1, 40, 160, 161, 1300))))
                sealed = pairs[which][1].seal(used[which], rows[-1])
                expected.append((0, sealed, pairs[which][1].kid, used[which]))
                used[which] += 1
            columns = Columns([pairs[i][0] for i in picked], rows, by_address=by_address)
            room = columns.protect_room()
            assert room == sum(len(sealed) for _, sealed, _, _ in expected)
            assert columns.protect(room) == count
            assert columns.rows() == expected
            assert columns.written() == b"".join(sealed for _, sealed, _, _ in expected)

    either_way(work)


@pytest.mark.parametrize("by_address", [False, True])
@pytest.mark.parametrize("first", [300, 1 << 40])
def test_rows_are_the_oracle_s_frames(core, kernel, first, by_address, rng, either_way):
    def work():
        for count in COUNTS:
            pairs = senders_and_oracles(kernel, rng, first)
            picked = [rng.randrange(len(pairs)) for _ in range(count)]
            rows = [rng.randbytes(rng.choice((0, 1, 40, 160, 161, 1300))) for _ in picked]
            columns = Columns([pairs[i][0] for i in picked], rows, by_address=by_address)
            done, sealed = columns.protect_rows()
            assert done == count
            for at, (which, row) in enumerate(zip(picked, rows, strict=True)):
                ctr = first + picked[:at].count(which)
                assert sealed[at] == pairs[which][1].seal(ctr, row)

    either_way(work)


def test_no_row_is_sealed_where_a_header_grows(core, kernel, rng, either_way):
    def work():
        sender = CSender(kernel, 4, rng.randbytes(16), 7, 250)
        assert Columns([sender] * 64, [b"frame"] * 64).protect_rows() == (0, [])
        assert sender.next_ctr() == (0, 250)

    either_way(work)


def room_of(sender, count=64, size=20):
    return Columns([sender] * max(1, count), [bytes(size)] * count).protect_room()


@pytest.mark.parametrize(
    ("first", "last", "count", "usual"),
    [
        (0, LAST_CTR, 0, False),
        (8, LAST_CTR, 64, True),
        (0, LAST_CTR, 7, True),
        (0, LAST_CTR, 8, False),  # the header of counter 8 is longer
        (250, LAST_CTR, 64, False),
        (2**16 - 1, LAST_CTR, 1, False),
        (LAST_CTR - 64, LAST_CTR, 64, True),
        (LAST_CTR - 63, LAST_CTR, 64, False),
        (LAST_CTR, LAST_CTR, 1, False),
        (10, 74, 64, True),
        (10, 73, 64, False),  # the lease ends
    ],
)
def test_what_is_not_the_usual_case(core, kernel, first, last, count, usual, rng, either_way):
    def work():
        sender = CSender(kernel, 4, rng.randbytes(16), first=first, last=last)
        assert (room_of(sender, count) > 0) == usual
        assert sender.next_ctr()[1] == first

    either_way(work)


def test_who_cannot_seal_gets_no_room(core, kernel, rng):
    good = CSender(kernel, 4, rng.randbytes(16), first=100)
    closed, spent = (CSender(kernel, 4, rng.randbytes(16), first=9, last=9) for _ in range(2))
    closed.close()
    spent.protect(b"")
    for bad in (closed, spent):
        for position in range(3):
            senders = [bad if i == position else good for i in range(3)]
            assert Columns(senders, [b"x"] * 3).protect_room() == 0
    assert Columns([good], [bytes(MAX_FRAME + 1)]).protect_room() == 0
    assert Columns([good], [bytes(MAX_FRAME)]).protect_room() > 0


HOSTILE = [
    (-1, 1), (0, -1), (0, -(2**31)), (-(2**63), 5), (2**63 - 1, 5), (100, 1), (96, 5), (0, 101),
    (0, 2**31 - 1), (2**63 - 1, 2**31 - 1), (101, 0), (-5, 5),
]  # fmt: skip


@pytest.mark.parametrize(("offset", "length"), HOSTILE)
def test_a_row_outside_the_data(core, kernel, offset, length, rng):
    sender = CSender(kernel, 4, rng.randbytes(16), first=100)
    for position in range(3):
        columns = Columns([sender] * 3, [bytes(100)])
        rows = [(0, 50), (50, 50), (100, 0)]
        rows[position] = (offset, length)
        columns.place([at for at, _ in rows], [size for _, size in rows])
        assert columns.protect_room() == 0


def test_a_length_whose_ciphertext_is_no_int32(core, kernel, rng):
    """Only measured: nobody reads two gigabytes here."""
    ffi, lib = core
    of, found = lib.sfr_suite_find(4), lib.sfr_kernel_find(kernel.encode())
    maker = CSender(kernel, 4, rng.randbytes(16))
    secret, out = maker.secret(4, rng.randbytes(16)), ffi.new("sfr_sender **")
    assert of and lib.sfr_sender_new(out, secret, found, 7, 100, LAST_CTR, 2**31 - 1) == 0
    sender = ffi.gc(out[0], lib.sfr_sender_free)
    columns = Columns([maker], [b"x"])
    columns.owners = ffi.new("sfr_sender *[]", [sender])
    rooms = []
    for length in (2**31 - 34, 2**31 - 32):
        columns.place([0], [length])
        columns.given.data, columns.given.size = ffi.NULL, 2**63 - 1
        rooms.append(columns.protect_room())
    assert rooms[0] > 2**31 - 34 and rooms[1] == 0


@pytest.mark.parametrize("missing", [1, 20, 40, 63 * 50])
def test_room_too_small(core, kernel, missing, rng, either_way):
    """As many rows as fit are sealed, the others take no counter, and nothing is written beyond."""

    def work():
        sender = CSender(kernel, 4, rng.randbytes(16), first=100)
        columns = Columns([sender] * 64, [bytes(50)] * 64)
        each = columns.protect_room() // 64
        done = columns.protect(64 * each - missing)
        assert done == (64 * each - missing) // each < 64
        assert sender.next_ctr() == (0, 100 + done)
        assert columns.written()[done * each :] == bytes([FILL]) * (columns.room - done * each)

    either_way(work)


def blocks_for(rows, size):
    return rows * ((size + 15) // 16 + 2)


@pytest.mark.parametrize("overlapping", [True, False])
def test_half_of_the_budget_is_not_passed_unnoticed(core, kernel, overlapping, rng):
    """Columns tell nobody that a key is due, so they end before it. Rows may overlap."""
    sender = CSender(kernel, 4, rng.randbytes(16), first=100)
    columns = Columns([sender] * 64, [bytes(1600)])
    if overlapping:
        columns.place([0] * 64, [1600] * 64)
    else:
        columns.place([i * 25 for i in range(64)], [25] * 64)
    needed, granted = blocks_for(64, columns.lengths[0]), 0
    for blocks in range(HALF - needed - 1000, HALF, 37):
        sender.lib.sfr_sender_set_blocks(sender.pointer, blocks)
        if columns.protect_room():
            granted += 1
            assert blocks + needed < HALF
    assert granted  # far from it, columns are sealed


def test_the_meter_does_not_wrap(core, kernel, rng):
    _, lib = core
    for blocks in (BUDGET, BUDGET + 1, 2**63, 2**64 - 1):
        sender = CSender(kernel, 4, rng.randbytes(16), first=100)
        lib.sfr_sender_set_blocks(sender.pointer, blocks)
        assert sender.protect(b"frame")[0] == lib.SFR_E_KEY_EXHAUSTED
        assert lib.sfr_sender_blocks(sender.pointer) == BUDGET
        assert room_of(sender) == 0
