"""KID layouts of RFC 9605 5.1 and 5.2."""

import dataclasses

import numpy as np
import pytest
from figures import integer, load
from hypothesis import given
from hypothesis import strategies as st

from pysframe.errors import MisuseError
from pysframe.keys.layouts import MLSLayout, SenderKeyLayout

MLS = load("rfc9605")["mls_kid"]
KIDS = st.integers(0, 2**64 - 1)


@st.composite
def sender_key_fields(draw):
    layout = SenderKeyLayout(draw(st.integers(0, 64)))
    generation = draw(st.integers(0, 2 ** (64 - layout.R) - 1))
    return layout, generation, draw(st.integers(0, 2**64 - 1))


@st.composite
def mls_fields(draw):
    E = draw(st.integers(0, 64))
    S = draw(st.integers(0, 64 - E))
    sender_index = draw(st.integers(0, 2**S - 1))
    context = draw(st.integers(0, 2 ** (64 - S - E) - 1))
    return MLSLayout(E=E, S=S), draw(KIDS), sender_index, context


@pytest.mark.parametrize("row", MLS["rows"], ids=lambda row: row[3])
def test_the_figure_of_the_rfc(row):
    epoch, sender_index, context, kid = row
    layout = MLSLayout(E=MLS["e_bits"], S=MLS["s_bits"])
    assert layout.pack(epoch, sender_index, context) == integer(kid)
    assert layout.unpack(integer(kid)) == (epoch % 2 ** MLS["e_bits"], sender_index, context)


@given(sender_key_fields())
def test_sender_keys_come_back_with_the_low_bits_of_the_step(fields):
    layout, generation, step = fields
    kid = layout.pack(generation, step)
    assert 0 <= kid < 2**64
    assert layout.unpack(kid) == (generation, step % 2**layout.R)


@given(mls_fields())
def test_mls_fields_come_back_with_the_low_bits_of_the_epoch(fields):
    layout, epoch, sender_index, context = fields
    kid = layout.pack(epoch, sender_index, context)
    assert 0 <= kid < 2**64
    assert layout.unpack(kid) == (epoch % 2**layout.E, sender_index, context)


@given(st.integers(0, 64), st.data(), KIDS)
def test_every_kid_has_fields_that_pack_to_it(E, data, kid):
    mls = MLSLayout(E=E, S=data.draw(st.integers(0, 64 - E)))
    sender_key = SenderKeyLayout(E)
    assert mls.pack(*mls.unpack(kid)) == kid
    assert sender_key.pack(*sender_key.unpack(kid)) == kid


def test_the_ratchet_step_wraps_and_the_generation_does_not():
    layout = SenderKeyLayout(4)
    assert layout.pack(1, 16) == layout.pack(1, 0)
    assert layout.pack(2) == 0x20
    said = rf"generation is {2**60}; it must be 0\.\.{2**60 - 1}$"
    with pytest.raises(MisuseError, match=said):
        layout.pack(2**60, 0)


def test_a_context_that_is_not_given_is_0():
    assert MLSLayout(E=4, S=6).pack(17, 33) == 0x211


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("R", lambda: SenderKeyLayout(65)),
        ("R", lambda: SenderKeyLayout(-1)),
        ("generation", lambda: SenderKeyLayout(8).pack(2**56)),
        ("generation", lambda: SenderKeyLayout(8).pack(-1)),
        ("generation", lambda: SenderKeyLayout(64).pack(1)),
        ("ratchet_step", lambda: SenderKeyLayout(8).pack(0, -1)),
        ("ratchet_step", lambda: SenderKeyLayout(8).pack(0, 2**64)),
        ("kid", lambda: SenderKeyLayout(8).unpack(2**64)),
        ("kid", lambda: SenderKeyLayout(8).unpack(-1)),
        ("E", lambda: MLSLayout(E=65, S=0)),
        ("E", lambda: MLSLayout(E=-1, S=0)),
        ("S", lambda: MLSLayout(E=4, S=61)),
        ("S", lambda: MLSLayout(E=4, S=-1)),
        ("epoch", lambda: MLSLayout(E=4, S=6).pack(-1, 0)),
        ("epoch", lambda: MLSLayout(E=4, S=6).pack(2**64, 0)),
        ("sender_index", lambda: MLSLayout(E=4, S=6).pack(0, 64)),
        ("sender_index", lambda: MLSLayout(E=4, S=6).pack(0, -1)),
        ("context", lambda: MLSLayout(E=4, S=6).pack(0, 0, 2**54)),
        ("context", lambda: MLSLayout(E=4, S=60).pack(0, 0, 1)),
        ("context", lambda: MLSLayout(E=4, S=6).pack(0, 0, -1)),
        ("kid", lambda: MLSLayout(E=4, S=6).unpack(2**64)),
    ],
)
def test_a_field_out_of_range_is_named(field, call):
    with pytest.raises(MisuseError, match=rf"^{field} is -?\d+; it must be 0\.\.\d+$"):
        call()


@pytest.mark.parametrize("wrong", ["1", None, 1.0, b"1"])
def test_fields_are_integers(wrong):
    for call in (
        lambda: SenderKeyLayout(wrong),
        lambda: SenderKeyLayout(4).pack(wrong),
        lambda: SenderKeyLayout(4).unpack(wrong),
        lambda: MLSLayout(E=4, S=6).pack(wrong, 0),
        lambda: MLSLayout(E=4, S=6).pack(0, wrong),
        lambda: MLSLayout(E=4, S=6).pack(0, 0, wrong),
    ):
        with pytest.raises(TypeError):
            call()


def test_integers_of_numpy_do_not_overflow():
    kid = SenderKeyLayout(8).pack(np.int64(2**55), np.int8(3))
    assert kid == (2**63) + 3
    assert type(kid) is int


def test_layouts_are_values():
    assert MLSLayout(E=4, S=6) == MLSLayout(E=4, S=6) != MLSLayout(E=6, S=4)
    assert len({SenderKeyLayout(8), SenderKeyLayout(8)}) == 1
    for layout in (SenderKeyLayout(8), MLSLayout(E=4, S=6)):
        assert not hasattr(layout, "__dict__")
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(layout, dataclasses.fields(layout)[0].name, 9)
