"""What only the twin has inside; that it does as the native engine does is in test_lockstep.py."""

import ast
import copy
import inspect
import re
from importlib import import_module, metadata
from pathlib import Path

import pytest
from parties import pair

from pysframe import (
    CipherSuite,
    MisuseError,
    limits,
)
from pysframe import engine as engines
from pysframe.engine import _aead, twin
from pysframe.engine.twin._keys import Secret
from pysframe.engine.twin._shares import (
    ALLOWANCE,
    FRAMES_PER_ALLOWANCE,
    PRICE,
    ROUND,
    SHARES,
)
from pysframe.engine.twin._strangers import TRACKED

SUITE = CipherSuite.AES_128_GCM_SHA256_128
STUB = Path(engines.__file__).with_name("_native.pyi")
CSRC = Path(__file__).parents[1] / "csrc"


# ---- the contract ----


def stubbed() -> dict[tuple[str, str], tuple[list[str], list[str]]]:
    """(class or "", function) -> its positional and keyword arguments, from the native stub."""
    functions = {}
    for node in ast.parse(STUB.read_text()).body:
        owner, body = (node.name, node.body) if isinstance(node, ast.ClassDef) else ("", [node])
        for item in body:
            if isinstance(item, ast.FunctionDef):
                positional = [a.arg for a in (*item.args.posonlyargs, *item.args.args)]
                keywords = [a.arg for a in item.args.kwonlyargs]
                if item.name == "__new__":  # what it takes, the twin's __init__ takes
                    functions[owner, "__init__"] = ["self", *positional[1:]], keywords
                else:
                    functions[owner, item.name] = positional, keywords
    return functions


def member(module, owner: str, name: str):
    return inspect.getattr_static(getattr(module, owner) if owner else module, name)


@pytest.mark.parametrize(("owner", "name"), sorted(stubbed().keys() - {("", "init")}))
def test_the_twin_offers_what_the_stub_says(owner, name):
    found = member(twin, owner, name)
    if inspect.ismemberdescriptor(found):  # a field of a dataclass, for a property of the stub
        assert stubbed()[owner, name] == (["self"], [])
        return
    function = getattr(found, "fget", None) or getattr(found, "__func__", found)
    parameters = inspect.signature(function).parameters.values()
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert (positional, keywords) == stubbed()[owner, name]


def test_the_native_engine_offers_what_the_stub_says():
    if any(name.startswith("native") for name in engines.available()):
        native = import_module("pysframe.engine._native")
        for owner, name in stubbed():
            assert member(native, owner, name) is not None


def test_the_versions_are_those_of_the_libraries_that_can_run():
    can_run = [name for name, why in twin.KERNELS.items() if not why]
    assert {name: metadata.version(name) for name in can_run} == twin.VERSIONS


def test_a_core_leaves_all_other_names_to_the_policy():
    for core in (twin.SenderCore, twin.ReceiverCore):
        assert core.__slots__ == ("_twin",)
        assert not hasattr(core(), "__dict__")


@pytest.mark.parametrize("cls", [twin.SenderCore, twin.ReceiverCore, Secret])
def test_what_cannot_be_copied_says_what_it_is(cls):
    said = f"^{cls.__name__} cannot be pickled or copied; make another one$"
    with pytest.raises(TypeError, match=said):
        copy.copy(cls.__new__(cls))


@pytest.mark.parametrize("core", [twin.SenderCore, twin.ReceiverCore])
def test_a_core_that_was_never_opened_says_so(core):
    verb = core().protect if core is twin.SenderCore else core().unprotect
    with pytest.raises(MisuseError, match="never opened"):
        verb(b"frame")
    core().close()


@pytest.mark.parametrize("named", [None, "a provider"])
def test_a_core_runs_on_the_provider_that_its_class_names(monkeypatch, named):
    source, asked = _aead.provider(None), []
    monkeypatch.setattr(_aead, "provider", lambda name: asked.append(name) or source)
    more = {"_kernel": named} if named else {}
    sender, receiver = (
        type("Core", (core,), more)() for core in (twin.SenderCore, twin.ReceiverCore)
    )
    sender._open(SUITE, 1, Secret(SUITE, bytes(16)), 0, 0, 0)
    receiver._open(SUITE, 0, 0, True)
    assert asked == [named] * 2


