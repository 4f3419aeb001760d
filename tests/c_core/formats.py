"""Parties that speak SFrame or one of two toy formats, in every way that frames go through.

In C the toys live in one library with SFrame, under names of their own: csrc/formats/names.h. In
the twin a format is an argument. What a party seals is held against expected(), which knows what a
format is and none of the code that seals.
"""

import re
from functools import cache, partial
from typing import NamedTuple

from c_core.core import CSRC, built, kernel_or_skip, load, public_declarations
from cffi import FFI
from oracle import Oracle, aead_seal, schedule

from pysframe import CipherSuite
from pysframe.engine import twin
from pysframe.engine._types import KeyKind
from pysframe.engine.twin._formats import SFRAME, Places
from pysframe.errors import FrameRejected, FrameStatus, rejection

KID, STREAM = 7, 0xCAFE0001
LAST_CTR, WINDOW, MAX_FRAME = 2**64 - 1, 1024, 1 << 20


class Row(NamedTuple):
    """A frame, or what became of it."""

    data: bytes
    metadata: bytes = b""
    clear: int = 0


# ---- the formats ----


class Trailer:
    """clear || ciphertext || tag || counter (8) || stream (4) || KID (1)."""

    least = 13

    def __init__(self, stream: int = STREAM) -> None:
        self.stream = stream

    def size(self, kid: int, ctr: int) -> int:
        return 13

    def front(self, kid: int, ctr: int) -> int:
        return 0

    def mark(self, kid: int, ctr: int) -> bytes:
        return ctr.to_bytes(8) + self.stream.to_bytes(4) + bytes([kid])

    def join(self, mark: bytes, sealed: bytes) -> bytes:
        return sealed + mark

    def read(self, body: bytes, tag_size: int, strict: bool) -> Places:
        mark = body[-13:]
        return Places(mark[12], int.from_bytes(mark[:8]), mark, body[:-13], 0)

    def nonce(self, salt: int, ctr: int, mark: bytes) -> bytes:
        unlike = mark[:8][::-1] + mark[8:12]
        return (salt ^ int.from_bytes(unlike)).to_bytes(12)

    def aad(self, mark: bytes, clear: bytes, metadata: memoryview) -> bytes:
        return b"".join((clear, metadata))


class Header:
    """clear || KID and length (1) || counter (4 or 8) || ciphertext || tag."""

    least = 5

    def size(self, kid: int, ctr: int) -> int:
        return 9 if ctr >> 32 else 5

    def front(self, kid: int, ctr: int) -> int:
        return self.size(kid, ctr)

    def mark(self, kid: int, ctr: int) -> bytes:
        long = ctr >> 32 > 0
        return bytes([kid | 0x40 * long]) + ctr.to_bytes(8 if long else 4)

    def join(self, mark: bytes, sealed: bytes) -> bytes:
        return mark + sealed

    def read(self, body: bytes, tag_size: int, strict: bool) -> Places:
        size = 9 if body[0] & 0x40 else 5
        if len(body) < size + tag_size:
            raise rejection(FrameStatus.MALFORMED, detail="it is too short")
        mark = body[:size]
        return Places(mark[0] & 0x3F, int.from_bytes(mark[1:]), mark, body[size:], size)

    def nonce(self, salt: int, ctr: int, mark: bytes) -> bytes:
        return (salt ^ ctr << 32).to_bytes(12)

    def aad(self, mark: bytes, clear: bytes, metadata: memoryview) -> bytes:
        return b"".join((mark, clear, metadata))


FORMATS = {"sframe": SFRAME, "trailer": Trailer(), "header": Header()}


def expected(name: str, suite: int, base_key: bytes, ctr: int, row: Row, library: str) -> bytes:
    """This row on the wire, from an independent library."""
    if name == "sframe":
        return Oracle(suite, base_key, KID, library).seal(ctr, *row)
    of, clear = FORMATS[name], row.data[: row.clear]
    _, key, salt = schedule(CipherSuite(suite), base_key, KID)
    mark = of.mark(KID, ctr)
    nonce = of.nonce(int.from_bytes(salt), ctr, mark)
    aad, payload = of.aad(mark, clear, memoryview(row.metadata)), row.data[row.clear :]
    return clear + of.join(mark, aead_seal(CipherSuite(suite), key, nonce, aad, payload, library))


# ---- the C core ----

RENAMED = dict(
    re.findall(
        r"^#define (\w+) SFR_FORMAT_NAME\((\w+)\)$", (CSRC / "formats/names.h").read_text(), re.M
    )
)
OF_STREAM = """int trailer_sender_of_stream(sfr_sender **, const sfr_secret *, const sfr_kernel *,
                                uint64_t, uint64_t, uint64_t, uint64_t, size_t);"""


