"""Promise 8, the seeded fault in native code: kernels that verify a frame and then read it again.

The same race as in test_p08_inputs_that_change.py, over the package with such kernels; it must
report wrong plaintext for each of them, or it could not have reported any.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from c_core.core import KERNELS, kernel_or_skip
from security.deep.builds import RELEASE, Patch, extension
from security.deep.test_p04_broken_kernels import TAKES_ORDERS

TESTS = Path(__file__).parents[2]
SABOTEUR = Path(__file__).parents[1] / "saboteur.c"
FAMILIES = {4: 0, 5: 1, 1: 2, 6: 3}  # suite -> sfr_family

# The saboteur uses clock_gettime, which the core does not. A flag for it would make all other
# objects anew.
WITH_SABOTEUR = Patch(
    "aead/self_test.c",
    '#include "aead/kernels.h"\n',
    f'#define _GNU_SOURCE\n#include "{SABOTEUR}"\n#include "aead/kernels.h"\n',
)

RACE = """
import json, random, sys
sys.path.insert(0, {tests!r})
from security.flipping import Shared, race_singly, race_in_batches, singly
from pysframe import engine
native, rng = engine.bind("native:{kernel}"), random.Random({seed})
new = lambda: Shared(native, {suite}, rng, sizes=(1200,) * 4)
seen = [race(new())
        for race in (lambda s: race_singly(s, singly, 20000, {seed}),
                     lambda s: race_in_batches(s, 20000, {seed}))]
print(json.dumps(seen))
"""


@pytest.mark.parametrize("suite", FAMILIES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_reading_twice_is_noticed(kernel, suite, rng):
    kernel_or_skip(kernel)
    patches = (*TAKES_ORDERS, WITH_SABOTEUR)
    package = extension("two_passes", flags=RELEASE, patches=patches)
    code = RACE.format(tests=str(TESTS), kernel=kernel, suite=suite, seed=rng.getrandbits(32))
    order = f"{kernel}/{FAMILIES[suite]}/reads twice"
    environment = os.environ | {"PYTHONPATH": str(package), "SABOTAGE": order}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    singly, in_batches = json.loads(done.stdout)
    print(f"{kernel} {suite}: {singly}, {in_batches}")
    assert singly["WRONG"] > 0 and in_batches["WRONG"] > 0
