"""The version, said once: pyproject.toml reads it here, so that it needs no installed package."""

__version__ = "0.1.0"