@cache
def loaded():
    """(ffi, lib) of the core with the toys beside SFrame."""
    load()
    ffi = FFI()
    ffi.cdef("\n".join([public_declarations(), *map(toy_declarations, FORMATS), OF_STREAM]))
    return ffi, ffi.dlopen(str(built() / "libsfr.so"))


def toy_declarations(name: str) -> str:
    """The public declarations of what the toy has under names of its own."""
    if name == "sframe":
        return "extern size_t header_predictions;"
    found = re.findall(r"^\w[^;{}]*\b(sfr_\w+)(\([^;{}]*\);)", public_declarations(), re.M)
    kinds = re.findall(r"^(\w[^;{}]*?)\bsfr_\w+\([^;{}]*\);", public_declarations(), re.M)
    return "\n".join(
        f"{kind} {name}_{RENAMED[function]}{arguments}"
        for kind, (function, arguments) in zip(kinds, found, strict=True)
        if function in RENAMED
    )


class CoreParty:
    """A sender and a receiver of the C core that speak one format."""

    SEALING = ("one", "in place", "in steps", "many", "many in steps", "columns")
    OPENING = SEALING
    PLAIN = ("columns",)  # the ways that have neither metadata nor clear bytes
    library = "cryptography"

    def __init__(
        self, kernel, name, suite, base_key, first, *, stream=STREAM, second=False
    ) -> None:
        kernel_or_skip(kernel)
        self.ffi, self.lib = loaded()
        self.name = name
        self.kernel, self.suite = self.call("kernel_find", kernel.encode()), suite
        made = self.call("secret_new", self.call("suite_find", suite), base_key, len(base_key))
        self.secret = self.ffi.gc(made, self.lib.sfr_secret_free)
        self.make_sender(first, stream)
        if not second:
            self.make_receiver()

    def call(self, function: str, *arguments):
        """A function of the library, in this party's format if formats have their own."""
        own = self.name != "sframe" and f"sfr_{function}" in RENAMED
        return getattr(self.lib, f"{self.name if own else 'sfr'}_{function}")(*arguments)

    def make_sender(self, first: int, stream: int) -> None:
        out = self.ffi.new("sfr_sender **")
        new = partial(self.call, "sender_new", out, self.secret, self.kernel, KID)
        if self.name == "trailer":
            of_stream = self.lib.trailer_sender_of_stream
            new = partial(of_stream, out, self.secret, self.kernel, KID, stream)
        self.status = new(first, LAST_CTR, MAX_FRAME)
        if self.status == 0:
            self.sender = self.ffi.gc(out[0], partial(self.call, "sender_free"))

    def make_receiver(self) -> None:
        out, of = self.ffi.new("sfr_receiver **"), self.call("suite_find", self.suite)
        assert not self.call("receiver_new", out, of, self.kernel, WINDOW, MAX_FRAME, 1)
        self.receiver = self.ffi.gc(out[0], self.lib.sfr_receiver_free)
        assert not self.call("receiver_add", self.receiver, KID, self.secret, 0)

    # -- sealing --

    def seal(self, way: str, rows: list[Row]) -> list[bytes]:
        if way == "columns":
            return self.columns_sealed(rows)
        if "many" in way:
            return self.many_sealed(rows, "steps" in way)
        return [self.one_sealed(row, way) for row in rows]

    def one_sealed(self, row: Row, way: str) -> bytes:
        room = self.call("protect_size", self.sender, len(row.data), 0)
        (f,) = self.frames([row])
        self.give_room(f, room)
        if way == "in place":
            self.lie_at(f, f.out + FORMATS[self.name].front(KID, self.next_ctr()))
        if way == "in steps":
            assert not self.call("reserve", self.sender, self.address(f))
            self.call("seal_many", self.owners(1), self.address(f), 1)
            assert f.status == 0
        else:
            assert not self.call("protect", self.sender, self.address(f))
        assert f.out_size == room
        return self.output(f)

    def many_sealed(self, rows: list[Row], in_steps: bool) -> list[bytes]:
        frames, count, steady = self.frames(rows), len(rows), self.ffi.new("int *")
        first, owners = frames, self.owners(count)
        if in_steps:
            assert self.call("reserve_many", owners, first, count) == count
        else:
            assert self.call("protect_many_size", owners, first, count, steady) == count
        for f in frames:
            self.give_room(f, f.out_size)
        if in_steps:
            self.call("seal_many", owners, first, count)
        else:
            assert self.call("protect_many", owners, first, count) == count
        assert not any(f.status for f in frames)
        return [self.output(f) for f in frames]

    def columns_sealed(self, rows: list[Row]) -> list[bytes]:
        count, (given, held), (to, more) = len(rows), self.rows_in(rows), self.rows_out(len(rows))
        owners = self.owners(count)
        room = self.call("protect_columns_size", owners, given, count)
        assert room
        out = self.ffi.new("uint8_t[]", room)
        assert self.call("protect_columns", owners, given, count, out, room, to) == count
        assert held and more
        return [frame for _, frame in self.in_rows(out, to, count)]

    # -- opening --

    def open(self, way: str, rows: list[Row]) -> list[tuple[int, bytes]]:
        if way == "columns":
            return self.columns_opened(rows)
        if "many" in way:
            return self.many_opened(rows, "steps" in way)
        return [self.one_opened(row, way) for row in rows]

    def one_opened(self, row: Row, way: str) -> tuple[int, bytes]:
        (f,) = self.frames([row])
        wire = getattr(f, "in")
        room = self.call("unprotect_size", self.receiver, wire, len(row.data), row.clear)
        self.give_room(f, room)
        if way == "in place":
            f.out = wire + self.front_of(row)
        if way == "in steps":
            if not self.call("screen", self.receiver, self.address(f)):
                self.give_room(f, room)
                self.call("open_many", self.receivers(1), self.address(f), 1)
                self.call("commit_many", self.receivers(1), self.address(f), 1)
        else:
            self.call("unprotect", self.receiver, self.address(f))
        return f.status, self.output(f)

    def many_opened(self, rows: list[Row], in_steps: bool) -> list[tuple[int, bytes]]:
        frames, count = self.frames(rows), len(rows)
        owners = self.receivers(count)
        self.call("unprotect_many_size", owners, frames, count)
        for f in frames:
            self.give_room(f, f.out_size)
        if in_steps:
            self.call("open_many", owners, frames, count)
        self.call("commit_many" if in_steps else "unprotect_many", owners, frames, count)
        return [(f.status, self.output(f)) for f in frames]

    def columns_opened(self, rows: list[Row]) -> list[tuple[int, bytes]]:
        count, (given, held), (to, more) = len(rows), self.rows_in(rows), self.rows_out(len(rows))
        room = self.ffi.new("size_t *", self.call("unprotect_columns_size", given, count))
        out, owners = self.ffi.new("uint8_t[]", room[0]), self.receivers(count)
        self.call("unprotect_columns", owners, given, count, out, room, to)
        assert held and more
        return self.in_rows(out, to, count)

    # -- memory --

    def next_ctr(self) -> int:
        ctr = self.ffi.new("uint64_t *")
        assert not self.call("sender_next", self.sender, ctr)
        return ctr[0]

    def front_of(self, row: Row) -> int:
        """Bytes of the mark in front of the ciphertext; in place, a frame opens so far on."""
        try:
            return FORMATS[self.name].read(row.data[row.clear :], 0, False).front
        except (FrameRejected, IndexError):
            return 0

    def owners(self, count: int):
        return self.ffi.new("sfr_sender *[]", [self.sender] * count)

    def receivers(self, count: int):
        return self.ffi.new("sfr_receiver *[]", [self.receiver] * count)

    def address(self, f):
        return self.ffi.addressof(f)

    def frames(self, rows: list[Row]):
        made = self.ffi.new("sfr_frame[]", len(rows))
        self.held = [made]  # until the next frames
        for f, row in zip(made, rows, strict=True):
            data, metadata = (self.ffi.new("uint8_t[]", part or b"\0") for part in row[:2])
            self.held += data, metadata
            f.in_size, f.clear, f.metadata_size = len(row.data), row.clear, len(row.metadata)
            self.lie_at(f, data)
            f.metadata = metadata
        return made

    def lie_at(self, f, place) -> None:
        """The frame lies there from now on."""
        at = getattr(f, "in")
        if at:
            self.ffi.memmove(place, at, f.in_size)
        setattr(f, "in", place)

    def give_room(self, f, room: int) -> None:
        self.held.append(self.ffi.new("uint8_t[]", max(1, room)))
        f.out, f.out_size = self.held[-1], room

    def output(self, f) -> bytes:
        return bytes(self.ffi.buffer(f.out, f.out_size))

    def rows_in(self, rows: list[Row]):
        new, sizes = self.ffi.new, [len(row.data) for row in rows]
        data = new("uint8_t[]", b"".join(row.data for row in rows) or b"\0")
        offsets = new("int64_t[]", [sum(sizes[:i]) for i in range(len(rows))])
        lengths = new("int32_t[]", sizes)
        return new("sfr_rows_in *", (data, sum(sizes), offsets, lengths)), (data, offsets, lengths)

    def rows_out(self, count: int):
        kinds = ("int64_t", "int32_t", "uint8_t", "uint64_t", "uint64_t")
        made = [self.ffi.new(f"{kind}[]", count) for kind in kinds]
        return self.ffi.new("sfr_rows_out *", made), made

    def in_rows(self, out, to, count: int) -> list[tuple[int, bytes]]:
        data = bytes(self.ffi.buffer(out))
        cut = [data[to.offsets[i] :][: to.lengths[i]] for i in range(count)]
        return [(to.status[i], cut[i]) for i in range(count)]

    # -- marks that came as they were predicted --

    def predictions(self) -> int:
        return self.lib.header_predictions

    def predicts(self, way: str, alone: bool) -> bool:
        """Only who has exclusive access may look at what others may change."""
        allowed = ("one", "in place", "many", "columns") if alone else ("one", "in place")
        return self.name == "header" and way in allowed


