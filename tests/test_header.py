"""The header of RFC 9605 4.3, scalar and in bulk."""

import dataclasses

import numpy as np
import pytest
from figures import integer, load, octets
from hypothesis import example, given
from hypothesis import strategies as st

from pysframe.batch import FrameBatch
from pysframe.errors import FrameStatus, MalformedFrame, MisuseError
from pysframe.header import Header, parse_headers

VALUES = st.integers(0, 2**64 - 1) | st.integers(0, 64).map(lambda bits: (1 << bits) - 1)
FIGURES = [
    (integer(kid), integer(ctr), octets(data)) for kid, ctr, data in load("rfc9605")["header"]
]


def expected(data: bytes) -> tuple[int, int, int] | None:
    """(kid, ctr, size) by the letter of RFC 9605 4.3, bit by bit; None where it is cut short."""
    if not data:
        return None
    bits = f"{data[0]:08b}"
    rest = data[1:]
    fields = []
    for flag, low in ((bits[0], bits[1:4]), (bits[4], bits[5:8])):
        if flag == "0":
            fields.append(int(low, 2))
            continue
        length = int(low, 2) + 1
        if len(rest) < length:
            return None
        fields.append(int(rest[:length].hex(), 16))
        rest = rest[length:]
    return fields[0], fields[1], len(data) - len(rest)


def is_minimal(data: bytes) -> bool:
    kid, ctr, size = expected(data)
    return Header(kid, ctr).encode() == data[:size]


@pytest.mark.parametrize(("kid", "ctr", "data"), FIGURES, ids=lambda value: None)
def test_the_figures_of_the_rfc(kid, ctr, data):
    assert Header(kid, ctr).encode() == data
    assert Header.parse(data) == Header(kid, ctr)
    assert Header(kid, ctr).size == len(data)


@given(VALUES, VALUES, st.binary(max_size=20))
def test_what_is_encoded_parses_back(kid, ctr, behind):
    data = Header(kid, ctr).encode()
    assert 1 <= len(data) <= 17
    header = Header.parse(data + behind)
    assert (header.kid, header.ctr, header.size) == (kid, ctr, len(data))


@given(VALUES, VALUES)
def test_no_shorter_encoding_exists(kid, ctr):
    """RFC 9605 4.3 MUST: the minimum number of bytes."""
    needed = sum(0 if value < 8 else len(f"{value:x}") + 1 >> 1 for value in (kid, ctr))
    assert Header(kid, ctr).size == len(Header(kid, ctr).encode()) == 1 + needed


def test_the_smallest_values_of_each_size():
    """Where a value takes a byte more, to the number."""
    for value in range(300):
        size = 0 if value <= 7 else 1 if value <= 255 else 2
        assert Header(value, 0).size == Header(0, value).size == 1 + size
        assert Header.parse(Header(value, value).encode()) == Header(value, value)


def test_headers_are_values():
    header = Header(1, 2)
    assert {header, Header(1, 2)} == {header}
    assert not hasattr(header, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        header.kid = 9


@given(st.binary(max_size=24))
@example(b"\x80\x03")
@example(b"\x08\x05")
@example(b"\xff" * 17)
def test_any_bytes_parse_as_the_rfc_says_or_are_malformed(data):
    fields = expected(data)
    if fields is None:
        with pytest.raises(MalformedFrame):
            Header.parse(data, strict=False)
    else:
        lenient = Header.parse(data, strict=False)
        assert (lenient.kid, lenient.ctr, lenient.size) == fields
    if fields is None or not is_minimal(data):
        with pytest.raises(MalformedFrame):
            Header.parse(data)
    else:
        assert Header.parse(data) == lenient
        assert lenient.encode() == data[: lenient.size]


@pytest.mark.parametrize("fill", [0x00, 0x01, 0xFF])
def test_every_config_byte_at_every_length(fill):
    for config in range(256):
        for length in range(18):
            data = (bytes([config]) + bytes([fill]) * 17)[:length]
            fields = expected(data)
            try:
                header = Header.parse(data)
            except MalformedFrame:
                assert fields is None or not is_minimal(data)
            else:
                assert (header.kid, header.ctr, header.size) == fields


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "it is empty"),
        ("99", "config byte 0x99 means a header of 5 bytes, and it has 1"),
        ("9901234567"[:-2], "config byte 0x99 means a header of 5 bytes, and it has 4"),
        ("8003", r"its KID 0x3 is not in the shortest form \(1 bytes .* where 0 would do\)"),
        ("0805", r"its CTR 0x5 is not in the shortest form \(1 bytes .* where 0 would do\)"),
        ("900009", r"its KID 0x9 is not in the shortest form \(2 bytes .* where 1 would do\)"),
        ("9901230000", r"its CTR 0x0 is not in the shortest form \(2 bytes .* where 0 would do\)"),
    ],
)
def test_a_malformed_header_says_what_is_wrong_with_it(data, why):
    with pytest.raises(MalformedFrame, match=why):
        Header.parse(octets(data))


