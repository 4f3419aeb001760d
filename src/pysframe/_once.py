"""The package is loaded once in a process: importing it again returns the same modules.

Coverage tools and hot reloaders remove modules from sys.modules, or call importlib.reload, so that
they are loaded anew. With two copies of this package each class would exist twice: an `except
UnknownKey` of one would miss the other's, and senders would not know of each other.

Rule: what was loaded first stays. `sys` holds the package, and the package holds its modules, as
      attributes; a finder in sys.meta_path returns them. Modules not loaded yet load as usual.

A change to a file of this package therefore takes effect in the next process.
"""

import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery has it, but takes long to load
from collections.abc import Sequence
from types import ModuleType
from typing import Any

PACKAGE = __name__.rpartition(".")[0]

_kept: dict[str, ModuleType] = vars(sys).setdefault("_pysframe_packages", {})  # by name


class Again:
    """A loader that returns a module which was loaded before, unchanged."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has overwritten both.
        module.__spec__ = self._spec
        module.__loader__ = self._spec.loader if self._spec else None


class Finder:
    """A finder of the modules of this package that were loaded before.

    Neither class derives from importlib.abc, whose import costs more than the package's own.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        module = _loaded(fullname)
        if module is None or module.__spec__ is None:
            return None
        before = module.__spec__
        again: Any = Again(module)  # duck-typed: importlib.abc would have to be imported
        spec = ModuleSpec(fullname, again, origin=before.origin)
        spec.submodule_search_locations = before.submodule_search_locations
        spec.has_location, spec.cached = before.has_location, before.cached
        return spec


def _loaded(name: str) -> ModuleType | None:
    parent, _, child = name.rpartition(".")
    if name == PACKAGE:
        return _kept.get(name)
    if not name.startswith(PACKAGE + "."):
        return None
    module = vars(sys.modules[parent]).get(child) if parent in sys.modules else None
    return module if isinstance(module, ModuleType) and module.__name__ == name else None


def _find_again() -> None:
    """Installs the finder, also after somebody has restored an older sys.meta_path."""
    if PACKAGE in _kept and not any(type(f).__module__ == __name__ for f in sys.meta_path):
        sys.meta_path.insert(0, Finder())


def keep() -> None:
    """Called once the package is complete: this copy stays."""
    _kept.setdefault(PACKAGE, sys.modules[PACKAGE])
    _find_again()


# The package is being loaded a second time: its name must stand for the first module again.
if PACKAGE in _kept:
    sys.modules[PACKAGE] = _kept[PACKAGE]
    _find_again()
