"""pysframe.media and web/codecs, frame by frame: both make the same wire frame of every codec, and
open and refuse the same ones. `make web` runs these.
"""

import json
import random
from functools import cache
from pathlib import Path

import pytest
from browser import web_peer
from interop.cases import Case
from parties import flipped, new_receiver, new_sender

from pysframe import FrameRejected, MalformedFrame, UnknownKey
from pysframe.media import Envelope

FIGURES = json.loads((Path(__file__).parents[2] / "vectors/envelope.json").read_text())
CODECS = ["VP8", "VP9", "H264", "H265", "AV1", "opus"]
FRAMES = 80  # of each codec on each engine
# What encoders write, so that start codes, headers and sizes come up in random bytes.
OFTEN = bytes.fromhex("0000000001010365416742683212801e9d012a")

CODEC = pytest.mark.parametrize("codec", CODECS)
pytestmark = pytest.mark.timeout(600)


def real_frames(codec: str) -> list[bytes]:
    """The frames of encoders in vectors/envelope.json."""
    rows = FIGURES["frames"]
    return [bytes.fromhex(row["frame"]) for row in rows if row["codec"].upper() == codec.upper()]


def drawn(rng, codec: str) -> Case:
    """A frame of an encoder, the same with bytes altered, or bytes like those of one."""
    real = rng.choice([*real_frames(codec), b"\x01"])
    kind = rng.randrange(4)
    if kind == 0:
        frame = real
    elif kind == 1:
        frame = flipped(real, rng.randrange(len(real)), 1 << rng.randrange(8))
    else:
        size = rng.randrange(200)
        frame = bytes(rng.choice((rng.randrange(256), rng.choice(OFTEN))) for _ in range(size))
    kid, ctr = rng.getrandbits(rng.randrange(20)), rng.getrandbits(rng.randrange(40))
    return Case(4, kid, ctr, rng.randbytes(16), b"", frame, codec=codec)


def altered(rng, wire: bytes) -> bytes:
    """As a server or an enemy might: a bit changed, an end cut off, two joined, bytes put in."""
    at = rng.randrange(len(wire)) if wire else 0
    if not wire:
        return rng.randbytes(30)
    return rng.choice((
        flipped(wire, at, 1 << rng.randrange(8)),
        wire[:at],
        wire + wire,
        wire[:at] + rng.choice((b"\0\0\1\x65", b"\x12\0", rng.randbytes(3))) + wire[at:],
        rng.randbytes(40),
    ))  # fmt: skip


def by_python(engine, case: Case, wire: bytes) -> bytes | str:
    """The frame, or W3C's name of what is wrong."""
    receiver = new_receiver(engine, case.suite, case.base_key, case.kid)
    try:
        return Envelope(case.codec).open(receiver, wire)
    except FrameRejected as rejected:
        names = {MalformedFrame: "syntax", UnknownKey: "keyID"}
        return names.get(type(rejected), "authentication")


@cache
def exchange(seed: int, codec: str, engine: str):
    """Frames, what TypeScript makes of them, some of that altered, and what it makes of either."""
    rng = random.Random(f"{seed} {codec} {engine}")
    cases = [drawn(rng, codec) for _ in range(FRAMES)]
    cases[:2] = [case._replace(frame=b"\x31 and more") for case in cases[:2]]
    wires = web_peer.seal(cases)
    bad = [altered(rng, wire) for wire in wires]
    bad[:2] = wires[0][:2], flipped(wires[1], -5)  # each name at least once
    answers = web_peer.open_([*cases, *cases], [*wires, *bad])
    return cases, wires, answers[:FRAMES], bad, answers[FRAMES:]


@pytest.fixture
def exchanged(request, codec):
    return exchange(request.config.option.seed, codec, request.node.callspec.params["engine"])


@CODEC
def test_both_make_the_same_wire_frames_and_open_them(engine, codec, exchanged):
    cases, wires, opened, _, _ = exchanged
    assert opened == [case.frame for case in cases]
    for case, wire in zip(cases, wires, strict=True):
        sender = new_sender(engine, case.suite, case.base_key, case.kid, case.ctr)
        assert Envelope(codec).seal(sender, case.frame) == wire, case
        assert by_python(engine, case, wire) == case.frame, case


@CODEC
def test_both_say_the_same_of_altered_wire_frames(engine, codec, exchanged):
    cases, _, _, bad, said = exchanged
    for case, wire, answer in zip(cases, bad, said, strict=True):
        assert by_python(engine, case, wire) == answer, (case, wire.hex())
    assert {"syntax", "authentication"} <= {answer for answer in said if isinstance(answer, str)}