def test_a_header_that_is_not_minimal_is_read_on_request_and_tells_its_size():
    header = Header.parse(octets("980003000004") + b"ciphertext", strict=False)
    assert (header.kid, header.ctr, header.size) == (3, 0, 4)
    assert header.encode() == octets("30")


def test_a_malformed_header_tells_the_kid_it_claims_where_it_can_be_read():
    with pytest.raises(MalformedFrame) as caught:
        Header.parse(octets("900009"))
    assert (caught.value.kid, caught.value.ctr) == (9, 0)
    with pytest.raises(MalformedFrame) as caught:
        Header.parse(b"")
    assert (caught.value.kid, caught.value.ctr) == (None, None)


@pytest.mark.parametrize("name", ["kid", "ctr"])
@pytest.mark.parametrize("value", [-1, 2**64])
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(MisuseError, match=f"{name} is {value}"):
        Header(**({"kid": 0, "ctr": 0} | {name: value}))


def test_integers_of_numpy_are_integers():
    header = Header(np.uint64(2**64 - 1), np.int8(7))
    assert header == Header(2**64 - 1, 7)
    assert header.encode() == octets("f7" + "ff" * 8)
    with pytest.raises(TypeError):
        Header("1", 0)


@pytest.mark.parametrize("wrong", ["00", None, 0, [0], 1.5])
def test_only_bytes_like_objects_are_parsed(wrong):
    what = f"^ciphertext must be a bytes-like object, not {type(wrong).__name__}$"
    with pytest.raises(TypeError, match=what):
        Header.parse(wrong)
    with pytest.raises(TypeError, match=what):
        parse_headers([b"\0", wrong])


def test_any_contiguous_buffer_is_parsed():
    data = octets("9901234567")
    padded = np.frombuffer(data + b"\0", np.uint16)
    for buffer in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8), padded):
        assert Header.parse(buffer) == Header(0x123, 0x4567)
    with pytest.raises(BufferError):
        Header.parse(memoryview(data)[::2])
    with pytest.raises(MalformedFrame, match="empty"):
        Header.parse(np.zeros((0, 3)))


@given(st.lists(st.binary(max_size=24)), st.booleans())
@example([b"\x80\x03"], True)
@example([b"\x80\x03"], False)
def test_many_headers_are_each_header(ciphertexts, strict):
    columns = parse_headers(ciphertexts, strict=strict)
    assert len(columns) == len(ciphertexts)
    for row, ciphertext in enumerate(ciphertexts):
        found = columns.kid[row], columns.ctr[row], columns.size[row]
        try:
            header = Header.parse(ciphertext, strict=strict)
        except MalformedFrame:
            assert (found, columns.status[row]) == ((0, 0, 0), FrameStatus.MALFORMED)
        else:
            assert found == (header.kid, header.ctr, header.size)
            assert columns.status[row] == FrameStatus.OK


def test_the_columns_are_typed_and_read_only():
    columns = parse_headers(FrameBatch.from_frames([data for _kid, _ctr, data in FIGURES]))
    assert [view.format for view in (columns.kid, columns.ctr, columns.size, columns.status)] == [
        "Q", "Q", "B", "B",
    ]  # fmt: skip
    assert np.array_equal(np.asarray(columns.kid), [kid for kid, _ctr, _data in FIGURES])
    assert not any(columns.status)
    with pytest.raises(TypeError):
        columns.kid[0] = 1


def test_headers_that_are_not_minimal_are_malformed_unless_asked_for():
    assert parse_headers([b"\x80\x03"]).status.tolist() == [FrameStatus.MALFORMED]
    assert parse_headers([b"\x80\x03"], strict=False).kid.tolist() == [3]


def test_clear_bytes_before_the_headers_are_passed_over():
    ciphertexts = [b"\x10\x20" + octets("9901234567"), b"\x07"]
    assert parse_headers(ciphertexts, clear=2).kid.tolist() == [0x123, 0]
    assert parse_headers(ciphertexts, clear=[2, 0]).ctr.tolist() == [0x4567, 7]
    assert parse_headers(ciphertexts, clear=9).status.tolist() == [1, 1]
    with pytest.raises(MisuseError, match="negative"):
        parse_headers(ciphertexts, clear=[0, -1])
    with pytest.raises(MisuseError, match="1 rows for 2 frames"):
        parse_headers(ciphertexts, clear=[0])
    with pytest.raises(TypeError):
        parse_headers(ciphertexts, clear="ab")
