"""Rows in columns for the C API, in memory with known bytes around what may be written."""

from c_core.parties import Party

FILL = 0xA5
BEYOND = 64  # bytes behind the room, which must stay as they were


class Columns(Party):
    """Plain frames back to back in one buffer, and room for what becomes of them."""

    def __init__(self, owners, rows: list[bytes], *, by_address: bool = False) -> None:
        super().__init__()
        self.kind = "sfr_sender *[]" if hasattr(owners[0], "protect") else "sfr_receiver *[]"
        self.owners = self.ffi.new(self.kind, [owner.pointer for owner in owners])
        self.count = len(rows)
        self.size = sum(map(len, rows))
        self.data = self.ffi.new("uint8_t[]", b"".join(rows))
        self.place([sum(map(len, rows[:i])) for i in range(self.count)], list(map(len, rows)))
        if by_address:
            start = int(self.ffi.cast("int64_t", self.data))
            self.place([start + at for at in self.offsets], list(self.lengths))
            self.given.data, self.given.size = self.ffi.NULL, 2**63 - 1

    def place(self, offsets: list[int], lengths: list[int]) -> None:
        """Says where the rows lie, whether that is true or not."""
        self.count = len(offsets)
        self.offsets = self.ffi.new("int64_t[]", offsets)
        self.lengths = self.ffi.new("int32_t[]", lengths)
        given = (self.data, self.size, self.offsets, self.lengths)
        self.given = self.ffi.new("sfr_rows_in *", given)
        columns = [(f"{kind}[]", max(1, self.count)) for kind in
                   ("int64_t", "int32_t", "uint8_t", "uint64_t", "uint64_t")]  # fmt: skip
        self.made = [self.ffi.new(*column) for column in columns]
        self.to = self.ffi.new("sfr_rows_out *", self.made)

    def protect_room(self) -> int:
        return self.lib.sfr_protect_columns_size(self.owners, self.given, self.count)

    def open_room(self) -> int:
        return self.lib.sfr_unprotect_columns_size(self.given, self.count)

    def exact_open_room(self) -> int:
        start = int(self.ffi.cast("uintptr_t", self.given.data))
        rows = [(self.ffi.cast("uint8_t *", start + self.offsets[i]), self.lengths[i])
                for i in range(self.count)]  # fmt: skip
        size = self.lib.sfr_unprotect_size
        return sum(size(self.owners[i], *row, 0) for i, row in enumerate(rows))

    def protect(self, room: int) -> int:
        return self._run(self.lib.sfr_protect_columns, room, room)

    def protect_rows(self) -> tuple[int, list[bytes]]:
        """How many rows were sealed, each into a place of its own, and what lies there."""
        sizes = self.ffi.new("int32_t[]", self.count)
        if not self.lib.sfr_protect_rows_size(self.owners, self.given, self.count, sizes):
            return 0, []
        places = [self.ffi.new("uint8_t[]", bytes([FILL]) * (size + BEYOND)) for size in sizes]
        outs = self.ffi.new("uint8_t *[]", places)
        done = self.lib.sfr_protect_rows(self.owners, self.given, self.count, outs, sizes)
        for place, size in zip(places, sizes, strict=True):
            assert bytes(place[size : size + BEYOND]) == bytes([FILL]) * BEYOND
        return done, [bytes(place[0:size]) for place, size in zip(places, sizes, strict=True)]

    def unprotect(self, room: int) -> int:
        used = self.ffi.new("size_t *", room)
        done = self._run(self.lib.sfr_unprotect_columns, room, used)
        self.room = used[0]
        assert bytes(self.out[self.room : room]) == bytes([FILL]) * (room - self.room)
        return done

    def _run(self, function, size: int, room) -> int:
        self.out = self.ffi.new("uint8_t[]", bytes([FILL]) * (size + BEYOND))
        self.room = size
        done = function(self.owners, self.given, self.count, self.out, room, self.to)
        assert bytes(self.out[size : size + BEYOND]) == bytes([FILL]) * BEYOND
        return done

    def rows(self) -> list[tuple[int, bytes, int, int]]:
        """(status, bytes, kid, ctr) of each row."""
        offsets, lengths, *others = (column[0 : self.count] for column in self.made)
        cuts = zip(offsets, lengths, strict=True)
        texts = [bytes(self.out[start : start + size]) for start, size in cuts]
        status, kids, ctrs = others
        return list(zip(status, texts, kids, ctrs, strict=True))

    def written(self) -> bytes:
        return bytes(self.out[0 : self.room])
