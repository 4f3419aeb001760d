"""pysframe doctor: which engine runs here, why no other, and whether its answers are right."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Any

from .. import Backend, backend_info
from ..engine import NATIVE_PLATFORMS
from ._console import say, say_json, say_pair

HELP = "say which engine runs here, why no other, and test it"
TEXT = """\
Says which engine and kernel protect frames on this machine, why the others were refused, which
versions are installed, and tests the engine against the frames of RFC 9605 Appendix C.

Exit status: 0 when all is well, 1 when the self-test failed or the native engine should run here
and does not."""

SWITCHES = ("PYSFRAME_BACKEND", "PYSFRAME_MAX_ISA", "PYSFRAME_KERNEL")
TOLD_APART = {"engine", "kernel", "refused", "versions", "self_test"}  # of a Backend's facts
EXTRAS = {"rich": "tables and colours", "av": "call, decrypt", "numpy": "call"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")


def run(args: argparse.Namespace) -> int:
    backend = backend_info()
    problems = diagnose(backend)
    if args.json:
        say_json(_as_json(backend, problems))
    else:
        _tell(backend, problems)
    return 1 if problems else 0


def diagnose(backend: Backend) -> list[str]:
    """The problems, in words; empty when all is well."""
    problems = []
    if backend.self_test != "ok":
        problems.append(f"the self-test of {backend.engine}:{backend.kernel}: {backend.self_test}")
    if backend.engine != "native" and _native_expected():
        problems.append(
            f"{backend.engine}:{backend.kernel} runs, many times slower than the native engine, "
            "which this platform should have: build it with PYSFRAME_BUILD=require pip install"
        )
    return problems


def _native_expected() -> bool:
    """Whether this platform has native wheels and no other engine was requested."""
    refused = os.environ.get("PYSFRAME_BACKEND") == "fallback"
    refused |= os.environ.get("PYSFRAME_MAX_ISA") == "none"
    return not refused and (sys.platform, platform.machine()) in NATIVE_PLATFORMS


def _switches() -> dict[str, str]:
    return {name: value for name in SWITCHES if (value := os.environ.get(name))}


def _extras() -> dict[str, str | None]:
    """The version of each optional library; None when it is missing."""
    found: dict[str, str | None] = {}
    for name in EXTRAS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _package() -> str:
    """The tags of the wheel that was installed, in one line."""
    try:
        about = distribution("pysframe").read_text("WHEEL") or ""
    except PackageNotFoundError:
        return "not installed"
    tags = [line.removeprefix("Tag: ") for line in about.splitlines() if line.startswith("Tag: ")]
    pure = tags == ["py3-none-any"]
    return ", ".join(tags) + (" (plain Python, without a native engine)" if pure else "")


def _tell(backend: Backend, problems: list[str]) -> None:
    ok = "bold red" if problems else "bold green"
    say_pair("engine", f"{backend.engine}, kernel {backend.kernel}", ok)
    say_pair("self-test", backend.self_test, "green" if backend.self_test == "ok" else "bold red")
    for name, fact in backend._asdict().items():
        if name not in TOLD_APART:
            say_pair(name.replace("_", " "), _words(fact))
    say_pair("platform", platform.platform())
    say_pair("package", _package())
    versions = {name: found for name, found in backend.versions.items() if name != "cpu"}
    say_pair("versions", ", ".join(f"{name} {found}" for name, found in versions.items()))
    say_pair("cpu", backend.versions.get("cpu") or platform.machine())
    extras = (f"{name} {found or 'missing'} ({EXTRAS[name]})" for name, found in _extras().items())
    say_pair("extras", ", ".join(extras))
    say_pair("switches", " ".join(f"{k}={v}" for k, v in _switches().items()) or "none set")
    for i, (name, why) in enumerate(backend.refused.items()):
        say_pair("refused" if i == 0 else "", f"{name}: {why}", "yellow")
    say()
    for problem in problems:
        say_pair("PROBLEM", problem, "bold red")
    if not problems:
        say("All is well.", "bold green")


def _words(fact: object) -> str:
    return {True: "yes", False: "no"}[fact] if isinstance(fact, bool) else str(fact)


def _as_json(backend: Backend, problems: list[str]) -> dict[str, Any]:
    return {
        "ok": not problems,
        "problems": problems,
        **backend._asdict(),
        "platform": platform.platform(),
        "package": _package(),
        "extras": _extras(),
        "switches": _switches(),
    }
