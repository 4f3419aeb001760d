"""What the native engine is made of. setup.py compiles it for the machine that it runs on, and
tools/wheels for others."""

from glob import glob
from pathlib import Path

MODULE = "pysframe.engine._native"
CYTHON = "src/pysframe/engine/_native.pyx"
ROOMS = ("aead", "frame", "hash", "platform")
MACROS = ["SFR_PRIVATE"]  # the module exports PyInit__native alone
DIRECTIVES = {"language_level": 3, "freethreading_compatible": True}
# There is no -march here: the wide kernels carry their own target attributes and are chosen at run
# time, so one binary runs on every x86-64.
# -g1: names and lines for a backtrace; all of the debug information takes twice the time.
# -fno-plt: Python's functions are bound when the module is loaded (-z now), so calls need no stub.
COMPILE_ARGS = ["-O3", "-g1", "-std=c11", "-fvisibility=hidden", "-fno-plt"]
LINUX_LINK_ARGS = ["-pthread", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]


def c_sources(root: Path = Path()) -> list[str]:
    """Every file of the rooms of csrc/ that are part of the library, relative to the root."""
    return sorted(path for room in ROOMS for path in glob(f"csrc/{room}/*.c", root_dir=root))
