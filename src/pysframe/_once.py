"""The package is loaded once in a process: who imports it again gets what is there.

Coverage tools and hot reloaders take modules out of sys.modules, or call importlib.reload, to have
them loaded anew. Two copies of this package would have two of each class, so that an `except
UnknownKey` of one misses the other's, and senders that do not know of each other.

Rule: what was loaded first stays. `sys` keeps the package, and the package its modules, as
      attributes; a finder in sys.meta_path hands them out again. What a package does not have yet
      is loaded as ever.

A change in a file of this package therefore shows in the next process only.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = __name__.rpartition(".")[0]

_kept: dict[str, ModuleType] = vars(sys).setdefault("_pysframe_packages", {})  # by name


class Again(Loader):
    """Gives out a module that was loaded before, and leaves it as it is."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has marked it as ours.
        module.__spec__ = self._spec
        module.__loader__ = self._spec.loader if self._spec else None


class Finder(MetaPathFinder):
    """Finds the modules of this package that were loaded before."""

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
        spec = ModuleSpec(fullname, Again(module), origin=before.origin)
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
    """From here on; also where somebody has put sys.meta_path back to what it was before."""
    if PACKAGE in _kept and not any(type(f).__module__ == __name__ for f in sys.meta_path):
        sys.meta_path.insert(0, Finder())


def keep() -> None:
    """The package is complete: this is the one that stays."""
    _kept.setdefault(PACKAGE, sys.modules[PACKAGE])
    _find_again()


# The package is being loaded a second time, and its name stands for a new module: no longer.
if PACKAGE in _kept:
    sys.modules[PACKAGE] = _kept[PACKAGE]
    _find_again()