# ---- the twin ----


class TwinParty:
    """A sender and a receiver of the twin that speak one format."""

    SEALING = ("one", "into", "in place", "many", "batch", "batch out")
    OPENING = SEALING
    PLAIN = ()

    def __init__(self, provider, name, suite, base_key, first, *, stream=STREAM) -> None:
        self.format = Trailer(stream) if name == "trailer" else FORMATS[name]
        self.library = "pycryptodome" if provider == "cryptography" else "cryptography"
        names = {"_format": self.format, "_kernel": provider, "__slots__": ()}
        secret = twin.Secret(suite, base_key)
        self.sender = type("Sender", (twin.SenderCore,), names)()
        self.sender._open(suite, KID, secret, first, LAST_CTR, MAX_FRAME)
        self.receiver = type("Receiver", (twin.ReceiverCore,), names)()
        self.receiver._open(suite, WINDOW, MAX_FRAME, True)
        self.receiver._add(KID, secret, KeyKind.GIVEN)

    def predicts(self, way: str, alone: bool) -> bool:
        return False

    # -- sealing --

    def seal(self, way: str, rows: list[Row]) -> list[bytes]:
        if way in ("many", "batch", "batch out"):
            return self.many_sealed(way, *zip(*rows, strict=True))
        return [self.one_sealed(way, *row) for row in rows]

    def one_sealed(self, way: str, data: bytes, metadata: bytes, clear: int) -> bytes:
        if way == "one":
            return self.sender.protect(data, metadata, clear=clear)
        out = bytearray(self.sender.protected_size(len(data)))
        source = memoryview(data)
        if way == "in place":
            front = self.format.front(KID, self.sender.next_ctr)
            source = memoryview(out)[front : front + len(data)]
            source[:] = data
        assert self.sender.protect_into(source, out, metadata, clear=clear) == len(out)
        return bytes(out)

    def many_sealed(self, way: str, data, metadata, clear) -> list[bytes]:
        if way == "many":
            return twin.protect_many(self.sender, data, metadata, clear)
        batch, size = twin.FrameBatch.from_frames(data), sum(map(len, data)) + 50 * len(data)
        out = bytearray(size) if way == "batch out" else None
        return twin.protect_batch(self.sender, batch, metadata, clear, out).to_list()

    # -- opening --

    def open(self, way: str, rows: list[Row]) -> list[tuple[int, bytes]]:
        if way in ("many", "batch", "batch out"):
            return self.many_opened(way, *zip(*rows, strict=True))
        return [self.one_opened(way, *row) for row in rows]

    def one_opened(self, way: str, data: bytes, metadata: bytes, clear: int) -> tuple[int, bytes]:
        wire = bytearray(data)
        out, source = bytearray(len(data)), memoryview(wire)
        if way == "in place":
            out = source[self.front_of(data[clear:]) :]
        try:
            if way == "one":
                return 0, self.receiver.unprotect(data, metadata, clear=clear)
            size = self.receiver.unprotect_into(source, out, metadata, clear=clear)
            return 0, bytes(out[:size])
        except FrameRejected as refusal:
            return int(refusal.status), b""

    def front_of(self, body: bytes) -> int:
        try:
            return self.format.read(body, 0, False).front
        except (FrameRejected, IndexError):
            return 0

    def many_opened(self, way: str, data, metadata, clear) -> list[tuple[int, bytes]]:
        if way == "many":
            opened = twin.unprotect_many(self.receiver, data, metadata, clear)
        else:
            out = bytearray(sum(map(len, data))) if way == "batch out" else None
            batch = twin.FrameBatch.from_frames(data)
            opened = twin.unprotect_batch(self.receiver, batch, metadata, clear, out)
        return list(zip(map(int, opened.status), opened.to_list(), strict=True))
