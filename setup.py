"""Builds the native engine: one extension from the Cython module and every file of csrc/.

PYSFRAME_BUILD says what happens on a machine that cannot compile it:
    require   an error; nothing is built
    auto      (default) a pure-Python package, and a message that says why
    none      a pure-Python package, wherever it is built
web/dist, which `make web` builds with Node, goes into the package as pysframe/web; where it is
missing, the build leaves it out and says so.
There is no -march here: the wide kernels carry their own target attributes and are chosen
at run time, so one binary runs on every x86-64.
"""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent / "tools"))
from preflight import BUILDS, missing_for_native

WEB = "web/dist"
ROOMS = ("aead", "frame", "hash", "platform")
# -g1: names and lines for a backtrace; all of the debug information takes twice the time.
# -fno-plt: Python's functions are bound when the module is loaded (-z now), so calls need no stub.
COMPILE_ARGS = ["-O3", "-g1", "-std=c11", "-fvisibility=hidden", "-fno-plt"]
LINUX_LINK_ARGS = ["-pthread", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]


def c_sources() -> list[str]:
    """Every file of the rooms of csrc/ that are part of the library."""
    return sorted(path for room in ROOMS for path in glob(f"csrc/{room}/*.c"))


def native_extension() -> Extension:
    return Extension(
        "pysframe.engine._native",
        sources=["src/pysframe/engine/_native.pyx", *c_sources()],
        depends=[*glob("csrc/*.h"), *glob("csrc/*/*.h"), *glob("src/pysframe/engine/*.px[di]")],
        include_dirs=["csrc"],
        define_macros=[("SFR_PRIVATE", None)],  # the module exports PyInit__native alone
        extra_compile_args=COMPILE_ARGS,
        extra_link_args=LINUX_LINK_ARGS if sys.platform == "linux" else [],
    )


def effort(source: str) -> tuple[bool, int]:
    """The kernels unroll what they include."""
    return "gcm_" in source, os.path.getsize(source)


class BuildExt(build_ext):
    """On all cores, what takes longest first; setuptools compiles one file after the other."""

    def build_extensions(self) -> None:
        one_by_one = self.compiler.compile

        def together(sources: list[str], **how: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                made = {
                    path: pool.submit(one_by_one, [path], **how)
                    for path in sorted(sources, key=effort, reverse=True)
                }
            return [made[path].result()[0] for path in sources]

        self.compiler.compile = together
        super().build_extensions()


def compiled() -> list[Extension]:
    from Cython.Build import cythonize  # only a native build needs it

    return cythonize(
        [native_extension()],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "freethreading_compatible": True},
    )


def wants_native() -> bool:
    build = os.environ.get("PYSFRAME_BUILD") or "auto"
    if build not in BUILDS:
        sys.exit(f"pysframe: PYSFRAME_BUILD={build!r} is not one of {', '.join(BUILDS)}")
    if build == "none":
        return False
    missing = "; ".join(why for _package, why in missing_for_native())
    if missing and build == "require":
        sys.exit(f"pysframe: the native engine cannot be built here: {missing}")
    if missing:
        print(f"pysframe: NO NATIVE ENGINE in this build: {missing}", file=sys.stderr)
        print("pysframe: the plain-Python engine will be used; it is slower.", file=sys.stderr)
    return not missing


class BuildPy(build_py):
    """Adds what a browser needs; in an editable install it is where it was built."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        if not Path(WEB, "frame-worker.js").exists():
            print("pysframe: NO BROWSER FILES in this build: web/dist is missing.", file=sys.stderr)
            print("pysframe: `make web`, which needs Node, builds them.", file=sys.stderr)
            return
        shutil.copytree(WEB, Path(self.build_lib, "pysframe", "web"), dirs_exist_ok=True)


setup(
    ext_modules=compiled() if wants_native() else [],
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
)
