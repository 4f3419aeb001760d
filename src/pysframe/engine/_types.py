"""The shapes in which the policy and every engine speak to each other."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from ..batch import FrameBatch
from ..header import Header, HeaderColumns


class KeyKind(IntEnum):
    """How a receiver came by a key; csrc/sfr.h numbers the kinds alike."""

    GIVEN = 0  # by the caller, or confirmed by a tag
    AHEAD = 1  # derived before any frame named its KID
    ASKED = 2  # derived because a header named its KID, which may be forged


class Reach(NamedTuple):
    """KIDs whose keys can be derived: kid & mask == group, with a number that is in reach.

    The number is kid >> shift & numbers; `total` numbers are in reach, from `first` on, modulo
    numbers + 1. The first `few`, in KIDs without any other bit, each get a key that is kept. The
    rest share an allowance, since an attacker may name them without end.
    """

    mask: int
    group: int
    numbers: int
    shift: int
    first: int
    total: int
    few: int


class Backend(NamedTuple):
    """Which engine runs, and why not another: what backend_info() returns."""

    engine: str  # "native" or "fallback"
    kernel: str  # "vaes512", "aesni", "cryptography", ...
    refused: dict[str, str]  # "native:vaes512" and the like -> why it is not used
    versions: dict[str, str]
    self_test: str  # "ok", or the suites that failed
    memory: str  # whether pages that hold keys are locked and excluded from core dumps


class Engine(NamedTuple):
    """The package's classes and functions over one engine and kernel: what bind() returns."""

    name: str  # as bind() takes it: "native:vaes512", "fallback:cryptography", ...
    kernel: str
    Secret: type[Any]
    KeyFlow: type[Any]
    KeyFlowMonitor: type[Any]
    Sender: type[Any]
    Receiver: type[Any]
    protect_many: Callable[..., Any]
    unprotect_many: Callable[..., Any]
    protect_batch: Callable[..., Any]
    unprotect_batch: Callable[..., Any]
    FrameBatch: type[FrameBatch]
    Header: type[Header]
    parse_headers: Callable[..., HeaderColumns]


def key_flow(*fields: Any) -> Any:
    """A pickled KeyFlow again, as the engine of this process has it."""
    from . import default

    return default().KeyFlow(*fields)


_Face = TypeVar("_Face")


def completed(face: type[_Face], core: type) -> type[_Face]:
    """The public class of this face over an engine's core."""
    own = {"__slots__": (), "__module__": "pysframe", "__doc__": face.__doc__}
    return type(face.__name__, (core, face), own)
