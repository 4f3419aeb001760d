"""Promise 15: the concurrency tests under ThreadSanitizer, with the GIL; without it they run in
test_p15_free_threaded_nightly.py.

Rule: a counter that threads share without order, in a patched copy, is reported.
"""

import re

import pytest
from security.deep.builds import Patch
from security.deep.sanitized import python, suite, with_tsan

COUNTED = "atomic_fetch_add_explicit(&sfr_interleaved_calls, 1, memory_order_relaxed)"
RACY_COUNTER = Patch("aead/run.c", COUNTED, "*(volatile uint64_t *)&sfr_interleaved_calls += 1")
# Both threads are in C at once: a batch of long frames lets go of the GIL. Often enough for a
# machine with one core, where one thread must be stopped in the middle of a batch.
TWO_THREADS = """
import threading, pysframe
def work(kid):
    sender = pysframe.Sender(4, kid=kid, base_key=bytes(16), next_ctr=0)
    for _ in range(500):
        pysframe.protect_many([sender] * 64, [bytes(3000)] * 64)
threads = [threading.Thread(target=work, args=[kid]) for kid in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(pysframe.backend_info().engine)
"""
FILES = ["tests/test_threads.py", "tests/security/test_p14_groups.py"]

pytestmark = pytest.mark.timeout(0)


def test_the_concurrency_tests_are_free_of_races(pytestconfig):
    only = "native and not gil"  # how long a call keeps the GIL is no matter of TSan's
    done = suite(with_tsan(), *FILES, only=only, seed=pytestconfig.option.seed)
    print(done.stdout[-800:])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-4000:]
    assert "WARNING: ThreadSanitizer" not in done.stderr + done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) >= 20


def test_without_a_fault_nothing_is_said():
    done = python(with_tsan(), "-c", TWO_THREADS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "native\n", "")


def test_a_racy_counter_is_found():
    """The seeded fault."""
    done = python(with_tsan([RACY_COUNTER]), "-c", TWO_THREADS)
    assert done.returncode == 66
    assert "ThreadSanitizer: data race" in done.stderr and "aead/run.c" in done.stderr
