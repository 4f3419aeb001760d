"""Promise 1, alive: frames exchanged with a peer of another make, the Rust crate `sframe` 2.1.0.

Every suite that both have, both ways, frame by frame with a key, KID, counter, length and
metadata of its own; then the same frames with one bit changed, which both must refuse. Where the
crate and the RFC part ways, the difference is pinned here and told in SECURITY.md.
"""

from pathlib import Path

import pytest
from figures import load
from interop import rust_peer
from interop.cases import drawn
from oracle import Oracle, aead_seal, library_for
from parties import flipped, new_receiver, new_sender, status_of

from pysframe import CipherSuite, FrameStatus, SenderKeyLayout

SUITES = [CipherSuite(number) for number in range(1, 6)]
SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
ROWS = 64  # every other block of 64 frames goes through the batch calls
SECURITY = Path(__file__).parents[3] / "SECURITY.md"

# The first test builds the crate; in one worker of xdist, so that no other waits for it.
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("rust")]


@pytest.fixture
def cases(rng, suite, by_tier):
    return [drawn(rng, suite) for _ in range(by_tier(1000, 2000, 100_000))]


# ---- ours ----


def blocks(cases):
    """(number, a slice) of each block of rows."""
    starts = range(0, len(cases), ROWS)
    return enumerate(slice(start, start + ROWS) for start in starts)


def sealed_by(engine, cases) -> list[bytes]:
    senders = [new_sender(engine, c.suite, c.base_key, c.kid, c.ctr) for c in cases]
    sealed = []
    for number, rows in blocks(cases):
        some = list(zip(senders[rows], cases[rows], strict=True))
        if number % 2:
            sealed += [sender.protect(c.frame, c.metadata) for sender, c in some]
        else:
            frames, metadata = [c.frame for _, c in some], [c.metadata for _, c in some]
            sealed += engine.protect_many(senders[rows], frames, metadata)
    return sealed


def opened_by(engine, cases, ciphertexts) -> list[bytes | None]:
    """The frames; None where the engine refused."""
    receivers = [new_receiver(engine, c.suite, c.base_key, c.kid) for c in cases]
    opened = []
    for number, rows in blocks(cases):
        metadata = [c.metadata for c in cases[rows]]
        if number % 2:
            some = zip(receivers[rows], ciphertexts[rows], metadata, strict=True)
            results = [status_of(*one) for one in some]
        else:
            batch = engine.unprotect_many(receivers[rows], ciphertexts[rows], metadata)
            results = list(zip(batch.status, batch.to_list(), strict=True))
        opened += [frame if status == FrameStatus.OK else None for status, frame in results]
    return opened


def with_one_bit_changed(cases, ciphertexts, rng):
    """Of the header, the ciphertext, the tag or the metadata."""
    changed_cases, changed = [], []
    for case, ciphertext in zip(cases, ciphertexts, strict=True):
        at, mask = rng.randrange(len(ciphertext) + len(case.metadata)), 1 << rng.randrange(8)
        if at < len(ciphertext):
            ciphertext = flipped(ciphertext, at, mask)
        else:
            case = case._replace(metadata=flipped(case.metadata, at - len(ciphertext), mask))
        changed_cases.append(case)
        changed.append(ciphertext)
    return changed_cases, changed


def mismatches(got, expected) -> list[int]:
    pairs = zip(got, expected, strict=True)
    return [number for number, (ours, theirs) in enumerate(pairs) if ours != theirs]


# ---- both ways ----


@SUITE
def test_the_crate_opens_what_we_seal(engine, suite, cases, rng):
    ours = sealed_by(engine, cases)
    assert not mismatches(rust_peer.open_(cases, ours), [c.frame for c in cases])
    assert not mismatches(rust_peer.seal(cases), ours)  # byte for byte
    refused = rust_peer.open_(*with_one_bit_changed(cases, ours, rng))
    assert refused == [None] * len(cases)
    print(f"{len(cases)} frames of ours opened by the crate, {len(refused)} changed ones refused")


