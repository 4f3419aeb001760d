"""The gates measure, and are seen to fail: real calls that are really slowed down, or go wrong.

Rule: nothing else runs beside these tests (make test-gates), since they judge ratios of times.
"""

import itertools
import os
from dataclasses import replace
from time import perf_counter_ns

import pytest
from on_the_bench import BENCH, SHAPED, matched, run_gates
from security.deep.builds import RELEASE, extension

import pysframe
from pysframe import engine

# ---- calls slowed down in this process ----


@pytest.mark.parametrize(
    "call",
    [
        *("protect", "protect_many", "protect_batch", "protect_batch.out"),
        *("unprotect", "unprotect_many.to_list", "unprotect_batch", "unprotect_batch.out"),
    ],
)
def test_a_slow_call_fails(gates, bench, monkeypatch, call):
    """Ours, and twice the peer's work after it, beside a gate of 1. What a quarter does is for
    bench/trial.py, whose delays are measured: this work lies in a warm cache, the peer's does not.
    """
    calls, verdicts = bench("calls"), bench("verdicts")
    duel = calls.duel

    def slowed(*place):
        ours, theirs = duel(*place)
        work = theirs.prepare()

        def slow(blocks):
            theirs.run([*work, *work][: len(blocks) * 2])
            return ours.run(blocks)

        return replace(ours, run=slow), theirs

    asked = verdicts.Verdict("any", call, "", "x", 1.0, 1.0, "any")
    with monkeypatch.context() as patch:
        patch.setattr(calls, "duel", slowed)
        patch.setattr(verdicts, "ROUNDS", (1, 2))
        assert not verdicts.decide(asked, calls.CallContest(call, 4, 80)).passed
    assert verdicts.decide(asked, calls.CallContest(call, 4, 80)).passed


def delayed(run):
    """The same call, and a real delay of twice its time."""

    def slow(blocks):
        start = perf_counter_ns()
        result = run(blocks)
        end = 3 * perf_counter_ns() - 2 * start
        while perf_counter_ns() < end:
            pass
        return result

    return slow


def slowed(make):
    def made():
        ours = ("ours", "built")
        return [replace(c, run=delayed(c.run)) if c.name in ours else c for c in make()]

    return made


def decided(verdicts, shape, figure, contest):
    """The verdict where the gate lies half of a figure beyond it."""
    gate = figure * 1.5 if shape.most else figure / 1.5
    asked = verdicts.Verdict("any", "", "", shape.unit, gate, gate, "any", most=shape.most)
    return verdicts.decide(asked, contest)


@pytest.mark.parametrize("kind", SHAPED)
def test_a_slow_tick_step_or_whole_operation_fails(gates, bench, monkeypatch, kind):
    verdicts, seen = bench("verdicts"), 0
    monkeypatch.setattr(bench("around"), "MANY", 200)
    for name, shape, contest in matched(gates, kind):
        contest.go_on(1)
        figure = contest.go_on(2).figure
        assert decided(verdicts, shape, figure, contest).passed, name
        slow = shape.begin()
        for match in slow.matches:
            match.make = slowed(match.make)
        with monkeypatch.context() as patch:
            patch.setattr(verdicts, "ROUNDS", (1, 2))
            assert not decided(verdicts, shape, figure, slow).passed, name
        seen += 1
    assert seen >= 5


def test_a_slow_import_fails(gates, bench, monkeypatch):
    around, verdicts = bench("around"), bench("verdicts")
    monkeypatch.setattr(verdicts, "ROUNDS", (1, 2))
    shape = around.SHAPES["import pysframe"]
    figure = shape.begin().go_on(1).figure
    waits = (
        "end = 3 * now() - 2 * start if '{modules}' == 'pysframe' else 0\nwhile now() < end: pass\n"
    )
    monkeypatch.setattr(around, "IMPORT", around.IMPORT.replace("spent =", waits + "spent ="))
    assert not decided(verdicts, shape, figure, shape.begin()).passed


def test_late_blocks_fail_though_the_best_turn_does_not_tell(gates, bench, monkeypatch):
    calls, verdicts = bench("calls"), bench("verdicts")
    monkeypatch.setattr(verdicts, "ROUNDS", (1, 2))
    duel, number = calls.duel, itertools.count(1)

    def late(*place):
        ours, theirs = duel(*place)

        def run(blocks):
            result = ours.run(blocks)
            is_late = len(blocks) == 1 and next(number) % 20 == 0
            end = perf_counter_ns() + (200_000 if is_late else 0)
            while perf_counter_ns() < end:
                pass
            return result

        return replace(ours, run=run), theirs

    monkeypatch.setattr(calls, "duel", late)
    asked = verdicts.Verdict("any", "protect", "", "x", 1.0, 1.0, "any", late_gate=1.0)
    verdict = verdicts.decide(asked, calls.CallContest("protect", 4, 160))
    assert verdict.figure > 1.0 > verdict.late
    assert not verdict.passed


