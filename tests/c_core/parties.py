"""The C API in a few words: senders and receivers that free themselves, frames as bytes."""

from weakref import WeakKeyDictionary

from c_core.core import load

LAST_CTR = 2**64 - 1
MAX_FRAME = 1 << 20
# Frame -> the memory that it points to. Its owner does not hold it: two threads share a receiver.
MEMORY = WeakKeyDictionary()


class Party:
    """What the functions of sfr.h take, with an owner."""

    def __init__(self) -> None:
        self.ffi, self.lib = load()

    def owned(self, status_and_pointer, free):
        status, pointer = status_and_pointer
        self.status = status
        return self.ffi.gc(pointer, free) if status == 0 else self.ffi.NULL

    def secret(self, suite: int, base_key: bytes):
        lib = self.lib
        made = lib.sfr_secret_new(lib.sfr_suite_find(suite), base_key, len(base_key))
        return self.ffi.gc(made, lib.sfr_secret_free)

    def frame(self, data: bytes, metadata: bytes, clear: int, room: int):
        new = self.ffi.new
        f = new("sfr_frame *", {"in_size": len(data), "clear": clear, "out_size": room})
        memory = [new("uint8_t[]", max(1, n)) for n in (len(data), len(metadata), room)]
        self.ffi.memmove(memory[0], data, len(data))
        self.ffi.memmove(memory[1], metadata, len(metadata))
        self.ffi.memmove(memory[2], b"\xa5" * room, room)
        setattr(f, "in", memory[0])
        f.metadata, f.metadata_size = memory[1], len(metadata)
        f.out = memory[2]
        MEMORY[f] = memory
        return f

    def output(self, f) -> bytes:
        return bytes(self.ffi.buffer(f.out, f.out_size))


class CSender(Party):
    def __init__(self, kernel, suite, base_key, kid=7, first=0, last=LAST_CTR) -> None:
        super().__init__()
        lib, out = self.lib, self.ffi.new("sfr_sender **")
        found = lib.sfr_kernel_find(kernel.encode())
        secret = self.secret(suite, base_key)
        made = lib.sfr_sender_new(out, secret, found, kid, first, last, MAX_FRAME)
        self.pointer = self.owned((made, out[0]), lib.sfr_sender_free)

    def protect(self, data: bytes, metadata: bytes = b"", clear: int = 0) -> tuple[int, bytes]:
        """(status, ciphertext)"""
        room = self.lib.sfr_protect_size(self.pointer, len(data), 0)
        f = self.frame(data, metadata, clear, room)
        return self.lib.sfr_protect(self.pointer, f), self.output(f)

    def next_ctr(self) -> tuple[int, int]:
        """(status, counter)"""
        ctr = self.ffi.new("uint64_t *")
        return self.lib.sfr_sender_next(self.pointer, ctr), ctr[0]

    def extend(self, first: int, last: int) -> int:
        return self.lib.sfr_sender_extend(self.pointer, first, last)

    def close(self) -> None:
        self.lib.sfr_sender_close(self.pointer)


class CReceiver(Party):
    def __init__(self, kernel, suite, base_key=None, kid=7, window=1024, strict=1) -> None:
        super().__init__()
        lib, out = self.lib, self.ffi.new("sfr_receiver **")
        found, self.suite = lib.sfr_kernel_find(kernel.encode()), suite
        of = lib.sfr_suite_find(suite)
        made = lib.sfr_receiver_new(out, of, found, window, MAX_FRAME, strict)
        self.pointer = self.owned((made, out[0]), lib.sfr_receiver_free)
        if base_key is not None:
            assert self.add(kid, base_key) == lib.SFR_OK

    def add(self, kid: int, base_key: bytes, kind: int = 0) -> int:
        secret = self.secret(self.suite, base_key)
        return self.lib.sfr_receiver_add(self.pointer, kid, secret, kind)

    def remove(self, kid: int) -> int:
        return self.lib.sfr_receiver_remove(self.pointer, kid)

    def unprotect(self, data: bytes, metadata: bytes = b"", clear: int = 0) -> tuple[int, bytes]:
        """(status, frame)"""
        f = self.frame(data, metadata, clear, len(data))
        status = self.lib.sfr_unprotect(self.pointer, f)
        return status, self.output(f)

    def confirmed(self) -> list[int]:
        kids = self.ffi.new("uint64_t[]", 200)
        return list(kids[0 : self.lib.sfr_receiver_confirmed(self.pointer, kids, 200)])

    def totals(self):
        stats = self.ffi.new("sfr_receiver_stats *")
        self.lib.sfr_receiver_totals(self.pointer, stats)
        return stats

    def keys(self) -> dict[int, object]:
        room = self.totals().keys
        stats = self.ffi.new("sfr_key_stats[]", room)
        count = self.lib.sfr_receiver_keys(self.pointer, stats, room)
        self.held = stats
        return {stats[i].kid: stats[i] for i in range(count)}

    def close(self) -> None:
        self.lib.sfr_receiver_close(self.pointer)
