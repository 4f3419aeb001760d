"""The examples run: alice's tone goes to the agent sealed, and comes back sealed with its key."""

import asyncio
import base64
import json
import re
import runpy
import socket
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from adapters.peers import RATE
from test_readme import code_blocks

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


def test_the_how_to_runs():
    """Its code blocks are defined and can be called."""
    scope = {}
    for block in code_blocks("docs/agent.md"):
        exec(compile(block, "docs/agent.md", "exec"), scope)
    seen = []
    scope["watch"](SimpleNamespace(on=lambda name, call: seen.append(name)))
    assert seen == ["trouble", "recovered"] and asyncio.iscoroutinefunction(scope["join"])


def test_the_how_to_names_every_trouble():
    page = (EXAMPLES.parent / "docs/agent.md").read_text()
    assert re.findall(r"^\| ([a-zA-Z ]+) \|", page, re.M)[1:] == [
        kind.value for kind in TroubleKind
    ]
