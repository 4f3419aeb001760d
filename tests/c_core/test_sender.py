"""frame/sender.c and frame/registry.c: counters, leases, budgets, one sender for each key."""

import ctypes
import resource
from itertools import count
from pathlib import Path

import pytest
from c_core.parties import LAST_CTR, MAX_FRAME, CReceiver, CSender
from isolated import in_child
from oracle import Oracle, encode_header

from pysframe import CipherSuite

SUITES = pytest.mark.parametrize("suite", list(CipherSuite), ids=lambda suite: suite.name)


@SUITES
def test_frames_are_what_the_rfc_says(kernel, suite, rng):
    for size in (0, 1, 15, 16, 17, 160, 1200, 4095, 4096, 4097, 9000):
        base_key, kid, ctr = rng.randbytes(16), rng.getrandbits(64), rng.getrandbits(63)
        frame, metadata = rng.randbytes(size), rng.randbytes(rng.randrange(40))
        clear = rng.choice((0, min(size, 10), size))
        sender = CSender(kernel, suite, base_key, kid, ctr)
        expected = Oracle(suite, base_key, kid, "cryptography").seal(ctr, frame, metadata, clear)
        assert sender.protect(frame, metadata, clear) == (0, expected)
        receiver = CReceiver(kernel, suite, base_key, kid)
        assert receiver.unprotect(expected, metadata, clear) == (0, frame)


@SUITES
def test_in_place(kernel, suite, rng):
    """The payload stays where it is, the header grows in front of it; and back."""
    base_key, frame = rng.randbytes(16), rng.randbytes(200)
    sender, receiver = CSender(kernel, suite, base_key), CReceiver(kernel, suite, base_key)
    for clear in (0, 1, 30, 200):
        room = sender.lib.sfr_protect_size(sender.pointer, 200, 0)
        header = room - 200 - CipherSuite(suite).Nt
        memory = sender.ffi.new("uint8_t[]", room)
        sender.ffi.memmove(memory + header, frame, 200)
        sealing = sender.ffi.new("sfr_frame *", {"in": memory + header, "in_size": 200})
        sealing.clear, sealing.out, sealing.out_size = clear, memory, room
        assert sender.lib.sfr_protect(sender.pointer, sealing) == 0
        opening = sender.ffi.new("sfr_frame *", {"in": memory, "in_size": room, "clear": clear})
        opening.out, opening.out_size = memory + header, 200
        assert sender.lib.sfr_unprotect(receiver.pointer, opening) == 0
        assert bytes(memory[header : header + 200]) == frame


@pytest.mark.parametrize("shift", [-200, -16, -2, -1, 1, 2, 16, 199])
def test_overlaps_are_refused(core, kernel, shift, rng):
    """By anything else than in place; on both sides, and nothing is consumed."""
    ffi, lib = core
    base_key, memory = rng.randbytes(16), ffi.new("uint8_t[]", rng.randbytes(1000))
    sender, receiver = CSender(kernel, 4, base_key), CReceiver(kernel, 4, base_key)
    at, before = memory + 400, bytes(memory[0:1000])
    sealing = ffi.new("sfr_frame *", {"in": at + 1 + shift, "in_size": 200})
    sealing.out, sealing.out_size = at, 217
    assert lib.sfr_protect(sender.pointer, sealing) == lib.SFR_E_OVERLAP
    assert (sender.next_ctr(), bytes(memory[0:1000])) == ((0, 0), before)
    _, ciphertext = sender.protect(bytes(200))
    ffi.memmove(at, ciphertext, 217)
    opening = ffi.new("sfr_frame *", {"in": at, "in_size": 217})
    opening.out, opening.out_size = at + 1 + shift, 200
    assert lib.sfr_unprotect(receiver.pointer, opening) == lib.SFR_E_OVERLAP
    assert bytes(memory[400:617]) == ciphertext
    assert receiver.unprotect(ciphertext) == (0, bytes(200))


def test_counters_go_up_by_one(kernel, rng):
    sender = CSender(kernel, 4, rng.randbytes(16), kid=1, first=5)
    for ctr in range(5, 300):
        assert sender.next_ctr() == (0, ctr)
        status, ciphertext = sender.protect(b"x")
        assert (status, ciphertext[: -1 - 16]) == (0, encode_header(1, ctr))


def test_the_last_counter_is_used_and_then_none(core, kernel, rng):
    _, lib = core
    sender = CSender(kernel, 4, rng.randbytes(16), first=LAST_CTR)
    assert sender.protect(b"x")[0] == lib.SFR_OK
    assert sender.protect(b"x") == (lib.SFR_E_CTR_EXHAUSTED, b"")
    assert sender.next_ctr()[0] == lib.SFR_E_CTR_EXHAUSTED


# ---- leases ----


