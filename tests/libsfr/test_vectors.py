"""The figures of vectors/ through the installed library, which cffi loads.

OF_C lists the files with SFrame's own figures. The parts of them that the library has no public
function for are in OF_PYTHON, each with the reason; a test holds both against the files. The other
files are about envelopes of codecs, RTP, key flow and sealed keys, which are Python's.
"""

import pytest
from figures import load
from libsfr.installed import library

MAX_FRAME = 1 << 20
OF_C = {
    "rfc9605": {"suites", "header", "sframe"},
    "ratchet_and_ssrc": {"ratchet", "ssrc"},
    "envelope": {"frames"},  # their ciphertexts
    "livekit": {"livekit"},
}
OF_PYTHON = {
    ("rfc9605", "ctr_hmac"): "an AEAD alone takes a key and a nonce, which no caller may choose",
    ("rfc9605", "mls_kid"): "how KIDs are composed: pysframe.keys",
    ("envelope", "rewritten"): "the envelope of a codec: pysframe.media",
    ("envelope", "refused"): "the envelope of a codec: pysframe.media",
    ("envelope", "versions"): "what events and keys.json say of it: pysframe.source",
    ("rfc9605", "header_columns"): "the names of columns",
}
RFC, OURS = load("rfc9605"), load("ratchet_and_ssrc")
BASE_KEY = bytes(range(16))


def test_no_part_is_forgotten():
    parts = {
        (file, name)
        for file in OF_C
        for name, rows in load(file).items()
        if isinstance(rows, list | dict)
    }
    assert parts == {*((file, part) for file in OF_C for part in OF_C[file]), *OF_PYTHON}


@pytest.fixture(scope="module", params=["gcc", "clang"])
def core(request):
    return Core(*library(request.param))


class Core:
    """The functions of sfr.h with bytes for pointers, each object freed as soon as it was used."""

    def __init__(self, ffi, lib) -> None:
        self.ffi, self.lib = ffi, lib

    def secret(self, suite: int, base_key: bytes):
        made = self.lib.sfr_secret_new(self.lib.sfr_suite_find(suite), base_key, len(base_key))
        return self.held(made)

    def held(self, secret):
        assert secret != self.ffi.NULL
        return self.ffi.gc(secret, self.lib.sfr_secret_free)

    def kernel(self):
        return self.lib.sfr_kernel_find(self.ffi.NULL)

    def frame(self, data: bytes, metadata: bytes, room: int):
        held = [self.ffi.from_buffer(each) for each in (data, metadata, bytearray(room))]
        f = self.ffi.new("sfr_frame *", {"in_size": len(data), "out_size": room})
        setattr(f, "in", self.ffi.cast("uint8_t *", held[0]))
        f.metadata, f.metadata_size = self.ffi.cast("uint8_t *", held[1]), len(metadata)
        f.out = self.ffi.cast("uint8_t *", held[2])
        return f, held

    def protect(self, secret, kid, ctr, data, metadata=b"") -> bytes:
        out = self.ffi.new("sfr_sender **")
        new = self.lib.sfr_sender_new
        assert new(out, secret, self.kernel(), kid, ctr, ctr, MAX_FRAME) == self.lib.SFR_OK
        f, held = self.frame(data, metadata, len(data) + 33)
        status = self.lib.sfr_protect(out[0], f)
        self.lib.sfr_sender_free(out[0])
        assert (status, f.kid, f.ctr) == (self.lib.SFR_OK, kid, ctr)
        return bytes(self.ffi.buffer(held[2]))[: f.out_size]

    def unprotect(self, suite, secret, kid, data, metadata=b"") -> tuple[int, bytes]:
        out, find = self.ffi.new("sfr_receiver **"), self.lib.sfr_suite_find
        new = self.lib.sfr_receiver_new
        assert new(out, find(suite), self.kernel(), 0, MAX_FRAME, 1) == self.lib.SFR_OK
        assert self.lib.sfr_receiver_add(out[0], kid, secret, 0) == self.lib.SFR_OK
        f, held = self.frame(data, metadata, len(data) + 1)
        status = self.lib.sfr_unprotect(out[0], f)
        self.lib.sfr_receiver_free(out[0])
        written = bytes(self.ffi.buffer(held[2]))
        assert not any(written[f.out_size :])
        return status, written[: f.out_size]


# ---- rfc9605.json ----


def test_suites(core):
    for row in RFC["suites"]:
        suite = core.lib.sfr_suite_find(row["id"])
        assert suite != core.ffi.NULL
        names = ("id", "nh", "nka", "nk", "nn", "nt")
        assert [getattr(suite, name) for name in names] == [row[name] or 0 for name in names]


