"""The key schedule as plain Python, against the figures; the AEAD providers below SFrame."""

import hashlib
import hmac
from importlib import import_module

import pytest
from figures import integer, load, octets
from hypothesis import given
from hypothesis import strategies as st

from pysframe import CipherSuite
from pysframe.engine import _aead, key_schedule, twin

RFC = load("rfc9605")
OURS = load("ratchet_and_ssrc")
BASE_KEY = bytes(range(16))
HASHES = {"SHA-256 suites 1-4": CipherSuite(1), "SHA-512 suites 5-8": CipherSuite(5)}
PROVIDERS = [name for name, why in twin.KERNELS.items() if not why]


def by_suite(case):
    return CipherSuite(case["suite"]).name


@pytest.mark.parametrize("case", RFC["sframe"], ids=by_suite)
def test_every_step_of_the_schedule_is_the_rfc_s(case):
    suite, kid = CipherSuite(case["suite"]), integer(case["kid"])
    secret = key_schedule.derive_secret(suite, octets(case["base_key"]))
    assert secret == octets(case["secret"])
    key, salt = key_schedule.derive_key_and_salt(suite, secret, kid)
    assert (key, salt) == (octets(case["key"]), octets(case["salt"]))
    context = kid.to_bytes(8) + suite.to_bytes(2)
    assert key_schedule.KEY_LABEL + context == octets(case["key_label"])
    assert key_schedule.SALT_LABEL + context == octets(case["salt_label"])


@pytest.mark.parametrize("row", OURS["ratchet"], ids=lambda row: row["hash"])
def test_the_ratchet_is_that_of_the_text_and_none_of_the_mistakes_seen(row):
    suite = HASHES[row["hash"]]
    secret = key_schedule.derive_secret(suite, BASE_KEY)
    for step in row["steps"]:
        base_key = key_schedule.derive_ratchet(suite, secret)
        assert base_key == octets(step)
        assert base_key.hex() not in [row[name] for name in row if name.startswith("step1_")]
        secret = key_schedule.derive_secret(suite, base_key)


@pytest.mark.parametrize("row", OURS["ssrc"], ids=lambda row: row["hash"])
def test_stream_keys_are_those_of_the_draft(row):
    suite = HASHES[row["hash"]]
    assert key_schedule.derive_stream(suite, BASE_KEY, integer(row["ssrc"])) == octets(row["key"])


@given(
    st.sampled_from(["sha256", "sha512"]), st.binary(min_size=1), st.binary(), st.integers(1, 300)
)
def test_expand_is_a_prefix_of_its_chain_of_blocks(name, prk, info, length):
    blocks, block = b"", b""
    for number in range(1, 11):
        block = hmac.new(prk, block + info + bytes([number]), name).digest()
        blocks += block
    assert key_schedule.hkdf_expand(name, prk, info, length) == blocks[:length]


@pytest.mark.parametrize("name", ["sha256", "sha512"])
def test_expand_goes_as_far_as_the_rfc_does(name):
    """RFC 5869 2.3: 255 hashes, since a block's number is one byte."""
    size = hashlib.new(name).digest_size
    assert len(key_schedule.hkdf_expand(name, b"prk", b"info", 255 * size)) == 255 * size
    with pytest.raises(ValueError):
        key_schedule.hkdf_expand(name, b"prk", b"info", 255 * size + 1)


def test_an_empty_salt_is_a_hash_of_zeros():
    for name in ("sha256", "sha512"):
        zeros = bytes(hashlib.new(name).digest_size)
        assert key_schedule.hkdf_extract(name, b"", b"ikm") == hmac.digest(zeros, b"ikm", name)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("suite", CipherSuite, ids=lambda suite: suite.name)
def test_providers_agree_and_refuse_every_changed_byte(provider, suite, rng):
    key, nonce, aad = rng.randbytes(suite.Nk), rng.randbytes(12), rng.randbytes(23)
    aeads = [
        _aead.new_aead(suite, memoryview(key), _aead.provider(name))
        for name in (provider, *PROVIDERS)
    ]
    for size in (0, 1, 15, 16, 17, 160):
        plaintext = rng.randbytes(size)
        sealed = {aead.seal(nonce, aad, plaintext) for aead in aeads}
        assert len(sealed) == 1
        ciphertext = sealed.pop()
        assert len(ciphertext) == size + suite.Nt
        assert aeads[0].open(nonce, aad, ciphertext) == plaintext
        for position in range(len(ciphertext)):
            changed = bytearray(ciphertext)
            changed[position] ^= 1 << rng.randrange(8)
            assert aeads[0].open(nonce, aad, bytes(changed)) is None
        assert aeads[0].open(nonce, aad + b"\0", ciphertext) is None
        assert aeads[0].open(rng.randbytes(12), aad, ciphertext) is None


def test_a_missing_provider_is_refused_with_its_reason(monkeypatch):
    parts = {"no_such_library": lambda: import_module("no_such_library")}
    parts["pycryptodome"] = _aead.PROVIDERS["pycryptodome"]
    monkeypatch.setattr(_aead, "PROVIDERS", parts)
    survey = _aead.survey()
    assert survey["no_such_library"].startswith("ModuleNotFoundError: ")
    assert survey["pycryptodome"] == ""
    assert _aead.provider().__name__.endswith("_aead_pycryptodome")
