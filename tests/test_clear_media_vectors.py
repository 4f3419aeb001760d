"""What key_flow() calls the streams of vectors/media_in_clear.json; web/test/key-flow.test.ts holds
the browser's side to the same.
"""

import pytest
from figures import load

from pysframe import FrameRejected, Header, KeyState
from pysframe.media import Envelope

FIGURES = load("media_in_clear")
CASES = [
    pytest.param(stream, kids, enveloped, id=f"{stream['name']}-{len(kids)}-{wrap}")
    for stream in FIGURES["streams"]
    for kids in stream["keys"]
    for enveloped, wrap in ((False, "plain"), (True, "envelope"))
    if stream["codec"] or not enveloped
]


def frames(stream):
    """(seconds, frame); only the head of a frame is recorded."""
    for at, size, head in stream["frames"]:
        yield at / 1000, bytes.fromhex(head).ljust(size, b"\0")


@pytest.mark.parametrize(("stream", "kids", "enveloped"), CASES)
def test_streams_that_no_key_opens(engine, stream, kids, enveloped):
    receiver, come = engine.Receiver(4), list(frames(stream))
    envelope = Envelope(stream["codec"]) if enveloped else None
    for kid in kids:
        receiver.add_key(kid, bytes(range(16)))
    receiver.key_flow(0.0)
    for now in range(1, FIGURES["seconds"] + 1):
        while come and come[0][0] < now:
            with pytest.raises(FrameRejected):
                frame = come.pop(0)[1]
                envelope.open(receiver, frame) if envelope else receiver.unprotect(frame)
        flows = receiver.key_flow(float(now))
    states = {"" if kid is None else str(kid): flow.state for kid, flow in flows.items()}
    told = {kid: state.name for kid, state in states.items() if state is not KeyState.WAITING}
    assert told == stream["states"]


def test_the_streams_read_as_headers_of_those_kids():
    """Else they would show nothing: the KIDs that most of Opus and H.264 read as."""
    read = set()
    for stream in FIGURES["streams"]:
        for _, frame in frames(stream):
            try:
                read.add((stream["codec"], Header.parse(frame).kid))
            except FrameRejected:
                continue
    assert {("audio/opus", kid) for kid in (4, 5, 6, 7)} <= read
    assert ("video/H264", 0) in read
