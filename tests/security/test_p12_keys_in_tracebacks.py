"""Promise 12: no key in the local variables of an error's frames, which error reporters send.

Every public call that is handed a key, times every error: those that its arguments can cause, and
one planted at each line that runs below it, as Ctrl-C or a lack of memory would come.
"""

import hmac
import json
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from _pytest._io.saferepr import saferepr
from oracle import schedule
from parties import GCM, fresh_sender
from security.spellings import family_of

import pysframe
from pysframe import (
    CipherSuite,
    CounterStore,
    MisuseError,
    MLSLayout,
    SenderKeyLayout,
    SFrameError,
    ratchet_base_key,
)
from pysframe import _tracebacks as guard
from pysframe import engine as engines

LAYOUT, EPOCHS = SenderKeyLayout(8), MLSLayout(8, 8)
KID = LAYOUT.pack(1, 0)


def secrets_of(base_key: bytes) -> list[bytes]:
    """The key, and what follows from it here: secrets, keys and salts of some steps and KIDs."""
    steps = [base_key, ratchet_base_key(GCM, base_key), ratchet_base_key(GCM, base_key, 2)]
    kids = [(step, KID + n) for n, step in enumerate(steps)]
    kids += [(base_key, 3), (base_key, EPOCHS.pack(4, 0)), (base_key, EPOCHS.pack(4, 1))]
    return [*steps, *(part for step, kid in kids for part in schedule(GCM, step, kid))]


# ---- looking ----


