"""pysframe doctor: the truth about this machine, and an exit status that a script can use."""

import json
import os
import re
import subprocess
import sys
from collections import namedtuple
from types import SimpleNamespace

import pytest

import pysframe
from pysframe.cli import doctor, main

BACKEND = pysframe.backend_info()


@pytest.fixture(autouse=True)
def no_switches(monkeypatch):
    for name in doctor.SWITCHES:
        monkeypatch.delenv(name, raising=False)


def found(capsys, monkeypatch, backend, *words):
    monkeypatch.setattr(doctor, "backend_info", lambda: backend)
    return main(["doctor", *words]), capsys.readouterr().out


def test_it_says_what_backend_info_says(capsys, monkeypatch):
    native = BACKEND._replace(engine="native", kernel="aesni", refused={"native:x": "no CPU"})
    status, out = found(capsys, monkeypatch, native)
    assert status == 0 and "All is well." in out
    assert "native, kernel aesni" in out and "native:x: no CPU" in out
    assert f"pysframe {BACKEND.versions['pysframe']}" in out


def test_json(capsys, monkeypatch):
    native = BACKEND._replace(engine="native")
    status, out = found(capsys, monkeypatch, native, "--json")
    assert status == 0
    assert json.loads(out).items() >= {"ok": True, "engine": "native", "self_test": "ok"}.items()


def test_every_fact_of_backend_info_is_told(capsys, monkeypatch):
    """Also one that doctor does not know by name."""
    facts = {**BACKEND._asdict(), "engine": "native", "moon_phase": "waning", "tide": False}
    backend = namedtuple("Backend", facts)(**facts)
    status, out = found(capsys, monkeypatch, backend)
    assert status == 0
    assert re.search(r"^moon phase +waning$", out, re.M) and re.search(r"^tide +no$", out, re.M)
    assert set(BACKEND._fields) >= doctor.TOLD_APART


def test_a_failed_self_test_is_a_problem(capsys, monkeypatch):
    broken = BACKEND._replace(engine="native", self_test="wrong answers: AES_128_GCM_SHA256_128")
    status, out = found(capsys, monkeypatch, broken)
    assert status == 1 and "PROBLEM" in out and "wrong answers" in out


def test_a_missing_native_engine_is_a_problem_where_it_is_expected(capsys, monkeypatch):
    fallback = BACKEND._replace(engine="fallback", kernel="pycryptodome")
    monkeypatch.setattr(doctor, "NATIVE_PLATFORMS", {(sys.platform, os.uname().machine)})
    assert found(capsys, monkeypatch, fallback)[0] == 1
    for name, value in (("PYSFRAME_BACKEND", "fallback"), ("PYSFRAME_MAX_ISA", "none")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            status, out = found(capsys, monkeypatch, fallback)
            assert status == 0 and f"{name}={value}" in out
    monkeypatch.setattr(doctor, "NATIVE_PLATFORMS", set())
    assert found(capsys, monkeypatch, fallback)[0] == 0


@pytest.mark.parametrize("words", [["doctor"], ["inspect", "9901234567"]])
def test_the_base_install_is_enough(words):
    """Neither imports an extra, even where it is there."""
    code = (
        "import sys\n"
        "for name in ('rich', 'av', 'numpy'): sys.modules[name] = None\n"
        "from pysframe.cli import main\n"
        "sys.exit(main())"
    )
    environment = os.environ | {"PYSFRAME_BACKEND": BACKEND.engine}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout


@pytest.mark.parametrize(("tag", "pure"), [("py3-none-any", True), ("cp311-cp311-any", False)])
def test_the_wheel_says_what_it_is(capsys, monkeypatch, tag, pure):
    wheel = SimpleNamespace(read_text={"WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n"}.get)
    monkeypatch.setattr(doctor, "distribution", {"pysframe": wheel}.__getitem__)
    _, out = found(capsys, monkeypatch, BACKEND)
    assert re.search(rf"^package +{tag}", out, re.M)
    assert ("plain Python, without a native engine" in out) == pure
