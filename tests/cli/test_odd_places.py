"""Odd places: closed, full or broken streams, no home, no locale. One line of words, a status."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest
from isolated import PATIENCE

from pysframe.cli import main
from pysframe.demo import contest
from pysframe.demo.optional import trouble

MAIN = [sys.executable, "-c", "import sys; from pysframe_command import main; sys.exit(main())"]
COMMANDS = {
    "call": "call --fast --digits 1 --budget-us 20000",
    "inspect": "inspect 9901234567",
    "inspect --json": "inspect --json 9901234567",
    "doctor": "doctor",
    "doctor --json": "doctor --json",
    "bench": "bench --seconds 0.1",
    "--version": "--version",
    "--help": "--help",
    "call --help": "call --help",
}


def run(words, redirection="", **environment):
    """(status, stdout, stderr) of a command in a shell that redirects its streams."""
    shell = ["bash", "-c", f'exec "$@" {redirection}', "pysframe", *MAIN, *words]
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | environment
    done = subprocess.run(shell, capture_output=True, timeout=PATIENCE, env=variables)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">&-", "it is closed"), (">/dev/full", "No space left on device")],
    ids=["closed", "full"],
)
def test_an_output_that_takes_nothing_is_said(command, redirection, why):
    status, out, err = run(COMMANDS[command].split(), redirection)
    assert (status, out) == (2, "")
    assert err == f"pysframe: nothing can be written to standard output: {why}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_who_goes_away_is_no_fault(command):
    """The status is what a shell gives a command that dies of SIGPIPE."""
    process = subprocess.Popen(
        [*MAIN, *COMMANDS[command].split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    err = process.communicate(timeout=PATIENCE)[1]
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("words", ["inspect no-such-file", "inspect", "call no-such-file"])
def test_without_standard_error_the_status_still_tells(words, redirection):
    assert run(words.split(), redirection)[:2] == (2, "")


@pytest.mark.parametrize("redirection", ["<&-", "2>&-", "<&- 2>&-"])
@pytest.mark.parametrize("command", ["call", "inspect", "doctor", "bench"])
def test_streams_that_a_command_does_not_need(command, redirection):
    status, out, err = run(COMMANDS[command].split(), redirection)
    assert (status, err) == (0, "") and out


def test_standard_input_that_is_closed():
    words = "pysframe inspect: standard input is closed\n"
    assert run(["inspect", "-"], "<&-") == (2, "", words)


@pytest.mark.parametrize("command", ["call", "inspect", "doctor", "bench", "--version"])
def test_no_home_no_locale_no_directory(command, tmp_path):
    """As in a container, or under a daemon."""
    gone = tmp_path / "gone"
    words = " ".join(COMMANDS[command].split())
    code = MAIN[2].replace("'", '"')
    script = (
        f"mkdir {gone}; cd {gone}; rmdir {gone}; unset HOME; "
        f"LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {sys.executable} -c '{code}' {words}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "--suite", "²", "99"],
        ["inspect", "--suite", "9" * 5000, "99"],
        ["inspect", "--suite", "", "99"],
        ["inspect", "--clear", "²", "99"],
        ["inspect", "--mls", "4,6,7", "99"],
        ["inspect", "--mls", "²,1", "99"],
        ["inspect", "--mls", "-1,1", "99"],
        ["inspect", "--ratchet", "9" * 5000, "99"],
        ["inspect", "\udcff\udcfe"],
        ["inspect", "\x1b[2J"],
        ["inspect", "a\0b"],
        ["inspect", "99", "\x1b[2J"],
        ["call", "--digits", "²"],
        ["call", "--digits", "9" * 5000],
        ["call", "--seconds", "\x1b[2J"],
        ["call", "--seed", "9" * 5000],
        ["bench", "--suite", "²"],
        ["bench", "--seconds", "nan"],
        ["bench", "--seconds", "1e400"],
        ["\x1b[2J"],
        [],
    ],
    ids=lambda words: ascii(" ".join(words))[:40],
)
def test_odd_arguments_are_refused_in_words(words, capsys):
    try:
        status = main(words)
    except SystemExit as stop:  # argparse
        status = stop.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "") and err.endswith("\n")
    assert "\x1b" not in err and "invalid _" not in err


def test_usage_has_no_colours(monkeypatch, capsys):
    """Python 3.14 would colour it, and the escapes of that would be shown."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    for words in (["call", "--help"], ["call", "--no-such-option"]):
        with pytest.raises(SystemExit):
            main(words)
        assert "x1b" not in ascii("".join(capsys.readouterr()))


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"pysframe {version('pysframe')}\n"


@pytest.mark.parametrize(
    ("switches", "why"),
    [
        ({"PYSFRAME_BACKEND": "\x1bfast"}, "PYSFRAME_BACKEND='\\x1bfast' is unknown; it is one of"),
        ({"PYSFRAME_KERNEL": "sse9"}, "PYSFRAME_KERNEL='sse9' is unknown; it is one of"),
        ({"PYSFRAME_MAX_ISA": "none", "PYSFRAME_BACKEND": "native"}, "no engine to run: native"),
    ],
    ids=["backend", "kernel", "no engine"],
)
@pytest.mark.parametrize("command", ["doctor", "--version"])
def test_a_package_that_cannot_be_imported_is_said(command, switches, why):
    """The whole command lies outside the package for this."""
    status, out, err = run([command], **switches)
    assert (status, out) == (2, "") and err.startswith("pysframe: ") and why in err
    assert err.count("\n") == 1
    assert run([command], "2>&-", **switches)[:2] == (2, "")


def test_the_shell_runs_what_is_tested_here():
    assert entry_points(group="console_scripts")["pysframe"].value == "pysframe_command:main"


# ---- optional libraries ----


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (None, "is not installed"),
        ("", ""),
        ("import no_such_library", "is broken: No module named 'no_such_library'"),
        ("raise type('Panic', (BaseException,), {})('rust')", "is broken: Panic('rust')"),
        ("raise SystemExit(3)", "is broken: SystemExit(3)"),
    ],
)
def test_what_is_wrong_with_an_optional_library(source, why, tmp_path, monkeypatch):
    """A panic of Rust code is no Exception; it must not take a command down."""
    if source is not None:
        (tmp_path / "some_library.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_library", raising=False)
    assert trouble("some_library") == why
    sys.modules.pop("some_library", None)


def test_bench_goes_on_without_a_broken_peer(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_peer.py").write_text("raise type('Panic', (BaseException,), {})('rust')")
    monkeypatch.syspath_prepend(tmp_path)
    peers = {"broken_peer": contest.Cryptography, "Crypto.Cipher.AES": contest.PyCryptodome}
    monkeypatch.setattr(contest, "PEERS", peers)
    assert main(["bench", "--seconds", "0.1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^frame +ns each +calls +batch +pycryptodome$", out, re.M)
    assert "not in the table: cryptography is broken: Panic('rust')" in out
