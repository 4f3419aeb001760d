"""As test_fences.py, for whole frames in batches, columns, and headers alone."""

import pytest
from c_core.parties import CReceiver, CSender
from c_core.test_fences import PAGE, PAGES, Fence
from isolated import in_child
from parties import SUITES

SIZES = (*range(0, 100, 3), 160, 161, 640, 1200, 1300, 5000)


class FencedFrames:
    """Frames of many parties, each buffer in a fence of its own."""

    def __init__(self, core, kernel: str, rng, count: int) -> None:
        self.ffi, self.lib = core
        self.rng, self.count = rng, count
        self.fences = [[Fence(core) for _ in range(3)] for _ in range(count)]
        self.parties = [self.party(kernel, rng.choice(SUITES)) for _ in range(8)]
        self.chosen = [rng.choice(self.parties) for _ in range(count)]
        self.senders = self.ffi.new("sfr_sender *[]", [s.pointer for s, _ in self.chosen])
        self.receivers = self.ffi.new("sfr_receiver *[]", [r.pointer for _, r in self.chosen])

    def party(self, kernel, suite):
        base_key, kid = self.rng.randbytes(16), self.rng.choice((1, 300, 1 << 63))
        first = self.rng.choice((0, 250, (1 << 40)))
        return CSender(kernel, suite, base_key, kid, first), CReceiver(kernel, suite, base_key, kid)

    def place(self, frames, rows, rooms, at_end) -> None:
        """rows: (bytes, metadata, clear) of each frame."""
        for f, fences, (data, metadata, clear), room in zip(
            frames, self.fences, rows, rooms, strict=True
        ):
            source, beside, out = fences
            setattr(f, "in", source.place(data, at_end))
            f.metadata = beside.place(metadata, at_end)
            f.in_size, f.metadata_size, f.clear = len(data), len(metadata), clear
            f.out, f.out_size = out.place(bytes(room), at_end, writable=True), room

    def there_and_back(self, at_end: bool, in_two_steps: bool) -> None:
        frames, rng = self.ffi.new("sfr_frame[]", self.count), self.rng
        rows = []
        for _ in range(self.count):
            data = rng.randbytes(rng.choice(SIZES))
            clear = rng.choice((0, 0, len(data), min(len(data), 9)))
            rows.append((data, rng.randbytes(rng.choice((0, 0, 5, 80))), clear))
        sealed = self.seal(frames, rows, at_end, in_two_steps)
        again = [(wire, *row[1:]) for wire, row in zip(sealed, rows, strict=True)]
        self.place(frames, again, [len(data) for data, _, _ in rows], at_end)
        if in_two_steps:
            self.lib.sfr_open_many(self.receivers, frames, self.count)
            self.lib.sfr_commit_many(self.receivers, frames, self.count)
        else:
            self.lib.sfr_unprotect_many(self.receivers, frames, self.count)
        assert self.outputs(frames) == [data for data, _, _ in rows]

    def seal(self, frames, rows, at_end, in_two_steps) -> list[bytes]:
        lib, steady = self.lib, self.ffi.new("int *")
        self.place(frames, rows, [0] * self.count, at_end)
        assert lib.sfr_protect_many_size(self.senders, frames, self.count, steady) == self.count
        if in_two_steps:
            assert lib.sfr_reserve_many(self.senders, frames, self.count) == self.count
        rooms = [f.out_size for f in frames]
        for f, fences, room in zip(frames, self.fences, rooms, strict=True):
            f.out = fences[2].place(bytes(room), at_end, writable=True)
        if in_two_steps:
            lib.sfr_seal_many(self.senders, frames, self.count)
        else:
            assert lib.sfr_protect_many(self.senders, frames, self.count) == self.count
        return self.outputs(frames)

    def outputs(self, frames) -> list[bytes]:
        assert not any(f.status for f in frames)
        return [bytes(self.ffi.buffer(f.out, f.out_size)) for f in frames]


