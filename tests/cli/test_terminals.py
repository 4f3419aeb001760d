"""Terminals: any width and any encoding show all there is, and get their cursor back."""

import os
import re
import signal
import subprocess
import sys
import time

import on_a_terminal
import pytest
from on_a_terminal import HIDDEN, SHOWN, last_picture

from pysframe.cli import _streams, _terminal, main
from pysframe.cli._console import Table

CALL = ("call", "--fast", "--digits", "1", "--budget-us", "20000")
QUICK = {
    "call": CALL,
    "inspect": ("inspect", "9901234567b7412c2513a1b6", "--clear", "3", "--suite", "4"),
    "doctor": ("doctor",),
    "bench": ("bench", "--seconds", "0.1"),
}


@pytest.mark.parametrize("columns", [20, 40, 80, 160])
@pytest.mark.parametrize("name", QUICK)
def test_no_line_is_wider_than_the_terminal(name, columns):
    out, status = on_a_terminal.run(*QUICK[name], columns=columns)
    assert status == (1 if name == "inspect" else 0), out
    lines = last_picture(out)
    assert max(map(len, lines)) <= columns
    assert sum(map(len, lines)) > 100, "something is shown"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("name", QUICK)
def test_a_terminal_without_unicode_has_plain_marks(name, encoding, tmp_path):
    words = QUICK[name]
    environment = {"PYTHONIOENCODING": encoding}
    out, status = on_a_terminal.run(*words, columns=40, environment=environment)
    assert status == (1 if name == "inspect" else 0), out
    assert b"Traceback" not in out
    out.decode(encoding)
    if name == "call":
        assert re.search(rb"AES_128_GCM_\S+ on [a-z:0-9]+~", out), "what is cut ends in a mark"


def test_what_an_encoding_lacks_becomes_a_mark_of_one_column():
    text = "a…b─c│d\udcffe é €"
    assert _plain(text, "ascii") == "a~b-c|d?e ? ?"
    assert _plain(text, "latin-1") == "a~b-c|d?e é ?"
    assert _plain(text, "utf-8") == "a…b─c│d?e é €"


def _plain(text, encoding):
    return text.encode(encoding, "pysframe.plain").decode(encoding)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("words", [("call",), ("bench", "--seconds", "300")], ids=lambda w: w[0])
def test_a_deadly_signal_gives_the_cursor_back(words, number):
    """And it is what the command dies of."""
    out, status = on_a_terminal.run(*words, send=number)
    assert status == -number and out.count(HIDDEN) == 1
    assert out.rindex(SHOWN) > out.rindex(HIDDEN)


@pytest.mark.parametrize("words", [("call",), ("bench", "--seconds", "300")], ids=lambda w: w[0])
def test_ctrl_c_gives_the_cursor_back(words):
    out, status = on_a_terminal.run(*words, send=signal.SIGINT)
    assert status == 130 and b"Traceback" not in out
    assert out.rindex(SHOWN) > out.rindex(HIDDEN)


