"""frame/receiver.c: rejections in their order, keys, windows, statistics; all without Python."""

import pytest
from c_core.parties import CReceiver, CSender
from oracle import Oracle
from parties import flipped

from pysframe import CipherSuite


@pytest.fixture
def base_key(rng):
    return rng.randbytes(16)


def oracle(base_key, kid=7, suite=4):
    return Oracle(suite, base_key, kid, "cryptography")


def test_rejections_in_their_order(core, kernel, base_key):
    """Malformed, then unknown key, then replayed or too old, then the tag."""
    _, lib = core
    receiver, seal = CReceiver(kernel, 4, base_key, window=64), oracle(base_key).seal
    assert receiver.unprotect(seal(100, b"frame")) == (lib.SFR_OK, b"frame")
    stranger = Oracle(4, base_key, 9, "cryptography").seal(100, b"frame")
    expected = [
        (b"", lib.SFR_MALFORMED),
        (b"\x88", lib.SFR_MALFORMED),
        (seal(100, b"")[:-1], lib.SFR_MALFORMED),
        (stranger, lib.SFR_UNKNOWN_KEY),
        (flipped(stranger, -1), lib.SFR_UNKNOWN_KEY),
        (seal(100, b"other"), lib.SFR_REPLAYED),
        (flipped(seal(100, b"frame"), -1), lib.SFR_REPLAYED),
        (seal(36, b"frame"), lib.SFR_TOO_OLD),
        (flipped(seal(36, b"frame"), -1), lib.SFR_TOO_OLD),
        (flipped(seal(101, b"frame"), -1), lib.SFR_AUTH_FAILED),
    ]
    for ciphertext, status in expected:
        assert receiver.unprotect(ciphertext) == (status, b""), ciphertext.hex()
    assert receiver.unprotect(seal(37, b"late")) == (lib.SFR_OK, b"late")
    assert receiver.unprotect(seal(101, b"next")) == (lib.SFR_OK, b"next")
    stats = receiver.keys()[7]
    counted = stats.opened, stats.auth_failed, stats.replayed, stats.too_old, stats.last_ctr
    assert counted == (3, 1, 2, 2, 101)
    totals = receiver.totals()
    assert (totals.malformed, totals.unknown, totals.keys) == (3, 2, 1)
    assert {(s.kid, s.frames) for s in totals.unknown_kids if s.frames} == {(9, 2)}


def test_a_refused_frame_leaves_zeros(core, kernel, base_key):
    _, lib = core
    receiver, seal = CReceiver(kernel, 4, base_key), oracle(base_key).seal
    receiver.unprotect(seal(1, b"frame"))
    for ciphertext in (b"\xff" * 40, seal(1, bytes(40)), flipped(seal(2, bytes(40)), -1)):
        f = receiver.frame(ciphertext, b"", 0, len(ciphertext))
        assert lib.sfr_unprotect(receiver.pointer, f) > 0
        assert f.out_size == 0
        left = bytes(receiver.ffi.buffer(f.out, len(ciphertext)))
        assert not any(left[:40]) and set(left[40:]) <= {0, 0xA5}


def test_room(core, kernel, base_key):
    """Too small an output is the caller's fault: nothing is consumed, and it can be tried again."""
    _, lib = core
    receiver, ciphertext = CReceiver(kernel, 4, base_key), oracle(base_key).seal(3, b"frame")
    assert lib.sfr_unprotect_size(receiver.pointer, ciphertext, len(ciphertext), 0) == 5
    f = receiver.frame(ciphertext, b"", 0, 4)
    assert lib.sfr_unprotect(receiver.pointer, f) == lib.SFR_E_ROOM
    assert receiver.unprotect(ciphertext) == (lib.SFR_OK, b"frame")


def test_keys(core, kernel, base_key, rng):
    _, lib = core
    receiver, seal = CReceiver(kernel, 4, base_key), oracle(base_key).seal
    assert receiver.unprotect(seal(0, b"a"))[0] == lib.SFR_OK
    assert receiver.add(7, base_key) == lib.SFR_OK  # again: its window goes on
    assert receiver.unprotect(seal(0, b"a"))[0] == lib.SFR_REPLAYED
    assert receiver.add(7, rng.randbytes(16)) == lib.SFR_E_CONFLICT
    assert receiver.remove(7) == lib.SFR_OK
    assert receiver.remove(7) == lib.SFR_UNKNOWN_KEY
    assert receiver.unprotect(seal(1, b"a"))[0] == lib.SFR_UNKNOWN_KEY
    other_suite = receiver.secret(5, base_key)
    status = lib.sfr_receiver_add(receiver.pointer, 7, other_suite, 0)
    assert status == lib.SFR_E_ARGUMENT


