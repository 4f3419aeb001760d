"""The switches that choose among the native kernels; the others are in test_engine_door.py."""

import json
import re

import machine
import pytest
from c_core.core import KERNELS as KERNELS_OF_C
from c_core.core import ROOT, kernels
from isolated import python

from pysframe import engine as engines

REPORT = (
    "import json, pysframe; from pysframe import engine; "
    "print(json.dumps([engine.default().name, engine.available(), pysframe.backend_info()]))"
)
LADDER = engines.ladder()[1:]
KERNELS = [name.split(":")[1] for name in engines.available() if name.startswith("native")]


def report(**switches):
    """(name of the default engine, available engines, backend_info fields, what was warned)"""
    done = python(REPORT, **{f"PYSFRAME_{name}": value for name, value in switches.items()})
    assert done.returncode == 0, done.stderr
    name, available, (engine, kernel, refused, versions, self_test, *_) = json.loads(done.stdout)
    assert name == f"{engine}:{kernel}" and self_test == "ok" and versions["pysframe"]
    return name, available, refused, done.stderr


def test_the_best_kernel_is_the_default():
    name, available, refused, warned = report()
    assert name == available[0] == engines.available()[0]
    assert available == engines.available()
    assert warned == "" or not KERNELS
    assert not set(available) & set(refused)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_ladder_only_lowers(kernel):
    """Each cap takes all kernels above it away, and says that it did."""
    name, available, refused, warned = report(MAX_ISA=kernel)
    below = [k for k in reversed(LADDER) if LADDER.index(k) <= LADDER.index(kernel)]
    assert name == f"native:{kernel}" and warned == ""
    assert [n for n in available if n.startswith("native")] == [f"native:{k}" for k in below]
    for above in set(KERNELS) - set(below):
        assert f"max_isa={kernel}" in refused[f"native:{above}"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_by_name(kernel):
    name, available, _, warned = report(KERNEL=kernel)
    assert (name, warned) == (f"native:{kernel}", "")
    assert available == engines.available()


@pytest.mark.parametrize("kernel", KERNELS[:-1])
def test_a_kernel_above_the_cap_is_refused(kernel):
    """The error says why, instead of taking another kernel."""
    done = python("import pysframe", PYSFRAME_KERNEL=kernel, PYSFRAME_MAX_ISA="aesni")
    assert done.returncode == 1
    assert "ImportError" in done.stderr and "max_isa=aesni" in done.stderr


def test_none_is_the_fallback():
    name, available, refused, warned = report(MAX_ISA="none")
    assert name.startswith("fallback:") and warned == ""
    assert not [n for n in available if n.startswith("native")]
    assert any("none" in why for why in refused.values())


def test_native_and_none_cannot_be_had():
    done = python("import pysframe", PYSFRAME_BACKEND="native", PYSFRAME_MAX_ISA="none")
    assert done.returncode == 1
    assert "ImportError" in done.stderr and "PYSFRAME_MAX_ISA=none" in done.stderr


def test_every_kernel_of_this_cpu_is_there():
    assert machine.missing_kernels() == []


# ---- one list of kernels: the table in csrc/aead/dispatch.c ----


def test_the_ladder_is_the_table():
    assert engines.ladder() == ("none", *reversed(KERNELS_OF_C)) or not KERNELS
    assert list(machine.KERNELS) == [*reversed(KERNELS_OF_C)]


def test_pages_name_the_kernels_of_the_table():
    (switch,) = re.findall(r"`PYSFRAME_MAX_ISA` \| (.*?) \|", (ROOT / "README.md").read_text())
    page, named = (ROOT / "csrc" / "README.md").read_text(), []
    for machine_name, head in (("x86_64", r"\| kernel \|"), ("aarch64", r"\| ARM's kernel \|")):
        known = [*reversed(kernels(machine_name))]
        table = re.search(head + r".*?\n\n", page, re.DOTALL)
        assert re.findall(r"^\| `(\w+)` \|", table[0], re.M) == known
        named += ["none", *known]
    assert re.findall(r"`(\w+)`", switch) == named


def test_empty_values_mean_nothing():
    assert report(BACKEND="", MAX_ISA="", KERNEL="")[0] == engines.available()[0]
