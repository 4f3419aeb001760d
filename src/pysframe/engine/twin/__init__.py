"""The twin: the native engine in plain Python, for machines where that cannot run.

It does the same in the same order, so it reads as the specification of csrc/:

    _cores     the contract, as the policy sees it   engine/_native.pyx
    _sender    reserve -> seal                       frame/sender.c
    _receiver  parse -> resolve -> open -> commit    frame/receiver.c, frame/keyring.c
    _shares    who has a key derived, who waits      frame/reach.c
    _strangers unknown KIDs, few of them             frame/receiver.c
    _trail     what refused frames look like         frame/receiver.c
    _key_flow  what counts say of a key             engine/_key_flow.pxi
    _pace      whether a sender sent refused frames engine/_key_flow.pxi
    _batch     many of both at once                  aead/run.c
    _window    the replay window                     frame/receiver.c
    _registry  the senders of this process           frame/registry.c
    _process   what a fork looks like                platform/arena.c
    _keys      secrets and keys                      hash/kdf.c, platform/arena.c

AES comes from an AEAD provider: `cryptography` where it is installed, else pycryptodome. What
the native engine promises about memory is best effort here: Python cannot wipe all copies.
"""

from .. import _aead
from ._batch import protect_batch, protect_many, unprotect_batch, unprotect_many
from ._cores import ReceiverCore, SenderCore
from ._key_flow import KeyFlow, KeyFlowMonitor
from ._keys import Secret

__all__ = [
    "KERNELS",
    "VERSIONS",
    "KeyFlow",
    "KeyFlowMonitor",
    "ReceiverCore",
    "Secret",
    "SenderCore",
    "memory",
    "protect_batch",
    "protect_many",
    "unprotect_batch",
    "unprotect_many",
]

KERNELS = _aead.survey()
VERSIONS = {name: _aead.provider(name).VERSION for name, why in KERNELS.items() if not why}


def memory() -> str:
    """How the memory of keys is kept."""
    return "Python's: keys in it cannot be locked, nor be wiped for certain"
