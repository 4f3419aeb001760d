"""pysframe call: it passes when all is well, and each thing that can go wrong makes it fail.

A saboteur is a class in a party's place. Every expectation is seen to fail under one of them.
"""

import json
import os
import re
import signal
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from isolated import PATIENCE

from pysframe.cli import call, main, parser
from pysframe.demo.expectations import ALWAYS, DIGITS
from pysframe.demo.network import Forwarder
from pysframe.demo.opus import load
from pysframe.demo.parties import Agent, Publisher
from pysframe.demo.stage import PUBLISHER_KID, Cast, KeyChannel


def run(capsys, *words, cast=None):
    """The exit status and the JSON object of a fast call."""
    words = ("--budget-us", "20000", *words)  # this is no measurement
    args = parser().parse_args(["call", "--fast", "--json", *words])
    return call.run(args, cast), json.loads(capsys.readouterr().out)


def failures(result):
    return {e["says"]: e["instead"] for e in result["expectations"] if not e["holds"]}


# ---- when all is well ----


def test_a_call_with_random_digits(capsys):
    status, result = run(capsys, "--digits", "6")
    assert failures(result) == {} and status == 0 and result["ok"]
    parties, spoken = result["parties"], result["spoken"]
    assert re.fullmatch(r"\d{6}", spoken) and result["answered"] == spoken[::-1]
    heard = {name: [h["digits"] for h in p["heard"].values()] for name, p in parties.items()}
    assert heard == {
        "publisher": [spoken[::-1]],
        "agent": [spoken],
        "subscriber": [spoken, spoken[::-1]],
        "no key": ["", ""],
        "wrong key": ["", ""],
    }
    assert parties["subscriber"]["key_flow"]["301"][-1] == "FLOWING"
    assert parties["subscriber"]["rejected"].keys() <= {"REPLAYED"}
    assert result["overheard"]["forwarder"]["played"] > 100  # the control: there was sound


def test_another_run_speaks_other_digits_and_a_seed_repeats_one(capsys):
    one, other = (run(capsys, "--digits", "5")[1] for _ in range(2))
    assert (one["seed"], one["spoken"]) != (other["seed"], other["spoken"])
    again = run(capsys, "--digits", "5", "--seed", str(one["seed"]))[1]
    assert again["spoken"] == one["spoken"] and again["forwarder"] == one["forwarder"]


def test_a_call_with_a_file(capsys, speech):
    status, result = run(capsys, str(speech), "--seconds", "2")
    assert failures(result) == {} and status == 0
    assert result["spoken"] is None and result["answered"].isdigit()
    publisher = next(iter(result["parties"]["agent"]["heard"].values()))
    assert publisher["likeness"] > 0.9
    assert all(tap["likeness"] < 0.3 for tap in result["overheard"].values())


