"""Other formats than SFrame, on both engines: formats/mark.h and twin/_formats.py are a seam.

Two toys go through every way that frames can go: a trailer whose marks name a stream, and a header
that is predicted. In C they share one library with SFrame.
"""

from functools import partial

import pytest
from c_core.core import KERNELS, kernel_or_skip
from c_core.formats import (
    FORMATS,
    KID,
    CoreParty,
    Row,
    Trailer,
    TwinParty,
    expected,
    loaded,
)
from isolated import in_child

from pysframe import CipherSuite
from pysframe.engine import _aead
from pysframe.errors import FrameRejected, FrameStatus

SIZES = (0, 1, 8, 15, 16, 48, 160, 1200, 5000)
TURN = 2**32 - 70  # SFrame and the header toy go over to longer marks in the second chunk of rows


@pytest.fixture(params=[*KERNELS, *_aead.PROVIDERS])
def party(request):
    """A party on one kernel or provider: party(format, suite, base_key, first counter)."""
    if request.param in KERNELS:
        return partial(CoreParty, request.param)
    if why := _aead.survey()[request.param]:
        pytest.skip(why)
    return partial(TwinParty, request.param)


@pytest.fixture(params=FORMATS)
def name(request):
    return request.param


@pytest.fixture(params=(1, 4, 5, 8))
def suite(request):
    return request.param


def rows(rng, plain: bool) -> list[Row]:
    """More than a chunk of them, of every length, some longer than a lock is held for."""
    made = []
    for size in SIZES:
        for clear in sorted({0, min(3, size), size // 2}):
            for metadata in (b"", b"room 12", rng.randbytes(100)):
                made.append(Row(rng.randbytes(size), metadata, clear))
    return [Row(row.data) for row in made] if plain else made


def ways(party, of: str):
    """(way, whether its rows are plain)"""
    made = party.func
    return [(way, way in made.PLAIN) for way in getattr(made, of)]


def test_every_way_of_sealing(party, name, suite, rng):
    for way, plain in ways(party, "SEALING"):
        base_key, given = rng.randbytes(32), rows(rng, plain)
        first = 1 << 20 if plain else TURN  # columns are for the usual case, which has no turn
        one = party(name, suite, base_key, first)
        wires = one.seal(way, given)
        for ctr, (row, wire) in enumerate(zip(given, wires, strict=True), first):
            assert wire == expected(name, suite, base_key, ctr, row, one.library), (way, ctr)


def opens_every_way(party, name, suite, rng, alone: bool):
    for way, plain in ways(party, "OPENING"):
        base_key, given = rng.randbytes(32), rows(rng, plain)
        one = party(name, suite, base_key, 0)
        wires = [
            Row(expected(name, suite, base_key, ctr, row, one.library), *row[1:])
            for ctr, row in enumerate(given, TURN)
        ]
        predicts = one.predicts(way, alone)
        before = predicts and one.predictions()
        assert one.open(way, wires) == [(0, row.data) for row in given], way
        assert not predicts or one.predictions() > before, way
        assert one.open(way, wires) == [(FrameStatus.REPLAYED, b"")] * len(given), way


def test_every_way_of_opening(party, name, suite, rng):
    opens_every_way(party, name, suite, rng, alone=False)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_way_of_opening_with_exclusive_access(kernel, name, suite, rng):
    """Batches expect a mark only where no other thread can be using the receiver."""
    kernel_or_skip(kernel)

    def work() -> None:
        loaded()[1].sfr_serialize_callers()
        opens_every_way(partial(CoreParty, kernel), name, suite, rng, alone=True)

    in_child(work)


def test_tampering_is_refused(party, name, suite, rng):
    """Every byte counts: clear bytes, mark, ciphertext and tag; and the metadata do."""
    for way, plain in ways(party, "OPENING"):
        base_key = rng.randbytes(32)
        row = Row(rng.randbytes(20)) if plain else Row(rng.randbytes(20), b"room", 4)
        one = party(name, suite, base_key, 0)
        wire = expected(name, suite, base_key, 500, row, one.library)
        changed = [altered(wire, at, rng) for at in range(len(wire))]
        wanted = [(verdict(name, wire, row.clear, suite), b"") for wire in changed]
        assert one.open(way, [Row(wire, *row[1:]) for wire in changed]) == wanted, way
        least = row.clear + CipherSuite(suite).Nt + 1
        short = one.open(way, [Row(wire[:size], *row[1:]) for size in range(least)])
        assert short == [(FrameStatus.MALFORMED, b"")] * least, way
        if not plain:
            assert one.open(way, [Row(wire, b"rook", 4), Row(wire, b"room", 3)]) == [
                (FrameStatus.AUTHENTICATION_FAILED, b""),
                (verdict(name, wire, 3, suite), b""),
            ]
        assert one.open(way, [Row(wire, *row[1:])]) == [(0, row.data)], "nothing had changed"


def altered(wire: bytes, at: int, rng) -> bytes:
    changed = bytearray(wire)
    changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def verdict(name: str, wire: bytes, clear: int, suite: int) -> FrameStatus:
    """Why this forgery is refused, from what its mark claims."""
    try:
        claimed = FORMATS[name].read(wire[clear:], CipherSuite(suite).Nt, True)
    except FrameRejected as refusal:
        return refusal.status
    known = claimed.kid == KID
    return FrameStatus.AUTHENTICATION_FAILED if known else FrameStatus.UNKNOWN_KEY


@pytest.mark.parametrize("kernel", KERNELS)
def test_formats_live_side_by_side(kernel, suite, rng):
    """One library: its senders seal in turns, and no receiver opens another format's frames."""
    made = partial(CoreParty, kernel)
    parties = {name: made(name, suite, rng.randbytes(32), 3) for name in FORMATS}
    for _ in range(3):
        row = Row(rng.randbytes(60), b"room", 5)
        wires = {name: one.seal("one", [row])[0] for name, one in parties.items()}
        for name, one in parties.items():
            for other, wire in wires.items():
                ((status, frame),) = one.open("one", [Row(wire, *row[1:])])
                assert (status == 0) == (other == name) and frame == row.data * (status == 0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_formats_share_the_registry_of_senders(kernel, rng):
    """A key that seals SFrame has no second sender, not even one of another format."""
    base_key = rng.randbytes(32)
    one = CoreParty(kernel, "sframe", 4, base_key, 0)
    for name in FORMATS:
        second = CoreParty(kernel, name, 4, base_key, 0, second=True)
        assert second.status == one.lib.SFR_E_DUPLICATE, name


def test_a_stream_is_part_of_the_marks(party, suite, rng):
    """Senders with streams of their own, and one receiver for all of them."""
    base_key, row = rng.randbytes(32), Row(rng.randbytes(40), b"", 3)
    one = party("trailer", suite, base_key, 0)
    assert one.open("one", [Row(one.seal("one", [row])[0], b"", 3)]) == [(0, row.data)]
    for stream in (0, 1, 2**32 - 1):
        other = party("trailer", suite, rng.randbytes(32), 9, stream=stream)
        (wire,) = other.seal("many", [row])
        assert wire[-13:] == Trailer(stream).mark(KID, 9)
        renamed = wire[:-5] + (stream ^ 1).to_bytes(4) + wire[-1:]
        refused = [(FrameStatus.AUTHENTICATION_FAILED, b"")]
        assert other.open("many", [Row(renamed, b"", 3)]) == refused
        assert other.open("many", [Row(wire, b"", 3)]) == [(0, row.data)]