def test_headers(core):
    out, parsed = core.ffi.new("uint8_t[17]"), core.ffi.new("sfr_header *")
    for kid, ctr, header in RFC["header"]:
        size = core.lib.sfr_header_encode(int(kid, 16), int(ctr, 16), out)
        assert bytes(out)[:size].hex() == header
        assert core.lib.sfr_header_size(int(kid, 16), int(ctr, 16)) == size
        assert core.lib.sfr_header_parse(out, size, 1, parsed) == core.lib.SFR_OK
        assert (parsed.kid, parsed.ctr, parsed.size) == (int(kid, 16), int(ctr, 16), size)
        assert core.lib.sfr_header_parse(out, size - 1, 1, parsed) == core.lib.SFR_MALFORMED
    assert len(RFC["header"]) == 289


@pytest.mark.parametrize("case", RFC["sframe"], ids=lambda case: f"suite{case['suite']}")
def test_frames(core, case):
    kid, ctr = int(case["kid"], 16), int(case["ctr"], 16)
    base_key, metadata, pt, ct = (
        bytes.fromhex(case[name]) for name in ("base_key", "metadata", "pt", "ct")
    )
    secret = core.secret(case["suite"], base_key)
    assert core.protect(secret, kid, ctr, pt, metadata) == ct
    assert core.unprotect(case["suite"], secret, kid, ct, metadata) == (0, pt)
    for at in range(len(ct)):
        changed = bytearray(ct)
        changed[at] ^= 1 << at % 8
        status, plaintext = core.unprotect(case["suite"], secret, kid, bytes(changed), metadata)
        assert status > 0 and plaintext == b""
    status = core.unprotect(case["suite"], secret, kid, ct, metadata + b"\0")[0]
    assert status == core.lib.SFR_AUTH_FAILED


# ---- ratchet_and_ssrc.json ----


def figure(part: str, suite: int):
    """The rows are for SHA-256 (suites 1-4) and for SHA-512 (suites 5-8)."""
    return OURS[part][suite > 4]


@pytest.mark.parametrize("suite", range(1, 9))
def test_ratchet_steps(core, suite):
    first, row = core.secret(suite, BASE_KEY), figure("ratchet", suite)
    assert len(row["steps"]) == 3
    for step, key in enumerate(row["steps"], 1):
        secret = core.held(core.lib.sfr_secret_ratchet(first, step))
        sealed = core.protect(secret, 1000 + step, 0, b"frame")
        right = core.secret(suite, bytes.fromhex(key))
        assert core.unprotect(suite, right, 1000 + step, sealed) == (0, b"frame")
    sealed = core.protect(core.held(core.lib.sfr_secret_ratchet(first, 1)), 2000, 0, b"frame")
    for name in ("step1_sframe_rs_label", "step1_label_as_salt", "step1_trailing_space"):
        wrong = core.secret(suite, bytes.fromhex(row[name]))
        assert core.unprotect(suite, wrong, 2000, sealed)[0] == core.lib.SFR_AUTH_FAILED


@pytest.mark.parametrize("suite", range(1, 9))
def test_key_of_an_ssrc(core, suite):
    row = figure("ssrc", suite)
    suite_of = core.lib.sfr_suite_find(suite)
    made = core.lib.sfr_secret_new_for_ssrc(suite_of, BASE_KEY, 16, int(row["ssrc"], 16))
    sealed = core.protect(core.held(made), 3000, 0, b"frame")
    right = core.secret(suite, bytes.fromhex(row["key"]))
    assert core.unprotect(suite, right, 3000, sealed) == (0, b"frame")


# ---- envelope.json and livekit.json ----


def test_ciphertexts_of_envelopes(core):
    file = load("envelope")
    secret = core.secret(file["suite"], bytes.fromhex(file["base_key"]))
    for row in sorted(file["frames"], key=lambda row: (row["kid"], row["ctr"])):
        frame, ciphertext = bytes.fromhex(row["frame"]), bytes.fromhex(row["ciphertext"])
        assert core.protect(secret, row["kid"], row["ctr"], frame) == ciphertext
        assert core.unprotect(file["suite"], secret, row["kid"], ciphertext) == (0, frame)
    assert len(file["frames"]) == 34


def test_frames_of_livekit_are_refused(core):
    secret = core.secret(4, BASE_KEY)
    for row in load("livekit")["livekit"]:
        status, plaintext = core.unprotect(4, secret, 0, bytes.fromhex(row["wire"]))
        assert status > 0 and plaintext == b""
    assert len(load("livekit")["livekit"]) == 12
