"""SHA-2, HMAC and the key schedule in C, against hashlib and another library."""

import hashlib
import hmac
from importlib.resources import files

import pytest
from Crypto.Hash import SHA256, SHA512
from Crypto.Protocol.KDF import HKDF
from figures import load

from pysframe import CipherSuite

HASHES = pytest.mark.parametrize(("nh", "name"), [(32, "sha256"), (64, "sha512")])
SHA2_START = {
    32: "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19",
    64: "6a09e667f3bcc908bb67ae8584caa73b3c6ef372fe94f82ba54ff53a5f1d36f1"
    "510e527fade682d19b05688c2b3e6c1f1f83d9abfb41bd6b5be0cd19137e2179",
}


NAMES = (
    *("sha256 portable", "sha256 ssse3", "sha256 ni", "sha256 avx512"),
    *("sha512 portable", "sha512 ssse3", "sha512 bmi2", "sha512 avx2", "sha512 avx512"),
)


@pytest.fixture(params=NAMES)
def sha2(request, core):
    """sha2(messages): their digests, each with one of the compression functions there are."""
    ffi, lib = core
    assert lib.hash_name(len(NAMES)) == ffi.NULL
    number = NAMES.index(request.param)
    assert ffi.string(lib.hash_name(number)).decode() == request.param
    if lib.hash_missing(number):
        pytest.skip("this CPU or operating system lacks what it needs")
    return SHA2(core, number)


class SHA2:
    """SHA-2 by a compression function: FIPS 180-4, with the padding done here."""

    def __init__(self, core, number):
        self.ffi, self.lib = core
        self.number, self.nh = number, self.lib.hash_size(number)
        self.name = f"sha{8 * self.nh}"
        self.word = self.nh // 8  # bytes

    def __call__(self, messages):
        """Messages of one length, all at once."""
        padded = [self.padded(message) for message in messages]
        words = self.turned(bytes.fromhex(SHA2_START[self.nh])).ljust(64, b"\0")
        states = self.ffi.new("uint8_t[]", words * len(messages))
        blocks = len(padded[0]) // (2 * self.nh)
        self.lib.hash_compress(self.number, states, b"".join(padded), blocks, len(messages))
        made = [bytes(states[64 * i : 64 * i + self.nh]) for i in range(len(messages))]
        return [self.turned(state) for state in made]

    def padded(self, message):
        made = message + b"\x80"
        made += bytes(-(len(made) + 2 * self.word) % (2 * self.nh))
        return made + (8 * len(message)).to_bytes(2 * self.word)

    def turned(self, words):
        """Between the standard's byte order and the machine's."""
        cuts = range(0, len(words), self.word)
        return b"".join(words[at : at + self.word][::-1] for at in cuts)


def c_hmac(core, nh, key, message, cut=0):
    ffi, lib = core
    out = ffi.new("uint8_t[]", 64)
    lib.hmac_cut(nh, key, len(key), message, len(message), cut, out)
    return bytes(out[0:nh])


def test_sha2_of_every_length(sha2, rng):
    data = rng.randbytes(300)
    for size in range(301):
        assert sha2([data[:size]]) == [hashlib.new(sha2.name, data[:size]).digest()], size


@pytest.mark.parametrize("count", range(1, 17))
def test_sha2_of_many_at_once(sha2, count, rng):
    """1 to 16 streams, which is all that are ever run together; one block and many."""
    for size in (0, 100, 1000):
        messages = [rng.randbytes(size) for _ in range(count)]
        assert sha2(messages) == [hashlib.new(sha2.name, m).digest() for m in messages]


