"""The door to the engines: switches, refusals, the warning, and what is bound."""

import copy
import importlib.util
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from isolated import PATIENCE
from parties import fresh_sender

import pysframe
from pysframe import MisuseError
from pysframe import engine as engines

SRC = Path(pysframe.__file__).parents[1]
HIDE_NATIVE = "import sys; sys.modules['pysframe.engine._native'] = None; "
REPORT = (
    "import json, pysframe; from pysframe import engine; "
    "print(json.dumps([engine.default().name, pysframe.backend_info(), engine.available()]))"
)
HAS_CRYPTOGRAPHY = importlib.util.find_spec("cryptography") is not None
BEST_PROVIDER = "cryptography" if HAS_CRYPTOGRAPHY else "pycryptodome"


def python(code: str, **switches: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYSFRAME_")}
    environment |= {f"PYSFRAME_{name}": value for name, value in switches.items()}
    environment["PYTHONPATH"] = str(SRC)
    command = [sys.executable, "-W", "always", "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )


def report(code: str = REPORT, **switches: str):
    done = python(code, **switches)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


# ---- switches ----


def test_a_kernel_of_another_engine():
    done = python(REPORT, BACKEND="fallback", KERNEL="vaes512")
    expected = "PYSFRAME_KERNEL=vaes512 is no kernel of the engine PYSFRAME_BACKEND=fallback"
    assert done.returncode == 1 and expected in done.stderr


@pytest.mark.parametrize(
    ("switch", "value", "listed"),
    [
        ("BACKEND", "rust", "auto, native, fallback"),
        ("MAX_ISA", "avx512", f"one of {', '.join(engines.ladder())}"),
        ("KERNEL", "sse2", "pycryptodome"),
    ],
)
@pytest.mark.parametrize("backend", ["", "fallback"])
def test_an_unknown_value_is_an_error_that_lists_the_valid_ones(switch, value, listed, backend):
    done = python("import pysframe", **({"BACKEND": backend} | {switch: value}))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: PYSFRAME_{switch}='{value}' is unknown; it is one of")
    assert listed in last


def test_fallback_is_chosen_on_request_without_a_warning():
    (name, info, _), stderr = report(BACKEND="fallback")
    assert name == f"fallback:{BEST_PROVIDER}"
    assert info[:2] == ["fallback", BEST_PROVIDER]
    assert info[4] == "ok"
    assert "RuntimeWarning" not in stderr


def test_one_provider_is_chosen_by_name():
    (name, _, _), stderr = report(KERNEL="pycryptodome")
    assert name == "fallback:pycryptodome"
    assert "RuntimeWarning" not in stderr


def test_a_capped_ladder_refuses_native_without_a_warning():
    (name, info, available), stderr = report(MAX_ISA="none")
    assert name.startswith("fallback:")
    assert info[2]["native"] == "PYSFRAME_MAX_ISA=none"
    assert not [name for name in available if name.startswith("native")]
    assert "RuntimeWarning" not in stderr


def test_without_native_only_none_is_a_cap():
    done = python(HIDE_NATIVE + "import pysframe", MAX_ISA="aesni")
    assert done.returncode == 1
    assert "'aesni' is unknown; it is one of none; the native engine" in done.stderr
    assert python(HIDE_NATIVE + "import pysframe", MAX_ISA="none").stderr == ""


def test_a_cap_put_right_after_an_error_holds():
    """What was refused has not chosen the kernels for the whole process."""
    code = (
        "import json, os\ntry: import pysframe\nexcept ImportError: pass\n"
        "os.environ['PYSFRAME_MAX_ISA'] = ''\nimport pysframe\n"
        "from pysframe import engine\nprint(json.dumps(engine.available()))"
    )
    available, _ = report(code, MAX_ISA="avx512")
    assert available == engines.available()


def test_native_on_request_refuses_to_fall_back():
    done = python(HIDE_NATIVE + "import pysframe", BACKEND="native")
    assert done.returncode == 1
    assert "ImportError: pysframe has no engine to run: native: " in done.stderr


def test_a_missing_native_engine_is_told_once_and_reported():
    (name, info, available), stderr = report(HIDE_NATIVE + REPORT)
    assert name == f"fallback:{BEST_PROVIDER}"
    assert "ModuleNotFoundError" in info[2]["native"]
    assert available[0] == name
    expected = (sys.platform, platform.machine()) in engines.NATIVE_PLATFORMS
    assert stderr.count("<string>:1: RuntimeWarning: pysframe runs on fallback") == expected
    assert stderr.count("PYSFRAME_BACKEND=fallback says that this is intended") == 1


@pytest.mark.parametrize(
    "elsewhere",
    ["platform.machine = lambda: 'riscv64'", "sys.implementation.name = 'pypy'"],
)
def test_where_no_native_engine_is_made_the_log_says_it_once(elsewhere):
    code = f"import platform, sys\n{elsewhere}\n{HIDE_NATIVE}{REPORT}"
    (name, _, _), stderr = report(code)
    assert name.startswith("fallback:") and "RuntimeWarning" not in stderr
    assert stderr.count("pysframe runs on fallback") == 1 == len(stderr.splitlines())
    assert "many times slower" in stderr and report(code, BACKEND="fallback")[1] == ""


def test_the_twin_and_its_libraries_are_imported_only_where_native_cannot_run():
    code = "import json, sys, pysframe; print(json.dumps([*sys.modules]))"
    modules, _ = report(code, MAX_ISA="")
    has_native = any(name.startswith("native") for name in engines.available())
    twin = {"Crypto", "cryptography", "pysframe.engine.twin"} & set(modules)
    assert bool(twin) != has_native
    assert "numpy" not in modules


def test_neither_provider_leaves_no_engine():
    hide = "sys.modules['Crypto'] = sys.modules['cryptography'] = None; "
    done = python(HIDE_NATIVE + hide + "import pysframe")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "native: " in last
    assert "fallback:cryptography: " in last
    assert "fallback:pycryptodome: " in last


# ---- binding ----


def test_what_is_available_can_be_bound_and_says_so(engine):
    assert engine.name in engines.available()
    assert engine.name.split(":")[1] == engine.kernel
    assert engines.bind(engine.name) is engine
    assert engine.Sender._kernel == engine.Receiver._kernel == engine.kernel
    assert (engine.Sender.__name__, engine.Sender.__module__) == ("Sender", "pysframe")


@pytest.mark.parametrize("alias", ["native", "fallback"])
def test_an_alias_is_the_best_of_its_kind(alias):
    kind = [name for name in engines.available() if name.startswith(alias)]
    if kind:
        assert engines.bind(alias) is engines.bind(kind[0])
    else:
        with pytest.raises(MisuseError, match=f"engine '{alias}' cannot run here: {alias}: "):
            engines.bind(alias)


@pytest.mark.parametrize(
    "name", ["", "rust", "native:", "native:sse2", "fallback:openssl", "aesni"]
)
def test_an_unknown_engine_is_refused_with_the_list_of_engines(name):
    with pytest.raises(MisuseError, match=r"no engine of this machine; there are .*fallback:"):
        engines.bind(name)


def test_the_package_is_bound_to_the_default():
    default = engines.default()
    assert pysframe.Sender is default.Sender
    assert pysframe.Receiver is default.Receiver
    assert pysframe.protect_batch is default.protect_batch
    info = pysframe.backend_info()
    assert f"{info.engine}:{info.kernel}" == default.name
    assert info.self_test == "ok"
    assert default.name not in info.refused


def test_engines_do_not_mix(engine):
    kind = engine.name.split(":")[0]
    for name in engines.available():
        if not name.startswith(kind):
            stranger = fresh_sender(engines.bind(name), 4)
            with pytest.raises(TypeError, match="row 1: "):
                engine.protect_many([fresh_sender(engine, 4), stranger], [b"", b""])


def test_the_version():
    assert pysframe.__version__ == metadata.version("pysframe")
    assert pysframe.backend_info().versions["pysframe"] == pysframe.__version__


def test_a_wrong_answer_fails_the_self_test(monkeypatch):
    from pysframe.engine import _self_test, twin

    ciphertexts = copy.copy(_self_test.CIPHERTEXTS)
    ciphertexts[5] = ciphertexts[5][:-2] + "00"
    monkeypatch.setattr(_self_test, "CIPHERTEXTS", ciphertexts)
    assert _self_test.run(twin, BEST_PROVIDER) == "wrong answers: AES_256_GCM_SHA512_128"
