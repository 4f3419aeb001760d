"""A C program that knows sfr.h and libsfr.so alone: csrc/tests/example.c."""

from c_core.core import CSRC, build_line, released, run


def test_the_example(tmp_path):
    flags = f"-std=c11 -Wall -Wextra -Wpedantic -Werror -I{CSRC}"
    libraries = f"-L{released()} -lsfr -Wl,-rpath,{released()}"
    run(f"gcc {flags} {CSRC}/tests/example.c {libraries} -o {tmp_path}/example")
    said = run("./example", tmp_path).splitlines()
    assert said[1:] == [
        "protected 17 bytes as 34: kid 7, ctr 0",
        "refused: status 3",
        "opened: one encoded frame",
        "refused: status 4",
    ]


def test_one_build_for_every_machine():
    assert "-march" not in build_line() and "-mtune" not in build_line()
