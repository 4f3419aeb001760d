"""What the tests of the promises share: how much work this run asks for."""

import pytest
from run_rules import DEEP, TIERS


@pytest.fixture
def by_tier(request):
    """by_tier(quick, deep, nightly): the amount that this run's --tier asks for."""
    return lambda *amounts: dict(zip(TIERS, amounts, strict=True))[request.config.option.tier]


@pytest.fixture
def figure(record_property):
    """figure(text): a number that this run is to print at its end."""
    return lambda text: record_property("figure", text)


def pytest_ignore_collect(collection_path, config):
    """What only make test-nightly has the time for says so in its name."""
    nightly = collection_path.name.endswith("_nightly.py")
    return True if nightly and config.option.tier != "nightly" else None


def would_be_repeated(item):
    """Whether make test-deep could show no more with this test of a promise than make test."""
    return DEEP.parent in item.path.parents and not (
        DEEP in item.path.parents or "by_tier" in item.fixturenames
    )


def pytest_collection_modifyitems(config, items):
    """A hundred times the work takes longer than the minutes that a test has otherwise."""
    if config.option.tier == "deep":
        items[:] = [item for item in items if not would_be_repeated(item)]
    if config.option.tier == "nightly":
        for item in items:
            item.add_marker(pytest.mark.timeout(3600))
