"""The oracle's HPKE against public figures: RFC 9180 A.1 and draft-ietf-hpke-pq."""

import json

import cryptography_vectors
import sealed_keys_oracle as oracle
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey


def figures(file, kem, kdf, aead):
    """The one case of the base mode with these algorithms, its hex as bytes."""
    with cryptography_vectors.open_vector_file(f"HPKE/{file}", "r") as opened:
        cases = json.load(opened)
    wanted = {"mode": 0, "kem_id": kem, "kdf_id": kdf, "aead_id": aead}
    (case,) = [case for case in cases if wanted.items() <= case.items()]
    return {name: bytes.fromhex(v) for name, v in case.items() if isinstance(v, str)}


def exchanged(private, enc):
    return private.exchange(X25519PublicKey.from_public_bytes(enc))


def test_x25519_and_the_key_schedule():
    case = figures("test-vectors.json", 0x20, 1, 2)
    (_, curve), public = oracle.pair("X25519", case["skRm"])
    assert public == case["pkRm"]
    shared = oracle.dhkem(exchanged(curve, case["enc"]), case["enc"], public)
    assert shared == case["shared_secret"]
    key, nonce = oracle.schedule("X25519", shared, case["info"])
    assert (key, nonce) == (case["key"], case["base_nonce"])


def test_xwing():
    case = figures("hpke-pq-test-vectors.json", 0x647A, 1, 3)
    (lattice, curve), public = oracle.pair("X-Wing", case["skRm"])
    assert public == case["pkRm"]
    secret, enc = lattice.decapsulate(case["enc"][:1088]), case["enc"][1088:]
    dh = exchanged(curve, enc)
    assert oracle.xwing(secret, dh, enc, public[-32:]) == case["shared_secret"]
