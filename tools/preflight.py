"""Says what to install before anything is built: python3 tools/preflight.py [require|auto|none]

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
PROBE = "#include <stdint.h>\n#include <stdlib.h>\nint main(void) { return 0; }\n"


def missing_for_venv():
    """Packages (Debian's names) without which there is no virtual environment."""
    if sys.version_info < OLDEST:
        found = "%d.%d" % sys.version_info[:2]
        yield "python3.11", "Python %s is too old: pysframe needs 3.11 or newer" % found
    elif not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        yield "python3-venv", "Python's venv module is incomplete (no ensurepip)"


def compiles(compiler):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "probe.c")
        with open(source, "w") as file:
            file.write(PROBE)
        command = compiler.split() + [source, "-o", os.path.join(folder, "probe")]
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def missing_for_native():
    """Packages without which the native engine cannot be compiled."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if not shutil.which(compiler.split()[0]):
        yield "gcc", "no C compiler: %s was not found" % compiler.split()[0]
    elif not compiles(compiler):
        yield "libc6-dev", "the C compiler has no C library headers"
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    if not os.path.exists(header):
        yield "python3-dev", "Python's headers are missing: no %s" % header


def explain(missing, hint):
    for _package, why in missing:
        print("pysframe: %s." % why, file=sys.stderr)
    packages = " ".join(package for package, _why in missing)
    print("pysframe: to install what is missing on Debian or Ubuntu:", file=sys.stderr)
    print("    sudo apt install %s" % packages, file=sys.stderr)
    if hint:
        print(hint, file=sys.stderr)


def main(argv):
    build = argv[1] if len(argv) > 1 and argv[1] else "ask"
    if build not in (*BUILDS, "ask"):
        return "pysframe: PYSFRAME_BUILD=%r is not one of %s" % (build, ", ".join(BUILDS))
    venv, native = list(missing_for_venv()), list(missing_for_native())
    if build == "none":
        native = []
    if venv or (native and build != "auto"):
        only_native = not venv and build == "ask"
        explain(venv + native, FALLBACK_HINT if only_native else "")
        return 1
    if native:
        explain(native, "pysframe: going on without the native engine (PYSFRAME_BUILD=auto).")
    elif platform.machine() not in ("x86_64", "AMD64"):
        print("pysframe: no native kernel for %s: the fallback will run." % platform.machine())
    return 0


FALLBACK_HINT = """pysframe: or go on without the native engine, which is slower:
    PYSFRAME_BUILD=none make"""

if __name__ == "__main__":
    sys.exit(main(sys.argv))
