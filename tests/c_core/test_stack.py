"""What the GCM kernels leave in the stack is wiped: wipe_stack() is as deep as the deepest function
that it cleans up after.

The compiler says how much each function takes (-fstack-usage), so nothing runs here.
"""

import platform
from pathlib import Path

import pytest
from c_core.core import CSRC, MACRO, built, run

OURS = f"#ifdef {MACRO[platform.machine()]}\n"  # a kernel of another machine is an empty file here
KERNELS = sorted(path for path in CSRC.glob("aead/gcm_*.c") if OURS in path.read_text())


def stack_of(source: Path, where: Path) -> dict[str, int]:
    """Bytes of stack that each function of a file takes, as it was compiled in a folder."""
    (usage,) = where.glob(f"*{source.stem}.su")
    lines = [line.split("\t") for line in usage.read_text().splitlines()]
    return {place.rsplit(":", 1)[1]: int(size) for place, size, _how in lines}


def deeper_than_wiped(stack: dict[str, int]) -> dict[str, int]:
    return {name: size for name, size in stack.items() if size > stack["wipe_stack"]}


def test_there_are_kernels():
    assert {"gcm_aesni.c", "gcm_vaes512.c"} <= {path.name for path in KERNELS}


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.stem)
def test_all_that_a_kernel_leaves_is_wiped(kernel):
    assert deeper_than_wiped(stack_of(kernel, built())) == {}


def test_a_wipe_that_is_too_short_is_seen(tmp_path):
    (tmp_path / "kernel.c").write_text((CSRC / "aead/gcm_aesni.c").read_text())
    rows = (CSRC / "aead/gcm_rows.h").read_text()
    assert "uint8_t room[STACK_OF_VARIANTS];" in rows
    short = rows.replace("room[STACK_OF_VARIANTS]", "room[STACK_OF_VARIANTS / 16]")
    (tmp_path / "aead").mkdir()
    (tmp_path / "aead" / "gcm_rows.h").write_text(short)
    run(f"gcc -std=c11 -O3 -fPIC -fstack-usage -I. -I{CSRC} -c kernel.c", tmp_path)
    assert deeper_than_wiped(stack_of(tmp_path / "kernel.c", tmp_path))