def test_plain_lines_say_who_heard_what(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["call", "--fast", "--digits", "3", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "seed 1" in out
    assert re.search(r"^agent +heard (\d{3}) from the publisher; answered \d{3}", out, re.M)
    for party in ("forwarder", "no key", "wrong key"):
        assert re.search(rf"^{party} .* and heard noise", out, re.M)
    assert re.search(r"^All 11 expectations hold", out, re.M)


# ---- when something is wrong ----


class CorruptedTag(Forwarder):
    """Flips the last bit of one packet on its way."""

    def push(self, leg, packet):
        if leg == "publisher" and self._seen[leg] == 20:
            packet = packet[:-1] + bytes((packet[-1] ^ 1,))
        super().push(leg, packet)

    def _draw(self):
        return {10: "lost", 11: "twice", 30: "late"}  # not the packet that is changed


class PerfectNetwork(Forwarder):
    def _draw(self):
        return {}


class WithheldKey(KeyChannel):
    """The subscriber gets no key."""

    WITH_KEY = ("publisher", "agent")


class WithheldRotation(KeyChannel):
    """The agent gets no key after the first."""

    def hand(self, message, name):
        kid = int.from_bytes(message[:8])
        return None if (name, kid) == ("agent", PUBLISHER_KID + 1) else super().hand(message, name)


class LeakedKey(KeyChannel):
    WITH_KEY = (*KeyChannel.WITH_KEY, "no key")


class ClearMedia(Publisher):
    """Passes its frames on unencrypted."""

    def seal(self, frame):
        return frame


class OtherMedia(Publisher):
    """Encrypts something else than it says."""

    def seal(self, frame):
        return super().seal(frame[:-20] + bytes(20) if frame else frame)


class NoRotation(Publisher):
    def start(self, pcm, *, rotate=False):
        super().start(pcm)


class MuteAgent(Agent):
    def tick(self):
        return []


SABOTEURS = {
    CorruptedTag: (Cast(forwarder=CorruptedTag), ["every forwarded frame opens once"]),
    PerfectNetwork: (Cast(forwarder=PerfectNetwork), ["the network lost, repeated"]),
    WithheldKey: (
        Cast(keys=WithheldKey),
        ["agent and subscriber read every digit", "every key is FLOWING", "hears each stream bit"],
    ),
    WithheldRotation: (
        Cast(keys=WithheldRotation),
        ["every forwarded frame opens once", "old and new key interleave", "every key is FLOWING"],
    ),
    LeakedKey: (Cast(keys=LeakedKey), ["without the right key no frame opens"]),
    ClearMedia: (
        Cast(publisher=ClearMedia),
        ["reads no digit in ciphertext", "unlike what was said", "read every digit"],
    ),
    OtherMedia: (Cast(publisher=OtherMedia), ["hears each stream bit for bit"]),
    NoRotation: (Cast(publisher=NoRotation), ["old and new key interleave"]),
    MuteAgent: (Cast(agent=MuteAgent), ["publisher and subscriber read the agent's answer"]),
}


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda saboteur: saboteur.__name__)
def test_sabotage_makes_the_command_fail(capsys, saboteur):
    cast, expected = SABOTEURS[saboteur]
    status, result = run(capsys, "--digits", "4", cast=cast)
    assert status == 1 and not result["ok"]
    failed = failures(result)
    for words in expected:
        assert any(words in says for says in failed), failed
    assert all(failed.values())


def test_the_forwarder_hears_clear_media(capsys):
    result = run(capsys, "--digits", "4", cast=Cast(publisher=ClearMedia))[1]
    assert result["overheard"]["forwarder"]["digits"] == result["spoken"]
    assert result["overheard"]["forwarder"]["likeness"] > 0.9
    assert "NOT_SFRAME" in str(result["parties"]["subscriber"]["key_flow"])


def test_a_budget_that_nobody_can_keep_fails(capsys):
    status, result = run(capsys, "--digits", "2", "--budget-us", "0.001")
    assert status == 1
    assert [says for says in failures(result) if not says.startswith("p99 of")] == []


def test_every_expectation_is_seen_to_fail():
    seen = [words for _, expected in SABOTEURS.values() for words in expected] + ["p99 of"]
    says = [expectation.says for expectation in (*DIGITS, *ALWAYS)]
    assert [one for one in says if not any(words in one for words in seen)] == []


def test_failures_are_listed_in_words(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    args = parser().parse_args(["call", "--fast", "--digits", "3", "--seed", "1"])
    assert call.run(args, Cast(keys=WithheldKey)) == 1
    out = capsys.readouterr().out
    assert re.search(r"^FAILED +agent and subscriber read every digit", out, re.M)
    assert re.search(r"^ +subscriber read nothing, not \d{3}$", out, re.M)
    assert re.search(r"^\d of 11 expectations failed\.$", out, re.M)


# ---- how it ends, what it refuses ----


def test_ctrl_c_leaves_a_summary(tmp_path):
    # A shell starts background jobs, such as a CI run, with the signal ignored; it is inherited.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    call = "import sys; from pysframe import cli; sys.exit(cli.main(['call']))"
    command = [sys.executable, "-c", f"{heard}; {call}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for line in process.stdout:
            if b"FLOWING" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = (text.decode() for text in process.communicate(timeout=PATIENCE))
    assert process.returncode == 130 and "Traceback" not in err
    assert re.search(r"^publisher +\d+ +\d+", out, re.M)  # the table
    assert re.search(r"^Stopped after \d\.\d s of the call; nothing was judged\.$", out, re.M)


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere.wav"],
        [__file__],
        ["--digits", "3", "--seconds", "3"],
        ["--digits", "0"],
        ["--seconds", "0"],
        ["--seconds", "many"],
        ["--budget-us", "nan"],
        ["--fast", "--realtime"],
        [__file__, "--digits", "3"],
    ],
)
def test_wrong_usage_is_said_and_exits_2(capsys, words):
    try:
        status = main(["call", *words])
    except SystemExit as stop:  # argparse
        status = stop.code
    out, err = capsys.readouterr()
    assert status == 2 and out == "" and "call: " in err and "Traceback" not in err


def test_a_silent_file_is_refused(capsys, tmp_path):
    path = write_wav(tmp_path / "silence.wav", np.zeros(48_000))
    assert main(["call", str(path)]) == 2
    assert "is silent" in capsys.readouterr().err


@pytest.mark.parametrize("codec", ["adts", "mp3", "wav"])
def test_audio_that_changes_on_the_way_is_played_whole(codec, tmp_path):
    """Joined recordings and radio captures change rate and channels between two frames."""
    path = tmp_path / f"joined.{codec}"
    parts = [
        encoded(tmp_path / "one", codec, rate=44_100, layout="mono", hertz=440),
        encoded(tmp_path / "two", codec, rate=22_050, layout="stereo", hertz=880),
    ]
    path.write_bytes(b"".join(parts))
    pcm = load(path, 10.0)
    if codec == "wav":  # its header says where it ends
        assert len(pcm) == 48_000
        return
    assert 1.9 < len(pcm) / 48_000 < 2.3
    assert [round(pitch(part)) for part in (pcm[9600:38_400], pcm[-38_400:-9600])] == [440, 880]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda sound: b"", "cannot be read as audio"),
        (lambda sound: bytes(10_000), "cannot be read as audio"),
        (lambda sound: sound[:20], "cannot be read as audio"),
        (lambda sound: sound[: sound.index(b"data") + 8], "holds no audio that can be decoded"),
    ],
    ids=["empty", "zeros", "half a header", "no sample"],
)
def test_a_file_without_sound_is_refused(content, why, capsys, tmp_path):
    sound = encoded(tmp_path / "whole", "wav", rate=48_000, layout="mono", hertz=440)
    path = tmp_path / "cut.wav"
    path.write_bytes(content(sound))
    assert main(["call", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"pysframe call: {path} ") and why in err
    assert err.count("\n") == 1


def test_what_is_whole_of_a_cut_file_is_played(tmp_path):
    sound = encoded(tmp_path / "whole", "adts", rate=48_000, layout="mono", hertz=440)
    (tmp_path / "cut.aac").write_bytes(sound[: len(sound) * 3 // 5])
    assert 0.5 < len(load(tmp_path / "cut.aac", 10.0)) / 48_000 < 0.7


def test_a_file_without_an_audio_stream_is_refused(capsys, tmp_path):
    path = tmp_path / "picture.nut"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25, width=16, height=16, pix_fmt="gray")
        container.mux(stream.encode(av.VideoFrame(16, 16, "gray")))
    assert main(["call", str(path)]) == 2
    assert f"{path} cannot be read as audio: it has no audio stream\n" in capsys.readouterr().err


@pytest.mark.parametrize("name", [".", "/proc/self/mem", "http://127.0.0.1:9/a.wav", "x:y.wav"])
def test_what_is_no_readable_file_is_refused(name, capsys):
    assert main(["call", name]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "cannot be read as audio: " in err and err.count("\n") == 1


def test_a_name_is_no_address_and_tags_need_no_utf8(tmp_path, monkeypatch):
    """FFmpeg would take what stands before a colon for a protocol."""
    monkeypatch.chdir(tmp_path)
    sound = encoded(tmp_path / "whole", "wav", rate=48_000, layout="mono", hertz=440)
    tags = b"LIST\x12\0\0\0INFOINAM\6\0\0\0M\xfcller"
    assert sound[12:16] == b"fmt "
    for name in ("file:a.wav", "http:b.wav", "pipe:", os.fsdecode(b"fr\xffame.wav")):
        Path(name).write_bytes(sound[:12] + tags + sound[12:])
        assert len(load(Path(name), 10.0)) == 48_000


@pytest.mark.parametrize("broken", ["av", "numpy"])
def test_a_broken_extra_says_so(broken, tmp_path):
    """An extension may raise what is no Exception: a panic of Rust code, say."""
    (tmp_path / f"{broken}.py").write_text("raise type('Panic', (BaseException,), {})('no libc')")
    code = "import sys; from pysframe.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "call", "--fast"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and "is broken: Panic('no libc')" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


@pytest.mark.parametrize("absent", ["av", "numpy"])
def test_a_missing_extra_says_what_to_install(absent, tmp_path):
    code = "import sys; sys.modules[%r] = None; from pysframe.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code % absent, "call", "--fast"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2 and "pip install 'pysframe[call]'" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


# ---- material ----


@pytest.fixture
def speech(tmp_path, rng):
    """Three seconds of something like a voice: harmonics of a gliding tone, in syllables."""
    t = np.arange(3 * 44_100) / 44_100
    glide = 2 * np.pi * np.cumsum(rng.uniform(100, 200) + 40 * np.sin(3 * t)) / 44_100
    voice = sum(np.sin(k * glide) / k for k in range(1, 15)) * np.abs(np.sin(7 * t))
    return write_wav(tmp_path / "speech.wav", voice * 5000, rate=44_100, channels=2)


def write_wav(path, samples, *, rate=48_000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples.astype("<i2"), channels).tobytes())
    return path


def encoded(path, codec, *, rate, layout, hertz):
    """One second of a tone, as the bytes of a file of this format."""
    name = {"adts": "aac", "mp3": "libmp3lame", "wav": "pcm_s16le"}[codec]
    with av.open(str(path), "w", format=codec) as container:
        stream = container.add_stream(name, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format, stream.layout, rate, stream.frame_size or 1024)
        tone = np.sin(2 * np.pi * hertz * np.arange(rate) / rate) * 20_000
        frame = av.AudioFrame.from_ndarray(tone.astype("<i2").reshape(1, -1), "s16", "mono")
        frame.sample_rate = rate
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(part))
    return path.read_bytes()


def pitch(pcm):
    """Hertz of the strongest tone."""
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return np.argmax(spectrum) * 48_000 / len(pcm)
