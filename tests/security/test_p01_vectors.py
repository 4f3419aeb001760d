"""Promise 1, byte for byte: how many public vectors there are, that they also hold for rows in
company, and that a fault in an engine is seen by each test that holds vectors against it.

The vectors themselves run in tests/test_rfc9605.py and tests/test_vectors_public.py, on every
engine, one frame at a time.
"""

import pytest
import test_rfc9605
import test_vectors_public as public
from c_core.core import load
from c_core.rows import Job, Rows, first_difference
from figures import load as figures
from parties import flipped
from raw_aead import raw_aead

from pysframe import CipherSuite, FrameStatus
from pysframe import engine as engines

KERNELS = [name.split(":")[1] for name in engines.available() if name.startswith("native")]
BATCH = 65
REFUSED = FrameStatus.AUTHENTICATION_FAILED


# ---- all of them, as (job, whether it is valid) ----


def cavp(kind):
    for bits in (128, 256):
        for case in public.cavp_gcm(kind, bits):
            case = {"pt": ""} | case
            key, nonce, aad, pt, sealed = public.unhex(case, "key", "iv", "aad", "pt", "ct", "tag")
            yield vector(key, nonce, aad, pt, sealed, "fail" not in case)


def wycheproof():
    for test in public.wycheproof_gcm():
        values = (bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag"))
        key, nonce, aad, plaintext, ciphertext, tag = values
        yield vector(key, nonce, aad, plaintext, ciphertext + tag, test["result"] == "valid")


def rfc9605():
    for case in figures("rfc9605")["ctr_hmac"]:
        names = ("key", "nonce", "aad", "pt", "ct")
        job = Job(CipherSuite(case["suite"]), *(bytes.fromhex(case[name]) for name in names))
        if job.suite in (1, 6):  # a raw key has the tag size of its family's longest
            yield job, True


def vector(key, nonce, aad, plaintext, sealed, valid):
    suite = public.GCM_OF_KEY_SIZE[len(key)]
    plaintext = plaintext if valid else bytes(len(sealed) - suite.Nt)
    return Job(suite, key, nonce, aad, plaintext, sealed), valid


def test_the_counts():
    rfc = figures("rfc9605")
    of_the_rfc = {
        name: sum(case["suite"] <= 5 for case in rfc[name]) for name in ("ctr_hmac", "sframe")
    } | {"header": len(rfc["header"])}
    assert of_the_rfc == {"header": 289, "ctr_hmac": 3, "sframe": 5}
    counts = {
        "RFC 9605": sum(of_the_rfc.values()),
        "draft suites 6-8": 3 + 3,
        "NIST CAVP": len([*cavp("EncryptExtIV"), *cavp("Decrypt")]),
        "Wycheproof": len([*wycheproof()]),
    }
    print(counts, "on", ", ".join(engines.available()))
    assert counts == {
        "RFC 9605": 297, "draft suites 6-8": 6, "NIST CAVP": 1500, "Wycheproof": 133,
    }  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_all_of_them_as_rows_in_company(kernel, rng):
    """Shuffled, so that sizes, keys, families, good and bad ones mix in batches of 65."""
    _, lib = load()
    vectors = [*cavp("EncryptExtIV"), *cavp("Decrypt"), *wycheproof(), *rfc9605()]
    rng.shuffle(vectors)
    before = lib.interleaved_calls()
    for at in range(0, len(vectors), BATCH):
        check(kernel, vectors[at : at + BATCH], rng.random() < 0.5)
    refused = sum(not valid for _, valid in vectors)
    interleaved = lib.interleaved_calls() - before
    print(f"{len(vectors)} vectors as rows, {refused} of them refused, {interleaved} interleaved")
    assert len(vectors) == 1500 + 133 + 2
    assert interleaved >= 2 * (len(vectors) // BATCH)


def check(kernel, vectors, in_place, run=None):
    rows = Rows(kernel, [job for job, _ in vectors])
    outputs, statuses = rows.open(in_place=in_place, run=run)
    assert not first_difference(outputs, rows.joined([job.plaintext for job, _ in vectors]), rows)
    assert statuses == [0 if valid else REFUSED for _, valid in vectors]
    rows = Rows(kernel, [job for job, valid in vectors if valid])
    outputs, tags = rows.seal(in_place=in_place, run=run)
    assert not first_difference(outputs, rows.joined([job.ciphertext for job in rows.jobs]), rows)
    assert tags == [job.tag for job in rows.jobs]


# ---- each of these tests is seen to fail ----


class OneBit:
    """An AEAD whose seal, or whose open, errs in one bit."""

    def __init__(self, aead, where):
        self.aead, self.where = aead, where

    def seal(self, nonce, aad, plaintext):
        sealed = self.aead.seal(nonce, aad, plaintext)
        return flipped(sealed, min(16, len(sealed) - 1)) if self.where == "seal" else sealed

    def open(self, nonce, aad, sealed):
        opened = self.aead.open(nonce, aad, sealed)
        if self.where == "open" and opened:
            return flipped(opened, -1)
        return b"" if self.where == "accepts" and opened is None else opened


RAW_TESTS = {
    "Wycheproof": (public, public.test_wycheproof_gcm, (), ("seal", "open", "accepts")),
    "CAVP encrypt": (public, public.test_cavp_gcm_encrypt, (128,), ("seal", "open", "accepts")),
    "CAVP decrypt": (public, public.test_cavp_gcm_decrypt, (256,), ("open", "accepts")),
    "RFC 3686": (public, public.test_rfc3686_ctr, (128,), ("seal",)),
    "RFC 9605 C.2": (
        test_rfc9605, test_rfc9605.test_ctr_hmac, (figures("rfc9605")["ctr_hmac"][0],),
        ("seal", "open", "accepts"),
    ),
}  # fmt: skip
FAULTS = [(name, where) for name, row in RAW_TESTS.items() for where in row[3]]


@pytest.mark.parametrize(("name", "where"), FAULTS)
def test_a_bit_in_a_kernel_is_noticed(engine, name, where, monkeypatch):
    module, test, arguments, _ = RAW_TESTS[name]
    monkeypatch.setattr(module, "raw_aead", lambda *args: OneBit(raw_aead(*args), where))
    with pytest.raises(AssertionError):
        test(engine, *arguments)


@pytest.mark.parametrize("case", figures("rfc9605")["sframe"], ids=lambda case: case["suite"])
def test_a_bit_in_a_frame_is_noticed(engine, case):
    """An engine whose Sender, and one whose Receiver, errs in one bit of a frame."""

    class Sender(engine.Sender):
        __slots__ = ()

        def protect(self, *args):
            return flipped(super().protect(*args), -1)

    class Receiver(engine.Receiver):
        __slots__ = ()

        def unprotect(self, *args):
            return flipped(super().unprotect(*args), -1)

    for faulty, test in (
        (engine._replace(Sender=Sender), test_rfc9605.test_protect),
        (engine._replace(Receiver=Receiver), test_rfc9605.test_unprotect),
    ):
        test(engine, case)
        with pytest.raises(AssertionError):
            test(faulty, case)
