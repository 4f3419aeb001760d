"""Promise 4 on other CPUs than ours, as qemu makes them: the right kernel, and right answers.

qemu 7.2 is a CPU that lies: with -cpu max it says it has VAES, and computes the upper half of a
256-bit register wrongly. Where a build believes it, the self-test must not.
"""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from isolated import SRC
from security.deep import known_answers
from security.deep.builds import RELEASE, ROOT, Patch, objects, version
from security.deep.linking import linked

HERE = Path(__file__).parent
SECURITY = HERE.parent
QEMU = "qemu-x86_64-static"
BEST = {"Nehalem": "none", "Westmere": "aesni", "Haswell": "aesni", "max": "aesni"}
CPUS = pytest.mark.parametrize("cpu", BEST)
FLAGS = f"{RELEASE.replace('c11', 'gnu11')} -I{SECURITY}"

# For qemu there is vaes256, though it neither has VPCLMULQDQ nor says so. Its AES-GCM keeps aesni's
# operations, which do without; its AES-CTR is the wide one.
BELIEVES_QEMU = (
    Patch("platform/cpu.c", '"avx", "avx2", "bmi2", NULL', '"vaes", NULL'),
    Patch("platform/cpu.c", '"vaes", "vpclmul", NULL', '"vaes", NULL'),
    Patch(
        "aead/dispatch.c",
        "&sfr_gcm128_vaes256, &sfr_gcm256_vaes256,",
        "&sfr_gcm128_aesni, &sfr_gcm256_aesni,",
    ),
)


def answers(*patches: Patch) -> Path:
    return linked("answers", [HERE / "answers.c"], "gcc", FLAGS, objects("gcc", RELEASE, patches))


@pytest.fixture(scope="module")
def frames(tmp_path_factory, request):
    """(file, number of records)"""
    path = tmp_path_factory.mktemp("answers") / "frames"
    most = {"nightly": 1100}.get(request.config.option.tier, 330)
    return path, known_answers.write(path, random.Random(request.config.option.seed), most)


def on(cpu: str, program: Path, *arguments: Path) -> list[str]:
    command = [QEMU, "-cpu", cpu, program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def all_right(kernel: str, count: int) -> str:
    """In place and not, in batches of 1, 7 and 64."""
    return f"{kernel}: {6 * count} sealed, {6 * count} opened, {6 * count} refused"


@CPUS
def test_known_answers(cpu, frames):
    path, count = frames
    said = on(cpu, answers(), path)
    print(f"{version(QEMU)}, {cpu}: {count} frames\n" + "\n".join(said))
    assert said[0] == f"best: {BEST[cpu]}"
    if BEST[cpu] == "none":
        assert all("lacks what" in line for line in said[1:]) and len(said) == 4
    else:
        assert said[-2:] == [f"{BEST[cpu]}: ready", all_right(BEST[cpu], count)]


def test_a_cpu_that_lies_is_found_out(frames):
    path, count = frames
    said = on("max", answers(*BELIEVES_QEMU), path)
    print("\n".join(said))
    assert said[0] == "best: aesni"
    assert "vaes256: the self-test of suite 1 gave a wrong answer" in said
    assert said[-1] == all_right("aesni", count)


IN_PYTHON = """
import warnings
warnings.simplefilter("ignore", RuntimeWarning)
import pysframe
from pysframe import CipherSuite, engine
backend = pysframe.backend_info()
assert backend.self_test == "ok", backend
for suite in CipherSuite:
    options = {"allow_short_tags": True} if suite.has_short_tag else {}
    sender = pysframe.Sender(suite, kid=9, base_key=bytes(range(32)), next_ctr=7, **options)
    receiver = pysframe.Receiver(suite, **options)
    receiver.add_key(9, bytes(range(32)))
    frames = [bytes(n) for n in (0, 1, 40, 160, 500, 1700)]
    sealed = pysframe.protect_many(sender, frames)
    assert pysframe.unprotect_many(receiver, sealed).to_list() == frames
print(backend.engine, backend.kernel)
"""


@CPUS
def test_the_package(cpu):
    """One run of Python: import, self-test of all suites, and some frames."""
    command = [QEMU, "-E", f"PYTHONPATH={SRC}", "-cpu", cpu, sys.executable, "-c", IN_PYTHON]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    engine, kernel = done.stdout.split()
    print(f"{cpu}: {engine} {kernel}")
    assert engine == ("fallback" if BEST[cpu] == "none" else "native")
    assert BEST[cpu] in ("none", kernel)
