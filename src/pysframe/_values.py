"""Immutable values with named fields, as frozen dataclasses are.

The module `dataclasses` takes longer to import than all of this package, so it is imported only by
those who use its functions on a value, or assign to one.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, NoReturn, TypeVar

_Class = TypeVar("_Class", bound=type)


def showable(cls: _Class) -> _Class:
    """Class decorator: repr() of what was never made, or not wholly, says that alone.

    A debugger, or an error report with local variables, shows objects whose __init__ raised.
    """
    shown: Callable[[object], str] = vars(cls)["__repr__"]

    @wraps(shown)
    def __repr__(self: object) -> str:
        try:
            return shown(self)
        except AttributeError:
            return f"<{type(self).__qualname__}, never made>"

    cls.__repr__ = __repr__  # type: ignore[assignment]
    return cls


class _Fields:
    """Makes dataclasses.fields(), replace() and asdict() work on a Value."""

    def __get__(self, instance: object, owner: "type[Value]") -> object:
        import dataclasses

        names = owner.__match_args__
        made: Any = dataclasses.make_dataclass(owner.__name__, names, frozen=True)
        return made.__dataclass_fields__


dataclass_fields = _Fields()


class Signature:
    """What inspect.signature() says of a class whose constructor may be written in C."""

    __slots__ = ("_like",)

    def __init__(self, like: Callable[..., None]) -> None:
        self._like = like

    def __get__(self, instance: object, owner: type) -> object:
        import inspect

        return inspect.signature(self._like)


def made_already(value: object) -> AttributeError:
    """The error for a second __init__, because the value may be a dictionary's key by then."""
    return AttributeError(f"a {type(value).__name__} is immutable; make another one")


@showable
class Value:
    """A base class. __match_args__ names the fields; __init__ sets them by object.__setattr__."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    __dataclass_fields__ = dataclass_fields

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __repr__(self) -> str:
        pairs = zip(self.__match_args__, self._values(), strict=True)
        return f"{type(self).__qualname__}({', '.join(f'{n}={value!r}' for n, value in pairs)})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), self._values()
