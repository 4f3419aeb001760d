"""A second format, on both engines: a trailer with a nonce and an AAD of its own.

In C the files of frame/ are compiled with toy/toy_format.h in the place of formats/sframe.h; in the
twin a sender and a receiver get another format. Each engine opens what the other seals.
"""

from collections.abc import Callable
from functools import cache

import pytest
from c_core.core import (
    CSRC,
    HERE,
    KERNELS,
    built,
    kept,
    kernel_or_skip,
    load,
    public_declarations,
    run,
)
from c_core.parties import CReceiver, CSender
from cffi import FFI

from pysframe import CipherSuite
from pysframe.engine import _aead
from pysframe.engine._types import KeyKind
from pysframe.engine.twin._formats import Places
from pysframe.engine.twin._keys import Secret
from pysframe.engine.twin._receiver import ReceiverState
from pysframe.engine.twin._sender import SenderState
from pysframe.errors import FrameRejected, FrameStatus, rejection

SUITES = (1, 4, 5, 8)
SIZES = (0, 1, 15, 16, 48, 160, 1200, 5000)
KID, MARK = 7, 9


# ---- the C core ----


@cache
def toy():
    """(ffi, lib) of the core with the toy format; the kernels are those of the core itself."""
    load()
    folder = kept("toy", [*(HERE / "toy").glob("*")], build)
    ffi = FFI()
    ffi.cdef(public_declarations())
    return ffi, ffi.dlopen(str(folder / "libtoy.so"))


def build(folder) -> None:
    files = " ".join(map(str, (*CSRC.glob("frame/*.c"), *CSRC.glob("platform/*.c"))))
    flags = f"-std=gnu11 -O1 -Wall -Wextra -Werror -fPIC -shared -I{CSRC} -I{HERE / 'toy'}"
    link = f"-L{built()} -lsfr -Wl,-rpath,{built()} -o {folder}/libtoy.so"
    run(f"gcc {flags} -DSFR_FORMAT='\"toy_format.h\"' {files} {link}")


class Core:
    """A sender and a receiver of the C core, or of its build with the toy format."""

    def __init__(
        self, kernel: str, suite: int, base_key: bytes, first: int, made: Callable
    ) -> None:
        kernel_or_skip(kernel)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("c_core.parties.load", made)
            self.sender = CSender(kernel, suite, base_key, KID, first)
            self.receiver = CReceiver(kernel, suite, base_key, KID)

    def protect(self, frame: bytes, metadata: bytes, clear: int) -> bytes:
        status, wire = self.sender.protect(frame, metadata, clear)
        assert status == 0
        return wire

    def unprotect(self, wire: bytes, metadata: bytes, clear: int) -> tuple[int, bytes]:
        return self.receiver.unprotect(wire, metadata, clear)


# ---- the twin ----


class Toy:
    """clear || ciphertext || tag || counter (8) || KID (1)."""

    least = MARK

    def size(self, kid: int, ctr: int) -> int:
        return MARK

    def front(self, kid: int, ctr: int) -> int:
        return 0

    def mark(self, kid: int, ctr: int) -> bytes:
        return ctr.to_bytes(8) + bytes([kid])

    def join(self, mark: bytes, sealed: bytes) -> bytes:
        return sealed + mark

    def read(self, body: bytes, tag_size: int, strict: bool) -> Places:
        if len(body) < MARK + tag_size:
            raise rejection(FrameStatus.MALFORMED, detail="it is too short")
        mark = body[-MARK:]
        return Places(mark[8], int.from_bytes(mark[:8]), mark, body[:-MARK], 0)

    def nonce(self, salt: int, ctr: int, mark: bytes) -> bytes:
        return (salt ^ int.from_bytes(ctr.to_bytes(8, "little")) << 32).to_bytes(12)

    def aad(self, mark: bytes, clear: bytes, metadata: memoryview) -> bytes:
        return clear + metadata


class ToySender(SenderState):
    __slots__ = ()
    format = Toy()


