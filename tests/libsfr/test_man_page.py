"""The manual page: its synopsis is that of the headers, and it is set without a warning."""

import re

from c_core.core import CSRC, PUBLIC, declarations, run

PAGE = CSRC / "libsfr.3"


def of_the_headers() -> list[tuple[str, ...]]:
    """(header, type, name, argument...) of each function, in their order."""
    return [
        (path.name, kind.strip(), name, *(" ".join(each.split()) for each in arguments.split(",")))
        for path in PUBLIC
        for kind, name, arguments in re.findall(
            r"^((?:const )?\w+ \**)(sfr_\w+)\(([^;{]*?)\);", declarations(path.read_text()), re.M
        )
    ]


def of_the_page() -> list[tuple[str, ...]]:
    found, header, kind = [], "", ""
    for line in PAGE.read_text().partition(".Sh DESCRIPTION")[0].splitlines():
        macro, *words = [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', line)]
        if macro == ".In":
            header = words[0]
        elif macro == ".Ft":
            kind = words[0]
        elif macro == ".Fn":
            found.append((header, kind, *words))
    return found


def test_the_synopsis_is_that_of_the_headers():
    assert len(of_the_headers()) == len(re.findall(r"\bsfr_\w+\(", functions_alone())) > 50
    assert of_the_page() == of_the_headers()


def functions_alone() -> str:
    return "\n".join(declarations(path.read_text()) for path in PUBLIC)


def test_it_names_nothing_that_is_not_there():
    known = set(re.findall(r"\b(?:sfr|SFR)_\w+", "".join(path.read_text() for path in PUBLIC)))
    named = set(re.findall(r"\b(?:sfr|SFR)_\w+", PAGE.read_text()))
    assert named - known == set()


def test_it_is_set_without_a_warning(tmp_path):
    assert run(f"groff -mandoc -Tutf8 -ww {PAGE} 2>&1 >{tmp_path}/page") == ""
    assert "sfr_protect" in run(f"sed 's/.\\x08//g; s/\\x1b\\[[0-9;]*m//g' {tmp_path}/page")
