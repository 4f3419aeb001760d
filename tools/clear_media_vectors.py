"""Makes vectors/media_in_clear.json: streams that no key opens, and what each is to be called.

    python tools/clear_media_vectors.py > vectors/media_in_clear.json

Media in the clear is from the encoders of tests/clear_media.py; libvpx encodes VP9 by the clock, so
that another run makes other frames. Of streams of senders, the headers
are written by RFC 9605 4.3 and the rest is made up. `states` is what a person would say: it is not
computed.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from clear_media import av1, avcc, opus, video

SECONDS, HEAD = 3, 17  # the longest header
NOT_SFRAME = {"": "NOT_SFRAME"}
WORDS = {
    "missing key": "frames arrive under KID {kid}, and its key has not come",
    "stale key": "frames arrive under KID {kid}, whose key was dropped: the sender is behind",
    "wrong key": "frames arrive under KID {kid}, and its key does not open them: it is another "
    "key, or somebody alters them on the way",
    "not SFrame": "frames arrive that are not SFrame: media in the clear, another format, or "
    "another envelope",
}


def header(kid: int, ctr: int) -> bytes:
    """RFC 9605 4.3."""
    fields = [
        (n, n.to_bytes((n.bit_length() + 7) // 8, "big") if n > 7 else b"") for n in (kid, ctr)
    ]
    high, low = (8 | len(field) - 1 if field else n for n, field in fields)
    return bytes([high << 4 | low]) + fields[0][1] + fields[1][1]


def of_sender(kid: int, ctrs: range) -> list[tuple[float, bytes]]:
    return [(n / 50, header(kid, ctr).ljust(80, b"\1")) for n, ctr in enumerate(ctrs)]


def row(name, codec, frames, keys, states):
    """A frame is [milliseconds, its size, its first bytes]: the others can be in no header."""
    kept = [(at, frame) for at, frame in frames if at < SECONDS]
    return {
        "name": name,
        "codec": codec,
        "keys": keys,
        "states": states,
        "frames": [[round(1000 * at), len(frame), frame[:HEAD].hex()] for at, frame in kept],
    }


def rows():
    voice = {"application": "voip"}
    h264 = video("h264", seconds=SECONDS)
    clear = {
        "Opus of 12 kbit/s, mostly KID 4": ("audio/opus", opus(12, "mono", **voice)),
        "Opus of 16 kbit/s, mostly KID 7": ("audio/opus", opus(16, "mono", **voice)),
        "Opus with redundancy, mostly KID 6": (
            "audio/opus", opus(16, "mono", **voice, fec="1", packet_loss="15")),
        "Opus of 10 ms, all KID 4": ("audio/opus", opus(16, "mono", 10, **voice)),
        "Opus of 64 kbit/s, all over": ("audio/opus", opus(64, "mono", application="audio")),
        "Opus silence": ("audio/opus", [(n / 50, b"\xf8\xff\xfe") for n in range(50 * SECONDS)]),
        "Opus of 40 ms, mostly KID 5": (
            "audio/opus", opus(12, "mono", 40, **voice, frame_duration="40")),
        "VP8": ("video/VP8", video("vp8", seconds=SECONDS)),
        "VP9": ("video/VP9", video("vp9", seconds=SECONDS)),
        "H.264, KID 0 by its start code": ("video/H264", h264),
        "H.264 with lengths": ("video/H264", [(at, avcc(frame)) for at, frame in h264]),
        "AV1": ("video/AV1", av1()),
    }  # fmt: skip
    for name, (codec, frames) in clear.items():
        yield row(name, codec, frames, [[300], list(range(8))], NOT_SFRAME)
    missing, wrong = {"301": "MISSING_KEY"}, {"7": "WRONG_KEY"}
    yield row("a sender whose key is missing", None, of_sender(301, range(150)), [[300]], missing)
    far = range(1 << 40, (1 << 40) + 150)
    yield row("the same, its counters far on", None, of_sender(301, far), [[300]], missing)
    yield row("one whose KID is that of Opus", None, of_sender(7, range(150)), [[300]],
              {"7": "MISSING_KEY"})  # fmt: skip
    yield row("a sender with another key", None, of_sender(7, range(150)), [[7]], wrong)


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in rows())
    print(f'{{"format": "media-in-clear/1",\n"words": {json.dumps(WORDS, indent=1)},')
    print(f'"seconds": {SECONDS},\n"streams": [\n{lines}\n]}}')
