"""How a protected frame lies on the wire: csrc/formats/ in Python.

Counters, keys and windows are the same for every format. A format adds its mark, which names the
key and the counter, in front of the ciphertext or behind the tag; it derives the nonce, and it says
what is authenticated beside the payload.

Rule: a format knows bytes. It holds no key, no counter and no state. What it may hold is what the
      marks of one sender name beside KID and counter: `stream` in csrc/frame/sender.h.
"""

from typing import NamedTuple, Protocol

from ...header import encode_header, header_size, parse_header


class Places(NamedTuple):
    """The parts that a format finds in what follows the clear bytes of a received frame."""

    kid: int
    ctr: int
    mark: bytes
    sealed: bytes  # ciphertext and tag
    front: int  # bytes of the mark in front of the ciphertext


class Format(Protocol):
    """What sender and receiver ask of a format."""

    least: int  # bytes of the shortest mark

    def size(self, kid: int, ctr: int) -> int:
        """Bytes of the mark."""

    def front(self, kid: int, ctr: int) -> int:
        """Bytes of the mark in front of the ciphertext."""

    def mark(self, kid: int, ctr: int) -> bytes:
        """The mark itself."""

    def join(self, mark: bytes, sealed: bytes) -> bytes:
        """Mark, ciphertext and tag in the order of the wire."""

    def read(self, body: bytes, tag_size: int, strict: bool) -> Places:
        """The parts of a received body, or MalformedFrame."""

    def nonce(self, salt: int, ctr: int, mark: bytes) -> bytes:
        """The nonce of one frame; the salt is a number of Nn = 12 bytes."""

    def aad(self, mark: bytes, clear: bytes, metadata: memoryview) -> bytes:
        """What is authenticated and not encrypted."""


class SFrame:
    """clear || header || ciphertext || tag: RFC 9605."""

    least = 1

    def size(self, kid: int, ctr: int) -> int:
        return header_size(kid, ctr)

    def front(self, kid: int, ctr: int) -> int:
        return header_size(kid, ctr)

    def mark(self, kid: int, ctr: int) -> bytes:
        return encode_header(kid, ctr)

    def join(self, mark: bytes, sealed: bytes) -> bytes:
        return mark + sealed

    def read(self, body: bytes, tag_size: int, strict: bool) -> Places:
        kid, ctr, size = parse_header(body[: len(body) - tag_size], strict)
        return Places(kid, ctr, body[:size], body[size:], size)

    def nonce(self, salt: int, ctr: int, mark: bytes) -> bytes:
        # RFC 9605 4.4.3: sframe_salt XOR the counter as Nn = 12 bytes.
        return (salt ^ ctr).to_bytes(12)

    def aad(self, mark: bytes, clear: bytes, metadata: memoryview) -> bytes:
        # RFC 9605 4.4.3: aad = header || metadata; clear bytes are the head of the metadata. The
        # mark of a received frame is the header as it came, minimal or not (4.4.4).
        return b"".join((mark, clear, metadata))


SFRAME = SFrame()
