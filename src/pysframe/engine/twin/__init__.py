"""The twin: the native engine in plain Python, for machines on which that cannot run.

It does the same things in the same order, and serves as the readable specification of csrc/:

    _cores     the contract with the policy          engine/_native.pyx
    _sender    reserve -> seal                       frame/sender.c
    _receiver  parse -> resolve -> open -> commit    frame/receiver.c, frame/keyring.c
    _arrival   a received frame and its parts        frame/parse.h
    _formats   the frame on the wire                 formats/sframe.h
    _shares    whose key is derived, who waits       frame/reach.c
    _strangers a bounded sample of unknown KIDs      frame/strangers.c
    _trail     the CTRs of refused frames            frame/trail.c
    _key_flow  states of keys, from counts           engine/_key_flow.pxi
    _pace      whether refused frames are a sender's engine/_pace.pxi
    _batch     many frames in one call               aead/run.c
    _frame_batch, _headers                           engine/_frame_batch.pxi, _headers.pxi
    _window    the replay window                     frame/window.h
    _registry  the senders of this process           frame/registry.c
    _process   how a fork is detected                platform/process.c
    _keys      secrets and keys                      hash/kdf.c, platform/arena.c

AES comes from an AEAD provider: `cryptography` where it is installed, otherwise pycryptodome. The
native engine's promises about memory are best effort here: Python cannot wipe every copy.
"""

from .. import _aead
from ._batch import protect_batch, protect_many, unprotect_batch, unprotect_many
from ._columns import ColumnsCore
from ._cores import ReceiverCore, SenderCore
from ._frame_batch import BatchCore, FrameBatch
from ._headers import Header, HeaderColumns, HeaderCore, parse_headers
from ._key_flow import KeyFlow, KeyFlowMonitor
from ._keys import Secret

__all__ = [
    "KERNELS",
    "VERSIONS",
    "BatchCore",
    "ColumnsCore",
    "FrameBatch",
    "Header",
    "HeaderColumns",
    "HeaderCore",
    "KeyFlow",
    "KeyFlowMonitor",
    "ReceiverCore",
    "Secret",
    "SenderCore",
    "memory",
    "parse_headers",
    "protect_batch",
    "protect_many",
    "unprotect_batch",
    "unprotect_many",
]

KERNELS = _aead.survey()
VERSIONS = {name: _aead.provider(name).VERSION for name, why in KERNELS.items() if not why}


def memory() -> str:
    """How the memory that holds keys is protected."""
    return "Python's: keys in it cannot be locked, nor be wiped for certain"
