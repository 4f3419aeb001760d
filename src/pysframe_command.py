"""The `pysframe` command of the shell.

It stands beside the package: where no engine can run, and for a switch that is unknown, the package
cannot be imported, and this says so in one line.
"""

import sys


def main() -> int:
    """Runs pysframe.cli.main; the exit status is 2 when it cannot be imported."""
    try:
        from pysframe import cli
    except ImportError as error:
        if sys.stderr is not None:
            print(f"pysframe: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return cli.main()
