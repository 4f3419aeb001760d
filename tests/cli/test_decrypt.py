"""pysframe decrypt: what players read is what was sealed; a wrong key, a link, a full disk and
Ctrl-C leave nothing behind."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys

import av
import on_a_terminal
import pytest
import recorded
from oracle import Oracle
from parties import GCM
from recorded import TYPES, media, packetized, sealed

from pysframe.cli import _new_file, _restored, decrypt, main
from pysframe.media.annexb import units

KEYS = {"alice": (300, bytes(range(16))), "bob": (301, bytes(range(16, 32)))}


class Sealer:
    """Seals as a Sender does, but under the same key in every test."""

    def __init__(self, name):
        kid, base_key = KEYS[name]
        self._oracle, self._ctr = Oracle(GCM, base_key, kid, "cryptography"), iter(range(1 << 30))

    def protect(self, frame, metadata=b""):
        return self._oracle.seal(next(self._ctr), bytes(frame))


@pytest.fixture
def room(tmp_path):
    """audio.mjr of alice, video.mjr of bob, call.pcap of both, keys.json."""
    rows = {}
    for name, who, codec in (("audio", "alice", "OPUS"), ("video", "bob", "VP8")):
        rows[name] = packetized(codec, sealed(codec, Sealer(who)), ssrc=len(name) + len(rows))
        (tmp_path / f"{name}.mjr").write_bytes(recorded.mjr(rows[name], codec=codec.lower()))
    both = sorted(rows["audio"] + rows["video"], key=lambda row: row[0])
    (tmp_path / "call.pcap").write_bytes(recorded.pcap(both))
    keys(tmp_path)
    (tmp_path / "out").mkdir()
    return tmp_path


def keys(room, *names, wrong=()):
    rows = [(n, KEYS[n][0], bytes(16) if n in wrong else KEYS[n][1]) for n in names or KEYS]
    return recorded.keys_file(room / "keys.json", *rows)


def run(room, *recordings, out="out/x.mka", options=()):
    files = [str(room / name) for name in recordings]
    return main(
        ["decrypt", *files, "--keys", str(room / "keys.json"), "-o", str(room / out), *options]
    )


def decrypted(path):
    """[(title, codec, [frame])] of a Matroska file, in the order of its tracks."""
    with av.open(str(path)) as container:
        found = [(s.metadata.get("title"), s.codec_context.name, []) for s in container.streams]
        for packet in container.demux():
            if packet.size:
                found[packet.stream.index][2].append(bytes(packet))
    return found


def left(room):
    return sorted(path.name for path in (room / "out").iterdir())


# ---- what is written ----


def test_audio(room, capsys):
    assert run(room, "audio.mjr") == 0
    frames = [frame for _, frame in media("OPUS")]
    assert decrypted(room / "out/x.mka") == [("alice", "opus", frames)]
    out = capsys.readouterr().out
    assert f"All {len(frames)} frames of 1 KID restored: {room}/out/x.mka" in out
    assert "KID 300    alice" in out and "bob" not in out
    assert stat.S_IMODE((room / "out/x.mka").stat().st_mode) == 0o600


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "H265", "AV1", "PCMU"])
def test_each_codec_is_there_frame_by_frame_and_plays(room, codec):
    file = recorded.mjr(packetized(codec, sealed(codec, Sealer("bob"))), codec=codec.lower())
    (room / "one.mjr").write_bytes(file)
    assert run(room, "one.mjr") == 0
    ((title, _, found),) = decrypted(room / "out/x.mka")
    frames = [frame for _, frame in media(codec)]
    assert title == "bob" and len(found) == len(frames)
    assert [_as_stored(codec, frame) for frame in frames] == [
        _nal_units(frame) if codec in ("H264", "H265") else frame for frame in found
    ]
    with av.open(str(room / "out/x.mka")) as container:
        pictures = [frame for frame in container.decode(container.streams[0])]
    assert len(pictures) == len(frames)


def _as_stored(codec, frame):
    if codec in ("H264", "H265"):
        return units(frame)
    if codec == "AV1":
        return frame.removeprefix(b"\x12\0")  # the temporal delimiter
    if codec == "PCMU":
        decoder = av.CodecContext.create("pcm_mulaw", "r")
        decoder.sample_rate, decoder.layout = 8000, "mono"
        return b"".join(bytes(part.planes[0])[:320] for part in decoder.decode(av.Packet(frame)))
    return frame


def _nal_units(stored):
    found = []
    while stored:
        size = int.from_bytes(stored[:4], "big")
        found.append(stored[4 : 4 + size].rstrip(b"\0"))
        stored = stored[4 + size :]
    return found


@pytest.mark.parametrize("files", [("audio.mjr", "video.mjr"), ("call.pcap",)])
def test_several_streams_and_files_become_tracks(room, files, capsys):
    options = ["--codec", "111=opus", "--codec", "96=VP8"]
    assert run(room, *files, options=options) == 0
    assert decrypted(room / "out/x.mka") == [
        ("alice", "opus", [frame for _, frame in media("OPUS")]),
        ("bob", "vp8", [frame for _, frame in media("VP8")]),
    ]


def test_the_agents_own_voice_opens_with_the_key_it_sends_with(room):
    send = recorded.json_key("alice", *KEYS["alice"]) | {"counters": "agent.counters"}
    recorded.keys_file(room / "keys.json", send=send)
    assert run(room, "audio.mjr") == 0
    assert not (room / "agent.counters").exists()


def test_as_json(room, capsys):
    assert run(room, "audio.mjr", "video.mjr", options=["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] and found["problems"] == [] and found["notes"] == {}
    assert found["output"] == f"{room}/out/x.mka"
    assert [(k["kid"], k["sender"], k["opened"], k["verdict"]) for k in found["kids"]] == [
        (300, "alice", len(media("OPUS")), "restored"), (301, "bob", len(media("VP8")), "restored"),
    ]  # fmt: skip
    assert [(t["codec"], t["kids"], t["written"]) for t in found["tracks"]] == [
        ("OPUS", [300], True), ("VP8", [301], True),
    ]  # fmt: skip


# ---- keys that do not open everything ----


@pytest.mark.parametrize("recording", ["audio.mjr", "call.pcap"])
@pytest.mark.parametrize("held", ["wrong", "missing"])
def test_without_the_right_key_nothing_is_written(room, recording, held, capsys):
    keys(room, wrong=["alice"]) if held == "wrong" else keys(room, "bob")
    options = ["--codec", "111=opus", "--codec", "96=VP8"]
    assert run(room, recording, options=options) == 1
    assert left(room) == []
    out = capsys.readouterr().out
    count = len(media("OPUS"))
    words = {
        "wrong": f"KID 300 (alice): the key opens none of {count} frames",
        "missing": f"KID 300: {count} frames, and no key is here",
    }
    assert words[held] in " ".join(out.split()) and "Nothing was written" in out
    assert ("--partial" in out) is (recording == "call.pcap")


def test_partial_writes_what_there_is(room, capsys):
    keys(room, wrong=["alice"])
    options = ["--codec", "111=opus", "--codec", "96=VP8", "--partial"]
    assert run(room, "call.pcap", options=options) == 1
    assert decrypted(room / "out/x.mka") == [("bob", "vp8", [f for _, f in media("VP8")])]
    of = len(media("VP8")) + len(media("OPUS"))
    assert f"{len(media('VP8'))} of {of} frames restored" in capsys.readouterr().out
    assert run(room, "audio.mjr", out="out/y.mka", options=["--partial"]) == 1
    assert left(room) == ["x.mka"], "of nothing there is no part"


def test_frames_altered_on_the_way_are_told_and_the_rest_is_written(room, capsys):
    file = bytearray((room / "audio.mjr").read_bytes())
    file[-1] ^= 1
    (room / "audio.mjr").write_bytes(file)
    assert run(room, "audio.mjr") == 1
    assert len(decrypted(room / "out/x.mka")[0][2]) == len(media("OPUS")) - 1
    assert "KID 300 (alice): 1 frame failed authentication" in capsys.readouterr().out


def test_a_lost_packet_is_told_and_is_no_failure(room, capsys):
    packets = packetized("OPUS", sealed("OPUS", Sealer("alice")))
    del packets[5]
    (room / "audio.mjr").write_bytes(recorded.mjr(packets))
    assert run(room, "audio.mjr", options=["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tracks"][0]["lost_packets"] == 1


def test_video_without_a_key_frame_cannot_be_played(room, capsys):
    wires = sealed("VP8", Sealer("bob"))[1:]
    (room / "video.mjr").write_bytes(recorded.mjr(packetized("VP8", wires), codec="vp8"))
    assert run(room, "video.mjr") == 1
    assert left(room) == [] and "no key frame" in capsys.readouterr().out


def test_payload_types_must_be_named(room, capsys):
    assert run(room, "call.pcap") == 2
    err = capsys.readouterr().err
    assert f"call.pcap: {len(media('OPUS'))} packets of payload type 111, SSRC 0x00000005" in err
    assert "111=opus" in err and left(room) == []


# ---- where it is written ----


def test_what_is_there_is_not_replaced_unless_asked(room, capsys):
    (room / "out/x.mka").write_text("precious")
    assert run(room, "audio.mjr") == 2
    assert (room / "out/x.mka").read_text() == "precious"
    assert "is there already; --force replaces it" in capsys.readouterr().err
    keys(room, wrong=["alice"])
    assert run(room, "audio.mjr", options=["--force"]) == 1
    assert (room / "out/x.mka").read_text() == "precious", "a wrong key costs nothing"
    keys(room)
    assert run(room, "audio.mjr", options=["--force"]) == 0
    assert len(decrypted(room / "out/x.mka")) == 1 and left(room) == ["x.mka"]


@pytest.mark.parametrize("options", [[], ["--force"]])
@pytest.mark.parametrize("target", ["precious", "nothing"])
def test_a_link_is_not_followed_and_not_replaced(room, target, options, capsys):
    (room / "precious").write_text("precious")
    (room / "out/x.mka").symlink_to(room / target)
    assert run(room, "audio.mjr", options=options) == 2
    assert "is a link to" in capsys.readouterr().err
    assert (room / "precious").read_text() == "precious" and not (room / "nothing").exists()
    assert (room / "out/x.mka").is_symlink()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("nameless", [True, False])
def test_what_appears_meanwhile_wins(room, force, nameless, monkeypatch):
    """Between the first look and the end another puts a link, or a file, at the output's name."""
    if not nameless:
        monkeypatch.setattr(_new_file, "NAMELESS", None)
    (room / "precious").write_text("precious")
    for plant in (
        lambda path: path.symlink_to(room / "precious"),
        lambda path: path.write_text("x"),
    ):
        new = _new_file.NewFile(str(room / "out/x.mka"), replace=force)
        monkeypatch.setattr(_new_file.NewFile, "refuse", lambda self: None)
        with new as file:
            file.write(b"media")
            plant(room / "out/x.mka")
            if force:
                new.keep()
            else:
                with pytest.raises(decrypt.CommandError, match="just been made"):
                    new.keep()
        assert (room / "precious").read_text() == "precious"
        assert left(room) == ["x.mka"]
        assert not force or (room / "out/x.mka").read_bytes() == b"media"
        (room / "out/x.mka").unlink()
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("out", "no regular file"), ("none/x.mka", "no directory"), ("audio.mjr/x", "no directory"),
        ("pipe", "no regular file"), ("o" * 300, "cannot be written"),
    ],
)  # fmt: skip
def test_places_that_take_no_file(room, out, words, capsys):
    os.mkfifo(room / "pipe")
    assert run(room, "audio.mjr", out=out, options=["--force"]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["audio.mjr", "again"])
