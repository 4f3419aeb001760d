"""Promise 1, line by line: a line that keeps a demand of RFC 9605 is taken away, and a test that
tests/rfc9605_requirements.toml names for this demand must fail.

In a copy of the tree, where the twin runs alone; of the C core the tests in tests/c_core compile
the copy's csrc/ themselves.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NOT_COPIED = shutil.ignore_patterns(".*", "build", "dist", "bench", "*.so", "__pycache__")
TWIN = "src/pysframe/engine/twin"

# demand, file, the line, what stands there instead, the test
REGISTRY = "if claim.alive or next_ctr < claim.next_ctr + claim.spent:"
STRICT = "if strict and (_extra(kid) != kid_size or _extra(ctr) != ctr_size):"
C_STRICT = "return bytes && (raw & 0xff) < (bytes == 1 ? 8 : 1);"
FSYNC = "        os.fsync(self._file.fileno())\n"
CLOSED = "        for secret in old:\n            secret.close()\n"
C_REFUSED = "if (SFR_UNLIKELY(opened != SFR_OK || k->closed)) {"
C_DUPLICATE = "if (!free_from(e, next_ctr)) return SFR_E_DUPLICATE;"
LINES = [
    ("4.1 MUST", f"{TWIN}/_registry.py", REGISTRY, "if False:",
     "tests/test_objects.py::test_one_sender_for_each_key"),
    ("4.3 MUST", f"{TWIN}/_sender.py", "self._next += 1", "pass",
     "tests/test_frames.py::test_counters_count_up"),
    ("4.3 MUST", "src/pysframe/header.py", STRICT, "if False:",
     "tests/test_bad_input.py::test_rejected_frames"),
    ("4.3 MUST", "csrc/frame/header.h", C_STRICT, "return bytes && raw == ~raw;",
     "tests/c_core/test_header.py::test_not_minimal"),
    ("4.4.1 MUST NOT", f"{TWIN}/_registry.py", REGISTRY, "if False:",
     "tests/test_sender.py::test_a_second_sender_is_refused"),
    ("4.4.1 MUST NOT", "csrc/frame/registry.c", C_DUPLICATE, "",
     "tests/c_core/test_sender.py::test_one_live_sender_for_each_key"),
    ("4.4.4 MUST", f"{TWIN}/_receiver.py", "parsed.wipe(out)  # RFC 9605 4.4.4 MUST: discarded",
     "pass", "tests/test_bad_input.py::test_rejected_frames_leave_no_plaintext"),
    ("4.4.4 MUST", "csrc/frame/commit.c", C_REFUSED, "if (k->closed) {",
     "tests/c_core/test_receiver.py::test_a_refused_frame_leaves_zeros"),
    ("5.1 plain", "src/pysframe/keys/derived.py", CLOSED, "",
     "tests/test_receiver_ratchet.py::test_old_secrets_are_closed_when_a_chain_advances"),
    ("5.2 MUST", "src/pysframe/keys/epochs.py",
     "return changes._replace(forget=(there.number,))", "return changes",
     "tests/test_epochs.py::test_rfc9605_5_2_drops_the_epoch_with_the_same_low_bits"),
    ("7.4 MUST", f"{TWIN}/_sender.py", "if self._generation != generation():", "if False:",
     "tests/security/test_p05_fork.py::test_the_childs_sender_refuses"),
    ("9.1 MUST", f"{TWIN}/_sender.py", "if ctr != self._last:", "if True:",
     "tests/test_sender_leases.py::test_an_ended_lease_says_renew"),
    ("9.1 plain", "src/pysframe/counters/_file.py", FSYNC, "",
     "tests/test_counter_file.py::test_written_synced_written_again_synced_then_used"),
    ("9.3 MUST", f"{TWIN}/_sender.py", "raise misuse(code, kid=self.kid)", "pass",
     "tests/test_frames.py::test_the_last_counter"),
    ("9.3 MAY", f"{TWIN}/_window.py", "self._seen |= 1 << (self.top - ctr)", "pass",
     "tests/test_replay.py::test_every_order_of_a_window"),
]  # fmt: skip

pytestmark = pytest.mark.timeout(3600)  # some compile the library, on a busy machine, too


@pytest.fixture
def tree(tmp_path):
    copy = tmp_path / "tree"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    return copy


def passes(tree: Path, *tests: str) -> bool:
    """Whether these tests pass there; anything but passing or failing is an error."""
    environment = os.environ | {
        "PYTHONPATH": str(tree / "src"),
        "PYSFRAME_MAX_ISA": "none",
        "HYPOTHESIS_PROFILE": "desk",
        "SFR_CFLAGS": "-O1",  # in a third of the time
    }
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert done.returncode or " passed" in done.stdout
    return done.returncode == 0


def test_whole_they_pass(tree):
    assert passes(tree, *dict.fromkeys(test for *_, test in LINES))


@pytest.mark.parametrize(
    ("demand", "file", "line", "instead", "test"),
    LINES,
    ids=[f"{demand}, {Path(file).name}" for demand, file, *_ in LINES],
)
def test_without_the_line_its_test_fails(tree, demand, file, line, instead, test):
    assert test in traced_tests(demand, file)
    source = (tree / file).read_text()
    assert source.count(line) == 1
    (tree / file).write_text(source.replace(line, instead))
    assert not passes(tree, test)


def traced_tests(demand: str, file: str) -> list[str]:
    """The tests that the trace names for what this file keeps of a demand."""
    trace = tomllib.loads((ROOT / "tests/rfc9605_requirements.toml").read_text())["requirement"]
    return [
        test
        for entry in trace
        if f"{entry['section']} {entry['level']}" == demand
        and any(path == file for path, _ in entry.get("where", []))
        for test in entry["tests"]
    ]
