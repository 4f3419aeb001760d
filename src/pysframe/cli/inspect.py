"""pysframe inspect: explains an SFrame header bit by bit, and its faults. Needs no key."""

from __future__ import annotations

import argparse
from typing import Any

from .. import CipherSuite, Header, MalformedFrame, MLSLayout, SenderKeyLayout
from ..demo.anatomy import Anatomy, Field
from ..limits import KID_BITS
from ._console import CommandError, say, say_json, say_pair
from ._material import given

HELP = "explain an SFrame header bit by bit, and what is wrong with it"
TEXT = """\
Explains the header of one SFrame ciphertext (RFC 9605 4.3) bit by bit, without any key, and says
what is wrong with it. Give it as hex digits, as a file that holds hex or raw bytes, or as - for
the same on standard input.

Exit status: 0 when the header is well-formed, 1 when it is not."""

WHERE, SHOWN = 14, 26  # columns at which a field's bytes and their meaning begin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="HEX|FILE|-", help="the ciphertext, or where it is")
    parser.add_argument(
        "--clear", type=int, default=0, metavar="N", help="clear bytes before the header (0)"
    )
    parser.add_argument("--suite", metavar="N|NAME", help="cipher suite: tells tag from payload")
    layouts = parser.add_mutually_exclusive_group()
    layouts.add_argument("--mls", metavar="E,S", help="read the KID as MLS (RFC 9605 5.2)")
    layouts.add_argument("--ratchet", metavar="R", help="read the KID as sender key (5.1)")
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")


def run(args: argparse.Namespace) -> int:
    data, source = given(args.input)
    suite, layout = _suite(args.suite), _layout(args)
    if args.clear < 0:
        raise CommandError(f"--clear is {args.clear}; it is a number of bytes")
    anatomy = Anatomy.of(data, clear=args.clear, tag=suite.Nt if suite else None)
    problems = _with_the_library(anatomy, data[args.clear :])
    kid = _kid_fields(layout, anatomy.kid)
    if args.json:
        say_json(_as_json(anatomy, problems, kid, suite))
    else:
        say(f"{_count(len(data))} from {source}")
        _tell(anatomy, problems, kid, suite)
    return 1 if problems else 0


# ---- arguments ----


def _suite(text: str | None) -> CipherSuite | None:
    if text is None:
        return None
    for suite in CipherSuite:
        if text.upper() in (suite.name, str(suite.value)):
            return suite
    names = ", ".join(f"{suite.value} {suite.name}" for suite in CipherSuite)
    raise CommandError(f"--suite {text} is unknown; the suites are {names}")


def _layout(args: argparse.Namespace) -> MLSLayout | SenderKeyLayout | None:
    if args.mls is not None:
        return MLSLayout(*_sizes("--mls", args.mls, ("E", "S")))
    if args.ratchet is not None:
        return SenderKeyLayout(*_sizes("--ratchet", args.ratchet, ("R",)))
    return None


def _sizes(option: str, text: str, names: tuple[str, ...]) -> list[int]:
    """One number of bits for each name, at most 64 in sum."""
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) != len(names) or min(sizes) < 0 or sum(sizes) > KID_BITS:
        wanted = ",".join(names)
        raise CommandError(
            f"{option} {text} is no KID layout: it is {wanted}, in bits, {KID_BITS} at most"
        )
    return sizes


# ---- findings ----


def _with_the_library(anatomy: Anatomy, data: bytes) -> list[str]:
    """The problems of the anatomy, with which the library's verdict must agree."""
    try:
        Header.parse(data)
    except MalformedFrame as error:
        return anatomy.problems or [str(error)]
    return anatomy.problems


def _kid_fields(layout: MLSLayout | SenderKeyLayout | None, kid: int | None) -> dict[str, int]:
    """The KID's fields under a layout, by name; epoch and ratchet_step are modulo 2^E or 2^R."""
    return {} if layout is None or kid is None else layout.unpack(kid)._asdict()


# ---- words ----


def _tell(
    anatomy: Anatomy, problems: list[str], kid: dict[str, int], suite: CipherSuite | None
) -> None:
    for field in anatomy.fields:
        _tell_field(field)
    say()
    if kid:
        say("KID: " + ", ".join(f"{name} {value}" for name, value in kid.items()))
    for problem in problems:
        say(f"WRONG: {problem}", "bold red")
    if not problems:
        say(_summary(anatomy, suite), "bold green")


def _tell_field(field: Field) -> None:
    where = f"byte {field.start}" if field.size == 1 else f"bytes {field.start}-{field.end - 1}"
    if not field.size:
        where = "no bytes"
    label = f"{where:<{WHERE - 1}} {field.shown}"
    say_pair(label, field.means, field.style, field.style, SHOWN)
    for bits, means in field.bits:
        say_pair(f"{'':{WHERE}}{bits}", means, column=SHOWN)


def _summary(anatomy: Anatomy, suite: CipherSuite | None) -> str:
    rest = f", {_count(anatomy.payload or 0)} of ciphertext, {anatomy.tag} of tag" if suite else ""
    return f"Well-formed: KID {anatomy.kid}, CTR {anatomy.ctr} in {_count(anatomy.size or 0)}{rest}"


def _count(size: int) -> str:
    return "1 byte" if size == 1 else f"{size} bytes"


def _as_json(
    anatomy: Anatomy, problems: list[str], kid: dict[str, int], suite: CipherSuite | None
) -> dict[str, Any]:
    return {
        "ok": not problems,
        "problems": problems,
        **anatomy.numbers(),
        "kid_fields": kid or None,
        "suite": suite.name if suite else None,
    }
