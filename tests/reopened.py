"""Recordings opened in tests: the key, who seals with it, and what a Restorer gives back."""

import io
from types import SimpleNamespace

from oracle import Oracle
from parties import GCM
from recorded import TYPES, media, packetized, sealed

from pysframe.media.recordings import Recording, Restorer

KEY = bytes(range(16))
NAMES = {kind: codec for codec, kind in TYPES.items()}
OPUS = {111: "opus"}
FEW = 8  # frames, where there are many examples


def key(kid=7, base_key=KEY, sender="alice", suite=GCM):
    return SimpleNamespace(sender=sender, suite=suite, kid=kid, base_key=base_key, envelope=1)


def sealer(kid=7, base_key=KEY, first=0):
    """Seals as a Sender does, which would not use the counters of one key again in each test."""
    oracle, counter = Oracle(GCM, base_key, kid, "cryptography"), iter(range(first, 1 << 40))
    return SimpleNamespace(protect=lambda frame, _=b"": oracle.seal(next(counter), bytes(frame)))


def restored(*files, keys=(), names=OPUS):
    """(frames by track, restorer): a track is (recording, SSRC, codec)."""
    recordings = [Recording(io.BytesIO(file), names) for file in files]
    restorer, found = Restorer(recordings, list(keys) or [key()]), {}
    for frame in restorer.frames():
        name = frame.track.number, frame.track.ssrc, frame.track.codec
        found.setdefault(name, []).append((frame.ticks, frame.data))
    return found, restorer


def frames(*files, **more):
    """All frames of the one track there is."""
    found, restorer = restored(*files, **more)
    assert len(found) <= 1
    return [data for rows in found.values() for _, data in rows], restorer


def plain(rows):
    return [frame for _, frame in rows]


def opus_packets(count=30, sequence=0, **more):
    wires = sealed("OPUS", sealer(), media("OPUS")[:count])
    return packetized("OPUS", wires, sequence=sequence, **more)
