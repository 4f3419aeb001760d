"""The README's example runs as it is printed, and every command it names exists."""

import re
import signal
from fnmatch import filter as filter_names
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pysframe import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def code_blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.S | re.M)


def test_the_example_runs():
    (example,) = code_blocks("README.md")
    scope = {}
    exec(compile(example, "README.md", "exec"), scope)
    assert scope["ciphertext"] != scope["frame"]


def test_make_targets_exist():
    named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert named <= targets


def test_its_commands_are_those_there_are():
    """Each line stands for a command, takes the arguments it names, and none is left out."""
    section = re.search(r"^## Commands\n(.*?)^## ", README, re.S | re.M)
    lines = re.findall(r"^    pysframe (\S+)((?: \S+)*)", section[1], re.M)
    assert [name for name, _ in lines] == [*cli.COMMANDS, "--version"]
    for name, usage in lines[:-1]:
        wanted = {
            "call": ["[speech.wav]"],
            "inspect": ["HEX|FILE"],
            "decrypt": ["room.mjr", "--keys", "keys.json", "-o", "out.mka"],
        }.get(name, [])
        assert usage.split() == wanted
        words = [word if word.startswith("-") else "x" for word in wanted]
        assert cli.parser().parse_args([name, *words]).command == name


def test_its_exit_statuses_are_those_there_are(capsys):
    section = re.search(r"^Each exits with (.*?)\n\n", README, re.S | re.M)[1]
    assert re.findall(r"\b\d+\b", section) == re.findall(r"\b\d+\b", cli.EPILOG)
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0 and cli.main(["inspect", "9901234567"]) == 0
    assert cli.main(["inspect", "99"]) == 1 and cli.main(["inspect", "none"]) == cli.TROUBLE == 2
    assert (cli.INTERRUPTED, cli.NO_READER) == (128 + signal.SIGINT, 128 + signal.SIGPIPE)


@pytest.mark.parametrize("page", ["README.md", "csrc/README.md"])
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert links
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


# ---- csrc/README.md ----

CSRC = ROOT / "csrc"
C_FILES = {
    str(path.relative_to(CSRC)): path.read_text()
    for path in CSRC.rglob("*.[ch]")
    if path.parent.name not in ("fuzz", "tests")
}
FILES = r"^\| (`[a-z/_0-9]+\.h.*?|`[a-z]+/.*?) \|"  # the first cell of a row about files
OPERATING_SYSTEM = {
    *("errno", "fcntl", "pthread", "sched", "signal", "time", "unistd"),
    *("windows", "bcrypt"),
}
# What only one file may ask of the operating system, in the words of each system.
CALLS = {
    "pages.c": r"\b(mmap|munmap|madvise|mlock|Virtual\w+)\(",
    "process.c": r"\b(pthread_atfork|getpid)\(|\bSYS_timer_",
    "random.c": r"\bSYS_getrandom\b|/dev/urandom\"|\b(getentropy|BCryptGenRandom)\(",
    "secrets.c": r"\bvoid sfr_wipe\(.*\)$|\bexplicit_bzero\(|\bSecureZeroMemory\(",
    "waits.c": r"\b(sched_yield|nanosleep|SwitchToThread|Sleep)\(",
}


def test_the_table_of_csrc_has_every_file():
    rows = re.findall(
        r"^\| (`[a-z/_0-9]+\.h.*?|`[a-z]+/.*?) \|", (CSRC / "README.md").read_text(), re.M
    )
    patterns = [pattern for row in rows for pattern in re.findall(r"`([^`]+)`", row)]
    assert [name for name in C_FILES if not any(fnmatch(name, p) for p in patterns)] == []
    assert [pattern for pattern in patterns if not filter_names(C_FILES, pattern)] == []


def test_one_file_asks_the_cpu_and_one_room_the_operating_system():
    included = {
        name: set(re.findall(r"#include <(.*?)\.h>", text)) for name, text in C_FILES.items()
    }
    assert [name for name, headers in included.items() if "cpuid" in headers] == ["platform/cpu.c"]
    asking = [
        name
        for name, headers in included.items()
        if headers & OPERATING_SYSTEM or any(header.startswith("sys/") for header in headers)
    ]
    assert asking and {name.partition("/")[0] for name in asking} == {"platform"}


@pytest.mark.parametrize("file", CALLS)
def test_each_matter_of_the_operating_system_lies_in_one_file(file):
    calling = [name for name, text in C_FILES.items() if re.search(CALLS[file], text, re.M)]
    assert calling == [f"platform/{file}"]


def test_kernels_know_nothing_of_frames():
    for name, text in C_FILES.items():
        if re.match(r"aead/(gcm|ctr|ghash|aes)", name):
            assert not re.search(
                r"\b(sfr_)?(header|sender|receiver|frame)\.h|sfr_(header|sender|receiver|frame)\b",
                text,
            ), name
