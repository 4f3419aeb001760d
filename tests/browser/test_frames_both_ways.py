"""Python and the TypeScript of web/, frame by frame: both make the same ciphertext, in every suite,
and open and refuse the same frames. `make web` runs these.
"""

import random
from functools import cache
from typing import NamedTuple

import pytest
from browser import web_peer
from interop.cases import Case, drawn
from parties import SUITES, flipped, new_receiver, new_sender, status_of

from pysframe import CipherSuite, FrameStatus, Header, ratchet_base_key
from pysframe.engine.key_schedule import derive_stream

SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
FRAMES = 60  # of each suite on each engine

# How the two name what is refused.
NAMES = {
    FrameStatus.AUTHENTICATION_FAILED: "authentication",
    FrameStatus.UNKNOWN_KEY: "keyID",
    FrameStatus.MALFORMED: "syntax",
}

pytestmark = pytest.mark.timeout(600)


def varied(rng, suite) -> Case:
    """Also clear bytes; some keys ratcheted or of a stream. The last counter is no first one."""
    case = drawn(rng, suite)
    size = len(case.frame)
    return case._replace(
        ctr=case.ctr >> 1,
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


class Exchange(NamedTuple):
    """Frames, what TypeScript seals them to, some of that altered, and what it makes of either."""

    cases: list[Case]
    sealed: list[bytes]
    opened: list[bytes | str]
    bad: list[bytes]
    refused: list[bytes | str]


@cache
def exchange(seed: int, suite: CipherSuite, engine: str) -> Exchange:
    """Each engine has keys of its own: no process may have two senders of one key."""
    rng = random.Random(f"{seed} {suite} {engine}")
    cases = [varied(rng, suite) for _ in range(FRAMES)]
    sealed = web_peer.seal(cases)
    bad = [altered(rng, ciphertext) for ciphertext in sealed]
    bad[:3] = flipped(sealed[0], -1), b"", renamed(cases[2], sealed[2])  # each name at least once
    answers = web_peer.open_([*cases, *cases], [*sealed, *bad])
    return Exchange(cases, sealed, answers[:FRAMES], bad, answers[FRAMES:])


@pytest.fixture
def exchanged(request, suite) -> Exchange:
    return exchange(request.config.option.seed, suite, request.node.callspec.params["engine"])


@SUITE
def test_both_make_the_same_frames_and_open_them(engine, suite, exchanged):
    cases, sealed, opened, _, _ = exchanged
    assert opened == [case.frame for case in cases]
    for case, ciphertext in zip(cases, sealed, strict=True):
        assert sealed_by_python(engine, case) == ciphertext, case
        assert opened_by_python(engine, case, ciphertext) == (FrameStatus.OK, case.frame), case


@SUITE
def test_both_refuse_an_altered_frame_under_the_same_name(engine, suite, exchanged):
    rows = list(zip(exchanged.cases, exchanged.bad, exchanged.refused, strict=True))
    for case, ciphertext, said in rows:
        status, frame = opened_by_python(engine, case, ciphertext)
        assert (NAMES[status], frame) == (said, b""), case
    assert {said for _, _, said in rows} == set(NAMES.values())


def renamed(case: Case, ciphertext: bytes) -> bytes:
    """The same frame under a KID that has no key."""
    clear, rest = ciphertext[: case.clear], ciphertext[case.clear :]
    header = Header.parse(rest)
    return clear + Header(case.kid ^ 1, header.ctr).encode() + rest[header.size :]


def altered(rng, ciphertext: bytes) -> bytes:
    """One bit is changed, mostly near the header, or the end is cut off."""
    if rng.random() < 0.2:
        return ciphertext[: rng.randrange(len(ciphertext))]
    near = rng.randrange(min(12, len(ciphertext)))
    position = rng.choice((near, rng.randrange(len(ciphertext))))
    return flipped(ciphertext, position, 1 << rng.randrange(8))


def test_a_missing_node_is_a_failure_that_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AssertionError, match="needs Node 20"):
        web_peer.seal([])


def test_what_is_not_built_is_a_failure_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(web_peer, "PEER", tmp_path / "peer.js")
    with pytest.raises(AssertionError, match="run `make web`"):
        web_peer.seal([])
