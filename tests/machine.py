"""What this machine has: the conditions that tests/allowed_skips.toml may name."""

import ctypes
import importlib.util
import mmap
import os
import platform
import shutil
import sys
from functools import cache
from pathlib import Path

from pysframe import engine

AESNI = {"ssse3", "sse4_1", "aes", "pclmulqdq"}
VAES256 = AESNI | {"avx", "avx2", "bmi2", "vaes", "vpclmulqdq"}
VAES512 = VAES256 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
# Narrowest first: the flags, in Linux's words, of a CPU that must run this kernel.
X86_KERNELS = {"aesni": AESNI, "vaes256": VAES256, "vaes512": VAES512}
ARM_KERNELS = {
    "armv8": {"aes", "pmull", "sha2"},
    "armv8_sha3": {"aes", "pmull", "sha2", "sha3", "sha512"},
}
KERNELS = ARM_KERNELS if platform.machine() == "aarch64" else X86_KERNELS
PROGRAMS = ("cc", "clang", "valgrind", "qemu-x86_64", "cargo", "strace")
MODULES = ("cffi", "cryptography", "Crypto", "numpy", "av", "rich")


@cache
def cpu_flags() -> frozenset[str]:
    """The CPU's flags in Linux's words, as the operating system and not our own code sees them."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    line = next((row for row in text.splitlines() if row.startswith(("flags", "Features"))), "")
    return frozenset(line.split())


def has_native() -> bool:
    return any(name.startswith("native") for name in engine.available())


def native_was_given_up() -> bool:
    """Whether someone said aloud that the native engine, or a part of it, is not wanted here."""
    asked = os.environ.get
    return bool(
        asked("PYSFRAME_MAX_ISA")
        or (asked("PYSFRAME_BUILD") in ("auto", "none") and not has_native())
    )


def missing_kernels() -> list[str]:
    """Kernels that this CPU could run and this run cannot test."""
    if native_was_given_up():
        return []
    runnable = [name for name, flags in KERNELS.items() if cpu_flags() >= flags]
    return [name for name in runnable if f"native:{name}" not in engine.available()]


@cache
def can_lock_memory() -> bool:
    """Whether this user may lock another 64 KiB, as the arena does for its first page of keys."""
    libc = ctypes.CDLL(None)
    page = mmap.mmap(-1, 1 << 16)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(page))) == 0


def tools() -> dict[str, bool]:
    found = {name: shutil.which(name) is not None for name in PROGRAMS}
    return found | {name: importlib.util.find_spec(name) is not None for name in MODULES}


CONDITIONS = {
    "no native engine": lambda: not has_native(),
    "no C compiler": lambda: shutil.which("cc") is None,
    "no valgrind": lambda: shutil.which("valgrind") is None,
    "no strace": lambda: shutil.which("strace") is None,
    "not every kernel": lambda: any(not cpu_flags() >= flags for flags in KERNELS.values()),
    "not x86-64": lambda: platform.machine() != "x86_64",
    "not Linux": lambda: sys.platform != "linux",
    "memory cannot be locked": lambda: not can_lock_memory(),
    "not root": lambda: os.geteuid() != 0,
    "no GIL": lambda: not getattr(sys, "_is_gil_enabled", lambda: True)(),
    "one core": lambda: len(os.sched_getaffinity(0)) < 2,
    "no cryptography": lambda: importlib.util.find_spec("cryptography") is None,
}
