"""The manual page of libsfr: its synopsis is that of the headers."""

import re

from c_core.core import CSRC, PUBLIC, declarations

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
    assert len(of_the_headers()) == len(re.findall(r"\bsfr_\w+\(", everything_declared())) > 50
    assert of_the_page() == of_the_headers()


def everything_declared() -> str:
    return "\n".join(declarations(path.read_text()) for path in PUBLIC)


def test_it_names_nothing_that_is_not_there():
    known = set(re.findall(r"\b(?:sfr|SFR)_\w+", "".join(path.read_text() for path in PUBLIC)))
    named = set(re.findall(r"\b(?:sfr|SFR)_\w+", PAGE.read_text()))
    assert named - known == set()
