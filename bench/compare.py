"""Two commits side by side: `python bench/compare.py BASE HEAD`.

Builds each in a worktree and environment of its own, then lets them take turns, a block of
frames each, and prints the ratio of their medians for every row. No stored figures: both are
measured on this machine, in the same minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
BLOCK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from interleave import once
from gates import OURS
from workloads import Workload
cases = [(row, size, OURS[row](Workload(4, size))) for row in OURS for size in (40, 160, 1200)]
for case in cases:
    once(case[2])
for line in sys.stdin:
    print(json.dumps({f"{row} {size} B": once(c) for row, size, c in cases}), flush=True)
"""


def build(commit: str, home: Path) -> Path:
    """The interpreter of an environment that has this commit."""
    source = home / "source"
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", source, commit], check=True)
    venv.create(home / "env", with_pip=True)
    python = home / "env" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", str(source), "cryptography"]
    subprocess.run(pip, check=True, env=os.environ | {"PYSFRAME_BUILD": "require"})
    return python


def start(python: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [python, "-c", BLOCK, Path(__file__).parent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def turn(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    block: dict[str, float] = json.loads(process.stdout.readline())
    return block


def compare(base: Path, head: Path, turns: int) -> dict[str, tuple[float, float]]:
    """{row: (base, head)}: median nanoseconds per frame."""
    runners = [start(base), start(head)]
    blocks: list[list[dict[str, float]]] = [[], []]
    for number in range(turns):
        for which in (0, 1) if number % 2 else (1, 0):
            blocks[which].append(turn(runners[which]))
    for runner in runners:
        runner.terminate()
    return {
        row: (median(b[row] for b in blocks[0]), median(b[row] for b in blocks[1]))
        for row in blocks[0][0]
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("base")
    parser.add_argument("head", nargs="?", default="HEAD")
    parser.add_argument("--turns", type=int, default=41)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        homes = [Path(directory) / "base", Path(directory) / "head"]
        try:
            base, head = (
                build(commit, home)
                for commit, home in zip((options.base, options.head), homes, strict=True)
            )
            result = compare(base, head, options.turns)
        finally:
            for home in homes:
                remove = ["git", "-C", ROOT, "worktree", "remove", "--force", home / "source"]
                subprocess.run(remove, check=False)
    for row, (before, after) in result.items():
        print(f"{row:32} {before:8.1f} -> {after:8.1f} ns  {before / after:5.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
