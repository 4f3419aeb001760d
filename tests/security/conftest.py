"""What the tests of the promises share: how much work this run asks for."""

import pytest
from run_rules import TIERS


@pytest.fixture
def by_tier(request):
    """by_tier(quick, deep, nightly): the amount that this run's --tier asks for."""
    return lambda *amounts: dict(zip(TIERS, amounts, strict=True))[request.config.option.tier]
