"""`python -m pysframe` is the pysframe command."""

import sys

from .cli import main

sys.exit(main())
