"""Promise 9 on ARM: the same instructions in the same order whatever the secrets are.

qemu writes down where each instruction lies. The code of the library is compiled as it is released;
only the self-test at start, which takes a million instructions, is left out of these builds. Not
followed: the C library, and the addresses of data.
"""

import pytest
from arm64.emulated import CC, DEEP, FLAGS, HERE, KERNELS
from arm64.stepper import steps
from security.deep.builds import RELEASE, Patch, compiled, objects, sources
from security.deep.linking import linked
from security.deep.test_p09_secrets_followed import OPERATIONS

NO_SELF_TEST = Patch("aead/dispatch.c", "(failed = sfr_self_test(k)) != 0", "(failed = 0) != 0")
SHORT, MIXED, LONG = (160,), (40, 161, 161, 161, 161, 0, 17), (300, 1300, 2100)
SUITES = (4, 5, 1, 6)
AAD = 9


@pytest.fixture(scope="module")
def one():
    """The program of one.c, which does one operation."""
    ct = compiled(DEEP / "ct.c", CC, f"{FLAGS} -O1 -Dmain=all_of_it", sources(), DEEP)
    rest = [ct, *objects(CC, RELEASE, (NO_SELF_TEST,))]
    return linked("arm64-one", [HERE / "one.c"], CC, FLAGS, rest, "-static -pthread")


@pytest.fixture
def shapes(by_tier):
    return by_tier((SHORT, MIXED), (SHORT, MIXED, LONG), (SHORT, MIXED, LONG, (0,), (1,), (176,)))


def traces(one, folder, kernel, suite, operation, sizes):
    """Of three secrets; the tags that are refused differ in another byte each time."""
    for seed in (1001, 1002, 1003):
        arguments = (kernel, suite, operation, seed, AAD, *sizes)
        yield steps("max", one, arguments, folder, ["ct_run", "leaky_compare"])


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_same_steps_for_all_secrets(one, tmp_path, kernel, suite, operation, shapes):
    for sizes in shapes[:1] if operation == "key_setup" else shapes:
        first, *others = traces(one, tmp_path, kernel, suite, operation, sizes)
        assert len(first) > 1000
        assert all(other == first for other in others), sizes


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_leaky_comparison_takes_other_steps(one, tmp_path, kernel):
    """The seeded fault."""
    made = traces(one, tmp_path, kernel, 4, "leaky_compare", SHORT)
    assert len({len(trace) for trace in made}) == 3