def test_two_threads_that_take_turns_fail_beside_a_peer_whose_do_not(bench, monkeypatch):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this process has one core")
    from threading import Lock

    threads = bench("threads")
    batches, lock = threads._batches, Lock()

    def in_turns(size, rows):
        work = batches(size, rows)

        def locked(calls):
            with lock:
                work(calls)

        return locked

    monkeypatch.setattr(threads, "_batches", in_turns)
    contest = threads.ThreadsContest(1200, 1024, lets_go=True)
    rounds = bench("verdicts").ROUNDS  # longer ones where the peer had no second core to itself
    assert any(contest.go_on(longer).figure < 0.675 for longer in rounds)


# ---- wrong results ----


def test_a_wrong_frame_ends_the_run(bench, gates):
    wrong, calls = bench("workloads").WrongResult, bench("calls")
    for call in calls.OURS:
        ours, theirs = calls.duel(call, 4, 40)
        for contender in (ours, theirs):
            given = contender.prepare()
            with pytest.raises((wrong, ValueError)):
                contender.check(given, spoilt(contender.run(given)))


@pytest.mark.parametrize("kind", SHAPED)
def test_a_wrong_result_in_a_shape_ends_the_run(bench, gates, monkeypatch, kind):
    monkeypatch.setattr(bench("around"), "MANY", 200)
    wrong = bench("workloads").WrongResult
    for name, _, contest in matched(gates, kind):
        for contender in (c for match in contest.matches for c in match.make()):
            given = contender.prepare()
            with pytest.raises((wrong, ValueError)):
                contender.check(given, spoilt(contender.run(given)))
                pytest.fail(f"{name}: {contender.name}")


def spoilt(results):
    """The same with a result missing in the last block."""
    return [*results[:-1], shorter(results[-1])]


def shorter(result):
    if isinstance(result, list | bytes):
        return result[:-1]
    if isinstance(result, dict):
        return {}
    return pysframe.parse_headers([]) if hasattr(result, "size") else type(result)(b"", [], [])


# ---- a copy of the library, slowed down in C ----


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where a copy of the library that can be told to be slow is built once."""
    return tmp_path_factory.mktemp("copy")


@pytest.fixture
def copy(trial, built, monkeypatch):
    monkeypatch.setattr(trial.delays, "COPY", built)
    if not (built / "bench").exists():
        trial.delays.build(made(trial.delays.WRAPPED))
    return trial


def made(link):
    """The copy's engine, of objects that other tests have made already."""
    own = [BENCH / "c" / "delay.c"]
    folder = extension("delayed", flags=RELEASE, own=own, link=f"-pthread {link}")
    (module,) = folder.glob("pysframe/engine/_native*.so")
    return module


@pytest.mark.timeout(600)  # it builds the library
@pytest.mark.parametrize(
    "place",
    [
        "unprotect_batch.out suite 5 1200 B",
        "Receiver.add_key",
        "unprotect_batch, its floor",
        "for row in batch",
        "Header.parse",
    ],
)
def test_a_real_delay_a_quarter_beyond_the_gate_fails_its_row(copy, place):
    kernel = engine.default().name.removeprefix("native:")
    clause, figure, gate = copy.amount_in(kernel, place)
    row = place.partition(" suite")[0]
    shape = copy.delays.gates.shapes.SHAPES.get(row)
    assert (figure / gate if shape and shape.most else gate / figure) > 1.2
    failed, judged = copy.failed_in(kernel, clause, place)
    assert place in failed
    assert judged >= len(failed)
    passed, _ = copy.failed_in(kernel, "", place)
    assert place not in passed


@pytest.mark.timeout(600)
def test_gates_hold_beside_a_busy_neighbour(trial):
    kernel = engine.default().name.removeprefix("native:")
    words = ("long header", "add_key", "protect_batch.out")
    with trial.neighbour():
        done = run_gates("--kernel", kernel, *words, PYSFRAME_KERNEL=kernel)
    assert done.returncode == 0, done.stdout + done.stderr
