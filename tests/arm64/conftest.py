"""Fixtures that these tests share with those of the promises."""

from security.conftest import by_tier, figure

__all__ = ["by_tier", "figure"]
