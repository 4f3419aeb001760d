"""Every example in a docstring runs, and every public verb has one."""

import inspect
import pkgutil

import isolated
import pytest

import pysframe

# The native module's docstrings refer to the classes that users see, and so have no examples.
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(pysframe.__path__, "pysframe.")
    if not info.name.endswith(("__main__", "._native"))
)


def public_classes_and_functions():
    for name in pysframe.__all__:
        if callable(thing := getattr(pysframe, name)):
            yield name, thing


def public_methods():
    for name, thing in public_classes_and_functions():
        for method, member in inspect.getmembers(thing, inspect.isroutine):
            ours = getattr(member, "__module__", None) or ""
            if not method.startswith("_") and ours.startswith("pysframe"):
                yield f"{name}.{method}", member


@pytest.mark.parametrize("name", ["pysframe", *MODULES])
def test_examples_run(name):
    """Each module in a process of its own: two examples may use one key, two Senders may not."""
    code = f"import doctest, {name} as module; print(doctest.testmod(module))"
    ran = isolated.python(code)
    assert "failed=0" in ran.stdout, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "thing", [pytest.param(thing, id=name) for name, thing in public_classes_and_functions()]
)
def test_what_is_public_is_explained(thing):
    assert inspect.getdoc(thing)


@pytest.mark.parametrize(
    "method", [pytest.param(method, id=name) for name, method in public_methods()]
)
def test_public_methods_are_explained(method):
    assert inspect.getdoc(method)
