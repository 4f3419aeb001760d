""".ci/run: every part has its budget, the table is told however a run ends, too slow is told."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUN = (ROOT / ".ci/run").read_text()
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()
BUDGET = [
    (run, int(minutes), part)
    for run, minutes, part in (
        line.split(maxsplit=2)
        for line in (ROOT / ".ci/budget").read_text().splitlines()
        if not line.startswith("#")
    )
]
PUSHED = ("call", "test", "dev", "bench", "wheels", "e2e", "libsfr")  # extras that a push installs
WHOLE_RUN, GROUND = 75, 25  # minutes: all that may come, and the parts below
GROUND_PARTS = [
    *("packages", "make test", "native engine"),
    *("make test-deep", "make lint", "make bench-gate", "make test-gates"),
]


def parts(run):
    """The parts of .ci/run in the order in which it runs them."""
    before, push, nightly = re.split(r'^if \[ "\$kind" = push \].*$|^else$', RUN, flags=re.M)
    return re.findall(r'^ *part "([^"]+)"', before + {"push": push, "nightly": nightly}[run], re.M)


@pytest.mark.parametrize("run", ["push", "nightly"])
def test_parts_and_budget_agree(run):
    assert [part for of, _, part in BUDGET if of == run] == parts(run)
    assert len(parts(run)) == len(set(parts(run))) > 3


def test_a_push_takes_what_it_may():
    minutes = {part: n for run, n, part in BUDGET if run == "push"}
    assert sum(minutes.values()) <= WHOLE_RUN
    assert sum(minutes[part] for part in GROUND_PARTS) <= GROUND


@pytest.mark.parametrize(("job", "run"), [("debian-12", "push"), ("nightly", "nightly")])
def test_the_workflow_gives_it_the_time(job, run):
    section = re.search(rf"^  {job}:\n(.*?)(?=^  \S|\Z)", WORKFLOW, re.S | re.M)[1]
    timeout = int(re.search(r"timeout-minutes: (\d+)", section)[1])
    assert sum(n for of, n, _ in BUDGET if of == run) <= timeout
    assert re.search(rf"run: bash \.ci/run{'' if run == 'push' else ' nightly'}$", section, re.M)
    assert run == "nightly" or timeout == WHOLE_RUN


def test_the_tests_are_those_of_the_readme():
    assert 'part "make test" make test\n' in RUN
    assert "    make test " in (ROOT / "README.md").read_text()


def test_a_push_is_tested_with_releases_that_are_named():
    """All that it installs by name; a release of anybody's must not turn a push red."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][kind] for kind in PUSHED]
    names = {plain(re.match(r"[\w-]+", each)[0]) for extra in extras for each in extra}
    lines = (ROOT / ".ci/constraints.txt").read_text().splitlines()
    named = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert names - {"pysframe"} <= set(map(plain, named))
    assert "export PIP_CONSTRAINT=$PWD/.ci/constraints.txt" in RUN


def plain(name):
    """As package registries compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- its functions, with parts that take no time ----


def play(tmp_path, parts, budget="push 1 one\npush 2 two\n"):
    """(status, output) of a run of these parts; `takes N` moves the clock on by N seconds."""
    (tmp_path / "budget").write_text(budget)
    (tmp_path / "parts.sh").write_text((ROOT / ".ci/parts.sh").read_text())
    script = (
        "set -euo pipefail; kind=push\n"
        "unset SECONDS; SECONDS=0\n"  # so that a busy machine does not move it
        "takes() { SECONDS=$((SECONDS + $1)); }\n"
        "breaks() { false; echo 'went on after a failure'; }\n"
        f". {tmp_path}/parts.sh\n{parts}\ndone_what=everything\n"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def row(output, part):
    return re.search(rf"^    {part} +\S+ +\S+ *(.*)$", output, re.M)[1]


def test_each_part_is_told_with_its_time(tmp_path):
    status, output = play(tmp_path, "part one takes 30; part two takes 100")
    assert status == 0 and "=== CI PASSED in 2:1" in output and output.endswith("everything\n")
    assert re.search(r"^=== part +took +may take$", output, re.M)
    assert re.search(r"^    one +0:30 +1:00$", output, re.M)
    assert re.search(r"^    two +1:40 +2:00$", output, re.M)
    assert re.search(r"^    together +2:1\d +3:00$", output, re.M)
    assert "=== two (may take 2 min)" in output


def test_a_part_over_its_budget_is_marked_and_no_more(tmp_path):
    status, output = play(tmp_path, "part one takes 110; part two takes 10")
    assert status == 0 and "CI PASSED" in output
    assert (row(output, "one"), row(output, "two")) == ("over its budget", "")


def test_a_part_far_over_its_budget_fails_the_run_at_its_end(tmp_path):
    status, output = play(tmp_path, "part one takes 190; part two takes 10")
    assert status == 1 and "CI FAILED in 3:2" in output and "too slow: one;" in output
    assert row(output, "one") == "more than 3 times its budget" and row(output, "two") == ""


def test_a_part_that_fails_ends_the_run_and_the_table_is_told(tmp_path):
    status, output = play(tmp_path, "part one breaks; part two takes 10")
    assert status == 1 and "went on after a failure" not in output
    assert row(output, "one") == "FAILED" and "=== two" not in output
    assert re.search(r"^=== CI FAILED in 0:0\d: one$", output, re.M)


def test_a_part_without_a_row_fails(tmp_path):
    status, output = play(tmp_path, "part one takes 1; part three takes 1")
    assert status == 1 and "no row for the part 'three' of the run 'push'" in output
    assert "CI FAILED" in output and row(output, "one") == ""
