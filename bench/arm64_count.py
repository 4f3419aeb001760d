"""Instructions per frame on an emulated ARM CPU: our kernels beside a libcrypto for ARM.

    python bench/arm64_count.py PEER...

A peer is a kernel as gcc makes it; `zig:` and a kernel, as zig does, which compiles the wheels; or
the path of a libcrypto: `pip download --platform manylinux_2_28_aarch64` has OpenSSL's in
psycopg-binary, which bench/c loads on x86, and bench/c/aws_lc_arm64 builds AWS-LC's.

An emulator has no cycles, caches or ports: a count says how much work a program does, not how long
it takes on a chip. It is exact, and the same on every machine. Run after `make arm64`, which
installs the cross compiler and the emulator.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from arm64.emulated import CC, KERNELS, QEMU  # noqa: E402
from arm64.test_traces import NO_SELF_TEST  # noqa: E402
from security.deep.builds import RELEASE, objects  # noqa: E402
from security.deep.linking import linked  # noqa: E402

SIZES = (40, 160, 1200)
FRAMES = 64  # of a batch of count_arm64.c
SYSTEM = ROOT / "build" / "arm64" / "root"  # ARM's C library and zlib (tests/arm64/interpreter)


ZIG = Path(__file__).parent / "c" / "zig_arm64"


def program(cc: str) -> Path:
    own = [Path(__file__).parent / "c" / "count_arm64.c"]
    flags = RELEASE.replace("c11", "gnu11")
    return linked(
        "count_arm64", own, cc, flags, objects(cc, RELEASE, (NO_SELF_TEST,)), "-pthread -ldl"
    )


def instructions(program: Path, *arguments: object) -> int:
    """All that a run takes, its start included: qemu writes a line for each, and wc counts them."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = f"{folder}/lines"
        os.mkfifo(pipe)
        log = ["-singlestep", "-d", "exec,nochain", "-D", pipe]
        command = [QEMU, "-L", SYSTEM, "-cpu", "max", *log, program, *map(str, arguments)]
        with subprocess.Popen(["wc", "-l", pipe], stdout=subprocess.PIPE) as counter:
            subprocess.run(command, check=True)
            return int(counter.communicate()[0].split()[0])


def per_frame(program: Path, peer: str, operation: str, size: int) -> int:
    few, more = (instructions(program, peer, operation, size, n) for n in (1, 2))
    return round((more - few) / FRAMES)


def counted(peer: str) -> list[int]:
    compiler, _, kernel = peer.rpartition(":")
    name = kernel if kernel in KERNELS else str(Path(peer).resolve())
    counter = program(str(ZIG) if compiler == "zig" else CC)
    return [per_frame(counter, name, op, n) for op in ("seal", "open") for n in SIZES]


def main() -> None:
    print("| | " + " | ".join(f"{op} {n}" for op in ("seal", "open") for n in SIZES) + " |")
    for peer in sys.argv[1:]:
        cells = " | ".join(f"{n:,}" for n in counted(peer))
        print(f"| {Path(peer).name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
