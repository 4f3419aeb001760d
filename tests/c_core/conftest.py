"""Fixtures of the C core: the compiled library, and each of its kernels in turn."""

import pytest
from c_core.core import KERNELS, kernel_or_skip, load
from c_core.rows import FAMILIES
from isolated import in_child


@pytest.fixture(scope="session")
def core():
    """(ffi, lib)"""
    return load()


@pytest.fixture(scope="session", params=KERNELS)
def kernel(request):
    return kernel_or_skip(request.param)


@pytest.fixture(scope="session", params=FAMILIES, ids=lambda suite: suite.name)
def family(request):
    """A suite for each family: the two key sizes of GCM, and of CTR with HMAC."""
    return request.param


@pytest.fixture(params=["locks", "turns"])
def either_way(request):
    """Runs work() with locks; or in a child whose callers take turns, a promise for all of it."""
    if request.param == "locks":
        return lambda work: work()

    def in_turns(work):
        def promised():
            load()[1].sfr_serialize_callers()
            work()

        in_child(promised)

    return in_turns
