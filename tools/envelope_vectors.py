"""Makes vectors/envelope.json: frames of real encoders and by hand, sealed without this package.

    python tools/envelope_vectors.py > vectors/envelope.json

Wire frames are assembled by tests/envelope_oracle.py, ciphertexts by tests/oracle.py over
`cryptography`. Encoders of another version make other frames; the file is then new figures, no
worse ones.
"""

import json
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from clear_media import VIDEO, av1, opus
from envelope_oracle import av1_unit, dressed
from oracle import Oracle

SUITE, BASE_KEY = 4, bytes(range(16))
START = bytes([0, 0, 0, 1])
MANY_TRIES = range(1, 1 << 16)
# Keys, as far as they say a version of the envelope, and the one they mean; None: refused.
VERSIONS = [{"key": {}, "means": 1}, {"key": {"envelope": 1}, "means": 1}] + [
    {"key": {"envelope": said}, "means": None} for said in (2, 0, None, "1", True)
]

# By hand: SPS, PPS, an IDR slice (PPS 0) and a P slice (PPS 3: 1 00110 00100); contents made up.
SPS, PPS = bytes.fromhex("6742c00ad9"), bytes.fromhex("68ce3c80")
IDR, P_PPS_3 = bytes.fromhex("6588840bcd"), bytes.fromhex("41989f11aa")
BY_HAND = [
    ("VP8 delta frame, not shown", "VP8", bytes.fromhex("a1060055aa")),
    ("VP8 key frame of 10 bytes", "VP8", bytes.fromhex("b00b009d012a00050003")),
    ("VP8 key frame cut to 9 bytes", "VP8", bytes.fromhex("b00b009d012a000500")),
    ("VP8 key frame without 9D 01 2A", "VP8", bytes(12)),
    ("H264 three-byte start codes", "H264", b"".join(b"\0\0\1" + u for u in (SPS, PPS, IDR))),
    ("H264 two slices, SEI and delimiter", "H264",
     b"".join(START + u for u in (b"\x09\x10", b"\x06\x01\x01\x80", P_PPS_3, P_PPS_3))),
    ("H264 parameter sets alone", "H264", START + SPS + START + PPS),
    ("H264 PPS 255", "H264", START + bytes.fromhex("618a00807f11")),
    ("H264 slice of one byte", "H264", START + b"\x65"),
    ("H264 with lengths, not start codes", "H264", b"\0\0\0\5" + IDR),
    ("H265 IDR of layer 2, PPS 1", "H265", START + bytes.fromhex("260397112233")),
    ("H265 inter frame of layer 0", "H265", START + bytes.fromhex("0201d0112233")),
    ("H265 no slice", "H265", START + bytes.fromhex("4e0101")),
    ("AV1 key frame of layers 2 and 1", "AV1",
     av1_unit(2, b"", b"") + av1_unit(1, b"", b"\x0a\x0b") + av1_unit(6, b"\x48", b"key")),
    ("AV1 last OBU without a size", "AV1", bytes.fromhex("1200 30 1122")),
    ("AV1 cut short", "AV1", bytes.fromhex("1200 3205 1122")),
    ("VP9 SVC layer", "VP9", bytes.fromhex("8602000102")),
    ("Opus silence", "opus", bytes.fromhex("f8fffe")),
    ("Opus DTX", "opus", bytes.fromhex("f8")),
    ("RED with one block", "red", bytes.fromhex("6ff8fffe")),
    ("an unknown codec", "VP10", bytes.fromhex("00000001")),
]  # fmt: skip


def encoded(kind: str) -> list[bytes]:
    """A key frame and an inter frame, 64 x 48."""
    codec, options = VIDEO[kind]
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), 30
    encoder.bit_rate, encoder.options = 60_000, options
    rows, columns = numpy.mgrid[0:48, 0:64]
    packets = []
    for number in range(2):
        picture = numpy.stack([columns + 9 * number, rows, rows + columns], 2).astype("uint8")
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, encoder.time_base
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in [*packets, *encoder.encode(None)]][:2]


def real() -> list[tuple[str, str, bytes]]:
    found = []
    for kind in VIDEO:
        for what, frame in zip(("key frame", "inter frame"), encoded(kind), strict=True):
            found.append((f"{VIDEO[kind][0]} {what}", kind.upper(), frame))
    found.append(("libopus 20 ms", "opus", opus(16, "mono", application="voip")[20][1]))
    short = next(frame for _, frame in av1()[2:] if len(frame) < 400 and frame[:1] == b"\x12")
    return [*found, ("SVT-AV1 in a short form", "AV1", short)]


def row(name: str, codec: str, frame: bytes, kid: int, ctr: int) -> dict[str, object]:
    ciphertext = Oracle(SUITE, BASE_KEY, kid, "cryptography").seal(ctr, frame)
    wire = dressed(codec, frame, ciphertext)
    return {"name": name, "codec": codec, "kid": kid, "ctr": ctr, "frame": frame.hex(),
            "ciphertext": ciphertext.hex(), "wire": wire.hex()}  # fmt: skip