@pytest.mark.parametrize("in_two_steps", [False, True], ids=["at once", "two steps"])
def test_batches_of_frames_stay_inside(core, kernel, in_two_steps, rng):
    def run():
        for count in (1, 2, 9, 70):
            frames = FencedFrames(core, kernel, rng, count)
            for at_end in (True, False):
                frames.there_and_back(at_end, in_two_steps)

    in_child(run)


# ---- columns ----


def columns(ffi, count, data=None, size=0):
    """(sfr_rows_in, sfr_rows_out, what they point to)"""
    kinds = ("int64_t", "int32_t", "int64_t", "int32_t", "uint8_t", "uint64_t", "uint64_t")
    arrays = [ffi.new(f"{kind}[]", count) for kind in kinds]
    rows = ffi.new("sfr_rows_in *", [data or ffi.NULL, size, *arrays[:2]])
    return rows, ffi.new("sfr_rows_out *", arrays[2:]), arrays


def columns_stay_inside(core, kernel, suite, rng, sizes, at_end):
    ffi, lib = core
    count, base_key = len(sizes), rng.randbytes(16)
    sender = CSender(kernel, suite, base_key, first=1 << 20)  # headers of one size
    receiver = CReceiver(kernel, suite, base_key)
    senders = ffi.new("sfr_sender *[]", [sender.pointer] * count)
    receivers = ffi.new("sfr_receiver *[]", [receiver.pointer] * count)
    fences, data = [Fence(core) for _ in range(3)], rng.randbytes(sum(sizes))
    rows, to, arrays = columns(ffi, count, fences[0].place(data, at_end), len(data))
    arrays[1][0:count] = sizes
    arrays[0][0:count] = [sum(sizes[:i]) for i in range(count)]
    room = lib.sfr_protect_columns_size(senders, rows, count)
    assert len(data) < room <= PAGE * PAGES
    wire = fences[1].place(bytes(room), at_end, writable=True)
    assert lib.sfr_protect_columns(senders, rows, count, wire, room, to) == count
    back, result, second = columns(ffi, count, wire, room)
    second[0][0:count], second[1][0:count] = list(arrays[2]), list(arrays[3])
    assert lib.sfr_unprotect_columns_size(back, count) == room
    out = fences[2].place(bytes(len(data)), at_end, writable=True)
    used = ffi.new("size_t *", len(data))
    assert lib.sfr_unprotect_columns(receivers, back, count, out, used, result) == 0
    assert used[0] == len(data)
    assert bytes(ffi.buffer(out, len(data))) == data


def test_columns_stay_inside(core, kernel, family, rng):
    def run():
        for size in (1, 15, 16, 17, 40, 63, 64, 65, 160, 161, 300):
            for count in (1, 2, 5, 17):
                for at_end in (True, False):
                    columns_stay_inside(core, kernel, family, rng, [size] * count, at_end)
        mixed = [rng.randrange(300) for _ in range(20)]
        columns_stay_inside(core, kernel, family, rng, mixed, True)

    in_child(run)


# ---- headers ----


def test_headers_stay_inside(core, rng):
    """Each size of KID and CTR, each truncation, with the byte after it in the next page."""
    ffi, lib = core

    def run():
        source, out, header = Fence(core), Fence(core), ffi.new("sfr_header *")
        for kid_bytes in range(9):
            for ctr_bytes in range(9):
                kid, ctr = ((1 << 8 * n) - 1 for n in (kid_bytes, ctr_bytes))
                size = lib.sfr_header_size(kid, ctr)
                for at_end in (True, False):
                    room = out.place(bytes(17), at_end, writable=True)
                    assert lib.sfr_header_encode(kid, ctr, room) == size
                    encoded = bytes(ffi.buffer(room, size))
                    for cut in range(size + 1):
                        data = source.place(encoded[:cut], at_end)
                        status = lib.sfr_header_parse(data, cut, 1, header)
                        assert (status == lib.SFR_OK) == (cut == size)

    in_child(run)
