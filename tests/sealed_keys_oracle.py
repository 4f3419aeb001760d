"""A second reading of docs/sealed-keys.md: JWS, HPKE and all texts by hand, over bare primitives.

It shares no line with pysframe.keyservice and uses neither joserfc nor `cryptography`'s HPKE. It
makes whatever it is asked to make, wrong or right, so that the vectors can hold both.
"""

import base64
import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

NUMBERS = {"X-Wing": 0x647A, "X25519": 0x0020}
ENC = {"X-Wing": 1120, "X25519": 32}


def sha256(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "==")


def as_json(fields):
    return fields if isinstance(fields, bytes) else json.dumps(fields).encode()


# ---- signatures ----


class Signing:
    """A signing key from 32 bytes: an Ed25519 seed, or a P-256 scalar."""

    def __init__(self, alg, secret):
        self.alg, self.secret = alg, secret
        if alg == "Ed25519":
            self.key = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
            x = self.key.public_key().public_bytes_raw()
            self.jwk = {"crv": "Ed25519", "kty": "OKP", "x": b64(x)}
        else:
            self.key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
            point = self.key.public_key().public_numbers()
            x, y = (b64(part.to_bytes(32, "big")) for part in (point.x, point.y))
            self.jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    @property
    def thumbprint(self):  # RFC 7638: the fields sorted, no space
        return b64(sha256(json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()))

    def sign(self, data):
        if self.alg == "Ed25519":
            return self.key.sign(data)
        der = self.key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))
        return b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(der))


def jws(signing, header, payload):
    """header: its fields; alg is put first unless it is there. Anything else is taken as it is."""
    if isinstance(header, dict):
        header = {"alg": signing.alg, **header}
    text = f"{b64(as_json(header))}.{b64(as_json(payload))}"
    return f"{text}.{b64(signing.sign(text.encode()))}"


# ---- HPKE, RFC 9180, base mode, HKDF-SHA256, AES-256-GCM ----


def extract(salt, key):
    return hmac.digest(salt or bytes(32), key, "sha256")


def expand(secret, info, size):
    out, block = b"", b""
    for count in range(1, -(-size // 32) + 1):
        block = hmac.digest(secret, block + info + bytes([count]), "sha256")
        out += block
    return out[:size]


def labelled(suite, label, key, salt=b""):
    return extract(salt, b"HPKE-v1" + suite + label + key)


def labelled_expand(suite, secret, label, info, size):
    return expand(secret, struct.pack("!H", size) + b"HPKE-v1" + suite + label + info, size)


def schedule(kem, shared, info):
    """(key, nonce) of the first message: RFC 9180 5.1."""
    suite = b"HPKE" + struct.pack("!HHH", NUMBERS[kem], 1, 2)
    psk_id, info_hash = (
        labelled(suite, n, d) for n, d in ((b"psk_id_hash", b""), (b"info_hash", info))
    )
    context = b"\0" + psk_id + info_hash
    secret = labelled(suite, b"secret", b"", shared)
    key = labelled_expand(suite, secret, b"key", context, 32)
    return key, labelled_expand(suite, secret, b"base_nonce", context, 12)


def dhkem(dh, enc, public):
    """RFC 9180 4.1."""
    suite = b"KEM" + struct.pack("!H", NUMBERS["X25519"])
    secret = labelled(suite, b"eae_prk", dh)
    return labelled_expand(suite, secret, b"shared_secret", enc + public, 32)


def xwing(lattice, dh, enc, public):
    """draft-connolly-cfrg-xwing-kem 5.3; enc and public are of X25519."""
    return hashlib.sha3_256(lattice + dh + enc + public + rb"\.//^" + b"\\").digest()


def pair(kem, seed):
    """(private parts, public key): 32 bytes are the X25519 scalar, or X-Wing's seed."""
    if kem == "X25519":
        curve = x25519.X25519PrivateKey.from_private_bytes(seed)
        return (None, curve), curve.public_key().public_bytes_raw()
    parts = hashlib.shake_256(seed).digest(96)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(parts[:64])
    curve = x25519.X25519PrivateKey.from_private_bytes(parts[64:])
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return (lattice, curve), public


def hpke_seal(kem, public, info, plaintext):
    ephemeral = x25519.X25519PrivateKey.generate()
    enc = ephemeral.public_key().public_bytes_raw()
    dh = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(public[-32:]))
    if kem == "X25519":
        shared = dhkem(dh, enc, public)
    else:
        secret, ct = mlkem.MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
        shared, enc = xwing(secret, dh, enc, public[-32:]), ct + enc
    key, nonce = schedule(kem, shared, info)
    return enc + AESGCM(key).encrypt(nonce, plaintext, b"")


def hpke_open(kem, seed, info, seal):
    (lattice, curve), public = pair(kem, seed)
    enc, ciphertext = seal[: ENC[kem]], seal[ENC[kem] :]
    dh = curve.exchange(x25519.X25519PublicKey.from_public_bytes(enc[-32:]))
    if kem == "X25519":
        shared = dhkem(dh, enc, public)
    else:
        shared = xwing(lattice.decapsulate(enc[:1088]), dh, enc[-32:], public[-32:])
    key, nonce = schedule(kem, shared, info)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


# ---- the page, from its section 2 on ----


def credential(tenant_key, kid, claims, header=None):
    return jws(tenant_key, header or {"typ": "sframe-member+jwt", "kid": kid}, claims)


def claims(tenant, room, member, role, thumbprint, now, /, **more):
    times = {"iat": now, "nbf": now, "exp": now + 600}
    named = {"iss": tenant, "sub": member, "room": room, "role": role}
    return {**named, **times, "jti": f"{member}-1", "cnf": {"jkt": thumbprint}, **more}


def proof(signing, token, nonce, url, now, /, **more):
    fields = {"jti": "p", "htm": "GET", "htu": url, "iat": now, "nonce": nonce}
    fields |= {"ath": b64(sha256(token.encode())), **more}
    return jws(signing, {"typ": "dpop+jwt", "jwk": signing.jwk}, fields)


def hello(signing, token, tenant, room, member, kem, public, now, /, **more):
    fields = {"v": 1, "tenant": tenant, "room": room, "member": member, "kem": kem}
    fields |= {"key": b64(public), "ath": b64(sha256(token.encode())), "iat": now, **more}
    return jws(signing, {"typ": "sframe-hello+jwt", "jwk": signing.jwk}, fields)


def roster_hash(tenant, room, revision, members):
    """members: (index, name, hello), by index."""
    text = lambda name: bytes([len(name)]) + name.encode()  # noqa: E731
    rows = [struct.pack("!Q", i) + text(name) + sha256(h.encode()) for i, name, h in members]
    head = b"pysframe roster v1\0" + text(tenant) + text(room)
    return sha256(head + struct.pack("!QI", revision, len(rows)) + b"".join(rows))


def commitment(base_key):
    return expand(extract(b"pysframe key commitment v1", base_key), b"", 32)


def info(header, recipients_hello):
    hashes = sha256(header.encode()) + sha256(recipients_hello.encode())
    return b"pysframe sealed key v1\0" + hashes


def key_header(signing, fields):
    return jws(signing, {"typ": "sframe-key+jwt"}, fields)


def message(header, seals):
    seals = {member: b64(seal) for member, seal in seals.items()}
    return {"v": 1, "type": "key", "header": header, "seals": seals}
