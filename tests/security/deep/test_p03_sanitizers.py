"""Promise 3: the suite with the native engine under ASan and UBSan.

Rule: the run must have used the sanitized engine, and passed tests; a store 16 bytes past the end
      and a shift by too much, each in a patched copy, stop it.
"""

import re

import pytest
from security.deep.builds import Patch
from security.deep.sanitized import python, suite, with_asan

# What lies closest to memory; at nightly all that runs on a native engine, but for what measures
# times, memory, or what is left when there is none: those would be ASan's own.
FILES = (
    *("test_bad_input", "test_batch", "test_batch_arguments", "test_frame_batch", "test_frames"),
    *("test_header", "test_objects", "test_receiver", "test_receiver_epochs"),
    *("test_receiver_flow", "test_receiver_ratchet", "test_replay", "test_sender"),
    *("test_sender_leases", "test_threads", "security/test_p14_groups"),
)

NOT_OURS = ("takes_the_time", "cost_little", "test_memory", "flood_of_unknown")

SEAL = "row->key->ops->seal(rows, 1);"
STORE_16_PAST = Patch(
    "frame/sender.c", SEAL, f"{SEAL} row->tag.write[row->key->tag_size + 15] = 0;"
)
SHIFT_TOO_FAR = Patch("frame/sender.c", SEAL, f"{SEAL} volatile int far = 40; far = 1 << far;")

PROTECT = (
    "import pysframe; sender = pysframe.Sender(4, kid=7, base_key=bytes(16), next_ctr=0); "
    "print(pysframe.backend_info().engine, len(sender.protect(bytes(100))))"
)

pytestmark = pytest.mark.timeout(0)


def test_the_suite_passes(by_tier, figure, pytestconfig):
    files = [f"tests/{name}.py" for name in FILES]
    files, only = by_tier(files, files, ["tests"]), " and not ".join(("native", *NOT_OURS))
    done = suite(with_asan(), *files, only=only, seed=pytestconfig.option.seed)
    print(done.stdout[-1500:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "ERROR: AddressSanitizer" not in done.stderr + done.stdout
    passed = int(re.findall(r"(\d+) passed", done.stdout)[-1])
    figure(f"{passed} tests passed under ASan and UBSan")
    assert passed > by_tier(200, 200, 2500)


def test_without_a_fault_nothing_is_said():
    done = python(with_asan(), "-c", PROTECT)
    assert (done.stdout, done.stderr) == ("native 117\n", "")


@pytest.mark.parametrize(
    ("fault", "report"),
    [(STORE_16_PAST, "heap-buffer-overflow"), (SHIFT_TOO_FAR, "shift exponent 40")],
    ids=["store 16 past", "shift"],
)
def test_a_fault_is_found(fault, report):
    """The seeded faults, in a patched copy."""
    done = python(with_asan([fault]), "-c", PROTECT)
    assert done.returncode != 0
    assert report in done.stderr and "frame/sender.c" in done.stderr, done.stderr[-3000:]
