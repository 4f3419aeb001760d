"""Layouts of key IDs as RFC 9605 5 proposes them: the meaning of each bit of a KID.

Rule: this module packs and unpacks integers. It holds no keys and makes no decisions.
"""

from operator import index
from typing import NamedTuple, TypeVar

from .._values import Value
from ..errors import MisuseError
from ..limits import KID_BITS

_Layout = TypeVar("_Layout")


class SenderKeyID(NamedTuple):
    """The fields of a KID of RFC 9605 5.1; ratchet_step is known modulo 2^R."""

    generation: int
    ratchet_step: int


class MLSKeyID(NamedTuple):
    """The fields of a KID of RFC 9605 5.2; epoch is known modulo 2^E."""

    epoch: int
    sender_index: int
    context: int


def checked_layout(layout: object, expected: type[_Layout]) -> _Layout:
    """layout, or a TypeError that shows its type alone: it may be a key in the wrong place."""
    if not isinstance(layout, expected):
        raise TypeError(f"layout must be a {expected.__name__}, not {type(layout).__name__}")
    return layout


class SenderKeyLayout(Value):
    """Sender keys with a ratchet (RFC 9605 5.1), R low bits for the step.

         64-R bits         R bits
    +------------------+--------------+
    |  key generation  | ratchet step |
    +------------------+--------------+

    R is 0..64, MisuseError otherwise; a receiver can tell 2^R steps apart.

    >>> layout = SenderKeyLayout(4)
    >>> hex(layout.pack(generation=2, ratchet_step=17))
    '0x21'
    >>> layout.unpack(0x21)
    SenderKeyID(generation=2, ratchet_step=1)
    """

    __slots__ = __match_args__ = ("R",)
    R: int

    def __init__(self, R: int) -> None:
        object.__setattr__(self, "R", _field("R", R, KID_BITS + 1))

    def pack(self, generation: int, ratchet_step: int = 0) -> int:
        """The KID of a step, of which the low R bits are kept.

        Raises MisuseError when generation needs more than 64-R bits or a field is negative.
        """
        # RFC 9605 5.1: KID = (key_generation << R) + (ratchet_step % (1 << R))
        upper = _field("generation", generation, 1 << (KID_BITS - self.R))
        step = _field("ratchet_step", ratchet_step, 1 << KID_BITS)
        return (upper << self.R) + step % (1 << self.R)

    def unpack(self, kid: int) -> SenderKeyID:
        """The generation and the low R bits of the ratchet step."""
        kid = _field("kid", kid, 1 << KID_BITS)
        return SenderKeyID(kid >> self.R, kid % (1 << self.R))


class MLSLayout(Value):
    """Keys from MLS epochs (RFC 9605 5.2), E low bits for the epoch, S for the sender.

      64-S-E bits     S bits       E bits
    +-------------+--------------+---------+
    |   context   | sender index |  epoch  |
    +-------------+--------------+---------+

    E and S are at most 64 in sum, MisuseError otherwise. Keep S fixed for the life of a group: a
    different S changes every member's KID.

    >>> layout = MLSLayout(E=4, S=6)
    >>> hex(layout.pack(epoch=17, sender_index=33))
    '0x211'
    >>> layout.unpack(0x211)
    MLSKeyID(epoch=1, sender_index=33, context=0)
    """

    __slots__ = __match_args__ = ("E", "S")
    E: int
    S: int

    def __init__(self, E: int, S: int) -> None:
        object.__setattr__(self, "E", _field("E", E, KID_BITS + 1))
        object.__setattr__(self, "S", _field("S", S, KID_BITS - self.E + 1))

    def pack(self, epoch: int, sender_index: int, context: int = 0) -> int:
        """The KID of a sender in an epoch, of which the low E bits are kept.

        Raises MisuseError when sender_index needs more than S bits, context more than 64-S-E,
        or a field is negative.
        """
        # RFC 9605 5.2: KID = (context << (S + E)) + (sender_index << E) + (epoch % (1 << E))
        low = _field("epoch", epoch, 1 << KID_BITS) % (1 << self.E)
        middle = _field("sender_index", sender_index, 1 << self.S)
        upper = _field("context", context, 1 << (KID_BITS - self.S - self.E))
        return (upper << (self.S + self.E)) + (middle << self.E) + low

    def unpack(self, kid: int) -> MLSKeyID:
        """The low E bits of the epoch, the sender's index and the context."""
        kid = _field("kid", kid, 1 << KID_BITS)
        sender = (kid >> self.E) % (1 << self.S)
        return MLSKeyID(kid % (1 << self.E), sender, kid >> (self.S + self.E))


def _field(name: str, value: int, limit: int) -> int:
    number = index(value)
    if not 0 <= number < limit:
        raise MisuseError(f"{name} is {number}; it must be 0..{limit - 1}")
    return number
