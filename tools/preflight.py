"""Says what to install before anything is built: preflight.py PYSFRAME_BUILD [make's goals]

Looks for a venv that works, a C compiler and Python's headers. It runs on the system's Python,
whatever its version, so it uses nothing newer than Python 3.6.
"""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile

BUILDS = ("require", "auto", "none")
OLDEST = (3, 11)
LIBC_PROBE = "#include <stdint.h>\n#include <stdlib.h>\nint main(void) { return 0; }\n"
# What the widest kernel and the locks ask of a compiler: gcc 9, clang 9 or newer.
C11_PROBE = """#include <stdatomic.h>
#ifdef __x86_64__
#include <immintrin.h>
__attribute__((target("avx512f,vaes,vpclmulqdq"))) __m512i wide(__m512i a)
{
    return _mm512_aesenc_epi128(a, _mm512_clmulepi64_epi128(a, a, 0));
}
#endif
_Atomic unsigned word;
int main(void) { return (int)atomic_load(&word); }
"""


def missing_for_venv():
    """Packages (Debian's names) without which there is no virtual environment."""
    if sys.version_info < OLDEST:
        found = platform.python_version()
        yield "python3.11", f"Python {found} is too old: pysframe needs 3.11 or newer"
    elif not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        yield "python3-venv", "Python's venv module is incomplete (no ensurepip)"


def compiles(compiler, text):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "probe.c")
        with open(source, "w") as file:
            file.write(text)
        command = [*compiler.split(), "-std=c11", source, "-o", os.path.join(folder, "probe")]
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def missing_for_native():
    """Packages without which the native engine cannot be compiled, each with what it is for."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    program = compiler.split()[0]
    if not shutil.which(program):
        yield "gcc", f"no C compiler: {program} was not found"
    elif not compiles(compiler, LIBC_PROBE):
        yield "libc6-dev", "the C compiler has no C library headers"
    elif not compiles(compiler, C11_PROBE):
        yield "gcc", f"{program} is too old: gcc 9 or clang 9 is needed"
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    if not os.path.exists(header):
        yield "python3-dev", f"Python's headers are missing: no {header}"


def explain(missing, hint):
    for _package, why in missing:
        print(f"pysframe: {why}.", file=sys.stderr)
    packages = " ".join(package for package, _why in missing)
    print("pysframe: on Debian or Ubuntu this installs what is missing:", file=sys.stderr)
    print(f"    sudo apt install {packages}", file=sys.stderr)
    if hint:
        print(hint, file=sys.stderr)


def main(argv):
    build = argv[1] or "ask"
    if build not in (*BUILDS, "ask"):
        return f"pysframe: PYSFRAME_BUILD={build!r} is not one of {', '.join(BUILDS)}"
    venv, native = list(missing_for_venv()), list(missing_for_native())
    if build == "none":
        native = []
    if venv or (native and build != "auto"):
        only_native = not venv and build == "ask"
        explain(venv + native, FALLBACK_HINT + " ".join(argv[2:]) if only_native else "")
        return 1
    if native:
        explain(native, "pysframe: going on without the native engine (PYSFRAME_BUILD=auto).")
    elif platform.machine() not in ("x86_64", "AMD64"):
        print(f"pysframe: no native kernel for {platform.machine()}: the fallback will run.")
    return 0


FALLBACK_HINT = """pysframe: or go on without the native engine, which is slower:
    PYSFRAME_BUILD=none make """

if __name__ == "__main__":
    sys.exit(main(sys.argv))
