"""Every cell of matrix.toml: the measure holds, and with one thing broken it does not."""

import matrix
import pytest
from call import Seen
from lines import SCENARIOS
from measures import MEASURES

_seen: dict[str, Seen] = {}
SHOWN = [(cell.line, cell.measure) for cell in matrix.cells() if cell.is_shown]


@pytest.fixture(scope="session")
def seen_on(stage):
    """What a line's scenario has seen; it runs once, and where it failed every cell says so."""
    failed: dict[str, Exception] = {}

    def seen(line: str) -> Seen:
        if line in failed:
            raise failed[line]
        if line not in _seen:
            try:
                _seen[line] = stage.run(SCENARIOS[line](stage))
            except Exception as error:
                failed[line] = error
                raise
        return _seen[line]

    return seen


@pytest.mark.parametrize(("line", "measure"), SHOWN)
def check_cell(seen_on, line, measure):
    MEASURES[measure].holds(seen_on(line))


@pytest.mark.parametrize(
    ("line", "measure", "broken"),
    [(line, measure, broken) for line, measure in SHOWN for broken in MEASURES[measure].broken],
)
def check_control(seen_on, line, measure, broken):
    seen = seen_on(line)
    with pytest.raises(AssertionError):
        MEASURES[measure].holds(MEASURES[measure].broken[broken](seen))
