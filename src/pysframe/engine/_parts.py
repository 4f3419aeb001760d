"""Parts that may be missing or broken: the engines, and the twin's providers of AES.

Rules of this file:
  1. Each import is spelled out in a function of its own: tools that freeze applications, such as
     PyInstaller, look for these names, and nothing is loaded before it is needed.
  2. The names are absolute, so a copy of the package under another name runs on the engines of
     `pysframe` itself. With a native engine of its own it would have a second registry of senders,
     and a counter could be used twice under one key (RFC 9605 4.4.3 MUST NOT).
  3. A part may fail in any way, and is then refused with the reason. A panic of Rust code, as in
     `cryptography`, is not even an Exception. Only KeyboardInterrupt passes, whoever raised it:
     Ctrl-C during an import must end it, and cannot be told from a library that raises the same.
"""

from collections.abc import Callable
from types import ModuleType


def native() -> ModuleType:
    """The native engine."""
    import pysframe.engine._native as part

    return part


def fallback() -> ModuleType:
    """The twin."""
    import pysframe.engine.twin as part

    return part


def cryptography() -> ModuleType:
    """AES from the package `cryptography`."""
    import pysframe.engine._aead_cryptography as part

    return part


def pycryptodome() -> ModuleType:
    """AES from pycryptodome."""
    import pysframe.engine._aead_pycryptodome as part

    return part


def trouble(use: Callable[[], object]) -> str:
    """What goes wrong when a part is used, in words; "" when it works."""
    try:
        use()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""
