"""A debugger shows objects whose __init__ raised, or has not run yet, and they can go: of every
class that a user can meet, wherever it is defined."""

import importlib
import inspect
import pkgutil
import warnings
from dataclasses import fields
from enum import Enum

import pytest

import pysframe
from pysframe import MisuseError, MLSLayout, SenderKeyLayout

LEFT_OUT = ("pysframe.cli", "pysframe.demo", "pysframe.__main__", "pysframe.engine._native")
OF_AN_ENGINE = (
    *("Sender", "Receiver", "FrameBatch", "Header", "HeaderColumns"),
    *("KeyFlow", "KeyFlowMonitor", "Secret"),
)


def classes():
    """Every class in the __all__ of a module of the package, but those that an engine has in C."""
    found = {}
    inside = [info.name for info in pkgutil.walk_packages(pysframe.__path__, "pysframe.")]
    for name in ("pysframe", *inside):
        if not name.startswith(LEFT_OUT):
            module = importlib.import_module(name)
            public = [getattr(module, named) for named in getattr(module, "__all__", ())]
            found |= {thing: None for thing in public if inspect.isclass(thing)}
    ours = [cls for cls in found if cls.__module__.startswith("pysframe.")]
    return [cls for cls in ours if not cls.__module__.startswith(LEFT_OUT)]


def is_made_whole(cls):
    """What __new__ makes and nothing else: there is no half of it."""
    return issubclass(cls, (Enum, tuple))


ALL = classes()
HALVES = [cls for cls in ALL if not is_made_whole(cls)]


def test_they_are_found():
    places = {cls.__module__.split(".")[1] for cls in ALL}
    assert {"adapters", "counters", "keys", "keyservice", "media", "source"} <= places
    assert {"MLSLayout", "InstallKey", "SealedKey", "Incoming", "Track"} <= {
        cls.__name__ for cls in HALVES
    }


@pytest.mark.parametrize("cls", HALVES, ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
def test_what_was_never_made_can_be_shown(cls):
    with warnings.catch_warnings():
        warnings.simplefilter("error", pytest.PytestUnraisableExceptionWarning)
        never = cls.__new__(cls)
        assert cls.__name__ in repr(never), "_values.showable is the decorator for this"
        assert str(never) is not None
        del never


def test_what_an_engine_makes_can_be_shown(engine):
    made = {type(engine.parse_headers([]))} | {
        cls for name in OF_AN_ENGINE if (cls := getattr(engine, name, None))
    }
    assert len(made) == len(OF_AN_ENGINE)
    for cls in made - {engine.Secret}:
        assert cls.__name__ in repr(cls.__new__(cls))


@pytest.mark.parametrize("cls", [cls for cls in HALVES if "__dataclass_params__" in vars(cls)])
def test_what_is_half_made_shows_none_of_it(cls, rng):
    """The first field was set when __init__ raised."""
    first, *others = [field.name for field in fields(cls) if field.repr]
    if others:
        half, secret = cls.__new__(cls), rng.randbytes(16)
        object.__setattr__(half, first, secret)
        assert repr(half) == f"<{cls.__qualname__}, never made>"


@pytest.mark.parametrize("arguments", [(0,), (0, 6), (6, 0)])
def test_a_key_in_the_place_of_a_layouts_number_is_not_shown(arguments, rng):
    key = rng.randbytes(16)
    cls = SenderKeyLayout if len(arguments) == 1 else MLSLayout
    half = cls.__new__(cls)
    with pytest.raises((TypeError, MisuseError)) as raised:
        half.__init__(*(number or key for number in arguments))
    assert repr(key)[2:-1] not in f"{half!r} {raised.value!r}"
