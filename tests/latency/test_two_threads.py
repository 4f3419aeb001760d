"""Two threads beside a peer's two: when a row is sure of its figure, how often the rule is wrong.

turns.json has turns that were recorded on Zen 4 with two cores, one of which a neighbour of the
same priority kept busy, and some 20 idle-priority processes both. Of each: microseconds, and for
how many of them a thread was ready and had no core; alone on one core, on the other, and together.
"""

import json
import random
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest

RECORDED = json.loads((Path(__file__).parent / "turns.json").read_text())
ROWS = sorted({name.rpartition(", ")[0] for name in RECORDED})
BEYOND = 1.25
RUNS = 100

# Made up: nobody disturbs, or somebody always has a core.
QUIET = (2000, 2, 2000, 4, 2100, 9)
DISTURBED = (2000, 2, 2700, 700, 3600, 1600)


@pytest.fixture
def threads(bench, gates):
    return bench("threads")


def played(threads, turns):
    """A side of a ThreadsContest whose turns are given."""
    side = threads._Side(lambda: lambda calls: None)
    pairs = ((threads.Turn(*t[:2]), threads.Turn(*t[2:4]), threads.Turn(*t[4:])) for t in turns)
    side.turn, side.renew = lambda: side.saw(*next(pairs)), lambda: None
    return side


def slowed(turns, share):
    """The same, where two threads take so many times as long together."""
    return ((*turn[:4], turn[4] * share, turn[5]) for turn in turns)


def verdict(bench, ours, theirs, gate=0.675):
    threads, verdicts = bench("threads"), bench("verdicts")
    contest = threads.ThreadsContest.__new__(threads.ThreadsContest)
    contest.ours, contest.theirs = played(threads, ours), played(threads, theirs)
    asked = verdicts.Verdict("any", "threads", "", "x peer's", gate / 0.75, gate, "any")
    return verdicts.decide(asked, contest)


def test_two_threads_that_nobody_disturbs_are_judged(threads, bench):
    quick = verdict(bench, cycle([QUIET]), cycle([QUIET]))
    assert quick.passed and quick.rounds == 1
    slow = verdict(bench, slowed(cycle([QUIET]), BEYOND / 0.675), cycle([QUIET]))
    assert slow.failed and slow.rounds == len(bench("verdicts").ROUNDS)


def test_a_peer_that_never_had_both_cores_proves_nothing(threads, bench):
    """Ours took 25 % more than they may, and the peer, disturbed, as much."""
    found = verdict(bench, slowed(cycle([QUIET]), BEYOND / 0.675), cycle([DISTURBED]))
    assert found.figure > found.gate
    assert found.mark == "UNSURE" and not found.passed and not found.failed
    assert found.rounds == len(bench("verdicts").ROUNDS)


def test_ours_may_be_disturbed_together_but_not_alone(threads, bench):
    assert verdict(bench, cycle([(*QUIET[:4], *DISTURBED[4:])]), cycle([QUIET]), 0.5).passed
    alone = (2000, 300, 2100, 300, *QUIET[4:])
    assert verdict(bench, cycle([alone]), cycle([QUIET])).mark == "UNSURE"


def test_a_few_undisturbed_turns_of_each_are_enough(threads, bench):
    def rare():
        """As many in the first three rounds."""
        return cycle([*[DISTURBED] * (7 * threads.TURNS // threads.ENOUGH - 1), QUIET])

    found = verdict(bench, rare(), rare())
    assert found.passed and found.rounds == 3
    assert verdict(bench, rare(), cycle([*[DISTURBED] * 500, QUIET])).mark == "UNSURE"
    assert verdict(bench, slowed(rare(), BEYOND / 0.675), rare()).failed


def drawn(row, side):
    """Turns drawn from those that were recorded, for ever."""
    turns = RECORDED[f"{row}, {side}"]
    return iter(lambda: random.choice(turns), None)


def gate_and_figure(gates, bench, row):
    """The gate, and what all that was recorded comes to."""
    asked = next(
        gates.asked("aesni", each, "", gates.budgets())
        for each in gates.budgets()["aesni"]["shapes"]
        if each["shape"] == row
    )
    found = [played(bench("threads"), RECORDED[f"{row}, {side}"]) for side in ("ours", "theirs")]
    for side in found:
        for _ in range(len(RECORDED[f"{row}, ours"])):
            side.turn()
    return asked.gate, found[0].gain / found[1].gain


@pytest.mark.parametrize("row", ROWS)
def test_how_often_the_rule_is_wrong_beside_a_neighbour(gates, bench, row):
    """No false alarm and nothing unsure; a delay is missed in 2 of 300 rows of the one kind (in 11
    with three undisturbed turns instead of ENOUGH), and never in the other two."""
    gate, figure = gate_and_figure(gates, bench, row)
    assert figure > gate
    delay = figure / gate * BEYOND
    marks = {"as it is": Counter(), "delayed": Counter()}
    for _ in range(RUNS):
        plain = verdict(bench, drawn(row, "ours"), drawn(row, "theirs"), gate)
        slow = verdict(bench, slowed(drawn(row, "ours"), delay), drawn(row, "theirs"), gate)
        marks["as it is"][plain.mark] += 1
        marks["delayed"][slow.mark] += 1
    assert marks["as it is"] == {"ok": RUNS}
    assert marks["delayed"]["FAIL"] > 0.9 * RUNS and marks["delayed"]["UNSURE"] == 0
