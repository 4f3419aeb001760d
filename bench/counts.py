"""Instructions a frame, counted by callgrind: each whole operation, its floor, and where they go.

    python bench/counts.py            all twelve
    python bench/counts.py protect    those with the word in their name

A count needs no quiet machine. Valgrind knows no VAES, so the kernel is `aesni`; with another
kernel only the AEAD's own share differs. It is a part of valgrind's package that is compiled here.
"""

import ctypes
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

ROUNDS = 20  # of a workload's 384 frames; counts repeat to the instruction, but for Python's own
SHOWN = 24  # places
MARKS = """#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_ZERO_STATS; CALLGRIND_START_INSTRUMENTATION; }
void end(const char *name) { CALLGRIND_STOP_INSTRUMENTATION; CALLGRIND_DUMP_STATS_AT(name); }
"""
# A cache as Zen 4 has it: 32 KiB beside the core, 1 MiB behind it.
CACHES = ("--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64")


def main(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "marks.c").write_text(MARKS)
        marks = f"{folder}/marks.so"
        subprocess.run(["gcc", "-shared", "-fPIC", f"{folder}/marks.c", "-o", marks], check=True)
        command = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", *CACHES]
        command += [f"--callgrind-out-file={folder}/out", sys.executable, __file__, marks, *words]
        environment = os.environ | {"PYSFRAME_MAX_ISA": "aesni", "PYTHONHASHSEED": "0"}
        said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        frames = dict(line.rsplit(" ", 1) for line in said.stdout.splitlines())
        for number, (name, count) in enumerate(frames.items(), 1):
            report(name, int(count), Path(f"{folder}/out.{number}"))


def counted(marks: str, words: list[str]) -> None:
    """In valgrind: runs every workload, and says how many frames went into each dump."""
    from floors import MATCHES, SIZE, Workload

    client = ctypes.CDLL(marks)
    named = {name: whole for name, (whole, _) in MATCHES.items()}
    named |= {f"{name}, its floor": floor for name, (_, floor) in MATCHES.items()}
    for name, make in sorted(named.items()):
        if words and not any(word in name for word in words):
            continue
        contender = make(Workload(4, SIZE))
        contender.run(contender.prepare())
        given = [contender.prepare() for _ in range(ROUNDS)]
        client.begin()
        for blocks in given:
            contender.run(blocks)
        client.end(name.encode())
        print(name, ROUNDS * contender.count, flush=True)


def report(name: str, frames: int, dump: Path) -> None:
    own, sums = costs(dump.read_text())
    misses = (sums["D1mr"] + sums["D1mw"]) / frames
    print(f"\n{name}: {sums['Ir'] / frames:.0f} instructions, {misses:.1f} data misses of L1")
    for place, instructions in own.most_common(SHOWN):
        print(f"{instructions / frames:10.1f}  {place}")


def costs(dump: str) -> tuple[Counter[str], Counter[str]]:
    """Instructions by place, without those of what it calls; and the sums of all events.

    A place is a function of the C core, also where it was inlined; elsewhere, one of the machine's.
    """
    found = re.search(r"^events: (.*)$", dump, re.M)
    assert found
    events, names = found[1].split(), {}
    own: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    at, line, is_call = {"file": "", "fn": ""}, 0, False
    for text in dump.splitlines():
        if named := re.match(r"(fl|fi|fe|fn|cfi|cfl|cfn)=(\(\d+\))(?: (.*))?$", text):
            kind = "fn" if named[1].endswith("fn") else "file"
            value = names.setdefault((kind, named[2]), named[3])
            if not named[1].startswith("c"):
                at[kind] = value
        elif text.startswith("calls="):
            is_call = True
        elif cost := re.match(r"([+-]?\d+|\*) (.*)$", text):
            step = 0 if cost[1] == "*" else int(cost[1])
            line = line + step if cost[1][0] in "+-*" else step
            figures = dict(zip(events, map(int, cost[2].split()), strict=False))
            if not is_call:
                own[inlined(at["file"], line) or at["fn"]] += figures["Ir"]
                sums.update(figures)
            is_call = False
    return own, sums


def inlined(file: str, line: int) -> str:
    """The C function of ours that has this line, or "aead"; empty for anybody else's."""
    if "csrc/aead/" in file:
        return "aead"
    starts = functions(file[file.rindex("csrc/") :]) if "csrc/" in file else []
    return max(((first, name) for first, name in starts if first <= line), default=(0, ""))[1]


@cache
def functions(file: str) -> list[tuple[int, str]]:
    """(first line, "file function") of every function of a source."""
    path = Path(__file__).parent.parent / file
    lines = path.read_text().splitlines() if path.exists() else []
    found = [re.match(r"(?!#|typedef)[A-Za-z_][^;=]*?(\w+)\([^;]*$", line) for line in lines]
    return [(at, f"{file[5:]} {name[1]}") for at, name in enumerate(found, 1) if name]


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].endswith(".so"):
        counted(sys.argv[1], sys.argv[2:])
    else:
        main(sys.argv[1:])