def defined(file: str, name: str) -> int:
    """The number that csrc/ defines by this name."""
    found = re.search(rf"^#define {name} +(.+?) *(?:/\*.*)?$", (CSRC / file).read_text(), re.M)
    assert found, f"{name} is not in {file}"
    return eval(re.sub(r"\((size_t|uint64_t)\)|(?<=\d)u\b", "", found[1]))


@pytest.mark.parametrize(
    ("ours", "file", "theirs"),
    [
        (limits.MIN_BASE_KEY, "sfr.h", "SFR_MIN_BASE_KEY"),
        (limits.MAX_ASKED, "sfr_keys.h", "SFR_MAX_ASKED"),
        (limits.SHORT_TAG_FAILURES, "frame/receiver.h", "SHORT_TAG_FAILURES"),
        (limits.KEY_BUDGET, "frame/sender.h", "KEY_BUDGET"),
        (limits.LIMIT_MAX_FRAME, "sfr.h", "SFR_LIMIT_MAX_FRAME"),
        (ALLOWANCE, "frame/receiver.h", "ALLOWANCE"),
        (FRAMES_PER_ALLOWANCE, "frame/receiver.h", "FRAMES_PER_ALLOWANCE"),
        (ROUND, "frame/receiver.h", "ROUND"),
        (PRICE, "frame/reach.c", "PRICE"),
        (SHARES, "frame/reach.c", "SHARES"),
        (TRACKED, "sfr_keys.h", "SFR_UNKNOWN_TRACKED"),
    ],
    ids=lambda value: str(value),
)
def test_both_have_the_same_limits(ours, file, theirs):
    assert ours == defined(file, theirs)


# ---- what an error says (the native engine says it in the interpreter's words) ----


def named_calls(wrong, rng):
    """(the argument that is wrong, a call with it)"""
    engine = engines.bind("fallback")
    sender, receiver = pair(engine, SUITE, rng)
    good = sender.protect(b"frame")
    return [
        ("frame", lambda: sender.protect(wrong)),
        ("metadata", lambda: sender.protect(b"frame", wrong)),
        ("out", lambda: sender.protect_into(b"frame", wrong)),
        ("row 1: frame", lambda: engine.protect_many(sender, [b"frame", wrong])),
        ("ciphertext", lambda: receiver.unprotect(wrong)),
        ("metadata", lambda: receiver.unprotect(good, wrong)),
        ("out", lambda: receiver.unprotect_into(good, wrong)),
        ("row 1: ciphertext", lambda: engine.unprotect_many(receiver, [good, wrong])),
        ("base_key", lambda: receiver.add_key(8, wrong)),
    ]


def test_errors_name_the_argument_and_its_row(rng):
    for name, call in named_calls("text", rng):
        with pytest.raises(TypeError, match=f"^{name} must be a bytes-like object, not str$"):
            call()
    for name, call in named_calls(memoryview(bytearray(99))[::2], rng):
        with pytest.raises(BufferError, match=f"^{name} must be contiguous; copy a strided view"):
            call()


def test_errors_of_a_batch_say_which_argument_and_what_it_is(rng):
    engine = engines.bind("fallback")
    sender, receiver = pair(engine, SUITE, rng)
    two, each = [b"frame"] * 2, "has 1 rows for 2 frames; give one, or one each"
    for said, call in (
        ("batch must be a FrameBatch, not list", lambda: engine.protect_batch(sender, two)),
        (f"senders {each}", lambda: engine.protect_many([sender], two)),
        (f"receivers {each}", lambda: engine.unprotect_many([receiver], two)),
        (f"metadata {each}", lambda: engine.protect_many(sender, two, [b"m"])),
        (
            "row 1: int is no Sender of this engine",
            lambda: engine.protect_many([sender, 7], two),
        ),
        (
            "row 0: Sender is no Receiver of this engine",
            lambda: engine.unprotect_many([sender, receiver], two),
        ),
    ):
        with pytest.raises((TypeError, MisuseError)) as raised:
            call()
        assert str(raised.value) == said


def test_an_out_that_is_read_only_is_named(rng):
    sender, receiver = pair(engines.bind("fallback"), SUITE, rng)
    good = sender.protect(b"frame")
    said = "^out must be writable, and this bytes is not; use a bytearray$"
    for call in (
        lambda: sender.protect_into(b"frame", bytes(99)),
        lambda: receiver.unprotect_into(good, bytes(99)),
    ):
        with pytest.raises(BufferError, match=said):
            call()
