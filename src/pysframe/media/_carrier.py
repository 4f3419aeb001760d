"""What the codecs of this package have in common."""

from collections.abc import Callable
from typing import NamedTuple


class NoCarrier(Exception):
    """The wire frame holds no ciphertext; the message says why."""


class Codec(NamedTuple):
    """How one codec's ciphertexts are dressed.

    wrap(frame, ciphertext) is the wire frame. It takes any bytes for a frame: what it cannot read,
    it does not show. unwrap(wire) is the ciphertext again, or raises NoCarrier.
    """

    name: str
    wrap: Callable[[bytes, bytes], bytes]
    unwrap: Callable[[bytes], bytes]


def only(carriers: list[bytes], name: str) -> bytes:
    """The one ciphertext of a wire frame."""
    if not carriers:
        raise NoCarrier(f"no {name} that could carry a ciphertext; is this media in the clear?")
    if len(carriers) > 1:
        raise NoCarrier(f"{len(carriers)} times {name}: several frames were joined; split them")
    return carriers[0]
