"""Python and the TypeScript of web/, frame by frame: what one seals the other opens, in every suite,
and both make the same ciphertext. `make web` runs these.
"""

import pytest
from parties import SUITES, flipped, new_receiver, new_sender, status_of
from web import web_peer
from web.web_peer import Case

from pysframe import CipherSuite, FrameStatus, ratchet_base_key
from pysframe.engine.key_schedule import derive_stream

SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
FRAMES = 200  # of each suite and engine

# How the two name what is refused.
NAMES = {
    FrameStatus.AUTHENTICATION_FAILED: "authentication",
    FrameStatus.UNKNOWN_KEY: "keyID",
    FrameStatus.MALFORMED: "syntax",
}

pytestmark = pytest.mark.timeout(600)


def drawn(rng, suite) -> Case:
    """Numbers of every width; most frames short, some long; some keys ratcheted or of a stream."""
    size = rng.choice((rng.randrange(65), rng.randrange(300), rng.randrange(2000)))
    if rng.random() < 0.01:
        size = rng.randrange(70_000)
    return Case(
        suite,
        kid=rng.getrandbits(rng.randrange(65)),
        ctr=rng.getrandbits(rng.randrange(64)),
        base_key=rng.randbytes(rng.randrange(16, 65)),
        metadata=rng.randbytes(rng.choice((0, 1, 4, 20, rng.randrange(200)))),
        frame=rng.randbytes(size),
        clear=rng.choice((0, 0, min(size, 10), rng.randrange(size + 1))),
        steps=rng.choice((0, 0, 0, 1, 5)),
        ssrc=rng.choice((None, None, rng.getrandbits(32))),
    )


def key_of(case: Case) -> bytes:
    """The base_key that a Sender is to have, as this package derives it."""
    base_key, suite = case.base_key, CipherSuite(case.suite)
    if case.ssrc is not None:
        base_key = derive_stream(suite, base_key, case.ssrc)
    return ratchet_base_key(suite, base_key, case.steps) if case.steps else base_key


def sealed_by_python(engine, case: Case) -> bytes:
    sender = new_sender(engine, case.suite, key_of(case), case.kid, case.ctr)
    return sender.protect(case.frame, case.metadata, clear=case.clear)


def opened_by_python(engine, case: Case, ciphertext: bytes) -> tuple[FrameStatus, bytes]:
    receiver = new_receiver(engine, case.suite, key_of(case), case.kid)
    return status_of(receiver, ciphertext, case.metadata, clear=case.clear)


@SUITE
def test_both_ways(engine, suite, rng):
    cases = [drawn(rng, suite) for _ in range(FRAMES)]
    ours = [sealed_by_python(engine, case) for case in cases]
    theirs = web_peer.seal(cases)
    assert theirs == ours
    assert web_peer.open_(cases, ours) == [case.frame for case in cases]
    for case, ciphertext in zip(cases, theirs, strict=True):
        assert opened_by_python(engine, case, ciphertext) == (FrameStatus.OK, case.frame)


@SUITE
def test_an_altered_frame_is_refused_by_both_under_the_same_name(engine, suite, rng):
    cases = [drawn(rng, suite) for _ in range(FRAMES)]
    bad = [altered(rng, sealed_by_python(engine, case)) for case in cases]
    seen = set()
    for case, ciphertext, said in zip(cases, bad, web_peer.open_(cases, bad), strict=True):
        status, frame = opened_by_python(engine, case, ciphertext)
        assert (NAMES[status], frame) == (said, b""), case
        seen.add(said)
    assert seen == set(NAMES.values())


def altered(rng, ciphertext: bytes) -> bytes:
    """One bit is changed, mostly near the header, or the end is cut off."""
    if rng.random() < 0.2:
        return ciphertext[: rng.randrange(len(ciphertext))]
    near = rng.randrange(min(12, len(ciphertext)))
    position = rng.choice((near, rng.randrange(len(ciphertext))))
    return flipped(ciphertext, position, 1 << rng.randrange(8))


def test_a_missing_node_is_a_failure_that_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AssertionError, match="needs Node 20.9"):
        web_peer.seal([])


def test_what_is_not_built_is_a_failure_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(web_peer, "PEER", tmp_path / "peer.js")
    with pytest.raises(AssertionError, match="run `make web`"):
        web_peer.seal([])
