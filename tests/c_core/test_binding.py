"""Another format through Cython: _native.pyx binds it as it binds SFrame.

The extension is made once more, for this test: the same C that Cython writes, compiled for the
names of the header toy (csrc/formats/names.h) and linked to the library that has it. What it seals
is held against expected(), which shares no code with it.
"""

import sys
from ast import literal_eval
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from sysconfig import get_path

import pytest
from c_core.core import CSRC, ROOT, built, kept, run
from c_core.formats import FORMATS, KID, LAST_CTR, MAX_FRAME, WINDOW, Row, expected
from isolated import python

from pysframe.errors import FrameRejected, FrameStatus

ENGINE = ROOT / "src/pysframe/engine"
TURN = 2**32 - 3  # the toy goes over to longer marks within a batch
ROWS = [Row(bytes([size % 256]) * size) for size in (0, 1, 16, 160, 1200, 5000)]


def compiled(folder) -> None:
    """The module; it finds the core beside it, in build/."""
    run(f"{sys.executable} -m cython -3 -I src {ENGINE}/_native.pyx -o {folder}/_native.c")
    names = "-include formats/names.h '-DSFR_FORMAT_NAME(function)=header_##function'"
    includes = f"-I{CSRC} -I{get_path('include')}"
    link = f"-L{built()} -lsfr -Wl,-rpath,{built()}"
    run(
        f"gcc -O0 -fPIC -shared {names} {includes} {folder}/_native.c {link} -o {folder}/_native.so"
    )


@pytest.fixture(scope="module")
def library():
    sources = [*ENGINE.glob("*.px*"), *(ROOT / "tests/c_core/toy").glob("*")]
    return kept("c_core_binding", sources, compiled) / "_native.so"


def toy_engine(library):
    """The module. Only for a fresh process: a process has one table of senders, in one core."""
    spec = spec_from_loader("_native", ExtensionFileLoader("_native", library))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.init("")
    return module


def parties(toy, suite, base_key):
    secret, sender, receiver = toy.Secret(suite, base_key), toy.SenderCore(), toy.ReceiverCore()
    sender._open(suite, KID, secret, TURN, LAST_CTR, MAX_FRAME)
    receiver._open(suite, WINDOW, MAX_FRAME, True)
    receiver._add(KID, secret, 0)
    return sender, receiver


def every_way(library, suite, base_key):
    """(what is sealed, what is opened, the statuses of replays, of a forgery) by every way."""
    toy = toy_engine(library)
    sender, receiver = parties(toy, suite, base_key)
    frames = [row.data for row in ROWS]
    batch = toy.FrameBatch.from_frames(frames)
    sealed = [
        [sender.protect(frame) for frame in frames],
        toy.protect_many(sender, frames),
        toy.protect_many([sender] * len(frames), frames, b"room", 0),
        toy.protect_batch(sender, batch).to_list(),
    ]
    opened = [
        [receiver.unprotect(wire) for wire in sealed[0]],
        toy.unprotect_many(receiver, sealed[1]).to_list(),
        toy.unprotect_many(receiver, sealed[2], b"room").to_list(),
        toy.unprotect_batch(receiver, toy.FrameBatch.from_frames(sealed[3])).to_list(),
    ]
    again = toy.unprotect_many(receiver, sealed[0]).status.tolist()
    return sealed, opened, again, refusal(receiver, sealed[0][-1])


def refusal(receiver, wire):
    try:
        receiver.unprotect(wire[:-1] + bytes([wire[-1] ^ 1]))
    except FrameRejected as error:
        return int(error.status), error.kid


def in_a_fresh_process(library, suite, base_key):
    """every_way(), with the package on its plain-Python engine, which brings no second core."""
    call = f"every_way({str(library)!r}, {suite}, {base_key!r})"
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})"
    code = f"{path}\nfrom c_core.test_binding import every_way\nprint({call})"
    ran = python(code, PYSFRAME_MAX_ISA="none")
    assert ran.returncode == 0, ran.stderr
    return literal_eval(ran.stdout)


@pytest.mark.parametrize("suite", (1, 4))
def test_every_way_through_the_binding(library, suite, rng):
    base_key, count = rng.randbytes(32), len(ROWS)
    sealed, opened, again, refused = in_a_fresh_process(library, suite, base_key)
    for way, wires in enumerate(sealed):
        for ctr, (row, wire) in enumerate(zip(ROWS, wires, strict=True), TURN + way * count):
            row = row._replace(metadata=b"room" if way == 2 else b"")
            assert wire == expected("header", suite, base_key, ctr, row, "cryptography"), (way, ctr)
    assert opened == [[row.data for row in ROWS]] * 4
    assert again == [FrameStatus.REPLAYED] * count
    assert refused == (FrameStatus.REPLAYED, KID), "judged by the window, before its tag"


def test_the_toy_is_not_sframe():
    assert FORMATS["header"].mark(KID, TURN) != FORMATS["sframe"].mark(KID, TURN)
