"""Where keys come from: one narrow seam between whatever exchanges keys and whatever uses them.

    KeySource                         what a source of keys is: events out, reports in
    InstallKey, InstallSenderKey, InstallEpoch, Use, Drop, Roster, Trouble   its events
    StaticKeys                        the source that reads keys.json
    Keyring                           what adapters do with events: receivers, and the sender in use

The core never asks for keys, and adapters take any source.
"""

from .events import (
    Drop,
    InstallEpoch,
    InstallKey,
    InstallSenderKey,
    KeyEvent,
    KeySource,
    Roster,
    Trouble,
    TroubleKind,
    Use,
)
from .keyring import Keyring
from .scope import Scope
from .static import KeyFileError, StaticKeys

__all__ = [
    "Drop",
    "InstallEpoch",
    "InstallKey",
    "InstallSenderKey",
    "KeyEvent",
    "KeyFileError",
    "KeySource",
    "Keyring",
    "Roster",
    "Scope",
    "StaticKeys",
    "Trouble",
    "TroubleKind",
    "Use",
]
