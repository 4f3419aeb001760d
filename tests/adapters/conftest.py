import pytest
from adapters.peers import use_loopback


@pytest.fixture(autouse=True)
def _loopback(monkeypatch):
    use_loopback(monkeypatch)