def frames_of(error: BaseException) -> Iterator:
    """All frames of an error and of its causes and contexts, but for those of this file."""
    for one in family_of(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename != __file__:
                yield frame


def inside(value: object) -> list[object]:
    """A value and what it holds, one level deep."""
    held = [value]
    if isinstance(value, dict):
        held += [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        held += value
    held += getattr(value, "__dict__", {}).values()
    for cls in type(value).__mro__:
        names = vars(cls).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            with suppress(Exception):
                held.append(getattr(value, name))
    return held


def leaks(error: BaseException, base_key: bytes) -> list[str]:
    """Which locals of which frames hold a secret, as bytes or in their repr."""
    secrets = secrets_of(base_key)
    spelled = [way(secret[:8]) for secret in secrets for way in WAYS]
    return [
        f"{frame.f_code.co_filename}:{frame.f_lineno} {name}"
        for frame in frames_of(error)
        for name, value in frame.f_locals.items()
        if any(holds(part, secrets, spelled) for part in inside(value))
    ]


WAYS = bytes.hex, lambda b: repr(b)[2:-1], lambda b: str([*b])[1:-1]


def holds(value: object, secrets: list[bytes], spelled: list[str]) -> bool:
    if isinstance(value, bytes | bytearray | memoryview):
        with suppress(ValueError):  # released
            content = bytes(value)
            return any(secret in content for secret in secrets)
    said = saferepr(value, 10_000)
    return any(spelling in said for spelling in spelled)


# ---- calls that are handed a key, and errors that their arguments cause ----


class Scene:
    """One of each receiver, and a store, none of which knows the key yet."""

    def __init__(self, engine, key: bytes, path) -> None:
        self.engine, self.key, self.path = engine, key, path
        self.receiver = engine.Receiver(GCM)
        self.store = CounterStore(path / "counters", lease=10)

    def sender(self, *args, **more):
        given = {"kid": KID, "base_key": self.key, "next_ctr": 0} | more
        return self.engine.Sender(*(args or (GCM,)), **given)

    def stored(self, store=None, **more):
        return self.sender(next_ctr=None, counters=store or self.store, **more)

    def sender_key(self, generation=1, key=None, layout=LAYOUT, **more):
        return self.receiver.add_sender_key(generation, key or self.key, layout=layout, **more)

    def epoch(self, epoch=4, key=None, layout=EPOCHS, **more):
        return self.receiver.add_epoch(epoch, key or self.key, layout=layout, **more)

    def damaged(self):
        (self.path / "damaged").write_text(json.dumps({"format": 1}))
        return CounterStore(self.path / "damaged")

    def with_key(self, add, *args, **more):
        self.made = add(*args, **more)
        return self

    def closed(self):
        self.receiver.close()
        return self

    def on_the_way(self):
        """A frame two ratchet steps ahead of what the receiver knows, once it is handed over."""
        self.sender_key()
        return self.sender(layout=LAYOUT).ratchet().ratchet().ratchet().protect(b"frame")


def wrong_keys(scene: Scene) -> list:
    key = scene.key
    released = memoryview(bytearray(key))
    released.release()
    return [key[:15], key.decode("latin-1"), [*key], {"key": key}, memoryview(key)[::2], released]


def errors(s: Scene) -> list[Callable[[], object]]:
    other = bytes(reversed(s.key))
    senders = {
        "kid": [-1, 2**64, "x", None, s.key],
        "next_ctr": [-1, 2**64, "x", None, s.key],
        "max_frame": [-1, 2**31, "x", s.key],
        "counters": [s.store, s.key],
        "base_key": wrong_keys(s),
    }
    keyed = [s.receiver.add_key, s.receiver.add_sender_key, s.receiver.add_epoch]
    layouts = [{}, {"layout": LAYOUT}, {"layout": EPOCHS}]
    suites = [0, 9, "x", None, s.key]
    return [
        *(lambda n=n, v=v: s.sender(**{n: v}) for n, values in senders.items() for v in values),
        *(lambda v=v: s.sender(v) for v in [*suites, CipherSuite(3)]),
        *(lambda v=v: s.stored(base_key=v) for v in wrong_keys(s)),
        lambda: s.sender(GCM, s.key),
        lambda: s.with_key(s.sender).sender(),
        lambda: s.sender().__init__(GCM, kid=KID, base_key=s.key, next_ctr=0),
        lambda: s.stored(s.damaged()),
        lambda: s.stored(CounterStore(s.path / "no" / "directory")),
        lambda: s.stored(CounterStore("/dev/null/store")),
        lambda: s.with_key(s.stored).stored(kid=s.key),
        *(lambda f=f, m=m, v=v: f(1, v, **m)
          for f, m in zip(keyed, layouts, strict=True) for v in wrong_keys(s)),
        *(lambda f=f, m=m, v=v: f(v, s.key, **m) for f, m in zip(keyed, layouts, strict=True)
          for v in [-1, 2**64, "x", None, s.key]),
        *(lambda f=f, m=m: f(s.key, 1, **m) for f, m in zip(keyed, layouts, strict=True)),
        *(lambda f=f, m=m: s.with_key(f, 1, s.key, **m) and f(1, other, **m)
          for f, m in zip(keyed, layouts, strict=True)),
        *(lambda f=f, m=m: s.closed() and f(1, s.key, **m)
          for f, m in zip(keyed, layouts, strict=True)),
        lambda: s.receiver.add_key(s.key, s.key),
        lambda: s.with_key(s.sender_key).epoch(),
        lambda: s.with_key(s.epoch).sender_key(),
        lambda: s.with_key(s.epoch).receiver.add_key(EPOCHS.pack(4, 0), s.key),
        lambda: s.with_key(s.receiver.add_key, KID, s.key).sender_key(),
        lambda: s.with_key(s.epoch, 4 + 256).epoch(),
        lambda: s.sender_key(layout=s.key),
        lambda: s.sender_key(layout=None),
        lambda: s.sender_key(ratchet_step=-1),
        lambda: s.sender_key(ratchet_step=s.key),
        lambda: s.sender_key(max_steps=2**20),
        lambda: s.sender_key(max_steps=s.key),
        lambda: s.epoch(layout=s.key),
        lambda: s.epoch(senders=2**20),
        lambda: s.epoch(senders=s.key),
        *(lambda v=v: ratchet_base_key(v, s.key) for v in suites),
        *(lambda v=v: ratchet_base_key(GCM, v) for v in wrong_keys(s)[1:4]),
        *(lambda v=v: ratchet_base_key(GCM, s.key, v) for v in ["x", None, s.key]),
        *(lambda v=v: s.engine.Secret(v, s.key) for v in suites),
        *(lambda v=v: s.engine.Secret(GCM, v) for v in wrong_keys(s)),
        *(lambda v=v: s.engine.Secret.for_ssrc(GCM, s.key, v) for v in [-1, 2**32, "x", s.key]),
        *(lambda v=v: s.engine.Secret(GCM, s.key).ratchet(v) for v in [-1, "x", s.key]),
        lambda: s.sender(layout=LAYOUT).ratchet(next_ctr=s.key),
        lambda: s.sender().ratchet(),
        lambda: s.stored(layout=LAYOUT).ratchet(),
        lambda: s.sender(next_ctr=3, layout=LAYOUT).ratchet(),
        lambda: s.sender(kid=2**64 - 1, layout=LAYOUT).ratchet().ratchet(next_ctr=-1),
    ]  # fmt: skip


EXPECTED = (SFrameError, TypeError, ValueError, BufferError, OSError, AttributeError)


def test_no_key_in_the_frames_of_an_error(engine, rng, tmp_path):
    found, count = [], len(errors(Scene(engine, rng.randbytes(32), tmp_path)))
    for number in range(count):
        key = rng.randbytes(32)
        with pytest.raises(EXPECTED) as raised:
            errors(Scene(engine, key, tmp_path))[number]()
        found += [f"{number}: {leak}" for leak in leaks(raised.value, key)]
    assert found == []
    assert count >= 130


# ---- an error at each line ----


class Planted(BaseException):
    """What nobody expects and nobody catches, as KeyboardInterrupt."""


CALLS: dict[str, Callable[[Scene], Callable[[], object]]] = {
    "Sender": lambda s: s.sender,
    "Sender with a store": lambda s: s.stored,
    "Sender.ratchet": lambda s: s.sender(layout=LAYOUT).ratchet,
    "add_key": lambda s: lambda: s.receiver.add_key(3, s.key),
    "add_sender_key": lambda s: s.sender_key,
    "add_epoch": lambda s: lambda: s.epoch(senders=2),
    "unprotect of a step ahead": lambda s: partial(s.receiver.unprotect, s.on_the_way()),
    "ratchet_base_key": lambda s: lambda: ratchet_base_key(GCM, s.key),
    "Secret": lambda s: lambda: s.engine.Secret(GCM, s.key),
    "Secret.for_ssrc": lambda s: lambda: s.engine.Secret.for_ssrc(GCM, s.key, 7),
    "Secret.ratchet": lambda s: s.engine.Secret(GCM, s.key).ratchet,
}
PACKAGE = str(Path(pysframe.__file__).parent)


def is_spared(frame) -> bool:
    """The guard itself, what lets go of things, and what is not of the package or called for it."""
    file = frame.f_code.co_filename
    if file == guard.__file__ or not file.startswith((PACKAGE, hmac.__file__)):
        return True
    near = islice(traceback.walk_stack(frame), 5)
    return any(caller.f_code.co_name in ("__del__", "__exit__") for caller, _ in near)


def is_with(frame) -> bool:
    """Such a line runs twice, and no real error comes between its body and what it releases."""
    source = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    return source.lstrip().startswith("with ")


def planted(call: Callable[[], object], number: int) -> BaseException | None:
    """The error planted before the line of this number, unless the call has fewer lines."""
    lines = 0

    def on_call(frame, event, arg):
        return None if is_spared(frame) else on_line

    def on_line(frame, event, arg):
        nonlocal lines
        lines += event == "line" and not is_with(frame)
        if lines == number:
            raise Planted
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        call()
    except Planted as error:
        return error
    finally:
        sys.settrace(before)
    return None


def frames_alike(names: list[str]) -> list[str]:
    """One native engine and every twin: kernels have no Python frames that could differ."""
    natives = [name for name in names if name.startswith("native")]
    return [name for name in names if name not in natives[1:]]


# An error between open() and its `with` leaves the file to be closed by its finalizer.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("engine", frames_alike(engines.available()), indirect=True)
def test_no_key_in_the_frames_of_an_error_at_any_line(engine, name, rng, tmp_path, by_tier):
    stride = by_tier(3, 1, 1)
    found, number, error = [], rng.randrange(1, stride + 1) - stride, True
    while error:
        number += stride
        key = rng.randbytes(32)
        call = CALLS[name](Scene(engine, key, tmp_path))
        error = planted(call, number)
        if error:
            found += [f"line {number}: {leak}" for leak in leaks(error, key)]
    assert found == []
    in_c = engine.name.startswith("native") and name.startswith("Secret")
    assert number > 5 or in_c


# ---- what sees, and what is spared ----


def test_a_key_in_a_frame_is_found(engine, rng, tmp_path, monkeypatch):
    """The seeded fault: the same search without the guard."""
    monkeypatch.setattr(guard, "clear_frames", lambda trace: None)
    key = rng.randbytes(32)
    with pytest.raises(MisuseError) as raised:
        Scene(engine, key, tmp_path).sender(kid=-1)
    assert leaks(raised.value, key)


def test_the_frames_of_the_caller_are_spared(engine):
    """Also those of an error that the caller was handling, from another function of theirs."""

    def failing(mine):
        raise KeyError(mine)

    try:
        failing("mine")
    except KeyError as handled:
        with pytest.raises(MisuseError) as raised:
            fresh_sender(engine, GCM, kid=-1)
        assert raised.value.__context__ is handled
        assert handled.__traceback__.tb_next.tb_frame.f_locals == {"mine": "mine"}


def test_an_error_stays_what_it_is(engine, rng):
    """Message, type, lines and the innermost function's name are there for who looks into it."""
    with pytest.raises(MisuseError, match="kid is -1") as raised:
        fresh_sender(engine, GCM, kid=-1)
    names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert names[-3:] == ["guarded", "__init__", "checked"]
