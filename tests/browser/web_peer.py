"""The TypeScript of web/ as a process: node with web/build/test/peer.js, a line for each frame.

Rules of this file:
  1. What is run is what `make web` built. No node, or nothing built, is a failure, not a skip.
  2. One process answers one batch of requests. It is given keys and bytes, nothing else of ours.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from interop.cases import Case

PEER = Path(__file__).parents[2] / "web" / "build" / "test" / "peer.js"
NO_NODE = (
    "node was not found. web/ needs Node 20.9 or later, with npm; Debian 12's is too old:\n"
    "    see https://nodejs.org, or your container's setup"
)
NOT_BUILT = "web/build is not there: run `make web`, which builds it and then runs these tests"


def seal(cases: list[Case]) -> list[bytes | str]:
    return ask([request("seal", case, case.frame) for case in cases])


def open_(cases: list[Case], ciphertexts: list[bytes]) -> list[bytes | str]:
    """The frames; where one was refused, W3C's name of the reason."""
    pairs = zip(cases, ciphertexts, strict=True)
    return ask([request("open", case, ciphertext) for case, ciphertext in pairs])


def request(op: str, case: Case, data: bytes) -> dict[str, object]:
    return {
        "op": op,
        "suite": int(case.suite),
        "kid": str(case.kid),
        "ctr": str(case.ctr),
        "base_key": case.base_key.hex(),
        "metadata": case.metadata.hex(),
        "clear": case.clear,
        "steps": case.steps,
        "ssrc": case.ssrc,
        "codec": case.codec,
        "data": data.hex(),
    }


def ask(requests: list[dict[str, object]]) -> list[bytes | str]:
    answers = said(requests)
    return [a["rejected"] if "rejected" in a else bytes.fromhex(a["data"]) for a in answers]


def said(requests: list[dict[str, object]]) -> list[Any]:
    """The answers as they are."""
    node = shutil.which("node")
    assert node, NO_NODE
    assert PEER.exists(), NOT_BUILT
    lines = "".join(json.dumps(asked) + "\n" for asked in requests)
    done = subprocess.run([node, PEER], input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers
