"""The examples run: alice's tone goes to the agent sealed, and comes back sealed with its key."""

import asyncio
import base64
import json
import re
import runpy
import socket
import wave
from pathlib import Path

import numpy as np
import pytest
from adapters.peers import RATE, Heard, Keys, Tone, to_open, to_seal, until
from test_readme import code_blocks

from pysframe.adapters.aiortc import Session
from pysframe.source import TroubleKind

EXAMPLES = Path(__file__).parents[2] / "examples"


def keys_file(path, me, kid, mine, them, other, theirs):
    """keys.json of one who seals with `mine` and opens with `theirs`."""

    def key(sender, kid, secret):
        said = base64.urlsafe_b64encode(secret).decode().rstrip("=")
        return {"sender": sender, "kid": kid, "base_key": said}

    send = key(me, kid, mine) | {"counters": f"{me}.counters"}
    content = {"version": 1, "suite": 4, "envelope": 1, "send": send,
               "receive": [key(them, other, theirs)]}  # fmt: skip
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return str(path)


def tone(path, hertz, seconds):
    at = np.arange(int(RATE * seconds)) / RATE
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(at), "NONE", ""))
        file.writeframes((8000 * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes())
    return str(path)


def heard(path):
    """(Hz, seconds) of a recording."""
    with wave.open(str(path)) as file:
        frames, channels, rate = file.getnframes(), file.getnchannels(), file.getframerate()
        sound = np.frombuffer(file.readframes(frames), "<i2").reshape(-1, channels)[:, 0]
    middle = sound[len(sound) // 4 : -len(sound) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(spectrum.argmax() * rate / len(middle)), len(sound) / rate


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main_of(name):
    return runpy.run_path(str(EXAMPLES / name))["main"]


async def agent(keys, port):
    """The agent, as soon as the publisher listens."""
    for _ in range(3000):
        try:
            return await main_of("agent.py")(keys, port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
    raise AssertionError("nobody listens")


@pytest.mark.parametrize("shared", [True, False])
def test_the_agent_answers_what_it_hears(tmp_path, rng, capsys, shared):
    hers, its = rng.randbytes(16), rng.randbytes(16)
    alice = keys_file(tmp_path / "alice.json", "alice", 300, hers, "agent", 7, its)
    theirs = hers if shared else rng.randbytes(16)
    room = keys_file(tmp_path / "agent.json", "agent", 7, its, "alice", 300, theirs)
    speech, answer, port = (
        tone(tmp_path / "speech.wav", 440, 4),
        tmp_path / "heard.wav",
        free_port(),
    )

    async def talk():
        publisher = main_of("publisher.py")(alice, port, speech, str(answer))
        await asyncio.gather(publisher, agent(room, port))

    asyncio.run(talk())
    said = capsys.readouterr().out
    if shared:
        hertz, seconds = heard(answer)
        assert abs(hertz - 440) < 5 and seconds > 1 and "trouble" not in said
    else:  # the wrong key is named, and nothing is answered
        assert "its key does not open them" in said
        assert not answer.exists() or heard_nothing(answer)


def heard_nothing(path):
    with wave.open(str(path)) as file:
        return file.getnframes() == 0


def test_they_are_short():
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 40, path


@pytest.mark.parametrize("shared", [True, False])
def test_the_how_to_runs(tmp_path, rng, capsys, monkeypatch, shared):
    """Its code joins a call as the page says, hears, is heard, and says why it hears nothing."""
    how_to = {}
    for block in code_blocks("docs/agent.md"):
        exec(compile(block, "docs/agent.md", "exec"), how_to)
    hers, its = rng.randbytes(16), rng.randbytes(16)
    theirs = hers if shared else rng.randbytes(16)
    keys_file(tmp_path / "keys.json", "agent", 7, its, "alice", 300, theirs)
    monkeypatch.chdir(tmp_path)  # the page names keys.json alone
    heard, answered = [], []

    async def talk():
        async with Session(Keys(*to_seal(hers), to_open(its, 7, "agent"))) as alice:
            pc = alice.connection(sender="agent")
            pc.on("track", lambda track: answered.append(Heard(track)))
            alice.send(pc, Tone(440))
            await pc.setLocalDescription(await pc.createOffer())
            session, _, answer = await how_to["join"](
                pc.localDescription, Tone(1000), lambda track: heard.append(Heard(track))
            )
            how_to["watch"](session)
            async with session:
                await pc.setRemoteDescription(answer)
                await until(lambda: answered and len(answered[0]) > 50, "the agent's voice")
                enough = (lambda: len(heard[0]) > 50) if shared else (lambda: "open them" in said())
                await until(enough, "alice's voice, or why it is not heard")

    printed = []

    def said():
        printed.append(capsys.readouterr().out)
        return "".join(printed)

    asyncio.run(talk())
    hertz, share = answered[0].pitch()
    assert abs(hertz - 1000) < 5 and share > 0.8
    if shared:
        hertz, share = heard[0].pitch()
        assert abs(hertz - 440) < 5 and share > 0.8 and not said()
    else:
        assert len(heard[0]) == 0 and "wrong key" in said().replace("_", " ").lower()


def test_the_how_to_names_every_trouble():
    page = (EXAMPLES.parent / "docs/agent.md").read_text()
    assert re.findall(r"^\| ([a-zA-Z ]+) \|", page, re.M)[1:] == [
        kind.value for kind in TroubleKind
    ]
