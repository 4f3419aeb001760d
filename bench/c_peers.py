"""The C programs of bench/c: our kernels beside intel-ipsec-mb and OpenSSL, without Python.

They need Debian's libipsec-mb-dev and libssl-dev (`make bench-peers`), and an OpenSSL of 3.5 or
later, which Debian 12 has not: the one inside the psycopg-binary wheel is loaded.
"""

import ctypes
import fcntl
import json
import os
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from verdicts import Measured

HERE = Path(__file__).parent / "c"
BUILD = Path(__file__).parent.parent / "build" / "bench"
OLDEST_OPENSSL = (3, 5)
REPS = 61  # of 30 us each
HMAC_SUITES = {1: "1", 6: "6"}
GCM_SUITES = {4: "128", 5: "256"}


class MissingPeer(RuntimeError):
    """What a figure is compared with is not on this machine."""


@cache
def openssl() -> Path:
    """A libcrypto of OpenSSL 3.5 or later: PYSFRAME_LIBCRYPTO, or the bench extra's."""
    named = os.environ.get("PYSFRAME_LIBCRYPTO")
    path = Path(named) if named else _from_wheel("psycopg-binary")
    if openssl_version(path) < OLDEST_OPENSSL:
        raise MissingPeer(f"{path} is OpenSSL {openssl_version(path)}; 3.5 or later is wanted")
    return path


def _from_wheel(package: str) -> Path:
    try:
        listed = files(package) or []
    except PackageNotFoundError as error:
        raise MissingPeer(f"{package}, which carries an OpenSSL, is not installed") from error
    found = [path.locate() for path in listed if path.name.startswith("libcrypto")]
    if not found:
        raise MissingPeer(f"{package} carries no libcrypto")
    return Path(str(found[0]))


def openssl_version(path: Path) -> tuple[int, int]:
    library = ctypes.CDLL(str(path))
    library.OPENSSL_version_major.restype = library.OPENSSL_version_minor.restype = ctypes.c_uint
    return library.OPENSSL_version_major(), library.OPENSSL_version_minor()


def openssl_name() -> str:
    library = ctypes.CDLL(str(openssl()))
    library.OpenSSL_version.restype = ctypes.c_char_p
    return " ".join(library.OpenSSL_version(0).decode().split()[:2])


@cache
def ipsec_version() -> str | None:
    """The version of libipsec-mb-dev, from its header; None where it is not installed."""
    program = "#include <intel-ipsec-mb.h>\nIMB_VERSION_STR\n"
    made = subprocess.run(
        ["cc", "-E", "-P", "-"], input=program, capture_output=True, text=True, check=False
    )
    return made.stdout.split()[-1].strip('"') if not made.returncode else None


@cache
def build() -> Path:
    """Where the programs lie; makes them first."""
    if ipsec_version() is None:
        raise MissingPeer("intel-ipsec-mb is not installed (make bench-peers)")
    make()
    return BUILD


def make(*words: str) -> None:
    """make in bench/c, one process at a time: others of a test run want the same files."""
    BUILD.mkdir(parents=True, exist_ok=True)
    command = ["make", "-s", "-j2", "-C", str(HERE), f"BUILD={BUILD}", *words]
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise MissingPeer(f"{' '.join(command)} failed:\n{made.stderr}")


def run(
    suite: int, opening: bool, sizes: list[int], engines: list[str], keys: int = 64, reps: int = 21
) -> list[dict[str, Any]]:
    """One entry for each engine and size, its min_ns and median_ns per frame; batches of 64."""
    gcm = suite in GCM_SUITES
    program = build() / ("bench_gcm" if gcm else "bench_ctr_hmac")
    number = GCM_SUITES[suite] if gcm else HMAC_SUITES[suite]
    command = [program, "--json", "--suite", number, "--keys", str(keys), "--reps", str(reps)]
    command += ["--sizes", ",".join(map(str, sizes)), "--openssl", str(openssl())]
    command += ["--open"] if opening else ["--seal"] if gcm else []
    done = subprocess.run([*command, *engines], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program.name}: {done.stderr.strip()}")
    return list(json.loads(done.stdout))


class KernelContest:
    """How many times faster our kernel is than the peer."""

    def __init__(self, suite: int, opening: bool, size: int, kernel: str, peer: str) -> None:
        self.suite, self.opening, self.size = suite, opening, size
        self.kernel, self.peer = kernel, peer
        self.best: dict[str, float] = {}

    def go_on(self, longer: int) -> Measured:
        keys = 1 if self.suite in GCM_SUITES else 64
        engines = [self.peer, self.kernel]
        timings = run(self.suite, self.opening, [self.size], engines, keys, REPS * longer)
        for timing in timings:
            name, ns = timing["engine"], timing["min_ns"]
            self.best[name] = min(ns, self.best.get(name, ns))
        ours = self.best[self.kernel]
        return Measured(self.best[self.peer] / ours, ours)
