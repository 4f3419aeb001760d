"""One registry in a process: whichever engines were bound, in whatever order, and however often the
package was imported."""

import itertools
import json
import shutil

import pytest
from isolated import SRC, python
from machine import has_native
from parties import GCM, LAST_CTR, new_sender

from pysframe import DuplicateSender, KeyExhausted
from pysframe import engine as engines

# ---- side by side ----


def test_every_engine_and_kernel_side_by_side(rng):
    """A key that one of them has is no other's; when it has closed, the next goes on."""
    bound = [engines.bind(name) for name in engines.available()]
    for one, other in itertools.product(bound, bound):
        base_key = rng.randbytes(16)
        with new_sender(one, GCM, base_key) as sender:
            sender.protect(b"x" * 16)
            for engine in bound:
                with pytest.raises(DuplicateSender):
                    new_sender(engine, GCM, base_key, next_ctr=LAST_CTR)
        with pytest.raises(DuplicateSender):
            new_sender(other, GCM, base_key, next_ctr=0)
        following = new_sender(other, GCM, base_key, next_ctr=1)
        assert (following.next_ctr, following.blocks) == (1, 3)


@pytest.mark.parametrize("last", [2, LAST_CTR])
def test_a_lease_used_to_its_last_counter(engine, last, rng):
    """That counter is not given out again when the sender closes."""
    base_key = rng.randbytes(16)
    sender = engine.Sender.__new__(engine.Sender)
    sender._begin(GCM, 7, engine.Secret(GCM, base_key), (last - 1, last), None, 100)
    for _ in range(2):
        sender.protect(b"x")
    sender.close()
    with pytest.raises(DuplicateSender):
        new_sender(engine, GCM, base_key, next_ctr=last)
    if last < LAST_CTR:
        assert new_sender(engine, GCM, base_key, next_ctr=last + 1).next_ctr == last + 1


# ---- promise 6: nor does a new sender begin a new budget ----


def test_the_meter_goes_on(engine, rng):
    base_key, other_key = rng.randbytes(16), rng.randbytes(16)
    for life in range(4):
        with new_sender(engine, GCM, base_key, next_ctr=life) as sender:
            assert sender.blocks == 3 * life
            sender.protect(b"x" * 16)
    sender = new_sender(engine, GCM, base_key, next_ctr=4)
    sender._raise_blocks(2**36)
    sender.close()
    with pytest.raises(KeyExhausted), new_sender(engine, GCM, base_key, next_ctr=5) as sender:
        sender.protect(b"")
    assert new_sender(engine, GCM, base_key, kid=8).blocks == 0
    assert new_sender(engine, GCM, other_key).blocks == 0


# ---- without memory ----

# Senders until there is no memory for another, and on: thousands are refused. What counts them was
# made before.
STARVING = """
import gc, os, resource
import pysframe

base_key, kids = os.urandom(16), list(range(8_000))
made = [None] * len(kids)
used = 4096 * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + (6 << 20), resource.RLIM_INFINITY))
for kid in kids:
    try:
        made[kid] = pysframe.Sender(4, kid=kid, base_key=base_key, next_ctr=0)
    except MemoryError:
        pass
    except ValueError as error:  # how hashlib says that OpenSSL got no memory
        assert "not able to copy ctx" in str(error), error
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
refused = [kid for kid in kids if made[kid] is None]
assert 100 < len(refused) < len(kids) - 100, len(refused)
for sender in filter(None, made):
    sender.protect(b"frame")
    sender.close()
for kid in refused:
    with pysframe.Sender(4, kid=kid, base_key=base_key, next_ctr=0) as sender:
        sender.protect(b"frame")
duplicates = 0
for kid in kids:
    try:
        pysframe.Sender(4, kid=kid, base_key=base_key, next_ctr=0)
    except pysframe.DuplicateSender:
        duplicates += 1
print(duplicates == len(kids))
"""

# Not over `cryptography`: where it has no memory, it ends the process by itself.
FRUGAL = [name for name in engines.available() if name in ("native:aesni", "fallback:pycryptodome")]


@pytest.mark.parametrize("name", FRUGAL)
def test_without_memory_new_senders_are_refused_and_nothing_else_happens(name):
    """Keys that were refused can be had afterwards, and keys that were used are remembered."""
    backend, kernel = name.split(":")
    done = python(STARVING, PYSFRAME_BACKEND=backend, PYSFRAME_KERNEL=kernel)
    assert (done.returncode, done.stdout) == (0, "True\n"), (done.returncode, done.stderr)


# ---- in this order or that, and again ----

# Seals with one engine, then does something, then tries the same key on the other.
STORY = """
import importlib, json, sys
import pysframe
from pysframe import engine as engines

FIRST, SECOND = {first!r}, {second!r}
key, said = bytes(16), []
one = engines.bind(FIRST)
living = one.Sender(4, kid=1, base_key=key, next_ctr=0)
closed = one.Sender(4, kid=2, base_key=key, next_ctr=0)
for sender in (living, closed):
    for _ in range(5):
        sender.protect(b"x" * 16)
closed.close()
spent = one.Sender(4, kid=3, base_key=key, next_ctr=2**64 - 1)
spent.protect(b"")
spent.close()

def purge(*which):
    for name in list(sys.modules):
        if name.partition(".")[0] == "pysframe" and (name in which or not which):
            del sys.modules[name]

{meanwhile}
for module in ("sender", "receiver", "engine"):
    engines = importlib.import_module("pysframe." + module)
other = engines.bind(SECOND)
for kid, next_ctr in ((1, 5), (2, 4), (2, 5), (3, 2**64 - 1)):
    try:
        with other.Sender(4, kid=kid, base_key=key, next_ctr=next_ctr) as sender:
            said.append([sender.next_ctr, sender.blocks])
    except Exception as error:  # where classes are two, the name will do
        assert type(error).__name__ == "DuplicateSender", error
        said.append("duplicate")
living.protect(b"")
living.close()
said.append(other.Sender(4, kid=1, base_key=key, next_ctr=6).blocks)
print(json.dumps(said))
"""
RIGHT = ["duplicate", "duplicate", [5, 15], "duplicate", 17]