def test_the_recording_is_not_its_own_output(room, name, capsys):
    os.link(room / "audio.mjr", room / "again")
    before = (room / "audio.mjr").read_bytes()
    assert run(room, "audio.mjr", out=name, options=["--force"]) == 2
    assert "is the recording itself" in capsys.readouterr().err
    assert (room / "audio.mjr").read_bytes() == before


def test_the_keys_are_not_replaced(room, capsys):
    before = (room / "keys.json").read_bytes()
    assert run(room, "audio.mjr", out="keys.json", options=["--force"]) == 2
    assert "is the file of the keys" in capsys.readouterr().err
    assert (room / "keys.json").read_bytes() == before


@pytest.mark.parametrize("nameless", [True, False])
def test_ctrl_c_leaves_nothing(room, nameless, monkeypatch):
    if not nameless:
        monkeypatch.setattr(_new_file, "NAMELESS", None)
    seen = []

    def interrupted(file, *_):
        file.write(b"media")
        file.flush()
        seen.extend(left(room))
        raise KeyboardInterrupt

    monkeypatch.setattr("pysframe.media.recordings.matroska.write", interrupted)
    assert run(room, "audio.mjr") == 130
    assert left(room) == [] and len(seen) == (not nameless)


KILLED = """
import os, signal, sys
from pysframe.cli._new_file import NewFile
with NewFile(sys.argv[1]) as file:
    file.write(b"media" * 100_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_so_does_being_killed(room):
    process = subprocess.run([sys.executable, "-c", KILLED, str(room / "out/x.mka")])
    assert process.returncode == -signal.SIGKILL
    assert left(room) == []


FULL = """
import resource, sys
from pysframe.cli import _new_file, main
if sys.argv[2] == "named":
    _new_file.NAMELESS = None
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize("kind", ["nameless", "named"])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.999])
def test_a_disk_that_is_full_leaves_nothing(room, share, kind):
    """A limit on the size of files stands for it: the kernel refuses the same write."""
    assert run(room, "audio.mjr", out="whole.mka") == 0
    limit = int((room / "whole.mka").stat().st_size * share)
    words = [
        "decrypt",
        str(room / "audio.mjr"),
        "--keys",
        str(room / "keys.json"),
        "-o",
        str(room / "out/x.mka"),
    ]
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(limit), kind, *words], capture_output=True, text=True
    )
    assert ran.returncode == 2, ran.stderr
    assert f"x.mka cannot be written: {os.strerror(errno.EFBIG)}" in ran.stderr
    assert left(room) == [] and "Traceback" not in ran.stderr


