"""What a server keeps of a call, and what readers find in it with and without the keys."""

import asyncio
import base64
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import av
from call import Call
from hearing import SILENCE, Tone, decoded, pictures_of, tone_of
from keys import SUITE, Key
from seen import audio_frames, vp8_frames, whole_pictures
from waiting import NotYet, until, within

import pysframe
from pysframe.media import VERSION, Envelope

SOME = 30  # pictures: to decode all takes longer than it tells


async def read_recording(call: Call) -> None:
    """alice's media as the server has it, by the same readers with and without her keys."""
    await _written(call, "alice")
    keys = call.seen.more.get("keys", [call.alice_key])
    call.seen.recorded = await asyncio.to_thread(_recorded, call, keys)
    call.seen.restored = await restored(call, keys)
    call.seen.restored_by_spy = await restored(call, [key.wrong for key in keys])


async def _written(call: Call, *whose: str) -> None:
    """Waits until nobody has their files open any more. Janus writes the last packets when it
    closes a file, a while after the publisher has left: on a busy machine a long one."""
    kinds = ("audio", "video")
    files = {str(call.server.recorded(who, kind).resolve()) for who in whose for kind in kinds}

    async def probe() -> Any:
        writing = files & await asyncio.to_thread(open_files)
        return NotYet(writing) if writing else True

    await until(f"the end of the recording of {' and '.join(whose)}", probe)


def open_files() -> set[str]:
    """What the programs of this run have open: `run` has made a /proc of their own for them."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # closed meanwhile
            found.add(os.readlink(link))
    return found


def _recorded(call: Call, keys: Iterable[Key]) -> dict[str, Any]:
    frames = audio_frames(call.server.recorded("alice", "audio"))
    receiver = pysframe.Receiver(SUITE)
    for key in keys:
        receiver.add_key(key.kid, key.base_key)
    opened = [frame for frame in (_opened(receiver, frame) for frame in frames) if frame]
    return {
        "frames": len(frames),
        "opened": len(opened),
        "pictures": whole_pictures(call.server.recorded("alice", "video")),
        "with the key": heard(opened),
        "without it": heard(frames),
    }


def _opened(receiver: pysframe.Receiver, wire: bytes) -> bytes | None:
    try:
        return Envelope("audio/opus").open(receiver, wire)
    except pysframe.FrameRejected:
        return None


def heard(frames: list[bytes]) -> Tone:
    """Of three seconds in the middle of a recording: it begins and ends abruptly."""
    middle = max(0, len(frames) // 2 - 75)
    return tone_of(decoded(frames[middle : middle + 150]))


# ---- by `pysframe decrypt` ----


class Restored(NamedTuple):
    """What `pysframe decrypt` did, and what is in the file that it wrote."""

    status: int
    report: dict[str, Any]
    left: list[str]  # files in a folder that was empty
    written: Mapping[str, int] = MappingProxyType({})  # frames in the file by medium
    pictures: int = 0  # decoded, of the first SOME
    sound: Tone = SILENCE


async def restored(call: Call, keys: Iterable[Key]) -> Restored:
    """The command as a person runs it, on the server's files of alice's sound and pictures."""
    files = [str(call.server.recorded("alice", kind)) for kind in ("audio", "video")]
    names = [f"--codec={name}" for name in payload_types(call.answers["alice"])]
    with tempfile.TemporaryDirectory() as folder:
        given, empty = _key_file(Path(folder), keys), Path(folder, "empty")
        empty.mkdir()
        output = empty / "alice.mkv"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pysframe", "decrypt", "--json", *names, *files,
            "--keys", str(given), "-o", str(output),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, complaint = await within("pysframe decrypt", process.communicate())
        assert process.returncode in (0, 1), complaint.decode()
        left = sorted(path.name for path in empty.iterdir())
        done = Restored(process.returncode, json.loads(said), left)
        return await asyncio.to_thread(_played, done, output) if output.exists() else done


def _key_file(folder: Path, keys: Iterable[Key]) -> Path:
    receive = [
        {"sender": key.sender, "kid": key.kid,
         "base_key": base64.urlsafe_b64encode(key.base_key).decode()}
        for key in keys
    ]  # fmt: skip
    file = folder / "keys.json"
    file.touch(0o600)
    content = {"version": 1, "suite": int(SUITE), "envelope": VERSION, "receive": receive}
    file.write_text(json.dumps(content))
    return file


def payload_types(description: str) -> list[str]:
    """What payload types are, out of the answer to a publisher: "111=opus"."""
    mapped = re.findall(r"^a=rtpmap:(\d+) (opus|VP8|VP9|H264|AV1)/", description, re.MULTILINE)
    return [f"{number}={codec}" for number, codec in mapped]


def _played(done: Restored, file: Path) -> Restored:
    """With what a player finds in the file: all its frames, and some of them decoded."""
    with av.open(file) as content:
        frames = Counter(packet.stream.type for packet in content.demux() if packet.size)
    with av.open(file) as content:
        pictures = sum(1 for _ in islice(content.decode(video=0), SOME))
    with av.open(file) as content:
        opus = [bytes(packet) for packet in content.demux(audio=0) if packet.size]
    return done._replace(written=dict(frames), pictures=pictures, sound=heard(opus))


# ---- of who seals nothing ----


async def read_wrongs(call: Call) -> None:
    """What the server has of carol, who sent in the clear, and of erin, who sent no media."""
    await _written(call, "carol", "erin")
    call.seen.more["recorded in clear"] = await asyncio.to_thread(_plain, call, "carol")
    erin = await asyncio.to_thread(_plain, call, "erin")
    call.seen.more["withheld"] = erin | {"live": call.seen.more["live of erin"]}


def _plain(call: Call, who: str) -> dict[str, Any]:
    """What is heard and seen of somebody by whoever has no key."""
    frames = audio_frames(call.server.recorded(who, "audio"))
    pictures = pictures_of("vp8", vp8_frames(call.server.recorded(who, "video")))
    brightest = [int(picture.to_ndarray(format="gray").max()) for picture in pictures]
    return {
        "frames": len(frames),
        "sound": tone_of(decoded(frames)),
        "pictures": len(pictures),
        "brightest": max(brightest, default=255),
    }