def test_many_keys_come_and_go(core, kernel, rng):
    """The ring grows, has gaps, and finds every key that is there and none that is not."""
    _, lib = core
    receiver, model = CReceiver(kernel, 4), {}
    for _ in range(1500):
        kid = rng.randrange(200) << rng.choice((0, 8, 40))
        if kid in model:
            assert receiver.remove(kid) == lib.SFR_OK
            del model[kid]
        else:
            model[kid] = rng.randbytes(16)
            assert receiver.add(kid, model[kid]) == lib.SFR_OK
    assert set(receiver.keys()) == set(model)
    for kid in range(200):
        base_key = model.get(kid, bytes(16))
        expected = lib.SFR_OK if kid in model else lib.SFR_UNKNOWN_KEY
        assert receiver.unprotect(oracle(base_key, kid).seal(1, b"x"))[0] == expected


def test_provisional_keys(core, kernel, base_key, rng):
    """They become real by a tag, and the oldest of 128 that were asked for makes room."""
    _, lib = core
    receiver = CReceiver(kernel, 4)
    keys = {kid: rng.randbytes(16) for kid in range(lib.SFR_MAX_ASKED + 2)}
    for kid in list(keys)[:-2]:
        assert receiver.add(kid, keys[kid], lib.SFR_KEY_ASKED) == lib.SFR_OK
    assert receiver.unprotect(flipped(oracle(keys[0], 0).seal(0, b"x"), -1))[0] > 0
    assert receiver.confirmed() == []
    assert receiver.unprotect(oracle(keys[1], 1).seal(0, b"x"))[0] == lib.SFR_OK
    assert (receiver.confirmed(), receiver.confirmed()) == ([1], [])
    for kid in list(keys)[-2:]:
        assert receiver.add(kid, keys[kid], lib.SFR_KEY_ASKED) == lib.SFR_OK
    there = receiver.keys()
    assert set(keys) - set(there) == {0}  # 1 is real, 0 was the oldest of the others
    assert [kid for kid, stats in there.items() if not stats.provisional] == [1]
    assert receiver.add(2, keys[2]) == lib.SFR_OK
    assert not receiver.keys()[2].provisional


def test_headers_push_out_no_key_that_was_derived_ahead(core, kernel, rng):
    """Keys that headers ask for make room among themselves, until they are derived ahead, too."""
    _, lib = core
    receiver, base_key = CReceiver(kernel, 4), rng.randbytes(16)
    ahead, asked = range(lib.SFR_MAX_ASKED), range(1000, 1000 + lib.SFR_MAX_ASKED + 9)
    assert {receiver.add(kid, base_key, lib.SFR_KEY_AHEAD) for kid in ahead} == {lib.SFR_OK}
    assert {receiver.add(kid, base_key, lib.SFR_KEY_ASKED) for kid in asked} == {lib.SFR_OK}
    assert set(receiver.keys()) == {*ahead, *asked[9:]}
    assert receiver.add(asked[-1], base_key, lib.SFR_KEY_AHEAD) == lib.SFR_OK
    assert receiver.add(asked[-2], base_key, lib.SFR_KEY_GIVEN) == lib.SFR_OK
    assert receiver.add(0, base_key, lib.SFR_KEY_ASKED) == lib.SFR_OK
    there = receiver.keys()
    assert set(there) == {*ahead, *asked[9:]}, "0 had made room, and was asked for"
    assert [kid for kid, stats in there.items() if not stats.provisional] == [asked[-2]]


def reach_of(core, **fields):
    ffi, _ = core
    return ffi.new("sfr_reach *", {"mask": 0xF, "group": 3, "numbers": 0xFF, "shift": 4, **fields})


