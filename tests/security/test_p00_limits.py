"""What SECURITY.md says that SFrame and this library do not give: each limit, seen to be there.

A limit that nobody can reach any more is a promise in the making, and its sentence is to go.
"""

import shutil
from pathlib import Path

import Crypto.Cipher
import pytest
from Crypto.Cipher import AES
from isolated import SRC, in_child, python
from oracle import Oracle, gcm_seal, library_for, ratchet
from parties import GCM, SUITES, flipped, new_receiver, new_sender, options, pair, status_of
from security.shims import madvise_that
from security.test_p05_fork import NOTHING, X86, under

import pysframe
from pysframe import (
    CipherSuite,
    CounterStore,
    FrameStatus,
    MisuseError,
    MLSLayout,
    Receiver,
    Sender,
    SenderKeyLayout,
    parse_headers,
    ratchet_base_key,
)

KID = 7
SHORT = [suite for suite in SUITES if suite.Nt == 4]
OK, FAILED = FrameStatus.OK, FrameStatus.AUTHENTICATION_FAILED
REPLAYED = FrameStatus.REPLAYED


# ---- who can do what ----


def test_who_can_open_a_senders_frames_can_make_them(engine, rng):
    """RFC 9605 7.2: nothing in a frame tells the member that made it."""
    base_key = rng.randbytes(16)
    genuine = new_sender(engine, GCM, base_key, KID)
    receiver = new_receiver(engine, GCM, base_key, KID)
    assert receiver.unprotect(genuine.protect(b"from the sender")) == b"from the sender"
    forged = Oracle(GCM, base_key, KID, library_for(engine)).seal(1, b"from another member")
    assert receiver.unprotect(forged) == b"from another member"


def test_a_later_key_opens_what_is_ratcheted_on_from_it_and_nothing_earlier(engine, rng):
    layout, keys = SenderKeyLayout(4), [rng.randbytes(32)]
    for _ in range(4):
        keys.append(ratchet(GCM, keys[-1]))
    assert ratchet_base_key(GCM, keys[2]) == keys[3]
    receiver = new_receiver(engine, GCM)
    receiver.add_sender_key(1, keys[2], layout=layout, ratchet_step=2)
    for step, base_key in enumerate(keys):
        frame = Oracle(GCM, base_key, layout.pack(1, step), library_for(engine)).seal(0, b"frame")
        opened = status_of(receiver, frame)[0] == OK
        assert opened == (step >= 2), f"step {step}"


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_kids_counters_sizes_and_clear_bytes_are_there_for_all_to_see(engine, suite, rng):
    """RFC 9605 7.1."""
    sender = new_sender(engine, suite, rng.randbytes(16), 0x123, 0x4567)
    frame = rng.randbytes(rng.randrange(10, 2000))
    wire = sender.protect(frame, clear=10)
    assert wire[:10] == frame[:10]
    seen = parse_headers([wire], clear=10)
    assert (seen.kid[0], seen.ctr[0]) == (0x123, 0x4567)
    assert len(wire) - 5 - suite.Nt == len(frame)


# ---- what is not given ----


def test_the_bytes_that_were_handed_in_stay(engine, rng):
    """Objects of Python's that cannot be wiped: closing leaves them as they are."""
    base_key = rng.randbytes(16)
    copy = bytes(bytearray(base_key))
    new_sender(engine, GCM, base_key).close()
    assert base_key == copy


@pytest.mark.parametrize("suite", [4, 5])
def test_a_gcm_frame_may_open_differently_under_two_keys(engine, suite, rng):
    """No key commitment: one block of ciphertext is solved so that both tags are the same."""
    keys = [rng.randbytes(16), rng.randbytes(16)]
    oracles = [Oracle(suite, key, KID, library_for(engine)) for key in keys]
    frame = b"\x70" + colliding(oracles, header=b"\x70", second_block=rng.randbytes(16))
    opened = [new_receiver(engine, suite, key, KID).unprotect(frame) for key in keys]
    assert opened[0] != opened[1]
    third = new_receiver(engine, suite, rng.randbytes(16), KID)
    assert status_of(third, frame)[0] == FAILED


def test_a_frame_with_a_short_tag_may_open_differently_under_two_keys(engine):
    """No key commitment: of the base keys 0, 1, 2... this is the first pair with one tag."""
    keys = [number.to_bytes(16) for number in (7186, 27137)]
    frame = bytes(1 + 16) + bytes.fromhex("b512a783")  # KID 0, counter 0, 16 bytes, the tag
    suite = CipherSuite.AES_128_CTR_HMAC_SHA256_32
    opened = [new_receiver(engine, suite, key, kid=0).unprotect(frame) for key in keys]
    assert opened[0] != opened[1]


