"""The key schedule as RFC 9605 writes it, from hashlib and hmac alone.

The native engine does the same in C, where keys never become Python objects.
"""

import hashlib
import hmac

from ..suites import CipherSuite

KEY_LABEL = b"SFrame 1.0 Secret key "  # both labels end in a space: RFC 9605 4.4.2
SALT_LABEL = b"SFrame 1.0 Secret salt "
RATCHET_LABEL = b"SFrame 1.0 Ratchet"  # no space at its end: RFC 9605 5.1
STREAM_LABEL = b"SFrame 1.0 RTP Stream"  # draft-ietf-avtcore-rtp-sframe


def hkdf_extract(hash_name: str, salt: bytes, ikm: bytes) -> bytes:
    """RFC 5869 2.2. An empty salt stands for a hash of zeros, which HMAC makes of it anyway."""
    return hmac.digest(salt, ikm, hash_name)


def hkdf_expand(hash_name: str, prk: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 2.3; length is in bytes, at most 255 hashes."""
    size = hashlib.new(hash_name).digest_size
    block, output = b"", b""
    for number in range(1, -(-length // size) + 1):
        block = hmac.digest(prk, block + info + bytes((number,)), hash_name)
        output += block
    return output[:length]


def derive_secret(suite: CipherSuite, base_key: bytes) -> bytes:
    """sframe_secret, Nh bytes: RFC 9605 4.4.2. base_key may have any length."""
    return hkdf_extract(suite.hash_name, b"", base_key)


def derive_key_and_salt(suite: CipherSuite, sframe_secret: bytes, kid: int) -> tuple[bytes, bytes]:
    """(sframe_key, sframe_salt), Nk and Nn bytes: RFC 9605 4.4.2."""
    context = kid.to_bytes(8) + suite.to_bytes(2)
    sframe_key = hkdf_expand(suite.hash_name, sframe_secret, KEY_LABEL + context, suite.Nk)
    sframe_salt = hkdf_expand(suite.hash_name, sframe_secret, SALT_LABEL + context, suite.Nn)
    return sframe_key, sframe_salt


def derive_ratchet(suite: CipherSuite, sframe_secret: bytes) -> bytes:
    """The base_key of the next ratchet step, Nh bytes: RFC 9605 5.1.

    sframe_secret is HKDF-Extract("", base_key), with which the RFC's step begins, too.
    """
    return hkdf_expand(suite.hash_name, sframe_secret, RATCHET_LABEL, suite.Nh)


def derive_stream(suite: CipherSuite, base_key: bytes, ssrc: int) -> bytes:
    """The base_key of one RTP stream, Nh bytes: draft-ietf-avtcore-rtp-sframe."""
    prk = hkdf_extract(suite.hash_name, ssrc.to_bytes(4), base_key)
    return hkdf_expand(suite.hash_name, prk, STREAM_LABEL, suite.Nh)