class ToyReceiver(ReceiverState):
    __slots__ = ()
    format = Toy()


def twin_sender(suite: int, base_key: bytes, first: int) -> ToySender:
    secret = Secret(CipherSuite(suite), base_key)
    last, source = 2**64 - 1, _aead.provider(None)
    return ToySender(CipherSuite(suite), KID, secret, first, last, 1 << 20, source)


def twin_receiver(suite: int, base_key: bytes) -> ToyReceiver:
    receiver = ToyReceiver(CipherSuite(suite), 1024, 1 << 20, True, _aead.provider(None))
    receiver.add(KID, Secret(CipherSuite(suite), base_key), KeyKind.GIVEN)
    return receiver


def sealed(sender: ToySender, frame: bytes, metadata: bytes, clear: int) -> bytes:
    departure = sender.departure(frame, metadata, clear)
    return sender.reserve(departure, None, lambda: False).seal(departure)


def opened(receiver: ToyReceiver, wire: bytes, metadata: bytes, clear: int) -> tuple[int, bytes]:
    try:
        arrival = receiver.arrival(wire, metadata, clear)
        return 0, receiver.attempt(arrival, None).frame
    except FrameRejected as refusal:
        return int(refusal.status), b""


class Twin:
    def __init__(self, suite: int, base_key: bytes, first: int) -> None:
        self.sender = twin_sender(suite, base_key, first)
        self.receiver = twin_receiver(suite, base_key)

    def protect(self, *frame) -> bytes:
        return sealed(self.sender, *frame)

    def unprotect(self, *frame) -> tuple[int, bytes]:
        return opened(self.receiver, *frame)


# ---- both ----


@pytest.fixture(params=[*KERNELS, "twin"])
def make(request):
    """A party that speaks the toy format: make(suite, base_key, first counter)."""
    if request.param == "twin":
        return Twin
    return lambda suite, base_key, first: Core(request.param, suite, base_key, first, toy)


@pytest.fixture(params=SUITES)
def suite(request):
    return request.param