def test_leases(core, kernel, rng):
    """The counters of one lease after the other; between them the sender refuses."""
    _, lib = core
    sender = CSender(kernel, 4, rng.randbytes(16), kid=1, first=0, last=2)
    used = []

    def protect():
        status, ctr = sender.next_ctr()
        assert sender.protect(b"x")[0] == status
        used.extend([ctr] if status == 0 else [])
        return status

    assert [protect() for _ in range(4)] == [0, 0, 0, lib.SFR_E_LEASE_ENDED]
    assert sender.extend(2, 9) == lib.SFR_E_ARGUMENT  # counters that were leased before
    assert sender.extend(9, 8) == lib.SFR_E_ARGUMENT
    assert sender.extend(10, 11) == lib.SFR_OK
    assert sender.extend(12, 12) == lib.SFR_OK  # follows at once
    assert sender.extend(20, 21) == lib.SFR_OK  # waits until this one is used up
    assert sender.extend(30, 31) == lib.SFR_E_ARGUMENT  # one may wait
    assert [protect() for _ in range(6)] == [0] * 5 + [lib.SFR_E_LEASE_ENDED]
    assert used == [0, 1, 2, 10, 11, 12, 20, 21]


def test_a_lease_to_the_very_end(core, kernel, rng):
    _, lib = core
    sender = CSender(kernel, 4, rng.randbytes(16), first=LAST_CTR - 1, last=LAST_CTR - 1)
    assert sender.protect(b"x")[0] == lib.SFR_OK
    assert sender.protect(b"x")[0] == lib.SFR_E_LEASE_ENDED
    assert sender.extend(LAST_CTR, LAST_CTR) == lib.SFR_OK
    assert sender.protect(b"x")[0] == lib.SFR_OK
    assert sender.protect(b"x")[0] == lib.SFR_E_CTR_EXHAUSTED


# ---- refusals take no counter and write nothing ----


def refused(sender, data=b"frame", metadata=b"", clear=0, room=100):
    """The status of a call that is refused; it must have changed nothing."""
    before = sender.next_ctr(), sender.lib.sfr_sender_blocks(sender.pointer)
    f = sender.frame(data, metadata, clear, room)
    status = sender.lib.sfr_protect(sender.pointer, f)
    assert status == f.status and f.out_size == 0
    assert set(bytes(sender.ffi.buffer(f.out, room))) <= {0xA5}
    assert (sender.next_ctr(), sender.lib.sfr_sender_blocks(sender.pointer)) == before
    return status


def test_refusals(core, kernel, rng):
    _, lib = core
    sender = CSender(kernel, 4, rng.randbytes(16))
    assert refused(sender, bytes(MAX_FRAME + 1)) == lib.SFR_E_TOO_LARGE
    assert refused(sender, b"frame", room=1 + 5 + 15) == lib.SFR_E_ROOM
    assert refused(sender, b"frame", room=0) == lib.SFR_E_ROOM
    assert refused(sender, b"frame", clear=6) == lib.SFR_E_ARGUMENT
    sender.close()
    assert refused(sender) == lib.SFR_E_RETIRED


def test_block_budget(core, kernel, rng):
    """2^36 blocks a key: the payload's, the AAD's, and one for the tag."""
    _, lib = core
    sender = CSender(kernel, 4, rng.randbytes(16))
    assert sender.protect(bytes(17), bytes(20), clear=1)[0] == 0
    assert lib.sfr_sender_blocks(sender.pointer) == 1 + 2 + 1
    lib.sfr_sender_set_blocks(sender.pointer, 2**36 - 4)
    lib.sfr_sender_set_blocks(sender.pointer, 5)  # a meter never runs backwards
    assert refused(sender, bytes(33)) == lib.SFR_E_KEY_EXHAUSTED
    assert sender.protect(bytes(32))[0] == lib.SFR_OK
    assert lib.sfr_sender_blocks(sender.pointer) == 2**36
    assert refused(sender, b"") == lib.SFR_E_KEY_EXHAUSTED


def test_arguments(core, kernel, rng):
    ffi, lib = core
    out, secret = (
        ffi.new("sfr_sender **"),
        CSender(kernel, 4, bytes(range(9, 25))).secret(4, b"k" * 16),
    )
    found = lib.sfr_kernel_find(kernel.encode())
    bad = [
        (ffi.NULL, found, 0, 0, 1, 10),
        (secret, ffi.NULL, 0, 0, 1, 10),
        (secret, found, 0, 2, 1, 10),
        (secret, found, 0, 0, 1, 1 << 31),
    ]
    for arguments in bad:
        assert lib.sfr_sender_new(out, *arguments) == lib.SFR_E_ARGUMENT
        assert out[0] == ffi.NULL


# ---- one sender for each (base_key, KID) ----


