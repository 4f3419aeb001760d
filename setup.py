"""Builds the native engine: one extension from the Cython module and every file of csrc/.

PYSFRAME_BUILD says what happens on a machine that cannot compile it:
    require   an error; nothing is built
    auto      (default) a pure-Python package, and a message that says why
    none      a pure-Python package, wherever it is built
web/dist, which `make web` builds with Node, goes into the package as pysframe/web; where it is
missing, the build leaves it out and says so.
What it is made of, and with which flags, stands in tools/native.py.
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
import native
from preflight import BUILDS, missing_for_native

WEB = "web/dist"


def native_extension() -> Extension:
    return Extension(
        native.MODULE,
        sources=[native.CYTHON, *native.c_sources()],
        depends=[*glob("csrc/*.h"), *glob("csrc/*/*.h"), *glob("src/pysframe/engine/*.px[di]")],
        include_dirs=["csrc"],
        define_macros=[(name, None) for name in native.MACROS],
        extra_compile_args=native.COMPILE_ARGS,
        extra_link_args=native.LINUX_LINK_ARGS if sys.platform == "linux" else [],
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
        compiler_directives=native.DIRECTIVES,
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
