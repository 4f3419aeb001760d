"""typing.get_type_hints() on everything public: validators, injectors and documentation call it."""

import inspect
import typing

import pytest

import pysframe
from pysframe import engine as engines


def own_functions(cls):
    """Name -> function of each method and property of this package, private ones included."""
    for name, member in inspect.getmembers_static(cls):
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        if callable(function) and str(getattr(function, "__module__", "")).startswith("pysframe"):
            yield name, function


def public():
    bound = [engines.bind(name) for name in engines.available()]
    yield from ((name, getattr(pysframe, name)) for name in pysframe.__all__)
    for engine in bound:
        for name in ("Sender", "Receiver", "Secret", *pysframe.__all__):
            if name.endswith(("_many", "_batch")) or name in ("Sender", "Receiver", "Secret"):
                yield f"{engine.name}:{name}", getattr(engine, name)


@pytest.mark.parametrize(("name", "thing"), [pytest.param(*pair, id=pair[0]) for pair in public()])
def test_hints_can_be_resolved(name, thing):
    hints = typing.get_type_hints(thing)
    assert all(not isinstance(hint, str) for hint in hints.values())
    for _, function in own_functions(thing) if isinstance(thing, type) else ():
        typing.get_type_hints(function)


def test_they_say_something():
    hints = typing.get_type_hints(pysframe.Sender.__init__)
    assert hints["kid"] is int
    assert hints["counters"] == pysframe.CounterStore | None
    assert hints["base_key"] is typing.get_type_hints(pysframe.Receiver.add_key)["base_key"]
    assert typing.get_type_hints(pysframe.Header.parse)["return"] is pysframe.Header