@SUITE
def test_we_open_what_the_crate_seals(engine, suite, cases, rng):
    theirs = rust_peer.seal(cases)
    assert not mismatches(opened_by(engine, cases, theirs), [c.frame for c in cases])
    refused = opened_by(engine, *with_one_bit_changed(cases, theirs, rng))
    assert refused == [None] * len(cases)
    print(f"{len(cases)} frames of the crate opened by us, {len(refused)} changed ones refused")


@SUITE
def test_the_crate_refuses_a_sealer_that_errs(engine, suite, rng):
    """The seeded fault: one frame of a hundred has its metadata before its header in the AAD."""
    cases = [drawn(rng, suite)._replace(metadata=b"meta") for _ in range(100)]
    ciphertexts, bad = sealed_by(engine, cases), rng.randrange(100)
    case = cases[bad]
    oracle = Oracle(suite, case.base_key, case.kid, library_for(engine))
    header = ciphertexts[bad][: len(ciphertexts[bad]) - len(case.frame) - suite.Nt]
    aad, nonce = case.metadata + header, oracle.nonce(case.ctr)
    ciphertexts[bad] = header + aead_seal(
        suite, oracle.key, nonce, aad, case.frame, library_for(engine)
    )
    assert mismatches(rust_peer.open_(cases, ciphertexts), [c.frame for c in cases]) == [bad]
    assert mismatches(opened_by(engine, cases, ciphertexts), [c.frame for c in cases]) == [bad]


# ---- where the crate differs ----


@SUITE
def test_the_crate_ratchets_otherwise(suite):
    """RFC 9605 5.1 has "SFrame 1.0 Ratchet" and Nh bytes; the crate a small f and Nk bytes."""
    figure = load("ratchet_and_ssrc")["ratchet"][suite.Nh == 64]
    theirs = rust_peer.ratchet(suite, bytes(range(16)))
    wrong, right = (bytes.fromhex(h) for h in (figure["step1_sframe_rs_label"], figure["steps"][0]))
    common = min(suite.Nh, suite.Nk)
    assert len(theirs) == suite.Nk
    assert theirs[:common] == wrong[:common]
    assert theirs[:common] != right[:common]


@SUITE
def test_keys_ratcheted_by_the_crate_do_not_open_here(engine, suite, rng):
    """Not by our ratchet; handed over as a key of their own, they do."""
    case = drawn(rng, suite)._replace(kid=1, base_key=rng.randbytes(32))
    ratcheted = case._replace(base_key=rust_peer.ratchet(suite, case.base_key))
    (ciphertext,) = rust_peer.seal([ratcheted])
    receiver = new_receiver(engine, suite)
    receiver.add_sender_key(0, case.base_key, layout=SenderKeyLayout(R=8))
    assert status_of(receiver, ciphertext, case.metadata)[0] == FrameStatus.AUTHENTICATION_FAILED
    assert opened_by(engine, [ratcheted], [ciphertext]) == [case.frame]


@SUITE
def test_the_crate_takes_headers_that_are_not_minimal(engine, suite, rng):
    """RFC 9605 4.3 binds the sender; here a receiver is strict unless it is told not to be."""
    case = drawn(rng, suite)._replace(kid=3, ctr=5)
    oracle = Oracle(suite, case.base_key, case.kid, library_for(engine))
    header = bytes.fromhex("99 0003 0005")
    sealed = aead_seal(
        suite, oracle.key, oracle.nonce(5), header + case.metadata, case.frame, library_for(engine)
    )
    assert rust_peer.open_([case], [header + sealed]) == [case.frame]
    strict = new_receiver(engine, suite, case.base_key, case.kid)
    lenient = new_receiver(engine, suite, case.base_key, case.kid, strict=False)
    assert status_of(strict, header + sealed, case.metadata)[0] == FrameStatus.MALFORMED
    assert lenient.unprotect(header + sealed, case.metadata) == case.frame


def test_the_differences_are_told():
    text = " ".join(SECURITY.read_text().split())
    assert "`Sframe 1.0 Ratchet`" in text
    assert "crate `sframe`" in text


def test_no_cargo_is_a_failure(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AssertionError, match="apt install rustc-web cargo-web"):
        rust_peer.built.__wrapped__()