def frames(rng):
    for size in SIZES:
        for clear in {0, min(3, size), size // 2}:
            for metadata in (b"", b"room 12", rng.randbytes(100)):
                yield rng.randbytes(size), metadata, clear


def test_round_trip_and_replay(make, suite, rng):
    base_key, first = rng.randbytes(32), rng.randrange(1 << 60)
    one, twin = make(suite, base_key, first), twin_receiver(suite, base_key)
    for number, (frame, metadata, clear) in enumerate(frames(rng)):
        wire = one.protect(frame, metadata, clear)
        assert len(wire) == len(frame) + CipherSuite(suite).Nt + MARK
        assert wire[:clear] == frame[:clear]
        assert wire[-MARK:] == (first + number).to_bytes(8) + bytes([KID])
        assert one.unprotect(wire, metadata, clear) == (0, frame)
        assert opened(twin, wire, metadata, clear) == (0, frame), "the twin reads the same bytes"
        assert one.unprotect(wire, metadata, clear)[0] == FrameStatus.REPLAYED


def test_the_core_opens_what_the_twin_seals(make, suite, rng):
    base_key = rng.randbytes(32)
    one = make(suite, base_key, 0)
    sender = one.sender if isinstance(one, Twin) else twin_sender(suite, base_key, 0)
    for frame, metadata, clear in frames(rng):
        wire = sealed(sender, frame, metadata, clear)
        assert one.unprotect(wire, metadata, clear) == (0, frame)


def test_tampering_is_refused(make, suite, rng):
    """Every byte counts: clear bytes, ciphertext, tag, counter, KID, and the metadata."""
    one, frame, metadata, clear = make(suite, rng.randbytes(32), 5), rng.randbytes(20), b"room", 4
    wire = one.protect(frame, metadata, clear)
    for at in range(len(wire)):
        changed = bytearray(wire)
        changed[at] ^= 1 << rng.randrange(8)
        status, found = one.unprotect(bytes(changed), metadata, clear)
        wanted = (
            FrameStatus.UNKNOWN_KEY if at == len(wire) - 1 else FrameStatus.AUTHENTICATION_FAILED
        )
        assert (status, found) == (wanted, b""), at
    assert one.unprotect(wire, b"rook", clear)[0] == FrameStatus.AUTHENTICATION_FAILED
    for size in range(clear + CipherSuite(suite).Nt + MARK):
        assert one.unprotect(wire[:size], metadata, clear)[0] == FrameStatus.MALFORMED
    assert one.unprotect(wire, metadata, clear) == (0, frame), "no refused frame changed anything"


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_another_format_indeed(kernel, suite, rng):
    """The seeded fault: the same parties with SFrame do not speak the toy format."""
    base_key = rng.randbytes(32)
    ours = Core(kernel, suite, base_key, 3, load)
    wire = ours.protect(bytes(50), b"", 0)
    assert len(wire) == 50 + 1 + CipherSuite(suite).Nt
    assert opened(twin_receiver(suite, base_key), wire, b"", 0)[0] != 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_batches_and_columns_speak_it(kernel, suite, rng):
    """The same counters give the same bytes, and each shape opens them."""
    kernel_or_skip(kernel)
    base_key, count = rng.randbytes(32), 70
    one, twin = Core(kernel, suite, base_key, 0, toy), twin_sender(suite, base_key, 0)
    plain = [rng.randbytes(rng.choice(SIZES)) for _ in range(count)]
    wires = [sealed(twin, frame, b"", 0) for frame in plain]
    assert columns_sealed(one, plain) == wires
    assert columns_opened(one, wires) == plain


def rows_in(ffi, rows: list[bytes]):
    data = ffi.from_buffer(b"".join(rows) or b"\0")
    sizes = [len(row) for row in rows]
    offsets = ffi.new("int64_t[]", [sum(sizes[:i]) for i in range(len(rows))])
    lengths = ffi.new("int32_t[]", sizes)
    held = data, offsets, lengths
    given = ffi.new("sfr_rows_in *", {"data": data, "size": sum(sizes), "offsets": offsets})
    given.lengths = lengths
    return given, held


def rows_out(ffi, count: int):
    made = [
        ffi.new(f"{of}[]", count) for of in ("int64_t", "int32_t", "uint8_t", *["uint64_t"] * 2)
    ]
    given = ffi.new("sfr_rows_out *")
    given.offsets, given.lengths, given.status, given.kid, given.ctr = made
    return given, made


def in_rows(ffi, out, given, count: int) -> list[bytes]:
    data = bytes(ffi.buffer(out))
    assert not any(given.status[i] for i in range(count))
    return [data[given.offsets[i] :][: given.lengths[i]] for i in range(count)]


def columns_sealed(one: Core, rows: list[bytes]) -> list[bytes]:
    ffi, lib = one.sender.ffi, one.sender.lib
    owners = ffi.new("sfr_sender *[]", [one.sender.pointer] * len(rows))
    given, held = rows_in(ffi, rows)
    room = lib.sfr_protect_columns_size(owners, given, len(rows))
    out, (to, held_too) = ffi.new("uint8_t[]", room), rows_out(ffi, len(rows))
    assert lib.sfr_protect_columns(owners, given, len(rows), out, room, to) == len(rows)
    assert held and held_too
    return in_rows(ffi, out, to, len(rows))


def columns_opened(one: Core, rows: list[bytes]) -> list[bytes]:
    ffi, lib = one.receiver.ffi, one.receiver.lib
    owners = ffi.new("sfr_receiver *[]", [one.receiver.pointer] * len(rows))
    given, held = rows_in(ffi, rows)
    room = ffi.new("size_t *", lib.sfr_unprotect_columns_size(given, len(rows)))
    out, (to, held_too) = ffi.new("uint8_t[]", room[0]), rows_out(ffi, len(rows))
    assert lib.sfr_unprotect_columns(owners, given, len(rows), out, room, to) == 0
    assert held and held_too
    return in_rows(ffi, out, to, len(rows))
