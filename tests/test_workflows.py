""".github/workflows: each action is pinned to the commit that .github/actions.toml names."""

import re
import tomllib
from pathlib import Path

import pytest

GITHUB = Path(__file__).parents[1] / ".github"
WORKFLOWS = {path.name: path.read_text() for path in (GITHUB / "workflows").glob("*.yml")}
ACTIONS = tomllib.loads((GITHUB / "actions.toml").read_text())
UNREAD = ACTIONS.pop("unread")
USES = re.compile(r"^ *-? *uses: (\S+)@(\S+)(?: # (\S+))?$", re.M)


def test_every_use_is_found():
    """`uses:` in any other form would escape the tests below."""
    lines = [line for text in WORKFLOWS.values() for line in text.splitlines() if "uses:" in line]
    assert len(lines) == sum(len(USES.findall(text)) for text in WORKFLOWS.values()) > 20
    assert set(WORKFLOWS) == {"ci.yml", "bench.yml", "wheels.yml"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_as_the_table_says(name):
    for action, commit, tag in USES.findall(WORKFLOWS[name]):
        if action in UNREAD:
            continue
        assert (commit, tag) == (ACTIONS[action]["commit"], ACTIONS[action]["tag"]), action


def test_the_table_has_no_more_than_is_used():
    used = {action for text in WORKFLOWS.values() for action, _, _ in USES.findall(text)}
    assert used == {*ACTIONS, *UNREAD}
    for action, row in ACTIONS.items():
        assert re.fullmatch(r"[0-9a-f]{40}", row["commit"]), action
        own = f"the tag {row['tag']} of the repository {action}"
        assert row["read"] == own or "names both" in row["read"], action
