"""Promise 3: the C core under libFuzzer with ASan and UBSan, every kernel against the others.

Rules: at least one execution in five opens; the targets together, with the C tests beside them,
reach 95 lines in 100 of csrc/; both are printed. An over-read of one byte is found.
"""

from pathlib import Path

import pytest
from security.deep.builds import Patch
from security.deep.fuzzers import TARGETS, built, c_tests, fuzz, line_coverage

# The header parser of a patched copy looks at one byte more than there is, to no effect.
OVER_READ = Patch(
    "frame/header.c",
    "return sfr_header_read(in, size, strict, words, out);",
    "volatile uint8_t past = in[size]; (void)past; return sfr_header_read(in, size, strict, words, "
    "out);",
)

C_TESTS = (
    *("batch", "columns_open", "columns_seal", "dispatch", "hashes", "header"),
    *("receiver", "sender", "steps"),
)

# Executions by day. Never seconds, in which a slow machine shows less.
RUNS = {"fuzz_header": 1_000_000, "fuzz_unprotect": 150_000, "fuzz_batch": 10_000}

# One worker of xdist, since the last test counts what the others ran.
pytestmark = [pytest.mark.timeout(0), pytest.mark.xdist_group("fuzz")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target, folder, by_tier, figure, pytestconfig):
    runs = by_tier(0, RUNS[target], 1_000_000)
    outcome = fuzz(built(target), folder, pytestconfig.option.seed, f"-runs={runs}")
    figure(f"{target}: {outcome.executions} executions, {outcome.opened} opened")
    assert outcome.code == 0, outcome.said[-6000:]
    assert outcome.executions >= runs
    assert outcome.opened >= outcome.executions / 5


def test_an_over_read_is_found(folder, pytestconfig):
    """The seeded fault."""
    binary = built("fuzz_header", [OVER_READ])
    outcome = fuzz(binary, folder, pytestconfig.option.seed, "-runs=100000")
    assert outcome.code != 0
    assert "buffer-overflow" in outcome.said and "READ of size 1" in outcome.said
    assert "in sfr_header_parse" in outcome.said


def test_lines_that_ran(folder, figure):
    """Of all targets, and of the C tests: what a fuzzer cannot order (exhausted keys, forks)."""
    library = c_tests(folder, *C_TESTS)
    binaries = [*map(built, TARGETS), library]
    files = line_coverage(binaries, sorted(folder.glob("*.profraw")), folder)
    for name, (lines, ran) in files.items():
        print(f"{name:20} {ran:5} of {lines:5}")
    total, ran = (sum(column) for column in zip(*files.values(), strict=True))
    figure(f"csrc: {ran} of {total} lines ran, {100 * ran / total:.1f} %")
    assert ran >= 0.95 * total
