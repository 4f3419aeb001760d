"""The only door to the code that seals and opens: the native engine, or its plain-Python twin.

Rules of this file:
  1. An engine is chosen once, and visibly: backend_info() says which one and why not another, and
     one RuntimeWarning is given when a platform that should have the native path falls back, one
     line in the log when another does.
  2. A switch with an unknown value is an ImportError that lists the valid ones.
  3. An engine provides core classes and batch functions. The policy around them (sender.py,
     receiver.py) registers itself here, so that nothing imports upwards.
  4. Only the main interpreter of a process may use it: senders in two interpreters would not know
     of each other and could use a counter twice under one key (RFC 9605 4.4.3 MUST NOT).

Switches, read when pysframe is imported:
    PYSFRAME_BACKEND   auto (default), native, fallback
    PYSFRAME_MAX_ISA   none (native refused), or the widest kernel that may run: see ladder()
    PYSFRAME_KERNEL    one kernel or AEAD provider by name; for tests
"""

import os
import sys
import warnings
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from .._version import __version__
from ..errors import MisuseError
from . import _parts
from ._types import Backend, Engine, KeyKind, Reach

if TYPE_CHECKING:
    from ._native import KeyFlow, KeyFlowMonitor, Secret
    from ._native import ReceiverCore as ReceiverBase
    from ._native import SenderCore as SenderBase
else:
    # Base classes of the policy: bind() combines them with the engine's own core classes. Each
    # engine also has its own Secret and key-flow classes.
    SenderBase = ReceiverBase = Secret = KeyFlow = KeyFlowMonitor = object

__all__ = [
    "Backend",
    "Engine",
    "KeyFlow",
    "KeyFlowMonitor",
    "KeyKind",
    "Reach",
    "ReceiverBase",
    "Secret",
    "SenderBase",
    "available",
    "backend_info",
    "bind",
    "default",
    "ladder",
    "policy",
]

BACKENDS = ("auto", "native", "fallback")
MODULES = {"native": _parts.native, "fallback": _parts.fallback}  # best first

# Platforms with native wheels, where the absence of the native engine deserves a warning.
NATIVE_PLATFORMS = {("linux", "x86_64"), ("linux", "aarch64")}

_policies: dict[str, type] = {}
_bound: dict[str, Engine] = {}

_Class = TypeVar("_Class", bound=type)


def policy(cls: _Class) -> _Class:
    """Class decorator: registers Sender or Receiver, by its name, as what bind() completes.

    bind() derives a class from it and from the engine's SenderCore or ReceiverCore, in this
    order, so the policy's hooks win. It adds the class attributes _kernel (for the core), _Secret
    and _Monitor (this engine's Secret and KeyFlowMonitor), and slots for the attributes that the
    policy names in _fields; the policy class itself must have empty __slots__.
    """
    _policies[cls.__name__] = cls
    return cls


def bind(name: str) -> Engine:
    """The package's classes and functions over the engine of this name, made once.

    name: "native" or "fallback" for the best of each, or one of available(). Raises MisuseError
    for a name that is unknown, or refused on this machine. Thread-safe. However many engines are
    bound, all their senders share one registry: engine/twin/_registry.py.
    """
    name = _concrete(name)
    if name not in _bound:
        _bound.setdefault(name, _combine(name))
    return _bound[name]


@cache
def default() -> Engine:
    """The engine that the switches and this machine select: the one `import pysframe` binds."""
    return bind(_chosen())


def available() -> list[str]:
    """Every engine that can run here, best first: "native:vaes512", "fallback:cryptography", ..."""
    return [name for engine in MODULES for name, why in _survey(engine).items() if not why]


def ladder() -> tuple[str, ...]:
    """The values of PYSFRAME_MAX_ISA, lowest first: "none", then this platform's native kernels.

    The native engine, which the switch caps, has the list. Without it only "none" is valid.
    """
    missing = _parts.trouble(_parts.native)
    return ("none", *reversed({} if missing else _parts.native().KERNELS))


def backend_info() -> Backend:
    """Which engine runs, why others do not, versions, the result of a self-test that runs now, and
    how the memory that holds keys is protected."""
    import platform

    from . import _self_test

    name = default().name
    engine, kernel = name.split(":")
    refused = {n: why for e in MODULES for n, why in _survey(e).items() if why}
    versions = {"pysframe": __version__, "python": platform.python_version()}
    module = _module(engine)
    versions |= module.VERSIONS
    tested = _self_test.run(module, kernel)
    return Backend(engine, kernel, refused, versions, tested, module.memory())


# ---- choosing ----


def _chosen() -> str:
    _refuse_sub_interpreters()
    backend = _switch("PYSFRAME_BACKEND", BACKENDS) or "auto"
    _check_cap()
    kernel = _switch("PYSFRAME_KERNEL", _kernel_names())
    refused: dict[str, str] = {}
    for engine in MODULES if backend == "auto" else (backend,):
        survey = _survey(engine)
        for name, why in survey.items():
            if kernel and not name.endswith(f":{kernel}"):
                continue
            if not why:
                _warn_of_fallback(name, refused if backend == "auto" and not kernel else {})
                return name
            refused[name] = why
    if not refused:
        asked = f"PYSFRAME_KERNEL={kernel} is no kernel of the engine PYSFRAME_BACKEND={backend}"
        raise ImportError(f"{asked}; unset one of the two")
    raise ImportError(f"pysframe has no engine to run: {_listed(refused)}")