def test_an_ignored_signal_stays_ignored():
    """nohup ignores SIGHUP, so that a command outlives its terminal."""
    code = (
        "import signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from pysframe.cli._terminal import display\n"
        "with display(): signal.raise_signal(signal.SIGHUP)\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


# A shell with one job: it passes Ctrl-Z on, says that the job stopped, and continues it.
SHELL = f"""
import os, signal, sys
signal.signal(signal.SIGTSTP, lambda number, frame: os.kill(job, number))
job = os.fork()
if not job:
    os.setpgid(0, 0)
    exec({on_a_terminal.MAIN!r})
while True:
    status = os.waitpid(job, os.WUNTRACED)[1]
    if not os.WIFSTOPPED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    print("STOPPED", flush=True)
    os.kill(job, signal.SIGCONT)
"""


def test_ctrl_z_gives_the_cursor_back_until_the_command_is_continued():
    words = ("call", "--seconds", "2", "--budget-us", "20000")
    out, status = on_a_terminal.run(*words, send=signal.SIGTSTP, code=SHELL)
    assert status == 0, out
    stopped = out.index(b"STOPPED")
    assert out[:stopped].rindex(SHOWN) > out[:stopped].rindex(HIDDEN)
    assert HIDDEN in out[stopped:] and out.rindex(SHOWN) > out.rindex(HIDDEN)
    assert b"expectations hold" in out


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_a_terminal_that_can_do_nothing_gets_plain_lines(term):
    out, status = on_a_terminal.run(*CALL, environment={"TERM": term})
    assert status == 0 and b"\x1b" not in out and b"expectations hold" in out


def test_a_name_cannot_steer_the_terminal(tmp_path):
    """Escape sequences, bytes that are no UTF-8, and text that runs from right to left."""
    name = os.path.join(os.fsencode(tmp_path), b"fr\xff\x1b[2Jame\xe2\x80\xae\n.bin")
    with open(name, "wb") as file:
        file.write(b"\x99\x01\x23\x45\x67")
    words = [os.fsdecode(name)]
    out, status = on_a_terminal.run("inspect", *words, columns=160)
    assert status == 0 and b"\x1b[2J" not in out
    assert rb"fr\xff\x1b[2Jame\u202e\n.bin" in out
    out, status = on_a_terminal.run("call", *words, columns=160)
    assert status == 2 and b"\x1b[2J" not in out and rb"fr\xff\x1b[2Jame" in out


@pytest.mark.parametrize("columns", [*range(-1, 30), "²", "9" * 5000, "many", "1.5"])
def test_any_columns(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["doctor"]) == 0
    assert main(["inspect", "9901234567"]) == 0
    for command in ([], ["call"], ["bench"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--help"])
        assert stop.value.code == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("columns", [1, 7, 12, 25, "²"])
def test_any_columns_with_rich(columns):
    out, status = on_a_terminal.run(*CALL, environment={"COLUMNS": str(columns)})
    assert status == 0 and b"Traceback" not in out


def test_a_table_that_is_too_wide_is_told_row_by_row(monkeypatch, capsys):
    table = Table(("who", "first", "second"), [("a", "1", "2"), ("b", "", "3")])
    monkeypatch.setattr("pysframe.cli._console.limit", lambda: table.width)
    table.show()
    assert capsys.readouterr().out == "who  first  second\na    1      2\nb           3\n"
    monkeypatch.setattr("pysframe.cli._console.limit", lambda: table.width - 1)
    table.show()
    assert capsys.readouterr().out.split() == ["a", "first", "1", "second", "2", "b", "second", "3"]


def test_a_call_that_stood_still_does_not_hurry(monkeypatch):
    """After Ctrl-Z the call goes on at the pace of speech."""
    from pysframe.cli import call

    class Stage:
        ticks, clock = 0, 100.0

        @property
        def done(self):
            return self.ticks == 100

        def tick(self):
            self.ticks += 1
            self.clock += 60.0 if self.ticks == 50 else 0.0

    class Shown:
        def show(self, stage):
            pass

    stage, slept = Stage(), []
    monkeypatch.setattr(time, "monotonic", lambda: stage.clock)

    def sleep(seconds):
        slept.append(seconds)
        stage.clock += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    call._tick_along(stage, Shown(), fast=False)
    assert sum(slept[50:]) == pytest.approx(50 * 0.02 - call.STALL_S, abs=0.03)


def test_settling_forgets_only_what_could_not_be_written(capfd):
    _streams.write("words\n")
    _streams.settle()
    assert capfd.readouterr().out == "words\n"


def test_ctrl_c_while_the_picture_begins_gives_the_cursor_back(monkeypatch):
    shown = []

    def interrupted(_live):
        shown.append("hidden")
        raise KeyboardInterrupt

    monkeypatch.setattr("rich.live.Live.start", interrupted)
    monkeypatch.setattr(_terminal.Display, "_show_cursor", lambda _: shown.append("shown"))
    with pytest.raises(KeyboardInterrupt), _terminal.display():
        pytest.fail("it has begun")
    assert shown == ["hidden", "shown"]
