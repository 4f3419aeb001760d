"""Which kernels there are: the ladder of sfr_init, each step in a process of its own."""

import json
from pathlib import Path

import pytest
from c_core.core import KERNELS, built, kernel_or_skip
from isolated import python

from pysframe import CipherSuite

REPORT = """
import json, sys
sys.path.insert(0, {tests!r})
from c_core.core import imported
from pathlib import Path

module = imported(Path({library!r}))
ffi, lib = module.ffi, module.lib
text = lambda pointer: ffi.string(pointer).decode()
ready = [lib.sfr_init(isa.encode() if isa else ffi.NULL) for isa in {steps!r}]
kernels = [lib.sfr_kernel_at(i) for i in range(lib.sfr_kernel_count())]
best = lib.sfr_kernel_find(ffi.NULL)
print(json.dumps([
    ready,
    {{text(lib.sfr_kernel_name(k)): text(lib.sfr_kernel_reason(k)) for k in kernels}},
    text(lib.sfr_kernel_name(best)) if best else None,
    text(lib.sfr_cpu_features()),
    {{nh: text(lib.hash_chosen(nh)) for nh in (32, 64)}},
]))
"""


def report(*steps):
    """(what each sfr_init returned, {kernel: why not}, the best kernel, CPU features, hashes)"""
    tests = str(Path(__file__).parents[1])
    library = str(built() / "sfr_core.so")
    done = python(REPORT.format(tests=tests, library=library, steps=steps))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_widest_comes_first():
    (ready,), kernels, best, features, _ = report(None)
    usable = [name for name, why in kernels.items() if not why]
    assert tuple(kernels) == KERNELS
    assert (len(usable), usable[0]) == (ready, best)
    assert "aes" in features.split()


@pytest.mark.parametrize("cap", KERNELS)
def test_a_cap_takes_away_all_above_it(cap):
    kernel_or_skip(cap)
    (ready,), kernels, best, *_ = report(cap)
    below = KERNELS[KERNELS.index(cap) :]
    assert (best, ready) == (cap, len(below))
    for name, why in kernels.items():
        assert why == ("" if name in below else f"capped by max_isa={cap}")


@pytest.mark.parametrize("cap", ["none", "avx2"])
def test_none_and_unknown_names_take_all_away(cap):
    (ready,), kernels, best, *_ = report(cap)
    assert (ready, best) == (0, None)
    assert all(kernels.values())


@pytest.mark.parametrize("cap", [*KERNELS, "none"])
def test_a_cap_holds_for_hashes_too(cap):
    """The key schedule is no kernel's: its code is chosen by what the cap leaves of the CPU."""
    if cap == "none":
        *_, chosen = report(cap)
        assert chosen == {"32": "sha256 portable", "64": "sha512 portable"}
        return
    kernel_or_skip(cap)
    *_, features, chosen = report(cap)
    wide = cap in KERNELS[: KERNELS.index("vaes256") + 1]
    assert chosen["64"] == ("sha512 bmi2" if wide else "sha512 ssse3")
    assert chosen["32"] == ("sha256 ni" if "sha" in features.split() else "sha256 ssse3")


def test_only_the_first_call_counts():
    ready, kernels, *_ = report("aesni", None, "none")
    assert ready == [1, 1, 1]
    assert kernels["vaes512"] and not kernels["aesni"]


def test_suites(core):
    ffi, lib = core
    for suite in CipherSuite:
        found = lib.sfr_suite_find(suite)
        sizes = found.id, found.nh, found.nka, found.nk, found.nn, found.nt
        assert sizes == (suite, suite.Nh, suite.Nka, suite.Nk, suite.Nn, suite.Nt)
    for number in (-1, 0, 9, 10, 65535, 65540):
        assert lib.sfr_suite_find(number) == ffi.NULL
