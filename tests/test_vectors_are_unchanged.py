"""Figures are worth what their source is worth: the files are those that the README describes."""

import hashlib
import re

from figures import VECTORS, load


def test_every_file_has_the_checksum_that_the_readme_states():
    stated = dict(re.findall(r"\| (\S+\.json) \|.*\| ([0-9a-f]{64}) \|", readme()))
    actual = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VECTORS.glob("*.json")
    }
    assert actual == stated


def test_the_set_is_complete():
    figures = load("rfc9605")
    counts = {part: len(figures[part]) for part in ("suites", "header", "ctr_hmac", "sframe")}
    assert counts == {"suites": 8, "header": 289, "ctr_hmac": 6, "sframe": 8}
    assert len(figures["mls_kid"]["rows"]) == 9


def readme() -> str:
    return (VECTORS / "README.md").read_text()
