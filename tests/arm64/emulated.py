"""csrc/ for ARM: compiled by Debian's cross compiler, run by qemu, on a machine that is no ARM.

answers(*patches)  the program of security/deep/answers.c
on(cpu, program)   what it says on a CPU as qemu makes it
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from c_core.core import kernels
from security.deep.builds import RELEASE, Patch, objects
from security.deep.linking import linked

CC = "aarch64-linux-gnu-gcc"
QEMU = "qemu-aarch64-static"
DEEP = Path(__file__).parents[1] / "security" / "deep"
SECURITY = DEEP.parent
HERE = Path(__file__).parent
FLAGS = f"{RELEASE.replace('c11', 'gnu11')} -I{SECURITY} -I{DEEP}"
# CPU -> the widest kernel that must run on it. Of qemu's CPUs each has the AES instructions.
BEST = {"cortex-a57": "armv8", "neoverse-n1": "armv8", "max": "armv8_sha3"}


KERNELS = kernels("aarch64")


def program(name: str, own: Sequence[Path], patches: Sequence[Patch] = (), flags: str = FLAGS):
    """A static executable of files of our own and csrc/, as it is released."""
    return linked(name, own, CC, flags, objects(CC, RELEASE, patches), "-static -pthread")


def answers(*patches: Patch) -> Path:
    return program("arm64-answers", [DEEP / "answers.c"], patches)


def on(cpu: str, program: Path, *arguments: object, **environment: str) -> list[str]:
    """The lines that a program prints on a CPU."""
    given = [item for pair in environment.items() for item in ("-E", "=".join(pair))]
    command = [QEMU, "-cpu", cpu, *given, program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
