"""Promise 2 for the way of multiplying that this CPU would not take.

Where a 512-bit multiplication is slow, vaes512 hashes long frames with three of them a product,
else with four. Which it is only depends on the CPU, so each is built in here, and both meet every
length.
"""

import random
import subprocess

import pytest
from c_core.core import kernel_or_skip
from security.deep import known_answers
from security.deep.builds import RELEASE, Patch, objects
from security.deep.linking import linked
from security.deep.test_p04_emulated_cpus import FLAGS, HERE, all_right, answers, on

ASKED = "return is_amd() && family() >= 0x1a;"
WAYS = {
    "four": Patch("platform/cpu.c", ASKED, f"{ASKED[:-1]} && false;"),
    "three": Patch("platform/cpu.c", ASKED, f"return true || ({ASKED[7:-1]});"),
}
FAULT = Patch(
    "aead/gcm_vaes512_ghash.h",
    "product(a, b, 0x00), product(a, b, 0x11)",
    "product(a, b, 0x00), product(a, b, 0x00)",
)
LONGEST = 1800  # bytes, each length up to it: several units, and more than there are powers for


@pytest.fixture(scope="module")
def frames(tmp_path_factory, request):
    """(file, number of records)"""
    kernel_or_skip("vaes512")
    path = tmp_path_factory.mktemp("answers") / "frames"
    return path, known_answers.write(path, random.Random(request.config.option.seed), LONGEST)


def said_by(frames, *patches: Patch) -> list[str]:
    command = [answers(*patches), frames[0]]
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize("way", WAYS)
def test_every_length(way, frames, figure):
    said = said_by(frames, WAYS[way])
    assert said[0] == "best: vaes512"
    assert all_right("vaes512", frames[1]) in said
    figure(f"{frames[1]} frames, every length to {LONGEST} B")


@pytest.mark.parametrize("way", WAYS)
def test_a_fault_in_the_products_of_three(way, frames):
    """They are what one build runs, and what the other does not."""
    said = said_by(frames, WAYS[way], FAULT)
    assert (all_right("vaes512", frames[1]) in said) == (way == "four")


@pytest.mark.parametrize(
    ("vendor", "family", "said"),
    [
        ("AuthenticAMD", 0x1A, "slow"),  # Zen 5
        ("AuthenticAMD", 0x19, "quick"),  # Zen 3 and 4
        ("AuthenticAMD", 0x0F, "quick"),  # the highest that needs no extended family
        ("GenuineIntel", 0x1A, "quick"),
    ],
)
def test_which_way_a_cpu_goes(vendor, family, said):
    program = linked("detected", [HERE / "detected.c"], "gcc", FLAGS, objects("gcc", RELEASE))
    assert on(f"max,vendor={vendor},family={family}", program) == [said]