ORDERS = [("fallback", "fallback")]
if has_native():
    ORDERS = list(itertools.product(["native", "fallback"], repeat=2))

AGAIN = {
    "nothing": "",
    "imported again": "purge(); import pysframe",
    "imported again from below": "purge(); import pysframe.engine.twin._registry",
    "all below imported again": "purge(*(set(sys.modules) - {'pysframe'}))",
    "the engine imported again": "purge(*(n for n in sys.modules if n.startswith('pysframe.eng')))",
    "reloaded": "for m in [m for n, m in sys.modules.items() if n.startswith('pysframe')]:"
    " importlib.reload(m)",
    "imported again without a finder": "sys.meta_path[:] = [f for f in sys.meta_path"
    " if 'pysframe' not in type(f).__module__]; purge(); import pysframe",
    "the rest without a finder": "sys.meta_path[:] = [f for f in sys.meta_path"
    " if 'pysframe' not in type(f).__module__]; purge(*(set(sys.modules) - {'pysframe'}))",
}


def told(first, second, meanwhile, **environment):
    story = STORY.format(first=first, second=second, meanwhile=meanwhile)
    done = python(story, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("first", "second"), ORDERS)
@pytest.mark.parametrize("meanwhile", AGAIN.values(), ids=AGAIN)
def test_the_first_registry_stays(first, second, meanwhile):
    """PYSFRAME_BACKEND names the first, so that the other is not loaded before it is bound."""
    assert told(first, second, meanwhile, PYSFRAME_BACKEND=first) == RIGHT


def test_a_second_copy_of_the_package(tmp_path):
    """Under the same name from another folder: the first one stays. Under another name: of both
    engines one is refused, and of the twin's two copies each knows what the other's senders did."""
    shutil.copytree(SRC / "pysframe", tmp_path / "pysframe")
    shutil.copytree(SRC / "pysframe", tmp_path / "vendored" / "pysframe")
    (tmp_path / "vendored" / "__init__.py").touch()
    path = f"sys.path.insert(0, {str(tmp_path)!r}); "
    same = path + "purge(); import pysframe as again; assert again is pysframe"
    assert told("fallback", "fallback", same) == RIGHT
    other = (
        path + "purge(); import vendored.pysframe as again; assert again is not pysframe; "
        "sys.modules['pysframe'] = again; "
        "sys.modules |= {'pysframe.' + name: getattr(again, name) for name in vars(again)}"
    )
    environment = {"PYSFRAME_BACKEND": "fallback"}
    assert told("fallback", "fallback", other, **environment) == RIGHT


def test_two_registries_are_noticed(tmp_path):
    """The seeded fault: each copy of the twin has its own."""
    shutil.copytree(SRC / "pysframe", tmp_path / "pysframe")
    registry = tmp_path / "pysframe" / "engine" / "twin" / "_registry.py"
    text, held = registry.read_text(), 'vars(sys).setdefault("_pysframe_senders", SenderRegistry())'
    assert text.count(held) == 1
    registry.write_text(text.replace(held, "SenderRegistry()"))
    environment = {"PYSFRAME_BACKEND": "fallback", "PYTHONPATH": str(tmp_path)}
    lost = AGAIN["the rest without a finder"]
    assert told("fallback", "fallback", lost, **environment)[:2] == [[5, 0], [4, 0]]


# ---- the classes are the same, too ----

CLASSES = """
import importlib, sys
import pysframe
from pysframe import FrameBatch, UnknownKey, protect_batch, unprotect_many

def purge(*which):
    for name in list(sys.modules):
        if name.partition(".")[0] == "pysframe" and (name in which or not which):
            del sys.modules[name]

before = pysframe
{meanwhile}
import pysframe
import pysframe.errors
from pysframe.engine import bind
assert pysframe is before and sys.modules["pysframe"] is before
assert pysframe.UnknownKey is UnknownKey is pysframe.errors.UnknownKey
assert type(pysframe.__spec__.loader).__module__ != "pysframe._once"
try:
    pysframe.Receiver(4).unprotect(bytes(40))
except UnknownKey:
    print("caught")
sender = pysframe.Sender(4, kid=1, base_key=bytes(16), next_ctr=0)
sealed = protect_batch(sender, pysframe.FrameBatch.from_frames([b"x"]))
receiver = pysframe.Receiver(4)
receiver.add_key(1, bytes(16))
assert isinstance(sealed, FrameBatch)
assert pysframe.unprotect_batch(receiver, sealed).to_list() == [b"x"]
"""


@pytest.mark.parametrize("backend", ["auto", "fallback"])
@pytest.mark.parametrize("meanwhile", list(AGAIN.values())[:-1], ids=list(AGAIN)[:-1])
def test_there_is_one_of_each_class(backend, meanwhile):
    done = python(CLASSES.format(meanwhile=meanwhile), PYSFRAME_BACKEND=backend)
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr


def test_an_import_that_failed_is_tried_again():
    code = """
import os
os.environ["PYSFRAME_BACKEND"] = "nonsense"
try:
    import pysframe
except ImportError as error:
    print("nonsense" in str(error))
os.environ["PYSFRAME_BACKEND"] = "fallback"
import pysframe
print(pysframe.backend_info().engine)
"""
    done = python(code)
    assert done.stdout.split() == ["True", "fallback"], done.stderr
