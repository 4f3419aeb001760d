"""The pysframe command: one module for each of its commands.

Rule: inspect and doctor need nothing but the package. What else a command needs it imports when
it runs, and says which extra to install when that is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from . import bench, call, doctor, inspect
from ._console import CommandError

__all__ = ["main"]

COMMANDS = {"call": call, "inspect": inspect, "doctor": doctor, "bench": bench}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status: 2 for wrong usage, 130 after Ctrl-C."""
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except CommandError as error:
        print(f"pysframe {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `pysframe doctor | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="pysframe",
        description="SFrame (RFC 9605): end-to-end encryption of media frames.",
        epilog="pysframe COMMAND --help says more about each.",
    )
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