def test_derivation_allowance(core, kernel, base_key):
    """A burst of 64, then one for every 256 frames that open; the rest wait 97 frames at most."""
    _, lib = core
    receiver, seal = CReceiver(kernel, 4, base_key), oracle(base_key).seal
    may = lambda kid, ctr=0: lib.sfr_receiver_may_derive(receiver.pointer, kid, ctr)  # noqa: E731
    assert not any(may(kid << 4 | 3) for kid in range(100)), "nothing is in reach"
    reach = reach_of(core, first=250, total=20, few=4)
    assert lib.sfr_receiver_reach(receiver.pointer, reach) == lib.SFR_OK
    few, rest = [250, 253], [254, 255, 0, 13]
    assert not any(may(kid) for kid in (249 << 4 | 3, 14 << 4 | 3, 250 << 4, 250 << 4 | 2))
    assert all(may(number << 4 | 3) for number in few * 100)
    assert all(may(number << 4 | 3) for number in rest * 16), "the burst"
    rounds = range(0, 97 * 200, 97)
    served = [[n for n in range(97) if may(rest[0] << 4 | 3, start + n)] for start in rounds]
    assert {len(one) for one in served} == {1} and len({*map(tuple, served)}) == 1
    contexts = [[may(few[0] << 4 | 3 | n << 52, ctr) for ctr in range(97)] for n in range(1, 400)]
    assert {sum(one) for one in contexts} == {1}
    assert len({one.index(1) for one in contexts}) > 80, "of 97; 95 on average"
    for _ in range(999):
        receiver.unprotect(b"\x09\x08")
    assert sum(may(1 << 4 | 3, ctr) for ctr in range(97)) == 1, "refused frames earn nothing"
    for ctr in range(256 * 64):
        assert receiver.unprotect(seal(ctr, b""))[0] == lib.SFR_OK
    assert all(may(rest[1] << 4 | 3) for _ in range(64))


def test_who_knows_which_frames_are_served(core, kernel, base_key):
    """One frame in 64 is served at most, after a burst of 64; and the knowledge is void then."""
    _, lib = core
    receiver = CReceiver(kernel, 4, base_key)
    may = lambda kid, ctr: lib.sfr_receiver_may_derive(receiver.pointer, kid << 4 | 3, ctr)  # noqa: E731
    reach = reach_of(core, numbers=0xFFFFFFFF, total=1 << 32, few=0)
    assert lib.sfr_receiver_reach(receiver.pointer, reach) == lib.SFR_OK
    assert all(may(kid, 0) for kid in range(64))
    learn = lambda: [(kid, [may(kid, n) for n in range(97)].index(1)) for kid in range(400)]  # noqa: E731
    known = learn()
    served = [may(*frame) for frame in known]
    assert all(served[:64]) and sum(served) <= 64 + 400 // 64 + 1
    assert sum(a == b for a, b in zip(known, learn(), strict=True)) < 40, "4 on average"


def test_reaches_come_and_go(core, kernel, rng):
    """Against a dictionary: the one of each group, whatever order they came in."""
    _, lib = core
    receiver, model = CReceiver(kernel, 4), {}
    for _ in range(400):
        group, few = rng.randrange(16), rng.randrange(256)
        if rng.random() < 0.6:
            reach = reach_of(core, group=group, total=few, few=few)
            assert lib.sfr_receiver_reach(receiver.pointer, reach) == lib.SFR_OK
            model[group] = few
        else:
            lib.sfr_receiver_forget(receiver.pointer, 0xF, group)
            model.pop(group, None)
        for group in range(16):
            for number in {0, model.get(group, 0), max(model.get(group, 0) - 1, 0)} - {256}:
                may = lib.sfr_receiver_may_derive(receiver.pointer, number << 4 | group, 0)
                assert may == (number < model.get(group, 0))


def test_reaches_that_are_none(core, kernel):
    _, lib = core
    receiver = CReceiver(kernel, 4)
    set_reach = lambda **f: lib.sfr_receiver_reach(receiver.pointer, reach_of(core, **f))  # noqa: E731
    assert set_reach(group=0x13) == lib.SFR_E_ARGUMENT
    assert set_reach(shift=64) == lib.SFR_E_ARGUMENT
    assert set_reach() == lib.SFR_OK
    for other in ({"mask": 0x1F}, {"numbers": 1}, {"shift": 5}):
        assert set_reach(**other) == lib.SFR_E_ARGUMENT, "another layout"


