"""The rules that fail a run are seen to fail one: each case is a small run of pytest by itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

import machine
import pytest
import run_rules
from isolated import PATIENCE

TESTS = Path(__file__).parent
SKIPS = "import pytest\ndef test_a(): pytest.skip('no such tool')\ndef test_b(): pass\n"
ALLOWED = """
[[allowed]]
test = "test_case.py::test_a"
reason = "no such tool"
when = "{when}"
"""


@pytest.fixture
def run(pytester, monkeypatch, request, tmp_path):
    """run(code, allowed, *options): pytest with our rules and an allowed list of its own."""
    monkeypatch.setitem(machine.CONDITIONS, "always", lambda: True)
    monkeypatch.setitem(machine.CONDITIONS, "never", lambda: False)

    def run(code, allowed="", *options):
        listed = tmp_path / "allowed.toml"
        listed.write_text(allowed)
        monkeypatch.setattr(run_rules, "ALLOWED_SKIPS", listed)
        pytester.makepyfile(test_case=code)
        seed = f"--seed={request.config.option.seed}"
        return pytester.runpytest_inprocess("-p", "run_rules", "-p", "no:randomly", seed, *options)

    return run


def test_an_unlisted_skip_fails_the_run(run):
    result = run(SKIPS)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*not allowed*", "test_case.py::test_a: *no such tool"])


def test_a_listed_skip_passes_only_on_its_machine(run):
    assert run(SKIPS, ALLOWED.format(when="always")).ret == pytest.ExitCode.OK
    assert run(SKIPS, ALLOWED.format(when="never")).ret == pytest.ExitCode.TESTS_FAILED


def test_a_skip_for_another_reason_fails_the_run(run):
    other = SKIPS.replace("no such tool", "too slow today")
    assert run(other, ALLOWED.format(when="always")).ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("body", ["assert False", "pass"], ids=["xfail", "xpass"])
def test_an_expected_failure_fails_the_run(run, body):
    code = f"import pytest\n@pytest.mark.xfail(reason='later')\ndef test_a(): {body}\n"
    assert run(code).ret == pytest.ExitCode.TESTS_FAILED


def test_a_module_that_skips_itself_fails_the_run(run):
    code = "import pytest\npytest.skip('not here', allow_module_level=True)\n"
    assert run(SKIPS.replace("pytest.skip('no such tool')", "pass")).ret == pytest.ExitCode.OK
    assert run(code).ret != pytest.ExitCode.OK


def test_a_deselection_fails_the_run_unless_it_is_meant(run):
    code = "def test_a(): pass\ndef test_b(): pass\n"
    assert run(code, "", "-k", "test_a").ret == pytest.ExitCode.TESTS_FAILED
    assert run(code, "", "-k", "test_a", "--partial").ret == pytest.ExitCode.OK


def test_a_missing_kernel_fails_the_run(run, monkeypatch):
    monkeypatch.setattr(machine, "missing_kernels", lambda: ["vaes512"])
    result = run("def test_a(): pass\n")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*kernel vaes512 is missing on this CPU*"])


def test_workers_report_what_they_did_not_run(run):
    code = SKIPS + "def test_other(): pass\n"
    result = run(code, "", "-n", "1", "-k", "not other")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*::test_a: *no such tool", "*::test_other: deselected"])


def test_what_failed_is_told_last(run):
    code = "def test_a(record_property):\n    record_property('figure', '12 ways')\n    assert 0\n"
    said = run(code).stdout.str()
    places = ["tests per part", "12 ways", "== FAILURES ==", "short test summary info"]
    assert sorted(places, key=said.index) == places


def test_no_environment_makes_properties_the_same_each_time():
    code = "import conftest, hypothesis; print(hypothesis.settings.default.derandomize)"
    for profile in ("desk", "ci", "mutants"):
        environment = os.environ | {"CI": "true", "HYPOTHESIS_PROFILE": profile}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True)
        assert done.stdout == "False\n", done.stderr


def test_the_run_prints_its_parts_tier_and_seed(run):
    result = run("def test_a(): pass\n", "", "--tier=deep")
    result.stdout.fnmatch_lines(
        ["engines: *", "tier: deep*", "seed: *", "*1  test_case.py", "*1  in all, seed *"]
    )


def test_a_deep_run_leaves_out_what_it_would_only_repeat(request):
    """Beside make test: of a promise's tests those whose amount grows, and all of deep/."""
    kills, deep = "tests/security/test_p05_kills.py", "tests/security/deep/test_p05_syscalls.py"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0"]
    done = subprocess.run(
        [*command, "--tier=deep", kills, deep, "tests/test_ci.py"],
        cwd=request.config.rootpath, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    found = re.findall(r"^(\S+)::(\w+)", done.stdout, re.M)
    assert [test for file, test in found if file == kills] == ["test_killed_at_any_moment"]
    assert {file for file, _ in found} == {kills, deep, "tests/test_ci.py"}


@pytest.mark.parametrize(
    ("nodeid", "part"),
    [
        ("tests/test_kid.py::test_x[a/b]", "tests/test_kid.py"),
        ("tests/c_core/test_rows.py::test_x", "tests/c_core"),
        ("tests/security/test_p05_fork.py::test_x", "tests/security: promise 05"),
        ("tests/security/deep/test_p12_core_dumps.py::test_x", "tests/security: promise 12"),
    ],
)
def test_a_part_is_a_file_a_folder_or_a_promise(nodeid, part):
    assert run_rules.part_of(nodeid) == part