def test_a_recording_that_changes_meanwhile_is_told(room, monkeypatch, capsys):
    packets = packetized("OPUS", sealed("OPUS", Sealer("alice")))
    (room / "audio.mjr").write_bytes(recorded.mjr(packets[:50]))
    write = decrypt._write

    def grown(*args):
        (room / "audio.mjr").write_bytes(recorded.mjr(packets))
        write(*args)

    monkeypatch.setattr(decrypt, "_write", grown)
    assert run(room, "audio.mjr") == 2
    assert "changed while it was read" in capsys.readouterr().err and left(room) == []


# ---- what is given ----


def test_keys_that_others_can_read_are_refused(room, capsys):
    (room / "keys.json").chmod(0o644)
    assert run(room, "audio.mjr") == 2
    assert "mode 0644" in capsys.readouterr().err and left(room) == []


@pytest.mark.parametrize(
    ("recording", "options", "words"),
    [
        ("none", [], "cannot be read: No such file"), ("out", [], "cannot be read: Is a directory"),
        ("pipe", [], "no regular file"), ("keys.json", [], "neither an mjr"),
        ("empty", [], "neither an mjr"), ("audio.mjr", ["--codec", "x=opus"], "not of the form"),
        ("call.pcap", ["--codec", "111=mp3"], "no codec that can be restored"),
        ("call.pcap", ["--codec", "200=opus"], "payload type 200"),
        ("silent", [], "no frame in"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_in_words(room, recording, options, words, capsys):
    os.mkfifo(room / "pipe")
    (room / "empty").touch()
    (room / "silent").write_bytes(recorded.mjr([]))
    assert run(room, recording, options=options) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.startswith("pysframe decrypt: ")
    assert left(room) == [] and captured.out == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (599.98, "10:00.0"), (4503.4, "75:03.4")],
)
def test_lengths_are_told_in_minutes(seconds, shown):
    assert _restored._length(seconds) == shown


def test_progress_is_shown_in_lines(room, capsys, monkeypatch):
    monkeypatch.setattr("pysframe.cli._progress.QUIET", -1)
    assert run(room, "video.mjr") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("opening: ") and any(x.startswith("writing: ") for x in lines)


@pytest.mark.parametrize("columns", [20, 40, 80, 160])
def test_on_a_terminal(room, columns):
    words = ["decrypt", str(room / "call.pcap"), "--codec", "111=opus", "--codec", "96=VP8"]
    words += ["--keys", str(room / "keys.json"), "-o", str(room / "out/x.mka")]
    out, status = on_a_terminal.run(*words, columns=columns)
    assert status == 0 and b"opening" in out and b"writing" in out
    assert 0 <= out.rfind(on_a_terminal.HIDDEN) < out.rfind(on_a_terminal.SHOWN)
    lines = on_a_terminal.last_picture(out)
    assert max(map(len, lines)) <= columns
    text = "".join(" ".join(lines).split())
    assert f"All{len(media('OPUS')) + len(media('VP8'))}framesof2KIDsrestored" in text
    assert TYPES["OPUS"] == 111
