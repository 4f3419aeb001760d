"""Promise 4: a frozen application has the engine to fall back to.

PyInstaller collects what it finds imported; the application then runs without this checkout.
"""

import subprocess
import sys

import pytest
from isolated import PATIENCE, SRC

import pysframe
from pysframe import engine as engines

APPLICATION = """
import pysframe
suite = pysframe.CipherSuite(4)
key = suite.generate_base_key()
receiver = pysframe.Receiver(suite)
receiver.add_key(7, key)
sender = pysframe.Sender(suite, kid=7, base_key=key, next_ctr=0)
assert receiver.unprotect(sender.protect(b"frame")) == b"frame"
info = pysframe.backend_info()
print(info.engine, info.kernel, info.self_test, pysframe.__version__)
"""
LEFT_OUT = ("av", "numpy", "rich", "tkinter")


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    """A folder with a program and all that it needs."""
    place = tmp_path_factory.mktemp("frozen")
    (place / "app.py").write_text(APPLICATION)
    without = [f"--exclude-module={name}" for name in LEFT_OUT]
    made = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=ERROR",
         f"--paths={SRC}", *without, "app.py"],
        cwd=place, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return place / "dist" / "app" / "app"


@pytest.mark.timeout(1000)
@pytest.mark.xdist_group("frozen")  # one worker of xdist freezes it
@pytest.mark.parametrize(("switches", "engine"), [
    ({}, engines.available()[0].replace(":", " ")),
    ({"PYSFRAME_MAX_ISA": "none"}, "fallback cryptography"),
    ({"PYSFRAME_BACKEND": "fallback", "PYSFRAME_KERNEL": "pycryptodome"}, "fallback pycryptodome"),
])  # fmt: skip
def test_a_frozen_application_has_every_engine(application, switches, engine):
    ran = subprocess.run(
        [application], env=switches, cwd="/", capture_output=True, text=True, timeout=PATIENCE
    )
    assert ran.stdout.startswith(engine), ran.stderr
    assert ran.stdout.endswith(f" ok {pysframe.__version__}\n")
