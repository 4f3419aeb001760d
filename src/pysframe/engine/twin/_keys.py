"""Keys of the twin: the secret that more keys come from, and the key of one KID.

Rules of this file:
  1. A FrameKey is immutable. Its users hold references, so another thread may close its owner
     safely; it is wiped when the last reference goes.
  2. Wiping is best effort: Python and the AEAD providers keep copies that cannot be reached.
"""

from operator import index
from typing import Self

from ..._buffers import ReadableBuffer, byte_view
from ..._tracebacks import without_locals
from ...errors import MisuseError
from ...limits import LAST_STEPS, MIN_BASE_KEY
from ...suites import CipherSuite
from .. import key_schedule
from .._aead import Provider, new_aead
from ._formats import SFRAME, Format
from ._guard import Unshareable
from ._registry import fingerprint


class Secret(Unshareable):
    """sframe_secret of a base_key (RFC 9605 4.4.2), from which keys and ratchet steps derive.

    base_key: 16 bytes or more, else MisuseError. Immutable until closed; thread-safe.
    """

    __slots__ = ("_sframe_secret", "_suite")

    @without_locals
    def __init__(self, suite: int, base_key: "ReadableBuffer") -> None:
        self._suite = CipherSuite(index(suite))
        ikm = _base_key(base_key)
        self._sframe_secret = bytearray(key_schedule.derive_secret(self._suite, ikm))

    @classmethod
    @without_locals
    def for_ssrc(cls, suite: int, base_key: "ReadableBuffer", ssrc: int) -> Self:
        """The secret of one RTP stream; ssrc is 0..2^32-1. draft-ietf-avtcore-rtp-sframe."""
        number = index(ssrc)
        if not 0 <= number < 1 << 32:
            raise MisuseError(f"ssrc is {ssrc}; it must be 0..{(1 << 32) - 1}")
        stream = key_schedule.derive_stream(CipherSuite(index(suite)), _base_key(base_key), number)
        return cls(suite, stream)

    @without_locals
    def ratchet(self, steps: int = 1) -> "Secret":
        """The secret `steps` ratchet steps on (RFC 9605 5.1); this one stays as it is."""
        if not 0 <= index(steps) <= LAST_STEPS:
            raise MisuseError(f"steps is {steps}; it must be 0..{LAST_STEPS}")
        secret = self._open()
        for _ in range(steps):
            base_key = key_schedule.derive_ratchet(self._suite, secret)
            secret = key_schedule.derive_secret(self._suite, base_key)
        following = Secret.__new__(Secret)
        following._suite = self._suite
        following._sframe_secret = bytearray(secret)
        return following

    def close(self) -> None:
        """Wipes the secret; keys derived from it stay. Idempotent."""
        wiped, self._sframe_secret = self._sframe_secret, bytearray()
        wiped[:] = bytes(len(wiped))

    def __del__(self) -> None:
        if hasattr(self, "_sframe_secret"):
            self.close()

    def __repr__(self) -> str:
        try:
            return f"<Secret {self._suite.name}>"
        except AttributeError:  # __init__ raised, or never ran
            return "<Secret, never made>"

    def of_suite(self, suite: CipherSuite) -> "Secret":
        """This secret, or MisuseError when it is another suite's."""
        if self._suite != suite:
            raise MisuseError(f"the secret is of {self._suite.name}, not of {suite.name}")
        return self

    def _open(self) -> bytes:
        held = self._sframe_secret
        copy = bytes(held)
        # Check again: a closing thread swaps the buffer first and wipes it afterwards.
        if not copy or self._sframe_secret is not held:
            raise MisuseError("this Secret is closed; make another one")
        return copy


class FrameKey:
    """sframe_key and sframe_salt of one KID, ready to seal and open."""

    __slots__ = ("_aead", "_format", "_salt", "_sframe_key", "fingerprint", "tag_size")

    @without_locals
    def __init__(
        self, secret: Secret, kid: int, source: Provider, wire_format: Format = SFRAME
    ) -> None:
        key, salt = key_schedule.derive_key_and_salt(secret._suite, secret._open(), kid)
        self._sframe_key = bytearray(key)
        self._salt = int.from_bytes(salt)
        self._format = wire_format
        self._aead = new_aead(secret._suite, memoryview(self._sframe_key), source)
        self.fingerprint = fingerprint(key, salt)
        self.tag_size = secret._suite.Nt

    @without_locals
    def seal(self, ctr: int, aad: bytes, plaintext: bytes, mark: bytes = b"") -> bytes:
        """Ciphertext and tag."""
        return self._aead.seal(self._format.nonce(self._salt, ctr, mark), aad, plaintext)

    @without_locals
    def open(self, ctr: int, aad: bytes, sealed: bytes, mark: bytes = b"") -> bytes | None:
        """The plaintext of ciphertext and tag; None when the tag does not verify."""
        return self._aead.open(self._format.nonce(self._salt, ctr, mark), aad, sealed)

    def __del__(self) -> None:
        if hasattr(self, "_sframe_key"):
            self._sframe_key[:] = bytes(len(self._sframe_key))


def _base_key(base_key: "ReadableBuffer") -> bytes:
    view = byte_view(base_key, "base_key")
    if view.nbytes < MIN_BASE_KEY:
        raise MisuseError(f"base_key has {view.nbytes} bytes; it needs at least {MIN_BASE_KEY}")
    return bytes(view)
