"""What a run must show before it may pass (a pytest plugin, loaded by conftest.py).

Rule 1: a skip, xfail or deselection that tests/allowed_skips.toml does not list fails the run.
Rule 2: no kernel may be missing on a CPU that has what it needs.
Rule 3: a run says what it ran on, with which seed, how many tests each part had, and the figures
        that tests gave to `figure`.
"""

import os
import random
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import machine
import pytest

import pysframe
from pysframe import engine

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.toml")
TIERS = ("quick", "deep", "nightly")  # make test, make test-deep, make test-nightly
DEEP = Path(__file__).parent / "security" / "deep"
WEB = Path(__file__).parent / "browser"  # for `make web`, which names it: it needs Node
CALL = Path(__file__).parent / "e2e"  # for `make e2e`: it needs root, servers and browsers
ARM = Path(__file__).parent / "arm64"  # for `make arm64`: it needs a cross compiler and an emulator
LIBSFR = Path(__file__).parent / "libsfr"  # for `make test-libsfr`: it needs three C compilers


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pysframe")
    group.addoption("--seed", type=int, help="seed of every random test (default: a new one)")
    group.addoption("--partial", action="store_true", help="deselections are intended")
    group.addoption("--measured", action="store_true", help="with what the gates measure")
    group.addoption("--tier", choices=TIERS, default="quick", help="how much of tests/security")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().getrandbits(32)
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(config.option.seed)
    config.pluginmanager.register(RunRules(config), "pysframe-run-rules")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    deep = collection_path == DEEP and config.option.tier == "quick"
    return True if deep or collection_path in (WEB, CALL, LIBSFR, ARM) else None


def pytest_report_header(config: pytest.Config) -> list[str]:
    found = machine.tools()
    refused = pysframe.backend_info().refused
    lines = [
        f"engines: {', '.join(engine.available())}",
        f"refused: {'; '.join(f'{name}: {why}' for name, why in refused.items()) or 'none'}",
        f"tools: {', '.join(name for name, there in found.items() if there)}",
        f"tier: {config.option.tier}",
        f"seed: {config.option.seed} (repeat with --seed={config.option.seed})",
    ]
    absent = [name for name, there in found.items() if not there]
    return [*lines, f"not found: {', '.join(absent)}"] if absent else lines


class RunRules:
    """Collects what happened. Under xdist the workers collect, the controller judges."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rules = tomllib.loads(ALLOWED_SKIPS.read_text()).get("allowed", [])
        self.parts: Counter[str] = Counter()
        self.figures: list[str] = []
        self.not_run: set[tuple[str, str]] = set()

    @property
    def is_worker(self) -> bool:
        return hasattr(self.config, "workeroutput")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or (report.when == "setup" and report.skipped):
            self.parts[part_of(report.nodeid)] += 1
        if report.when == "call":
            name = report.nodeid.split("/")[-1]
            said = [value for kind, value in report.user_properties if kind == "figure"]
            self.figures += [f"{name}: {value}" for value in said]
        if hasattr(report, "wasxfail"):
            self.not_run.add((report.nodeid, f"xfail: {report.wasxfail}"))
        elif report.skipped:
            self.not_run.add((report.nodeid, skip_reason(report)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.not_run.add((report.nodeid, skip_reason(report)))

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        if not self.config.option.partial:
            self.not_run.update((item.nodeid, "deselected") for item in items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        self.not_run.update(map(tuple, getattr(node, "workeroutput", {}).get("not_run", [])))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.is_worker:
            self.config.workeroutput["not_run"] = sorted(self.not_run)
        elif self.violations() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def violations(self) -> list[str]:
        missing = [f"kernel {name} is missing on this CPU" for name in machine.missing_kernels()]
        skipped = [row for row in sorted(self.not_run) if not self.allows(*row)]
        return missing + [f"{nodeid}: {why}" for nodeid, why in skipped]

    def allows(self, nodeid: str, why: str) -> bool:
        return any(
            fnmatchcase(nodeid.removesuffix("@c_core"), rule["test"])  # xdist adds the group
            and rule["reason"] in why
            and machine.CONDITIONS[rule["when"]]()
            for rule in self.rules
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
        """What ran comes before pytest's own summary: of a log that is cut, the end is left."""
        self.tell_what_ran(terminalreporter)
        yield
        if violations := self.violations():
            terminalreporter.section("not allowed (see tests/allowed_skips.toml)", red=True)
            for violation in violations:
                terminalreporter.write_line(violation, red=True)

    def tell_what_ran(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        terminalreporter.section("tests per part")
        for part, count in sorted(self.parts.items()):
            write(f"{count:7d}  {part}")
        write(f"{self.parts.total():7d}  in all, seed {self.config.option.seed}")
        if self.figures:
            terminalreporter.section("figures")
            for figure in sorted(self.figures):
                write(figure)


def part_of(nodeid: str) -> str:
    """A folder, a file of tests/ itself, or a promise: "tests/security: promise 05"."""
    file = nodeid.split("::")[0]
    if promise := re.match(r"tests/security/(?:deep/)?test_p(\d\d)_", file):
        return f"tests/security: promise {promise[1]}"
    return "/".join(file.split(os.sep)[:2])


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