def colliding(oracles, header, second_block):
    """Two blocks and a tag that are genuine under both keys, for counter 0 and this header.

    NIST SP 800-38D: tag = header*H^4 + C1*H^3 + C2*H^2 + sizes*H + E(nonce || 1), which is linear
    in C1; that two keys' tags are equal is one equation for it.
    """
    aad, c2 = block_of(header.ljust(16, b"\0")), block_of(second_block)
    sizes = 8 * len(header) << 64 | 8 * 32  # bits
    known = cubes = 0
    for oracle in oracles:
        h = block_of(encrypt(oracle.key, bytes(16)))
        h2 = product(h, h)
        h3 = product(h2, h)
        known ^= product(aad, product(h3, h)) ^ product(c2, h2) ^ product(sizes, h)
        known ^= block_of(encrypt(oracle.key, oracle.nonce(0) + b"\0\0\0\1"))
        cubes ^= h3
    c1 = product(known, inverse(cubes)).to_bytes(16)
    return sealed_as(oracles[0], header, c1 + second_block)


def sealed_as(oracle, header, ciphertext):
    """This ciphertext with its tag."""
    mask = gcm_seal(oracle.key, oracle.nonce(0), header, bytes(len(ciphertext)), oracle.library)
    plaintext = bytes(a ^ b for a, b in zip(ciphertext, mask, strict=False))
    return gcm_seal(oracle.key, oracle.nonce(0), header, plaintext, oracle.library)


def encrypt(key, block):
    return AES.new(key, AES.MODE_ECB).encrypt(block)


def block_of(data):
    return int.from_bytes(data)


def product(a, b):
    """In GF(2^128) as GCM writes it: the first bit is the coefficient of x^0."""
    result = 0
    for place in range(127, -1, -1):
        if a >> place & 1:
            result ^= b
        b = b >> 1 ^ (0xE1 << 120 if b & 1 else 0)
    return result


def inverse(a):
    """a^(2^128 - 2)"""
    result = 1 << 127
    for _ in range(127):
        a = product(a, a)
        result = product(result, a)
    return result


def test_a_counter_store_put_back_repeats_counters(engine, tmp_path, rng):
    """As a virtual machine does that is restored with its disk."""
    base_key, path = rng.randbytes(16), tmp_path / "counters"
    CounterStore(path, lease=10).lease("a" * 32)
    shutil.copy(path, tmp_path / "snapshot")
    first = CounterStore(path, lease=10).lease("b" * 32)
    shutil.copy(tmp_path / "snapshot", path)
    assert CounterStore(path, lease=10).lease("b" * 32) == first
    shutil.copy(tmp_path / "snapshot", path)
    with engine.Sender(GCM, kid=KID, base_key=base_key, counters=CounterStore(path)) as sender:
        assert sender.next_ctr == 0


def test_replay_protection_is_a_window_that_lives_as_long_as_its_receiver(engine, rng):
    base_key = rng.randbytes(16)
    seal = Oracle(GCM, base_key, KID, library_for(engine)).seal
    receiver = new_receiver(engine, GCM, base_key, KID)
    for ctr, expected in ((1024, OK), (1, OK), (0, FrameStatus.TOO_OLD), (1, FrameStatus.REPLAYED)):
        assert status_of(receiver, seal(ctr, b"x"))[0] == expected
    another = new_receiver(engine, GCM, base_key, KID)
    assert status_of(another, seal(1, b"x"))[0] == OK


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_short_tags_are_meant_and_their_keys_close_themselves(engine, suite, rng):
    assert (suite in SHORT) == (suite.value in (3, 8))
    sender, receiver = pair(engine, suite, rng)
    bad = [flipped(sender.protect(b"frame"), -1) for _ in range(2)] * 2048
    good = sender.protect(b"frame")
    if suite in SHORT:
        with pytest.raises(MisuseError, match="allow_short_tags"):
            engine.Receiver(suite)
    assert set(engine.unprotect_many(receiver, bad[1:]).status) == {FAILED}
    assert status_of(receiver, sender.protect(b"before"))[0] == OK
    assert status_of(receiver, bad[0])[0] == FAILED
    assert status_of(receiver, good)[0] == (FAILED if suite in SHORT else OK)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_metadata_is_authenticated_and_not_carried(engine, suite, rng):
    """RFC 9605 9.4."""
    sender, receiver = pair(engine, suite, rng)
    metadata = rng.randbytes(40)
    wire = sender.protect(b"frame", metadata)
    assert len(wire) == sender.protected_size(5)
    assert metadata[:8] not in wire
    assert status_of(receiver, wire)[0] == FAILED
    assert status_of(receiver, wire, flipped(metadata, 0))[0] == FAILED
    assert receiver.unprotect(wire, metadata) == b"frame"


