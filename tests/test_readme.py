"""The README's example runs as it is printed, and every command it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def code_blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.S | re.M)


def test_the_example_runs():
    (example,) = code_blocks("README.md")
    scope = {}
    exec(compile(example, "README.md", "exec"), scope)
    assert scope["ciphertext"] != scope["frame"]


def test_make_targets_exist():
    named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert named <= targets


@pytest.mark.parametrize("page", ["README.md", "csrc/README.md"])
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert links
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
