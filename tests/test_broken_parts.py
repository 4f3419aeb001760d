"""Optional libraries that are there and broken, in whatever way, take nothing down.

Each runs in a process of its own, before whose path a package of that name lies that fails.
"""

import json
import signal
import sys

import pytest
from isolated import SRC, python

from pysframe import engine as engines

FAILURES = {
    "ImportError": "raise ImportError('no such symbol')",
    "AttributeError": "raise AttributeError('module has no attribute')",
    "OSError": "raise OSError('cannot open shared object')",
    "SystemError": "raise SystemError('initialization failed')",
    "RuntimeError": "raise RuntimeError('wrong version')",
    "MemoryError": "raise MemoryError",
    "SystemExit": "raise SystemExit(3)",
    "PanicException": "raise type('PanicException', (BaseException,), {})('Rust has panicked')",
    "ModuleNotFoundError": "",  # an empty package: its modules are missing
}
SOUND = "import sys, json, pysframe; print(json.dumps(pysframe.backend_info()))"
DOCTOR = "import pysframe.cli as cli; raise SystemExit(cli.main(['doctor', '--json']))"
BENCH = "import pysframe.cli as cli; raise SystemExit(cli.main(['bench', '--seconds', '0.1']))"


@pytest.fixture
def broken(tmp_path):
    """broken(package, code, run): what a process does that finds this code as that package."""

    def run(packages: list[str], code: str, command: str, **switches):
        for package in packages:
            (tmp_path / package).mkdir(exist_ok=True)
            (tmp_path / package / "__init__.py").write_text(code)
        return python(command, PYTHONPATH=f"{tmp_path}:{SRC}", **switches)

    return run


@pytest.mark.parametrize("failure", FAILURES)
def test_a_broken_cryptography(broken, failure):
    """The twin takes the other provider, and says why."""
    done = broken(["cryptography"], FAILURES[failure], DOCTOR, PYSFRAME_BACKEND="fallback")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["engine"], said["kernel"], said["self_test"]) == ("fallback", "pycryptodome", "ok")
    assert said["refused"]["fallback:cryptography"].startswith(f"{failure}: ")


@pytest.mark.parametrize("failure", ["OSError", "SystemExit", "PanicException"])
def test_everything_broken(broken, failure):
    """The native engine needs none of it, and survives; without it there is an ImportError."""
    packages, code = ["cryptography", "Crypto", "numpy", "rich", "av"], FAILURES[failure]
    if any(name.startswith("native") for name in engines.available()):
        done = broken(packages, code, DOCTOR)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert (said["engine"], said["self_test"]) == ("native", "ok")
        assert said["refused"]["fallback:pycryptodome"].startswith(f"{failure}: ")
        done = broken(packages, code, BENCH)
        assert (done.returncode, done.stderr) == (0, "")
    done = broken(packages, code, SOUND, PYSFRAME_BACKEND="fallback")
    assert "ImportError: pysframe has no engine to run: " in done.stderr
    assert f"fallback:pycryptodome: {failure}: " in done.stderr


INTERRUPTS = {
    "Ctrl-C": "import signal; signal.signal(2, signal.default_int_handler); signal.raise_signal(2)",
    "its own": "raise KeyboardInterrupt",
}


@pytest.mark.parametrize("interrupt", INTERRUPTS)
@pytest.mark.parametrize("command", [SOUND, DOCTOR])
def test_a_keyboard_interrupt_passes_whoever_raised_it(broken, interrupt, command):
    """Ctrl-C ends an import, and nothing tells it from a library that raises the same."""
    code = INTERRUPTS[interrupt]
    done = broken(["cryptography"], code, command, PYSFRAME_BACKEND="fallback")
    assert done.returncode in (-signal.SIGINT, 130) and done.stdout == ""


IN_USE = {
    "pass": "ImportError: it gives a wrong answer for a known one",
    "raise ValueError('not in this mode')": "ValueError: not in this mode",
}


@pytest.mark.parametrize("fault", IN_USE)
def test_a_provider_that_fails_when_it_is_used(fault):
    """It is tried before a key is handed to it."""
    code = f"""
from cryptography.hazmat.primitives.ciphers import aead
class AESGCM:
    def __init__(self, key): {fault}
    def encrypt(self, nonce, frame, aad): return bytes(len(frame) + 16)
    def decrypt(self, nonce, sealed, aad): return bytes(len(sealed) - 16)
aead.AESGCM = AESGCM
{SOUND}
"""
    done = python(code, PYSFRAME_BACKEND="fallback")
    engine, kernel, refused, *_ = json.loads(done.stdout)
    assert (engine, kernel) == ("fallback", "pycryptodome")
    assert refused["fallback:cryptography"] == IN_USE[fault]


def test_a_broken_native_engine():
    """Whatever its import raises, the twin runs, with the one warning."""
    code = f"""
import importlib.abc, sys
class Panic(BaseException): pass
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "pysframe.engine._native":
            raise Panic("no memory for pages")
sys.meta_path.insert(0, Broken())
{SOUND}
"""
    done = python(code)
    engine, _, refused, *_ = json.loads(done.stdout)
    assert (engine, refused["native"]) == ("fallback", "Panic: no memory for pages")
    if sys.platform == "linux":
        assert "RuntimeWarning: pysframe runs on fallback" in done.stderr
