"""SFrame (RFC 9605) for Python: end-to-end encryption of real-time media frames.

>>> import pysframe
>>> suite = pysframe.CipherSuite.AES_128_GCM_SHA256_128
>>> base_key = suite.generate_base_key()        # handed over by your key exchange
>>> sender = pysframe.Sender(suite, kid=7, base_key=base_key, next_ctr=0)
>>> receiver = pysframe.Receiver(suite)
>>> receiver.add_key(7, base_key)

>>> ciphertext = sender.protect(b"20 ms of Opus")
>>> receiver.unprotect(ciphertext)              # or it raises a FrameRejected
b'20 ms of Opus'

>>> frames = [b"one", b"frame", b"of", b"each", b"stream"]
>>> batch = pysframe.unprotect_many(receiver, pysframe.protect_many(sender, frames))
>>> batch.to_list() == frames, list(batch.status)
(True, [0, 0, 0, 0, 0])

One frame per call, or many across streams in one native call; see Sender, Receiver and
FrameBatch. backend_info() says which engine runs.
"""

from typing import TYPE_CHECKING

from . import _once  # first: when the package is imported again, the rest finds what is there
from ._version import __version__ as __version__
from .batch import FrameBatch
from .engine import Backend, backend_info, default
from .errors import (
    AuthenticationFailed,
    CounterExhausted,
    DuplicateSender,
    FrameRejected,
    FrameStatus,
    FrameTooOld,
    KeyExhausted,
    LeaseEnded,
    MalformedFrame,
    MisuseError,
    ReplayedFrame,
    SenderRetired,
    SFrameError,
    UnknownKey,
)
from .header import Header
from .receiver import Receiver
from .sender import Sender
from .stats import KeyState
from .suites import CipherSuite

if TYPE_CHECKING:
    from .counters import CounterStore, CounterStoreError
    from .engine._native import (
        KeyFlow,
        parse_headers,
        protect_batch,
        protect_many,
        unprotect_batch,
        unprotect_many,
    )
    from .keys.layouts import MLSLayout, SenderKeyLayout
    from .keys.ratchet import ratchet_base_key
else:
    _engine = default()
    Sender, Receiver, KeyFlow = _engine.Sender, _engine.Receiver, _engine.KeyFlow
    FrameBatch, Header, parse_headers = _engine.FrameBatch, _engine.Header, _engine.parse_headers
    protect_many, unprotect_many = _engine.protect_many, _engine.unprotect_many
    protect_batch, unprotect_batch = _engine.protect_batch, _engine.unprotect_batch

__all__ = [
    "AuthenticationFailed",
    "Backend",
    "CipherSuite",
    "CounterExhausted",
    "CounterStore",
    "CounterStoreError",
    "DuplicateSender",
    "FrameBatch",
    "FrameRejected",
    "FrameStatus",
    "FrameTooOld",
    "Header",
    "KeyExhausted",
    "KeyFlow",
    "KeyState",
    "LeaseEnded",
    "MLSLayout",
    "MalformedFrame",
    "MisuseError",
    "Receiver",
    "ReplayedFrame",
    "SFrameError",
    "Sender",
    "SenderKeyLayout",
    "SenderRetired",
    "UnknownKey",
    "backend_info",
    "parse_headers",
    "protect_batch",
    "protect_many",
    "ratchet_base_key",
    "unprotect_batch",
    "unprotect_many",
]


# Where names are found that are loaded when they are first used. Not every application has counters
# on disk or keys that follow from others, and both would double the import's time.
_LATER = {
    "CounterStore": ".counters",
    "CounterStoreError": ".counters",
    "counters": "",
    "MLSLayout": ".keys.layouts",
    "SenderKeyLayout": ".keys.layouts",
    "keys": "",
    "ratchet_base_key": ".keys.ratchet",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    where = _LATER[name]
    if not where:
        return import_module(f".{name}", __name__)
    return getattr(import_module(where, __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_once.keep()