def escaped(codec: str, frame: bytes) -> dict[str, object]:
    """The first counter whose ciphertext needs emulation prevention."""
    oracle = Oracle(SUITE, BASE_KEY, 7, "cryptography")
    for ctr in MANY_TRIES:
        sealed = oracle.seal(ctr, frame)
        if any(bytes([0, 0, n]) in sealed for n in range(4)):
            return row(f"{codec} ciphertext with a start code or the like", codec, frame, 7, ctr)
    raise SystemExit("no such counter: make the frame longer")


def main() -> None:
    cases = [*BY_HAND, *real()]
    frames = [row(*case, kid=7, ctr=number) for number, case in enumerate(cases)]
    picture = next(frame for _, codec, frame in cases if codec == "H264" and len(frame) > 100)
    frames += [escaped("H264", picture), escaped("H265", bytes(300))]
    frames.append(row("H264 zeros in the SFrame header", "H264", START + IDR, 1 << 24, 1 << 16))
    about = "docs/envelope.md; made by tools/envelope_vectors.py, without pysframe.media"
    figures = {"about": about, "version": 1, "versions": VERSIONS, "suite": SUITE,
               "base_key": BASE_KEY.hex(), "frames": frames, "rewritten": rewritten(frames),
               "refused": refused(frames)}  # fmt: skip
    print(json.dumps(figures, indent=1))


def rewritten(frames: list[dict]) -> list[dict]:
    """Wire frames as packetizers and SFUs change them: they open all the same."""
    by_name = {str(each["name"]): each for each in frames}
    h264, h265 = by_name["H264 three-byte start codes"], by_name["H265 inter frame of layer 0"]
    av1_key = by_name["AV1 key frame of layers 2 and 1"]
    carrier = bytes.fromhex(str(h264["wire"])).rpartition(START)[2]
    ciphertext = bytes.fromhex(str(av1_key["ciphertext"]))
    changed = [
        (h264, "three-byte start codes", b"\0\0\1" + carrier),
        (h264, "other parameter sets, a delimiter and SEI before it",
         b"".join(START + u for u in (b"\x09\x10", b"\x67\x64\x00", b"\x06\x05\x01\x80", carrier))),
        (h264, "zeros before and after", b"\0\0\0\0\1" + carrier + b"\0\0\0"),
        (h265, "a prefix SEI before it",
         START + b"\x4e\x01\x05" + bytes.fromhex(str(h265["wire"]))),
        (av1_key, "a temporal delimiter, and sizes longer than necessary",
         b"\x12\x00" + b"\x0a\x82\x00\x0a\x0b" + b"\x36\x48"
         + bytes([len(ciphertext) | 0x80, 0x80, 0x00]) + ciphertext),
        (av1_key, "no size, no layers, no sequence header", b"\x30" + ciphertext),
    ]  # fmt: skip
    return [
        {"name": f"{each['name']}: {how}", "codec": each["codec"], "wire": wire.hex(),
         "frame": each["frame"]} for each, how, wire in changed
    ]  # fmt: skip


def refused(frames: list[dict]) -> list[dict]:
    """Wire frames without one whole ciphertext: malformed, whatever the key."""
    by_name = {str(each["name"]): bytes.fromhex(str(each["wire"])) for each in frames}
    picture = by_name["H264 three-byte start codes"]
    layer = by_name["AV1 key frame of layers 2 and 1"]
    bad = [
        ("no start code", "H264", b"\x65\x88\xff"),
        ("parameter sets alone", "H264", START + SPS + START + PPS),
        ("two slices", "H264", picture + picture),
        ("cut short by a byte", "H264", picture[:-1]),
        ("a slice in the clear", "H264", START + IDR),
        ("a stub without an end", "H264", START + bytes.fromhex("6500000300000300000380")),
        ("no slice", "H265", START + bytes.fromhex("4e010580")),
        ("two slices", "H265", 2 * by_name["H265 inter frame of layer 0"]),
        ("no OBU_FRAME", "AV1", bytes.fromhex("12000a020a0b")),
        ("two OBU_FRAMEs", "AV1", layer + layer),
        ("cut short by a byte", "AV1", layer[:-1]),
        ("the forbidden bit", "AV1", b"\x80" + layer),
        ("a size of nine bytes", "AV1", b"\x32" + b"\x80" * 8 + b"\x01"),
        ("nothing behind a key frame's header", "VP8", bytes.fromhex("1000009d012a00050003")),
        ("nothing behind an interframe's header", "VP8", b"\x11"),
    ]
    return [{"name": name, "codec": codec, "wire": wire.hex()} for name, codec, wire in bad]


if __name__ == "__main__":
    main()
