"""The crate `sframe` as a process: built by cargo from tests/interop/rust, driven over pipes.

Rules of this file:
  1. What is built is what Cargo.lock says (--locked); no cargo is a failure, not a skip.
  2. One process answers one batch of requests. It is given keys and bytes, nothing else of ours.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from interop.cases import Case

CRATE = Path(__file__).with_name("rust")
TARGET = Path(__file__).parents[2] / "build" / "interop"
NO_CARGO = (
    "cargo was not found. On Debian 12 (its plain `cargo` package is too old):\n"
    "    apt install rustc-web cargo-web ca-certificates"
)


@cache
def built() -> Path:
    """The program; cargo itself sees whether it is up to date."""
    assert shutil.which("cargo"), NO_CARGO
    command = ["cargo", "build", "--quiet", "--release", "--locked"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(TARGET)}
    done = subprocess.run(command, cwd=CRATE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return TARGET / "release" / "peer"


def seal(cases: list[Case]) -> list[bytes | None]:
    return ask(request(b"S", case, case.frame) for case in cases)


def open_(cases: list[Case], ciphertexts: list[bytes]) -> list[bytes | None]:
    """The frames; None where the crate refused."""
    pairs = zip(cases, ciphertexts, strict=True)
    return ask(request(b"O", case, ciphertext) for case, ciphertext in pairs)


def ratchet(suite: int, base_key: bytes) -> bytes | None:
    """The base_key that the crate makes of a base_key at its next step."""
    return ask([request(b"R", Case(suite, 0, 0, base_key, b"", b""), b"")])[0]


def request(op: bytes, case: Case, data: bytes) -> bytes:
    head = op + case.suite.to_bytes(1) + case.kid.to_bytes(8) + case.ctr.to_bytes(8)
    return head + b"".join(len(f).to_bytes(4) + f for f in (case.base_key, case.metadata, data))


def ask(requests: Iterable[bytes]) -> list[bytes | None]:
    asked = list(requests)
    done = subprocess.run([built()], input=b"".join(asked), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    answers = list(read(done.stdout))
    assert len(answers) == len(asked)
    return answers


def read(stream: bytes) -> Iterable[bytes | None]:
    at = 0
    while at < len(stream):
        accepted, size = stream[at], int.from_bytes(stream[at + 1 : at + 5])
        yield stream[at + 5 : at + 5 + size] if accepted else None
        at += 5 + size