def test_one_live_sender_for_each_key(core, kernel, rng):
    _, lib = core
    base_key, others = rng.randbytes(16), rng.randbytes(16)
    first = CSender(kernel, 4, base_key, kid=7)
    assert CSender(kernel, 4, base_key, kid=7, first=1000).status == lib.SFR_E_DUPLICATE
    for more in (
        CSender(kernel, 4, base_key, kid=8),
        CSender(kernel, 4, others, kid=7),
        CSender(kernel, 1, base_key, kid=7),
    ):
        assert more.status == lib.SFR_OK
    assert first.protect(b"x")[0] == lib.SFR_OK


def test_a_later_sender_starts_where_the_last_one_stopped(core, kernel, rng):
    _, lib = core
    base_key = rng.randbytes(16)
    sender = CSender(kernel, 4, base_key)
    for _ in range(3):
        sender.protect(b"x")
    sender.close()
    sender.close()
    for first, status in ((0, lib.SFR_E_DUPLICATE), (2, lib.SFR_E_DUPLICATE), (3, lib.SFR_OK)):
        assert CSender(kernel, 4, base_key, first=first).status == status


def test_a_spent_key_is_spent(core, kernel, rng):
    _, lib = core
    base_key = rng.randbytes(16)
    sender = CSender(kernel, 4, base_key, first=LAST_CTR)
    sender.protect(b"x")
    sender.close()
    assert CSender(kernel, 4, base_key, first=LAST_CTR).status == lib.SFR_E_DUPLICATE


@pytest.mark.parametrize("last", [5, LAST_CTR])
def test_a_lease_used_to_its_last_counter(core, kernel, last, rng):
    """That counter is not given out again when the sender closes."""
    _, lib = core
    base_key = rng.randbytes(16)
    sender = CSender(kernel, 4, base_key, first=last - 1, last=last)
    assert [sender.protect(b"x")[0] for _ in range(2)] == [lib.SFR_OK] * 2
    sender.close()
    assert CSender(kernel, 4, base_key, first=last).status == lib.SFR_E_DUPLICATE
    if last < LAST_CTR:
        assert CSender(kernel, 4, base_key, first=last + 1).status == lib.SFR_OK


def test_the_meter_goes_on_with_the_key(kernel, rng):
    base_key = rng.randbytes(16)
    for life in range(4):
        sender = CSender(kernel, 4, base_key, first=life)
        assert sender.lib.sfr_sender_blocks(sender.pointer) == 3 * life
        sender.protect(b"x")
        sender.close()


def test_the_registry_never_forgets(core, rng):
    """Neither who lives nor how far 400,000 others went; until no memory is left for another."""
    ffi, lib = core
    blocks = ffi.new("uint64_t *")
    alive = rng.randbytes(16)
    assert lib.sfr_registry_open(alive, 0, blocks) == lib.SFR_OK
    names = [rng.randbytes(16) for _ in range(400_000)]
    for number, name in enumerate(names):
        assert lib.sfr_registry_open(name, number, blocks) == lib.SFR_OK
        lib.sfr_registry_close(name, number + 1, number % 2, number)
    assert lib.sfr_registry_open(alive, LAST_CTR, blocks) == lib.SFR_E_DUPLICATE
    for number, name in enumerate(names):
        unused = number + 1 + number % 2
        assert lib.sfr_registry_open(name, unused - 1, blocks) == lib.SFR_E_DUPLICATE
        assert lib.sfr_registry_open(name, unused, blocks) == lib.SFR_OK
        assert blocks[0] == number


def test_a_registry_without_memory_refuses_new_keys(core, rng):
    """And knows the old ones as before; with memory again it takes new ones."""
    ffi, lib = core
    blocks = ffi.new("uint64_t *")

    # No name is made where no memory is left. There are so many that their table is larger than any
    # block that earlier tests can have freed.
    names = ffi.new("uint8_t[]", rng.randbytes(16 * 1_600_000))
    opened = lambda number: lib.sfr_registry_open(names + 16 * number, 0, blocks)  # noqa: E731

    def work():
        mmap_threshold = -3
        ctypes.CDLL(None).mallopt(mmap_threshold, 1 << 20)  # not what earlier tests have freed
        limits = resource.getrlimit(resource.RLIMIT_AS)
        used = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), limits[1]))
        known = next(number for number in count() if opened(number) != lib.SFR_OK)
        refusals = [opened(known), opened(0), opened(known - 1)]
        resource.setrlimit(resource.RLIMIT_AS, limits)
        assert refusals == [lib.SFR_E_NO_MEMORY, lib.SFR_E_DUPLICATE, lib.SFR_E_DUPLICATE]
        assert all(opened(number) == lib.SFR_E_DUPLICATE for number in range(known))
        assert opened(known) == lib.SFR_OK
        return known

    assert in_child(work) > 10_000


def test_the_secret_of_fingerprints_is_the_first_one(core):
    """Two secrets would give one key two names."""
    _, lib = core

    def work():
        return [bool(lib.sfr_registry_secret(bytes([n] * 32))) for n in (1, 1, 2, 1)]

    assert in_child(work) in ([True, True, False, True], [False] * 4)  # a key was made before