def add_and_remove(receiver, how, base_key):
    """(KID, add, remove) of a key that is given, of a sender key, or of an epoch's."""
    steps, epochs = SenderKeyLayout(4), MLSLayout(E=4, S=6)
    return {
        "key": (7, lambda: receiver.add_key(7, base_key), lambda: receiver.remove_key(7)),
        "sender key": (
            steps.pack(3),
            lambda: receiver.add_sender_key(3, base_key, layout=steps),
            lambda: receiver.remove_sender_key(3),
        ),
        "epoch": (
            epochs.pack(3, 2),
            lambda: receiver.add_epoch(3, base_key, layout=epochs),
            lambda: receiver.remove_epoch(3),
        ),
    }[how]


@pytest.mark.parametrize("how", ["key", "sender key", "epoch"])
def test_a_key_removed_and_added_again_starts_anew(engine, how, rng):
    """Its window and, with short tags, its failures; what is only added again goes on."""
    suite, base_key = SHORT[0], rng.randbytes(16)
    receiver = new_receiver(engine, suite)
    kid, add, remove = add_and_remove(receiver, how, base_key)
    seal = Oracle(suite, base_key, kid, library_for(engine)).seal
    frame, bad = seal(0, b"frame"), flipped(seal(1, b"frame"), -1)
    for again in (lambda: None, add, lambda: (remove(), add())):
        again()
        add()
        expected = (REPLAYED, 1) if again is add else (OK, 0)
        failures = sum(key.auth_failed for key in receiver._stats().keys if key.kid == kid)
        assert (status_of(receiver, frame)[0], failures) == expected
        assert status_of(receiver, bad)[0] == FAILED


def test_there_is_no_table_of_aes_here():
    """A table leaks through the cache. Seen to be seen: pycryptodome's portable AES has one."""
    portable = Path(Crypto.Cipher.__file__).parent.glob("_raw_aes.*")
    assert any(has_table(file) for file in portable)
    ours = Path(pysframe.__file__).parent
    files = [file for file in ours.rglob("*") if file.suffix in (".so", ".py", ".pyx")]
    assert len(files) > 30
    assert not [file for file in files if has_table(file)]


def has_table(file):
    """The S-box's first row, or the first entry of a table of 32-bit words, in either order."""
    data = file.read_bytes()
    return any(bytes.fromhex(row) in data for row in ("637c777bf26b6fc5", "c66363a5", "a56363c6"))


# ---- fork, threads, processes ----


def test_a_forked_receiver_has_a_window_of_its_own(engine, rng):
    sender, receiver = pair(engine, GCM, rng)
    frame = sender.protect(b"frame")
    assert in_child(lambda: status_of(receiver, frame)) == (OK, b"frame")
    assert status_of(receiver, frame) == (OK, b"frame")


def test_between_processes_a_kid_of_its_own_is_the_applications_duty():
    """Two processes with one key and KID and no store: the second one repeats the counter."""
    code = (
        "import pysframe; s = pysframe.Sender(4, kid=7, base_key=bytes(16), next_ctr=0); "
        "print(s.protect(b'frame').hex())"
    )
    first, second = python(code), python(code)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout != ""


# ---- limits that are enforced ----


def test_the_numbers_that_are_stated(engine, rng):
    """How each is enforced is in test_sender.py and test_frames.py."""
    with pytest.raises(MisuseError, match="16"):
        new_sender(engine, GCM, rng.randbytes(15))
    sender, receiver = pair(engine, GCM, rng)
    assert receiver.unprotect(sender.protect(bytes(16 << 20))) == bytes(16 << 20)
    with pytest.raises(MisuseError):
        sender.protect(bytes((16 << 20) + 1))
    for party in (Sender, Receiver):
        more = {"kid": 1, "base_key": bytes(16), "next_ctr": 0} if party is Sender else {}
        with pytest.raises(MisuseError, match="max_frame"):
            party(GCM, max_frame=2**31, **more)
        party(GCM, max_frame=2**31 - 1, **more, **options(GCM)).close()


@X86
def test_a_fork_that_nothing_tells_of(tmp_path):
    """By a bare system call, where the kernel wipes no page and has no timers, and the child's
    process id is its parent's: the tests of promise 5 fail there."""
    answer, more = NOTHING
    select = "not another_kernel and childs_sender and syscall"
    code, output = under(madvise_that(answer, tmp_path, more), select)
    assert (code, "DID NOT RAISE" in output, " passed" in output) == (1, True, False), output
    assert "neither MADV_WIPEONFORK nor timers" in (SRC.parent / "SECURITY.md").read_text()
