"""draft-ietf-avtcore-rtp-sframe: fragments, their joining, and keys per SSRC."""

import itertools

import pytest
from figures import load
from hypothesis import given
from hypothesis import strategies as st
from parties import GCM, new_receiver, new_sender

from pysframe import CipherSuite, FrameRejected, MisuseError, SenderKeyLayout
from pysframe.media import Ciphertext, Depacketizer, fragment, stream_base_key

FIGURES = load("rtp_payload")
BASE_KEY = bytes(range(16))


@pytest.mark.parametrize("row", FIGURES["fragments"], ids=lambda row: row["name"])
def test_fragments_are_those_of_the_figures(row):
    made = fragment(bytes.fromhex(row["ciphertext"]), row["size"], packetized=row["packetized"])
    assert [payload.hex() for payload in made] == row["payloads"]


@pytest.mark.parametrize("row", FIGURES["arrivals"], ids=lambda row: row["name"])
def test_arrivals_are_joined_as_the_figures_say(row):
    stream, out = Depacketizer(), []
    for seq, payload_type, payload in row["packets"]:
        found = stream.push(seq, bytes.fromhex(payload), payload_type)
        out.append(found and [found.data.hex(), found.packetized])
    assert out == row["out"]


@given(
    ciphertexts=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=6),
    size=st.integers(2, 20),
    start=st.integers(0, 0xFFFF),
    seed=st.randoms(use_true_random=False),
)
def test_any_order_and_repetition_gives_each_ciphertext_once(ciphertexts, size, start, seed):
    payloads = itertools.chain.from_iterable(fragment(data, size) for data in ciphertexts)
    packets = [(start + n & 0xFFFF, payload) for n, payload in enumerate(payloads)]
    first, rest = packets[0], packets[1:] * 2
    seed.shuffle(rest)
    stream = Depacketizer()
    found = [stream.push(seq, payload, 96) for seq, payload in [first, *rest]]
    assert sorted(each.data for each in found if each) == sorted(ciphertexts)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=5), st.integers(96, 97))))
def test_no_arrival_raises_and_what_is_kept_is_bounded(packets):
    stream = Depacketizer(packets=8)
    for seq, payload, kind in packets:
        found = stream.push(seq, payload, kind)
        assert found is None or isinstance(found, Ciphertext)
        assert len(stream._kept) <= 8


@pytest.mark.parametrize("lost", range(4))
def test_a_lost_fragment_loses_its_ciphertext_alone(lost):
    stream, before, after = Depacketizer(), bytes(9), bytes([1] * 9)
    payloads = [*fragment(before, 4), *fragment(after, 4)]
    found = [stream.push(n, p, 96) for n, p in enumerate(payloads) if n != lost]
    expected = [before, after]
    del expected[lost // 3]
    assert [each.data for each in found if each] == expected


@pytest.mark.parametrize("size", [0, 1, -1, 1 << 16])
def test_sizes_that_hold_nothing(size):
    with pytest.raises(MisuseError, match="size is"):
        fragment(b"abc", size)
    with pytest.raises(MisuseError, match="no fragments"):
        fragment(b"", 10)


# ---- keys per SSRC ----


@pytest.mark.parametrize("number", range(1, 9))
def test_keys_per_ssrc_are_those_of_the_figures(number):
    figure = load("ratchet_and_ssrc")["ssrc"][CipherSuite(number).hash_name == "sha512"]
    ssrc = int(figure["ssrc"], 16)
    assert stream_base_key(number, BASE_KEY, ssrc).hex() == figure["key"]
    assert stream_base_key(number, bytearray(BASE_KEY), ssrc + 1).hex() != figure["key"]


def test_streams_share_a_kid_and_a_counter_but_no_key(engine, rng):
    base_key = rng.randbytes(16)
    keys = [stream_base_key(GCM, base_key, ssrc) for ssrc in (1, 2)]
    wires = []
    for key in keys:  # the process knows them as two keys
        with new_sender(engine, GCM, key) as sender:
            wires.append(sender.protect(b"the same frame"))
    assert wires[0] != wires[1]
    receiver = new_receiver(engine, GCM, keys[0])
    assert receiver.unprotect(wires[0]) == b"the same frame"
    with pytest.raises(FrameRejected):
        receiver.unprotect(wires[1])


def test_a_ratchet_begins_at_the_key_of_the_stream(engine, rng):
    key, layout = stream_base_key(GCM, rng.randbytes(16), 0xFFFFFFFF), SenderKeyLayout(4)
    sender = new_sender(engine, GCM, key, layout.pack(1), layout=layout)
    receiver = new_receiver(engine, GCM)
    receiver.add_sender_key(1, key, layout=layout)
    assert receiver.unprotect(sender.ratchet().protect(b"a frame")) == b"a frame"


@pytest.mark.parametrize("ssrc", [-1, 1 << 32])
def test_what_is_no_ssrc(ssrc):
    with pytest.raises(MisuseError, match="ssrc is"):
        stream_base_key(GCM, BASE_KEY, ssrc)
    with pytest.raises(MisuseError, match="base_key has 15 bytes"):
        stream_base_key(GCM, BASE_KEY[1:], 1)
