"""Promise 12: the core dump of a live process that holds keys has none of them."""

from pathlib import Path

import pytest
from c_core.core import KERNELS
from security import remains
from security.deep.builds import run
from security.test_p12_keys_in_memory import SUITES, keeper, kernel_or_skip


def core_of(pid: int, folder: Path) -> bytes:
    run("gcore", "-o", folder / "core", str(pid))
    return (folder / f"core.{pid}").read_bytes()


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_core_dump_has_no_key(kernel, suite, rng, tmp_path):
    """The keys are in the process's memory, and not in its core. Registers are in it, too."""
    kernel_or_skip(kernel)
    base_key = rng.randbytes(32)
    kept = remains.kept(kernel, suite, base_key)
    everything = kept | remains.given(base_key) | remains.passing(suite, base_key)
    with keeper(kernel, suite, base_key) as process:
        process.hears("given")
        process.go_on()
        process.hears("kept")
        assert remains.hits_in_process(process.pid, kept)
        core = core_of(process.pid, tmp_path)
    print(f"{kernel} {suite.name}: {len(core) >> 20} MB without {len(everything)} patterns")
    assert len(core) > 1 << 20
    assert remains.hits(core, everything) == {}


def test_what_is_not_kept_out_is_in_a_core_dump(rng, tmp_path):
    """The seeded fault: a base_key that its owner has not wiped, and pages that may be dumped."""
    base_key = rng.randbytes(32)
    given, kept = remains.given(base_key), remains.kept(KERNELS[-1], SUITES[0], base_key)
    with keeper(KERNELS[-1], SUITES[0], base_key) as process:
        process.hears("given")
        assert remains.hits(core_of(process.pid, tmp_path), given)
    with keeper(KERNELS[-1], SUITES[0], base_key, "dumped") as process:
        process.hears("given")
        process.go_on()
        process.hears("kept")
        assert remains.hits(core_of(process.pid, tmp_path), kept)
