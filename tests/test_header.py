"""The header of RFC 9605 4.3, scalar and in bulk."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from figures import integer, load, octets
from hypothesis import example, given
from hypothesis import strategies as st

import pysframe
from pysframe import FrameBatch
from pysframe import engine as engines
from pysframe.errors import FrameStatus, MalformedFrame, MisuseError
from pysframe.header import why_malformed

# The native form and that of the twin, which the same tests hold to the same behaviour.
FORMS = {name.split(":")[0]: engines.bind(name) for name in engines.available()}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
Header = engines.default().Header

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


@each_form
@pytest.mark.parametrize(("kid", "ctr", "data"), FIGURES, ids=lambda value: None)
def test_the_figures_of_the_rfc(form, kid, ctr, data):
    assert form.Header(kid, ctr).encode() == data
    assert form.Header.parse(data) == form.Header(kid, ctr)
    assert form.Header(kid, ctr).size == len(data)


@each_form
@given(VALUES, VALUES, st.binary(max_size=20))
def test_what_is_encoded_parses_back(form, kid, ctr, behind):
    data = form.Header(kid, ctr).encode()
    assert 1 <= len(data) <= 17
    header = form.Header.parse(data + behind)
    assert (header.kid, header.ctr, header.size) == (kid, ctr, len(data))


@each_form
@given(VALUES, VALUES)
def test_no_shorter_encoding_exists(form, kid, ctr):
    """RFC 9605 4.3 MUST: the minimum number of bytes."""
    needed = sum(0 if value < 8 else len(f"{value:x}") + 1 >> 1 for value in (kid, ctr))
    assert form.Header(kid, ctr).size == len(form.Header(kid, ctr).encode()) == 1 + needed


@each_form
def test_the_smallest_values_of_each_size(form):
    """Where a value takes a byte more, to the number."""
    for value in range(300):
        size = 0 if value <= 7 else 1 if value <= 255 else 2
        assert form.Header(value, 0).size == form.Header(0, value).size == 1 + size
        assert form.Header.parse(form.Header(value, value).encode()) == form.Header(value, value)


@each_form
def test_headers_are_values(form):
    header = form.Header(1, 2)
    assert {header, form.Header(1, 2)} == {header}
    assert not hasattr(header, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        header.kid = 9


@each_form
@given(st.binary(max_size=24))
@example(b"\x80\x03")
@example(b"\x08\x05")
@example(b"\xff" * 17)
def test_any_bytes_parse_as_the_rfc_says_or_are_malformed(form, data):
    fields = expected(data)
    if fields is None:
        with pytest.raises(MalformedFrame):
            form.Header.parse(data, strict=False)
    else:
        lenient = form.Header.parse(data, strict=False)
        assert (lenient.kid, lenient.ctr, lenient.size) == fields
    if fields is None or not is_minimal(data):
        with pytest.raises(MalformedFrame):
            form.Header.parse(data)
    else:
        assert form.Header.parse(data) == lenient
        assert lenient.encode() == data[: lenient.size]


@each_form
@pytest.mark.parametrize("fill", [0x00, 0x01, 0xFF])
def test_every_config_byte_at_every_length(form, fill):
    for config in range(256):
        for length in range(18):
            data = (bytes([config]) + bytes([fill]) * 17)[:length]
            fields = expected(data)
            try:
                header = form.Header.parse(data)
            except MalformedFrame:
                assert fields is None or not is_minimal(data)
            else:
                assert (header.kid, header.ctr, header.size) == fields


@each_form
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
def test_a_malformed_header_says_what_is_wrong_with_it(form, data, why):
    with pytest.raises(MalformedFrame, match=why):
        form.Header.parse(octets(data))


@each_form
def test_a_header_that_is_not_minimal_is_read_on_request_and_tells_its_size(form):
    header = form.Header.parse(octets("980003000004") + b"ciphertext", strict=False)
    assert (header.kid, header.ctr, header.size) == (3, 0, 4)
    assert header.encode() == octets("30")


@each_form
def test_a_malformed_header_tells_the_kid_it_claims_where_it_can_be_read(form):
    with pytest.raises(MalformedFrame) as caught:
        form.Header.parse(octets("900009"))
    assert (caught.value.kid, caught.value.ctr) == (9, 0)
    with pytest.raises(MalformedFrame) as caught:
        form.Header.parse(b"")
    assert (caught.value.kid, caught.value.ctr) == (None, None)


@each_form
@pytest.mark.parametrize("name", ["kid", "ctr"])
@pytest.mark.parametrize("value", [-1, 2**64])
def test_values_out_of_range_are_named(form, name, value):
    with pytest.raises(MisuseError, match=f"{name} is {value}"):
        form.Header(**({"kid": 0, "ctr": 0} | {name: value}))


@each_form
def test_integers_of_numpy_are_integers(form):
    header = form.Header(np.uint64(2**64 - 1), np.int8(7))
    assert header == form.Header(2**64 - 1, 7)
    assert header.encode() == octets("f7" + "ff" * 8)
    with pytest.raises(TypeError):
        form.Header("1", 0)


@each_form
@pytest.mark.parametrize("wrong", ["00", None, 0, [0], 1.5])
def test_only_bytes_like_objects_are_parsed(form, wrong):
    what = f"^ciphertext must be a bytes-like object, not {type(wrong).__name__}$"
    with pytest.raises(TypeError, match=what):
        form.Header.parse(wrong)
    with pytest.raises(TypeError, match=what):
        form.parse_headers([b"\0", wrong])


@each_form
def test_any_contiguous_buffer_is_parsed(form):
    data = octets("9901234567")
    padded = np.frombuffer(data + b"\0", np.uint16)
    for buffer in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8), padded):
        assert form.Header.parse(buffer) == form.Header(0x123, 0x4567)
    with pytest.raises(BufferError):
        form.Header.parse(memoryview(data)[::2])
    with pytest.raises(MalformedFrame, match="empty"):
        form.Header.parse(np.zeros((0, 3)))


@each_form
@given(st.lists(st.binary(max_size=24)), st.booleans())
@example([b"\x80\x03"], True)
@example([b"\x80\x03"], False)
def test_many_headers_are_each_header(form, ciphertexts, strict):
    columns = form.parse_headers(ciphertexts, strict=strict)
    assert len(columns) == len(ciphertexts)
    for row, ciphertext in enumerate(ciphertexts):
        found = columns.kid[row], columns.ctr[row], columns.size[row]
        try:
            header = form.Header.parse(ciphertext, strict=strict)
        except MalformedFrame:
            assert (found, columns.status[row]) == ((0, 0, 0), FrameStatus.MALFORMED)
        else:
            assert found == (header.kid, header.ctr, header.size)
            assert columns.status[row] == FrameStatus.OK


@each_form
def test_the_columns_are_typed_and_read_only(form):
    columns = form.parse_headers(FrameBatch.from_frames([data for _kid, _ctr, data in FIGURES]))
    assert [view.format for view in (columns.kid, columns.ctr, columns.size, columns.status)] == [
        "Q", "Q", "B", "B",
    ]  # fmt: skip
    assert np.array_equal(np.asarray(columns.kid), [kid for kid, _ctr, _data in FIGURES])
    assert not any(columns.status)
    with pytest.raises(TypeError):
        columns.kid[0] = 1


@each_form
def test_headers_that_are_not_minimal_are_malformed_unless_asked_for(form):
    assert form.parse_headers([b"\x80\x03"]).status.tolist() == [FrameStatus.MALFORMED]
    assert form.parse_headers([b"\x80\x03"], strict=False).kid.tolist() == [3]


@each_form
def test_clear_bytes_before_the_headers_are_passed_over(form):
    ciphertexts = [b"\x10\x20" + octets("9901234567"), b"\x07"]
    assert form.parse_headers(ciphertexts, clear=2).kid.tolist() == [0x123, 0]
    assert form.parse_headers(ciphertexts, clear=[2, 0]).ctr.tolist() == [0x4567, 7]
    assert form.parse_headers(ciphertexts, clear=9).status.tolist() == [1, 1]
    with pytest.raises(MisuseError, match="negative"):
        form.parse_headers(ciphertexts, clear=[0, -1])
    with pytest.raises(MisuseError, match="1 rows for 2 frames"):
        form.parse_headers(ciphertexts, clear=[0])
    with pytest.raises(TypeError):
        form.parse_headers(ciphertexts, clear="ab")


@each_form
def test_headers_keep_what_dataclasses_offer(form):
    header = form.Header(1, 300)
    assert [field.name for field in dataclasses.fields(header)] == ["kid", "ctr", "size"]
    assert dataclasses.asdict(header) == {"kid": 1, "ctr": 300, "size": 3}
    assert dataclasses.replace(header, kid=2) == form.Header(2, 300)
    assert repr(header) == "Header(kid=1, ctr=300, size=3)"
    assert hash(header) == hash((1, 300, 3))
    assert header != (1, 300, 3) and header != form.Header(1, 300, 17)
    match header:
        case form.Header(kid, ctr, size):
            assert (kid, ctr, size) == (1, 300, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        del header.ctr


def test_headers_can_be_copied_and_pickled():
    header = pysframe.Header(300, 1 << 40)
    assert copy.copy(header) == copy.deepcopy(header) == header
    assert pickle.loads(pickle.dumps(header)) == header


def test_a_header_is_made_once(engine):
    header = engine.Header(1, 2)
    with pytest.raises(AttributeError, match="immutable"):
        header.__init__(3, 4)
    assert header == engine.Header(1, 2)


@pytest.mark.parametrize("clear", [[1.5], [float("inf")], ["1"]])
def test_clear_bytes_are_whole_numbers(engine, clear):
    with pytest.raises(TypeError):
        engine.parse_headers([b"ab"], clear=clear)


@each_form
def test_a_column_has_one_item_for_each_header(form):
    parsed = form.parse_headers([bytes.fromhex("9901234567"), b"", b"\x12"])
    for column in parsed.kid, parsed.ctr, parsed.size, parsed.status:
        assert column.shape == (3,)


@each_form
def test_the_arguments_of_a_header_are_told(form):
    told = inspect.signature(form.Header).parameters
    assert {name: one.default for name, one in told.items()} == {
        "kid": inspect.Parameter.empty,
        "ctr": inspect.Parameter.empty,
        "size": 0,
    }


# ---- what a receiver says of a frame without a header that it can use ----

NOBODY, SEVEN = (None, None), (7, 0)


@pytest.mark.parametrize(
    ("head", "size", "clear", "claimed", "words"),
    [
        (b"", 16, 0, NOBODY, "it has 16 bytes where the least is 17"),
        (b"", 19, 3, NOBODY, "it has 19 bytes where the least is 20"),
        (b"\xff", 17, 0, NOBODY, "a header of 17 bytes, and it has 1;"),
        (b"\xff" + bytes(15), 34, 2, NOBODY, "a header of 17 bytes, and it has 16;"),
        (b"\x80\7", 18, 0, SEVEN, "its KID 0x7 is not in the shortest form"),
        (b"\x70", 28, 0, SEVEN, "its frame has 11 bytes, more than max_frame=10"),
        (b"\x70", 28, 4, SEVEN, "its frame has 11 bytes, more than max_frame=10"),
        (b"\x70", 27, 0, NOBODY, "it has no well-formed header, or is too short or too long"),
    ],
)
def test_why_a_frame_is_malformed(head, size, clear, claimed, words):
    """The last: what the C core refused, and another thread has rewritten since."""
    refusal = why_malformed(head, size, clear, 16, 10, True)
    assert words in str(refusal)
    assert (refusal.kid, refusal.ctr) == claimed
    assert (refusal.status, refusal.__traceback__) == (FrameStatus.MALFORMED, None)


def test_a_lenient_receiver_has_nothing_against_a_longer_header():
    assert "no well-formed header" in str(why_malformed(b"\x80\7", 18, 0, 16, 10, False))
