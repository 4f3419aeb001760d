"""What the terminal shows: all of it at 80 and at 120 columns, and plain lines where asked."""

import io
import random
import sys

import pytest
from rich.console import Console

from pysframe.cli import _console, main
from pysframe.cli._screen import picture, plain_table, sparkline
from pysframe.demo.digits import speak
from pysframe.demo.report import COLUMNS, interruptions, rows
from pysframe.demo.stage import Cast, Stage


@pytest.fixture(scope="module")
def stage():
    """A call in its middle, with latencies as wide as they get."""
    stage = Stage(speak("123456789012"), random.Random(1), digits="123456789012", cast=Cast())
    while not stage.agent.speaking:
        stage.tick()
    for member in stage.members:
        member.protect.wall_ns = member.unprotect.wall_ns = [12_345_678]
        member.frames_in = member.frames_out = 9999
    return stage


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_off(stage, width):
    out = io.StringIO()
    Console(file=out, width=width).print(picture(stage, "title\nmore"))
    text = out.getvalue()
    assert "…" not in text and "..." not in text
    for word in ("301 missing key", "301 wrong key", "unprotect us", "12346", "agent answers"):
        assert word in text
    for row in rows(stage):
        assert row[0] in text
    assert "publisher 123 456 789 012" in text


def test_without_rich_the_same_stands_in_columns(stage):
    lines = plain_table(stage).plain().splitlines()
    assert len(lines) == 1 + len(stage.names)
    assert all(name.split()[0] in lines[0] for name in COLUMNS if name)
    assert max(map(len, lines)) <= 100


def test_the_clock_breaking_the_budget_is_said(stage):
    assert "p99 reached 12346 us" in interruptions(stage, 1000)
    assert interruptions(stage, 20_000) == ""


def test_a_sparkline_is_louder_where_the_sound_is(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert sparkline([0.0, 0.0, 1.0, 1.0, 0.03, 0.03]) == " █▃"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert sparkline([0.0, 0.0, 1.0, 1.0]) == " #"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("switch", "value", "colours"),
    [("TERM", "xterm", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False)],
)
def test_colours_are_for_terminals_that_want_them(monkeypatch, switch, value, colours):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(switch, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert _console.fancy() is colours


def test_on_a_terminal_the_call_is_drawn(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["call", "--fast", "--digits", "3", "--budget-us", "20000"]) == 0
    text = sys.stdout.getvalue()
    assert "\x1b[" in text and "publisher speaks" in text and "call ended" in text
    assert "All 11 expectations hold" in text


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("call", "inspect", "doctor", "bench"))
