"""Promise 9, third method: the installed extension module takes the same steps for all secrets.

A tracer runs an operation one instruction at a time and writes down each address. The code is that
which users run: gcc's, optimized, at every level. Traces do not show the addresses of data: those
are for the other two methods (test_p09_secrets_followed.py).
"""

from array import array

import pytest
from c_core.core import KERNELS, kernel_or_skip
from security.deep.shipped import name_of
from security.deep.stepped import SHORT, library, trace, work_of
from security.deep.test_p09_secrets_followed import OPERATIONS

MIXED, LONG = (40, 161, 161, 161, 161, 0, 17), (2100,)
SUITES = (4, 5, 1, 6)


@pytest.fixture(scope="module")
def ct():
    return library()


def traces(ct, kernel, suite, operation, sizes, seeds=3) -> list[array]:
    return [trace(ct, work_of(kernel, suite, operation, sizes, seed)) for seed in range(seeds)]


def difference(ct, kernel, suite, operation, sizes, seeds=3) -> str:
    """Where the traces part, or nothing."""
    return first_difference(traces(ct, kernel, suite, operation, sizes, seeds))


def first_difference(made: list[array]) -> str:
    """Where two traces part, or nothing."""
    for other in made[1:]:
        if other == made[0]:
            continue
        steps = zip(made[0], other, strict=False)
        at = next((i for i, (a, b) in enumerate(steps) if a != b), min(len(made[0]), len(other)))
        return f"step {at} of {len(made[0])}, after {name_of(made[0][at - 1])}"
    return ""


@pytest.fixture
def shapes(by_tier):
    """Sizes of the frames of one call."""
    return by_tier((), (SHORT, MIXED), (SHORT, MIXED, LONG, (0,), (1,), (160,), (161,), (1300,)))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_same_steps_for_all_secrets(ct, kernel, suite, operation, shapes, by_tier):
    kernel_or_skip(kernel)
    seeds = by_tier(2, 2, 4)
    for sizes in shapes[:1] if operation == "key_setup" else shapes:
        assert difference(ct, kernel, suite, operation, sizes, seeds) == ""


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_leaky_comparison_takes_other_steps(ct, kernel):
    """The seeded fault. The tags differ from the right ones in another byte each time."""
    kernel_or_skip(kernel)
    assert difference(ct, kernel, 4, "leaky_compare", SHORT)
    made = traces(ct, kernel, 4, "leaky_compare", SHORT)
    assert len({len(steps) for steps in made}) == 3