def _refuse_sub_interpreters() -> None:
    if _interpreter() != 0:
        raise ImportError(
            "pysframe runs in the main interpreter of a process only: senders in two interpreters "
            "could use the same counter twice; start a process instead of a sub-interpreter"
        )


def _interpreter() -> int:
    """The id of the running interpreter; 0 for the main one."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13; until 3.12
        try:
            current = __import__(name).get_current()
        except ImportError:
            continue
        return int(current[0] if isinstance(current, tuple) else current)
    return 0


def _warn_of_fallback(name: str, refused: dict[str, str]) -> None:
    capped = os.environ.get("PYSFRAME_MAX_ISA") == "none"
    if name.startswith("native") or capped or not refused:
        return
    import platform

    words = (
        f"pysframe runs on {name}, many times slower than the native engine: {_listed(refused)}; "
        "PYSFRAME_BACKEND=fallback says that this is intended, =native refuses to fall back"
    )
    expected = (sys.platform, platform.machine()) in NATIVE_PLATFORMS
    if expected and sys.implementation.name == "cpython":
        warnings.warn(words, RuntimeWarning, stacklevel=5)  # the line that imports pysframe
        return
    import logging

    logging.getLogger("pysframe").warning("%s", words)


def _switch(variable: str, valid: tuple[str, ...], note: str = "") -> str | None:
    value = os.environ.get(variable)
    if value and value not in valid:
        listed = ", ".join(valid)
        raise ImportError(f"{variable}={value!r} is unknown; it is one of {listed}{note}")
    return value or None


def _check_cap() -> None:
    if (os.environ.get("PYSFRAME_MAX_ISA") or "none") == "none":
        return  # without importing the native engine, which knows the other names
    valid = ladder()
    missing = "; the native engine, whose kernels it caps, is missing here"
    _switch("PYSFRAME_MAX_ISA", valid, "" if len(valid) > 1 else missing)


def _kernel_names() -> tuple[str, ...]:
    if not os.environ.get("PYSFRAME_KERNEL"):
        return ()  # without importing the twin
    names = [name.split(":")[1] for engine in MODULES for name in _survey(engine) if ":" in name]
    return tuple(dict.fromkeys(names))


def _concrete(name: str) -> str:
    engine = name.partition(":")[0]
    survey = _survey(engine) if engine in MODULES else {}
    matches = {found: why for found, why in survey.items() if name in (engine, found)}
    for found, why in matches.items():
        if not why:
            return found
    if matches:
        raise MisuseError(f"the engine {name!r} cannot run here: {_listed(matches)}")
    raise MisuseError(f"{name!r} is no engine of this machine; there are {', '.join(available())}")


# ---- which engines exist ----


@cache
def _survey(engine: str) -> dict[str, str]:
    """Concrete name -> "" or why it is refused, best first."""
    if engine == "native" and os.environ.get("PYSFRAME_MAX_ISA") == "none":
        return {"native": "PYSFRAME_MAX_ISA=none"}
    if broken := _parts.trouble(lambda: _module(engine)):
        return {engine: broken}
    kernels: dict[str, str] = _module(engine).KERNELS
    return {f"{engine}:{kernel}": why for kernel, why in kernels.items()}


def _module(engine: str) -> ModuleType:
    module = MODULES[engine]()
    if engine == "native":
        module.init(os.environ.get("PYSFRAME_MAX_ISA", ""))
    return module


def _listed(refused: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in refused.items()) or "none was found"


# ---- binding ----


def _combine(name: str) -> Engine:
    engine, kernel = name.split(":")
    module = _module(engine)
    shared = {
        "__module__": "pysframe",
        "_Secret": module.Secret,
        "_Monitor": module.KeyFlowMonitor,
        "_kernel": kernel,
    }

    def derive(policy_name: str, core: type) -> type:
        cls = _policies[policy_name]
        fields: tuple[str, ...] = vars(cls)["_fields"]
        own = {"__slots__": (*fields, "__weakref__"), "__doc__": cls.__doc__}
        return type(policy_name, (cls, core), {**shared, **own})

    return Engine(
        name=name,
        kernel=kernel,
        Secret=module.Secret,
        KeyFlow=module.KeyFlow,
        KeyFlowMonitor=module.KeyFlowMonitor,
        Sender=derive("Sender", module.SenderCore),
        Receiver=derive("Receiver", module.ReceiverCore),
        protect_many=module.protect_many,
        unprotect_many=module.unprotect_many,
        protect_batch=module.protect_batch,
        unprotect_batch=module.unprotect_batch,
        FrameBatch=module.FrameBatch,
        Header=module.Header,
        parse_headers=module.parse_headers,
    )
