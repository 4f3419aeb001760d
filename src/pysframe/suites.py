"""The cipher suites of RFC 9605 4.5 (1-5) and draft-barnes-sframe-iana-256 (6-8)."""

from enum import IntEnum
from os import urandom

from .errors import MisuseError
from .limits import MAX_HEADER, SHORT_TAG


def _is_served(nh: int, nka: int, nk: int, nn: int, nt: int) -> bool:
    """Whether the engines have code for this row: the rule of sfr_suite_find in csrc/."""
    if nh not in (32, 64) or nn != 12:
        return False
    if nka == 0:
        return nk in (16, 32) and nt == 16
    return nka == nh // 2 and nk == nka + nh and (nt == 4 or 8 <= nt <= 16)


class CipherSuite(IntEnum):
    """A suite by its IANA name and number; sizes are in bytes and named as in the RFC.

    Nh: hash output. Nka: AES key of the CTR + HMAC suites (0 for GCM). Nk: sframe_key.
    Nn: nonce. Nt: tag.

    >>> CipherSuite.AES_128_GCM_SHA256_128.Nt
    16
    >>> CipherSuite(1).max_overhead
    27
    """

    Nh: int
    Nka: int
    Nk: int
    Nn: int
    Nt: int

    AES_128_CTR_HMAC_SHA256_80 = (1, 32, 16, 48, 12, 10)
    AES_128_CTR_HMAC_SHA256_64 = (2, 32, 16, 48, 12, 8)
    AES_128_CTR_HMAC_SHA256_32 = (3, 32, 16, 48, 12, 4)
    AES_128_GCM_SHA256_128 = (4, 32, 0, 16, 12, 16)
    AES_256_GCM_SHA512_128 = (5, 64, 0, 32, 12, 16)
    AES_256_CTR_HMAC_SHA512_80 = (6, 64, 32, 96, 12, 10)
    AES_256_CTR_HMAC_SHA512_64 = (7, 64, 32, 96, 12, 8)
    AES_256_CTR_HMAC_SHA512_32 = (8, 64, 32, 96, 12, 4)

    def __new__(cls, number: int, *sizes: int) -> "CipherSuite":
        if not _is_served(*sizes):
            said = ", ".join(map(str, sizes))
            raise ValueError(f"no cipher family serves a suite with Nh, Nka, Nk, Nn, Nt = {said}")
        suite = int.__new__(cls, number)
        suite._value_ = number
        suite.Nh, suite.Nka, suite.Nk, suite.Nn, suite.Nt = sizes
        return suite

    @classmethod
    def _missing_(cls, value: object) -> None:
        names = ", ".join(f"{suite.value} {suite.name}" for suite in cls)
        # A value that is not a number may be a misplaced key and must not be repeated.
        said = repr(value) if isinstance(value, int) else f"a {type(value).__name__}"
        raise MisuseError(f"{said} is no cipher suite; the suites are {names}") from None

    @property
    def max_overhead(self) -> int:
        """Bytes by which a protected frame can exceed the frame: the longest header and a tag."""
        return MAX_HEADER + self.Nt

    def generate_base_key(self) -> bytes:
        """A fresh random base_key: 16 bytes, or 32 for the suites with SHA-512.

        Distribute it through your key exchange. Python owns the bytes: they cannot be wiped.
        RFC 9605 4.4.1.

        >>> len(CipherSuite(4).generate_base_key()), len(CipherSuite(5).generate_base_key())
        (16, 32)
        """
        return urandom(self.Nh // 2)

    @property
    def hash_name(self) -> str:
        """The suite's hash by its name in hashlib."""
        return "sha256" if self.Nh == 32 else "sha512"

    @property
    def is_gcm(self) -> bool:
        """True for AES-GCM (4, 5), False for AES-CTR with HMAC (RFC 9605 4.5.1)."""
        return self.Nka == 0

    @property
    def has_short_tag(self) -> bool:
        """A 4-byte tag: one forgery in 2^32 tries, so such suites are opt-in (RFC 9605 7.5)."""
        return self.Nt == SHORT_TAG


def allowed_suite(suite: CipherSuite | int, allow_short_tags: bool) -> CipherSuite:
    """The suite; MisuseError when its tags have 4 bytes and the caller has not asked for that."""
    suite = CipherSuite(suite)
    if suite.has_short_tag and not allow_short_tags:
        raise MisuseError(
            f"{suite.name} has 4-byte tags: one forgery succeeds in 2^32 tries (RFC 9605 7.5); "
            "pass allow_short_tags=True if that is meant"
        )
    return suite
