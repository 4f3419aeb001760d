"""Fixtures of the latency budget: bench/ as modules, on this process's engine."""

from importlib import import_module

import machine
import pytest
from on_the_bench import BENCH


@pytest.fixture
def bench(monkeypatch):
    """bench("gates") is bench/gates.py, on this process's engine."""
    monkeypatch.syspath_prepend(BENCH)
    # A process of tests gives its pages back: the batches of other tests are many GiB in sum.
    monkeypatch.setattr(import_module("interleave"), "keep_pages", lambda: None)
    return import_module


@pytest.fixture
def gates(bench, monkeypatch):
    monkeypatch.setattr(bench("verdicts"), "PAUSE", 0)
    return bench("gates")


@pytest.fixture
def trial(bench):
    if not machine.has_native():
        pytest.skip("no native engine")
    return bench("trial")


def pytest_ignore_collect(collection_path, config):
    """What measures needs the machine for itself: make test-gates."""
    alone = collection_path.name == "test_measured.py"
    return True if alone and not config.option.measured else None
