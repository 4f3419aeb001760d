"""Builds the native engine: one extension from the Cython module and every file of csrc/.

PYSFRAME_BUILD says what happens when that cannot be done:
    require   an error; nothing is built
    auto      (default) a pure-Python package, and a message that says why
    none      a pure-Python package, on purpose
There is no -march here: the wide kernels carry their own target attributes and are chosen
at run time, so one binary runs on every x86-64.
"""

import os
import sys
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

BUILDS = ("require", "auto", "none")
LINUX_LINK_ARGS = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]


class NativeBuildFailed(Exception):
    """The extension could not be compiled; the cause says why."""


class BuildNative(build_ext):
    """build_ext whose failures setup.py may catch: setuptools itself would exit."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as failure:
            raise NativeBuildFailed(str(failure)) from failure


def native_extension() -> Extension:
    return Extension(
        "pysframe.engine._native",
        sources=["src/pysframe/engine/_native.pyx", *sorted(glob("csrc/*.c"))],
        depends=[*glob("csrc/*.h"), *glob("src/pysframe/engine/*.pxd")],
        include_dirs=["csrc"],
        extra_compile_args=["-O3", "-std=c11", "-fvisibility=hidden"],
        extra_link_args=LINUX_LINK_ARGS if sys.platform == "linux" else [],
    )


def build_with_native() -> None:
    from Cython.Build import cythonize

    modules = cythonize(
        [native_extension()],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "freethreading_compatible": True},
    )
    setup(ext_modules=modules, cmdclass={"build_ext": BuildNative})


def main() -> None:
    mode = os.environ.get("PYSFRAME_BUILD", "auto")
    if mode not in BUILDS:
        sys.exit(f"pysframe: PYSFRAME_BUILD={mode!r} is not one of {', '.join(BUILDS)}")
    if mode == "none":
        setup()
        return
    try:
        build_with_native()
    except (NativeBuildFailed, ImportError) as failure:
        if mode == "require":
            sys.exit(f"pysframe: the native engine could not be built: {failure}")
        print(f"pysframe: NO NATIVE ENGINE in this build: {failure}", file=sys.stderr)
        print("pysframe: the plain-Python engine will be used; it is slower.", file=sys.stderr)
        setup()


main()
