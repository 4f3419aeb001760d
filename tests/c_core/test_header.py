"""frame/header.c against the RFC's figures and against the oracle, field by field."""

import pytest
from figures import load
from oracle import encode_header

EDGES = sorted(
    {0, 1, 6, 7, 8, 9}
    | {(1 << bits) + d for bits in range(3, 64) for d in (-1, 0, 1)}
    | {2**64 - 2, 2**64 - 1}
)


def encode(core, kid, ctr):
    ffi, lib = core
    out = ffi.new("uint8_t[]", lib.SFR_MAX_HEADER)
    size = lib.sfr_header_encode(kid, ctr, out)
    assert size == lib.sfr_header_size(kid, ctr)
    return bytes(out[0:size])


def parse(core, data, strict=1):
    """(kid, ctr, size), or None when it is malformed."""
    ffi, lib = core
    header = ffi.new("sfr_header *")
    status = lib.sfr_header_parse(data, len(data), strict, header)
    assert status in (lib.SFR_OK, lib.SFR_MALFORMED)
    return (header.kid, header.ctr, header.size) if status == lib.SFR_OK else None


def test_the_figures(core):
    for kid_hex, ctr_hex, encoded in load("rfc9605")["header"]:
        kid, ctr, header = int(kid_hex, 16), int(ctr_hex, 16), bytes.fromhex(encoded)
        assert encode(core, kid, ctr) == header
        assert parse(core, header) == (kid, ctr, len(header))
        assert parse(core, header + b"\xff" * 20) == (kid, ctr, len(header))


def test_edges(core):
    for kid in EDGES:
        for ctr in [*EDGES[::5], kid]:
            header = encode_header(kid, ctr)
            assert encode(core, kid, ctr) == header
            assert parse(core, header + b"\xa5") == (kid, ctr, len(header))


def test_truncated(core):
    for kid in (0, 8, 300, 2**63):
        for ctr in (7, 8, 300, 2**64 - 1):
            header = encode_header(kid, ctr)
            assert [parse(core, header[:n]) for n in range(len(header))] == [None] * len(header)


def long_form(value, size):
    """A field in `size` bytes, whether that is the least or not: its bits, and its bytes."""
    return 8 + size - 1, value.to_bytes(size)


@pytest.mark.parametrize("size", range(1, 9))
def test_not_minimal(core, size):
    """Strict refuses it; lenient reads the value."""
    for value in [v for v in EDGES if v < 1 << 8 * (size - 1) or v < 8]:
        bits, field = long_form(value, size)
        kid_header, ctr_header = bytes([bits << 4 | 5]) + field, bytes([5 << 4 | bits]) + field
        assert parse(core, kid_header) is None
        assert parse(core, ctr_header) is None
        assert parse(core, kid_header, strict=0) == (value, 5, 1 + size)
        assert parse(core, ctr_header, strict=0) == (5, value, 1 + size)


def test_every_config_byte(core, rng):
    """Whatever the config byte says, parsing stays inside and agrees with encoding."""
    for config in range(256):
        for size in range(19):
            data = (bytes([config]) + rng.randbytes(18))[:size]
            lenient, strict = parse(core, data, strict=0), parse(core, data)
            if strict is not None:
                assert encode(core, strict[0], strict[1]) == data[: strict[2]]
                assert lenient == strict
            if lenient is not None:
                minimal = encode(core, lenient[0], lenient[1])
                assert (strict is None) == (len(minimal) < lenient[2])
