"""The pysframe command: one module for each of its commands.

Rule: inspect and doctor need nothing but the package. Whatever else a command needs is imported
when it runs; if that is missing, the command says which extra to install.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import backend_info
from . import bench, call, decrypt, doctor, inspect
from ._console import CommandError, say
from ._streams import Output, WriteFailed, complain, forget_odd_sizes, settle, write

__all__ = ["main"]

COMMANDS = {
    "call": call,
    "inspect": inspect,
    "decrypt": decrypt,
    "doctor": doctor,
    "bench": bench,
}
TROUBLE, INTERRUPTED, NO_READER = 2, 130, 141  # the last two follow the shells: 128 + signal

EPILOG = """\
pysframe COMMAND --help says more about each.

Exit status of every command: 0 when all is well, 1 when what was asked about is not, 2 for wrong
usage or when something could not be read, imported or written, 130 after Ctrl-C, 141 when the
reader of the output went away."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status, which EPILOG explains."""
    forget_odd_sizes()
    try:
        return _run(parser().parse_args(argv))
    except WriteFailed as failure:
        if failure.no_reader:
            return NO_READER
        complain(f"pysframe: {failure}")
        return TROUBLE
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        settle()


def _run(args: argparse.Namespace) -> int:
    try:
        Output(sys.stdout).flush()  # refuses a closed stream before any work is done
        return int(args.run(args))
    except CommandError as error:
        complain(f"pysframe {args.command}: {error}")
        return TROUBLE


class Parser(argparse.ArgumentParser):
    """argparse, with its output routed like all other output."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.color = False  # Python 3.14 colours the usage, and `visible` would escape the colours

    def print_help(self, file: object = None) -> None:
        write(self.format_help())

    def error(self, message: str) -> NoReturn:
        complain(f"{self.format_usage()}{self.prog}: error: {message}")
        self.exit(TROUBLE)


class Version(argparse.Action):
    """--version: prints what `pip show pysframe` calls it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        say(f"pysframe {backend_info().versions['pysframe']}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="pysframe",
        description="SFrame (RFC 9605): end-to-end encryption of media frames.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=Version, nargs=0, help="the version, and nothing else")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.TEXT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top