@pytest.mark.parametrize("suite", [3, 8])
def test_short_tags_close_their_key(core, kernel, base_key, suite):
    """2^12 failures: then nothing opens under this key any more."""
    _, lib = core
    receiver, seal = CReceiver(kernel, suite, base_key), oracle(base_key, suite=suite).seal
    assert receiver.unprotect(seal(0, b"x"))[0] == lib.SFR_OK
    bad = flipped(seal(1, b"x"), -1)
    assert {receiver.unprotect(bad)[0] for _ in range(4095)} == {lib.SFR_AUTH_FAILED}
    assert receiver.unprotect(seal(2, b"x")) == (lib.SFR_OK, b"x")
    assert receiver.unprotect(bad)[0] == lib.SFR_AUTH_FAILED
    assert receiver.unprotect(seal(3, b"x")) == (lib.SFR_AUTH_FAILED, b"")
    assert receiver.keys()[7].closed


@pytest.mark.parametrize("suite", [1, 2, 4, 5, 6, 7])
def test_long_tags_do_not(core, kernel, base_key, suite):
    _, lib = core
    receiver, seal = CReceiver(kernel, suite, base_key), oracle(base_key, suite=suite).seal
    bad = flipped(seal(1, b"x"), -1)
    assert {receiver.unprotect(bad)[0] for _ in range(5000)} == {lib.SFR_AUTH_FAILED}
    assert receiver.unprotect(seal(1, b"x")) == (lib.SFR_OK, b"x")


def test_unknown_kids_are_tracked_within_bounds(core, kernel, base_key):
    _, lib = core
    receiver = CReceiver(kernel, 4, base_key)
    for kid in range(1000):
        receiver.unprotect(oracle(base_key, 1000 + kid).seal(0, b"x"))
    totals = receiver.totals()
    assert (totals.unknown, len(totals.unknown_kids)) == (1000, lib.SFR_UNKNOWN_TRACKED)
    # Each keeps its place for 128 frames: the sixteen that came after the last to have had it.
    first = 1000 + 1000 // 128 * 128
    assert [s.kid for s in totals.unknown_kids] == list(range(first, first + 16))


def test_closed(core, kernel, base_key):
    _, lib = core
    receiver = CReceiver(kernel, 4, base_key)
    receiver.close()
    receiver.close()
    assert receiver.unprotect(oracle(base_key).seal(0, b"x")) == (lib.SFR_E_RETIRED, b"")
    assert receiver.add(8, base_key) == lib.SFR_E_RETIRED
    assert receiver.remove(7) == lib.SFR_UNKNOWN_KEY
    assert receiver.totals().keys == 0 and receiver.keys() == {}


def test_max_frame(core, kernel, base_key):
    """A frame as long as the limit opens, one byte more is malformed."""
    ffi, lib = core
    out, suite = ffi.new("sfr_receiver **"), lib.sfr_suite_find(4)
    found = lib.sfr_kernel_find(kernel.encode())
    assert lib.sfr_receiver_new(out, suite, found, 64, 100, 1) == lib.SFR_OK
    receiver = CReceiver(kernel, 4)
    receiver.pointer = ffi.gc(out[0], lib.sfr_receiver_free)
    assert receiver.add(7, base_key) == lib.SFR_OK
    seal = oracle(base_key).seal
    assert receiver.unprotect(seal(0, bytes(100))) == (lib.SFR_OK, bytes(100))
    assert receiver.unprotect(seal(1, bytes(101)))[0] == lib.SFR_MALFORMED
    assert receiver.unprotect(seal(2, bytes(101), clear=50), clear=50)[0] == lib.SFR_MALFORMED


def test_two_kids_share_no_keystream(kernel, base_key):
    """One base_key, two KIDs: an old draft let them meet, and gave both frames away."""
    frame = bytes(320)
    blocks = set()
    for kid in range(8):
        for suite in (CipherSuite(4), CipherSuite(1)):
            sender = CSender(kernel, suite, base_key, kid=kid)
            _, ciphertext = sender.protect(frame)
            blocks |= {ciphertext[i : i + 16] for i in range(1, 321, 16)}
    assert len(blocks) == 8 * 2 * 20