@HASHES
def test_hmac_of_every_message_length(core, nh, name, rng):
    key, data = rng.randbytes(nh), rng.randbytes(300)
    for size in range(301):
        expected = hmac.digest(key, data[:size], name)
        for cut in {0, size // 3, size}:
            assert c_hmac(core, nh, key, data[:size], cut) == expected, (size, cut)


@HASHES
def test_hmac_of_every_key_length(core, nh, name, rng):
    """Up to a block: SFrame has no longer HMAC keys, and the C core says that it takes none."""
    key, message = rng.randbytes(2 * nh), rng.randbytes(77)
    for size in range(2 * nh + 1):
        expected = hmac.digest(key[:size], message, name)
        assert c_hmac(core, nh, key[:size], message) == expected, size


@HASHES
def test_hmac_at_every_cut(core, nh, name, rng):
    key, message = rng.randbytes(32), rng.randbytes(300)
    expected = hmac.digest(key, message, name)
    assert {c_hmac(core, nh, key, message, cut) for cut in range(301)} == {expected}


@HASHES
def test_rfc4231(core, nh, name):
    text = (files("cryptography_vectors") / "HMAC" / f"rfc-4231-{name}.txt").read_text()
    values = [line.partition("=")[2].strip() for line in text.splitlines() if " = " in line]
    cases = list(zip(*(values[i::4] for i in range(4)), strict=True))
    done = 0
    for bits, key_hex, message, digest in cases:
        key, data = bytes.fromhex(key_hex), bytes.fromhex(message)[: int(bits) // 8]
        if len(key) <= 2 * nh:
            assert c_hmac(core, nh, key, data).hex() == digest
            done += 1
    assert done == 4


def test_equal(core, rng):
    _, lib = core
    for size in range(65):
        a = rng.randbytes(size)
        assert lib.equal(a, a, size) == 1
        for position in range(size):
            b = bytearray(a)
            b[position] ^= 1 << rng.randrange(8)
            assert lib.equal(a, bytes(b), size) == 0


# ---- key schedule ----


def derive(core, suite, secret, kid):
    ffi, lib = core
    key, salt = ffi.new("uint8_t[]", 96), ffi.new("uint8_t[]", 12)
    lib.derive(secret, kid, key, salt)
    return bytes(key[0 : suite.Nk]), bytes(salt[0:12])


def new_secret(core, suite, base_key, ssrc=None, steps=0):
    ffi, lib = core
    found = lib.sfr_suite_find(suite)
    if ssrc is None:
        made = lib.sfr_secret_new(found, base_key, len(base_key))
    else:
        made = lib.sfr_secret_new_for_ssrc(found, base_key, len(base_key), ssrc)
    secret = ffi.gc(made, lib.sfr_secret_free)
    return ffi.gc(lib.sfr_secret_ratchet(secret, steps), lib.sfr_secret_free) if steps else secret


@pytest.mark.parametrize("case", load("rfc9605")["sframe"], ids=lambda case: str(case["suite"]))
def test_key_schedule_of_the_rfc(core, case):
    secret = new_secret(core, case["suite"], bytes.fromhex(case["base_key"]))
    key, salt = derive(core, CipherSuite(case["suite"]), secret, int(case["kid"], 16))
    assert (key.hex(), salt.hex()) == (case["key"], case["salt"])


@pytest.mark.parametrize("suite", list(CipherSuite), ids=lambda suite: suite.name)
def test_key_schedule_of_any_base_key(core, suite, rng):
    """Every base key length that is allowed and sensible, against pycryptodome's HKDF."""
    module = SHA256 if suite.Nh == 32 else SHA512
    for size in range(16, 200):
        base_key, kid = rng.randbytes(size), rng.getrandbits(64)
        context = kid.to_bytes(8) + int(suite).to_bytes(2)
        expected = (
            HKDF(base_key, suite.Nk, b"", module, 1, b"SFrame 1.0 Secret key " + context),
            HKDF(base_key, suite.Nn, b"", module, 1, b"SFrame 1.0 Secret salt " + context),
        )
        assert derive(core, suite, new_secret(core, suite, base_key), kid) == expected


def test_short_base_keys_are_refused(core):
    ffi, lib = core
    found = lib.sfr_suite_find(4)
    assert lib.sfr_secret_new(found, bytes(15), 15) == ffi.NULL
    assert lib.sfr_secret_new_for_ssrc(found, bytes(15), 15, 1) == ffi.NULL


@pytest.mark.parametrize("number", range(8), ids=lambda number: f"suite{number + 1}")
def test_ratchet_and_ssrc_figures(core, number):
    figures, suite, base_key = load("ratchet_and_ssrc"), CipherSuite(number + 1), bytes(range(16))
    steps = figures["ratchet"][number >= 4]["steps"]
    for count, figure in enumerate(steps, start=1):
        ours = derive(core, suite, new_secret(core, suite, base_key, steps=count), 5)
        assert ours == derive(core, suite, new_secret(core, suite, bytes.fromhex(figure)), 5)
    figure = figures["ssrc"][number >= 4]
    ours = new_secret(core, suite, base_key, ssrc=int(figure["ssrc"], 16))
    stated = new_secret(core, suite, bytes.fromhex(figure["key"]))
    assert derive(core, suite, ours, 5) == derive(core, suite, stated, 5)
