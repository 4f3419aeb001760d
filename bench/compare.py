"""Two commits side by side: `make bench-compare BASE=main HEAD=HEAD`.

    python bench/compare.py BASE [HEAD] [--turns 41]

Builds each in an environment of its own under build/compare (kept: a second run only measures),
then lets the two take turns, a block of frames each, and prints the ratio of their medians for
every call. No stored figures: both are measured on this machine, in the same minutes, by the
bench/ of the checkout that runs it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "compare"
RUNNER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from interleave import keep_pages, once
from calls import OURS
from workloads import Workload
keep_pages()
cases = {f"{call} {size} B": make(Workload(4, size))
         for call, make in OURS.items() for size in (40, 160, 1200)}
for line in sys.stdin:
    name = line.strip()
    once(cases[name])
    print(once(cases[name]), flush=True)
"""
CASES = "import json, sys; sys.path.insert(0, sys.argv[1]); from calls import OURS; print(*OURS)"


def build(revision: str) -> Path:
    """The interpreter of an environment that has this commit."""
    commit = git("rev-parse", "--short=12", f"{revision}^{{commit}}").decode().strip()
    home = KEPT / commit
    python = home / "env" / "bin" / "python"
    if (home / "done").exists():
        return python
    say(f"building {revision} ({commit})")
    shutil.rmtree(home, ignore_errors=True)
    (home / "source").mkdir(parents=True)
    archive = git("archive", commit)
    subprocess.run(["tar", "x", "-C", home / "source"], input=archive, check=True)
    venv.create(home / "env", with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    environment = os.environ | {"PYSFRAME_BUILD": "require"}
    subprocess.run([*pip, home / "source", "cryptography"], check=True, env=environment)
    (home / "done").touch()
    return python


def git(*words: str) -> bytes:
    return subprocess.check_output(["git", "-C", ROOT, *words])


def start(python: Path) -> "subprocess.Popen[str]":
    command = [python, "-c", RUNNER, Path(__file__).parent]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=KEPT)


def turn(runner: "subprocess.Popen[str]", case: str) -> float:
    assert runner.stdin and runner.stdout
    runner.stdin.write(f"{case}\n")
    runner.stdin.flush()
    said = runner.stdout.readline()
    if not said:
        raise SystemExit(f"the runner of {runner.args!r} ended: {case}")
    return float(said)


def compare(base: Path, head: Path, turns: int) -> dict[str, tuple[float, float, float]]:
    """{case: (base, head, ratio)}: median nanoseconds per frame; the median of the ratios."""
    command = [head, "-c", CASES, Path(__file__).parent]
    calls = subprocess.check_output(command, text=True, cwd=KEPT).split()
    runners, found = [start(base), start(head)], {}
    for case in (f"{call} {size} B" for call in calls for size in (40, 160, 1200)):
        blocks: list[list[float]] = [[], []]
        for number in range(turns):
            for which in (0, 1) if number % 2 else (1, 0):
                blocks[which].append(turn(runners[which], case))
        ratios = [before / after for before, after in zip(*blocks, strict=True)]
        found[case] = median(blocks[0]), median(blocks[1]), median(ratios)
    for runner in runners:
        runner.terminate()
    return found


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("base")
    parser.add_argument("head", nargs="?", default="HEAD")
    parser.add_argument("--turns", type=int, default=41)
    options = parser.parse_args()
    base, head = build(options.base), build(options.head)
    print(f"{'ns per frame':32}{options.base:>12}{options.head:>12}  faster")
    for case, (before, after, ratio) in compare(base, head, options.turns).items():
        print(f"{case:32}{before:12.1f}{after:12.1f}{ratio:7.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
