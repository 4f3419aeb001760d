"""Fixtures of the whole suite. What makes a run fail as a whole is in run_rules.py."""

import os
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from counters_by_hand import WAITING, Counters
from hypothesis import HealthCheck, Phase, settings
from parties import GCM
from ratchets import make_steps

import pysframe
from pysframe import CounterStore
from pysframe import engine as engines
from pysframe.source import Keyring

pytest_plugins = ["run_rules", "pytester"]

# CI asks for 1,000 examples a property; at the desk 100 keep the run short. Where $CI is set, as on
# a hosted runner, hypothesis would draw the same ones each time, whatever the run's seed.
DRAWN = {"derandomize": False, "deadline": None, "print_blob": True}
settings.register_profile("desk", max_examples=100, **DRAWN)
settings.register_profile(
    "ci",
    max_examples=1000,
    **DRAWN,
    suppress_health_check=[HealthCheck.too_slow],
)
# For tools/mutants.py: quick, and that a fault is found is enough.
settings.register_profile(
    "mutants",
    max_examples=25,
    **DRAWN,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "desk"))


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    """One worker of xdist compiles csrc/ and runs all that needs it: -n auto --dist=loadgroup."""
    for item in items:
        if item.nodeid.startswith("tests/c_core/"):
            item.add_marker(pytest.mark.xdist_group("c_core"))


@pytest.fixture(scope="session", params=engines.available())
def engine(request):
    """Every engine on every kernel and every AEAD provider, one after the other."""
    return engines.bind(request.param)


@pytest.fixture(scope="session")
def quick_disk(tmp_path_factory):
    """A folder in memory, if the machine has one: for many stores whose syncs are no matter."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        yield tmp_path_factory.mktemp("disk")
        return
    with TemporaryDirectory(prefix="pysframe-tests-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def rng(request):
    """A generator of this test's own: the run's seed and the test's name decide."""
    return random.Random(f"{request.config.option.seed} {request.node.nodeid}")


@pytest.fixture
def base_key(rng):
    return rng.randbytes(16)


@pytest.fixture
def store(tmp_path):
    return CounterStore(tmp_path / "counters", lease=10)


@pytest.fixture
def receiver(engine):
    """A receiver without any key."""
    return engine.Receiver(GCM)


@pytest.fixture
def steps(engine, base_key):
    """Senders of steps 0.. of generation 1, all at once, as only a test may have them."""
    return make_steps(engine, base_key, generation=1)


@pytest.fixture
def seven(engine):
    """A receiver with one key, under KID 7, that no frame has come under."""
    counters = Counters(engine, 7)
    assert counters.poll()[7].state is WAITING
    return counters


@pytest.fixture
def keyring(engine, monkeypatch):
    """A Keyring whose senders and receivers are of this engine."""
    monkeypatch.setattr(pysframe, "Receiver", engine.Receiver)
    monkeypatch.setattr(pysframe, "Sender", engine.Sender)
    return Keyring()
