"""The latency budget guards what it says: bench/gates.py, seen to fail and seen to pass."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import perf_counter_ns

import machine
import pytest

import pysframe
from pysframe import engine

BENCH = Path(__file__).parent.parent / "bench"
BLOCK = 64
TIERS = machine.X86_KERNELS
SHAPED = ("ticks", "around", "floors")
ROWS = ("rows", "kernels", "shapes", *SHAPED)
CPUS = ("zen4", "zen5", "")


@pytest.fixture
def bench(monkeypatch):
    """bench("gates") is bench/gates.py, on this process's engine."""
    monkeypatch.syspath_prepend(BENCH)
    # A process of tests gives its pages back: the batches of other tests are many GiB in sum.
    monkeypatch.setattr(import_module("interleave"), "keep_pages", lambda: None)
    return import_module


@pytest.fixture
def gates(bench, monkeypatch):
    monkeypatch.setattr(bench("verdicts"), "PAUSE", 0)
    return bench("gates")


class Found:
    """A contest that finds what it is given, round by round."""

    def __init__(self, verdicts, *figures, late=1e9, sure=True):
        self.found = [verdicts.Measured(figure, late=late, sure=sure) for figure in figures]
        self.asked = []

    def go_on(self, longer):
        self.asked.append(longer)
        return self.found[min(len(self.asked), len(self.found)) - 1]


def every_row(gates):
    budget = gates.budgets()
    for kernel in TIERS:
        for kind in ROWS:
            yield from ((kernel, kind, row) for row in budget[kernel][kind])


def every_point(gates):
    """What is asked at each point of each row."""
    budget = gates.budgets()
    for kernel, kind, row in every_row(gates):
        for where, _ in gates.POINTS[kind](kernel, row):
            yield kind, gates.asked(kernel, row, where, budget)


# ---- each row ----


def test_a_slowdown_of_a_quarter_beyond_the_gate_fails_every_row(gates, bench):
    verdicts, seen = bench("verdicts"), set()
    for kind, asked in every_point(gates):
        at_gate = Found(verdicts, asked.gate / 1.001 if asked.most else asked.gate * 1.001)
        assert verdicts.decide(asked, at_gate).passed, asked
        assert at_gate.asked == [1]
        slow = Found(verdicts, *at_gate.found and [at_gate.found[0].figure])
        assert not verdicts.decide(asked, slow, slower=1.25).passed, asked
        assert slow.asked == list(verdicts.ROUNDS)
        seen.add((asked.kernel, kind))
    assert seen == {(kernel, kind) for kernel in TIERS for kind in ROWS}


def test_a_late_block_fails_every_call(gates, bench):
    verdicts = bench("verdicts")
    for kind, asked in every_point(gates):
        if kind == "rows":
            late = Found(verdicts, asked.gate * 2, late=asked.late_gate / 1.01)
            assert not verdicts.decide(asked, late).passed, asked


def test_a_miss_is_measured_again_longer_and_judged_by_the_last_round(gates, bench):
    verdicts = bench("verdicts")
    assert list(verdicts.ROUNDS) == sorted(verdicts.ROUNDS)
    asked = next(asked for kind, asked in every_point(gates) if kind == "shapes" and asked.most)
    missed = Found(verdicts, asked.gate * 1.5, asked.gate * 1.2, asked.gate * 0.9)
    verdict = verdicts.decide(asked, missed)
    assert verdict.passed
    assert (verdict.rounds, missed.asked) == (3, list(verdicts.ROUNDS[:3]))
    assert "3 rounds" in verdicts.line(verdict)


def test_a_figure_that_may_be_the_bad_luck_of_the_peer_is_measured_again(gates, bench):
    verdicts = bench("verdicts")
    asked = next(asked for kind, asked in every_point(gates) if kind == "shapes" and asked.most)
    unsure = Found(verdicts, asked.gate * 0.9, sure=False)
    assert verdicts.decide(asked, unsure).passed
    assert unsure.asked == list(verdicts.ROUNDS)
    unsure = Found(verdicts, asked.gate * 0.9, asked.gate * 1.1, sure=False)
    assert not verdicts.decide(asked, unsure).passed


def test_every_call_and_shape_has_a_gate_in_every_tier(gates, bench):
    budget = gates.budgets()
    for kernel in TIERS:
        assert {row["call"] for row in budget[kernel]["rows"]} == set(bench("calls").OURS)
        for kind, known in gates.shapes.KINDS.items():
            assert {row["shape"] for row in budget[kernel][kind]} == set(known)
        suites = {row["suite"] for row in budget[kernel]["kernels"]}
        assert suites == {1, 4, 5, 6}


@pytest.mark.parametrize("cpu", CPUS)
def test_a_gate_is_three_quarters_of_its_bar_or_more_and_every_cpu_has_one(gates, monkeypatch, cpu):
    monkeypatch.setattr(gates.about, "microarchitecture", lambda: cpu)
    budget = gates.budgets()
    for kernel, kind, row in every_row(gates):
        asked = gates.asked(kernel, row, "", budget)
        bars = row["bar"]
        assert set(bars) <= set(CPUS) - {""}, row
        lowest = max(bars.values()) if asked.most else min(bars.values())
        assert asked.bar == bars.get(cpu, lowest) == bars[asked.cpu]
        assert (asked.bar / asked.gate if asked.most else asked.gate / asked.bar) >= 0.75 - 1e-9
        if kind == "rows":
            late = row["p99"].get(cpu, min(row["p99"].values()))
            assert asked.late_gate >= 0.75 * late > 0


def test_no_gate_holds_a_time(gates):
    for kind, asked in every_point(gates):
        assert asked.unit == "bytes" or asked.unit.startswith("x"), (kind, asked)


def test_no_row_is_left_out_where_there_are_two_cores_and_every_peer(gates, bench, monkeypatch):
    monkeypatch.setattr(bench("c_peers"), "ipsec_version", lambda: "any")
    assert [row for _, _, row in every_row(gates) if gates.why_not(row, cores=2)] == []


# ---- real calls, really slowed down ----


@pytest.mark.parametrize(
    "call",
    [
        *("protect", "protect_many", "protect_batch", "protect_batch.out"),
        *("unprotect", "unprotect_many.to_list", "unprotect_batch", "unprotect_batch.out"),
    ],
)
def test_a_slow_call_fails(gates, bench, monkeypatch, call):
    """Ours, and 1.25 times the peer's work after it: a quarter beyond a gate of 1."""
    calls, verdicts = bench("calls"), bench("verdicts")
    monkeypatch.setattr(verdicts, "ROUNDS", (1, 2))
    duel = calls.duel

    def slowed(*place):
        ours, theirs = duel(*place)
        work = theirs.prepare()

        def slow(blocks):
            theirs.run([*work, *work][: len(blocks) * 5 // 4])
            return ours.run(blocks)

        return replace(ours, run=slow), theirs

    asked = verdicts.Verdict("any", call, "", "x", 1.0, 1.0, "any")
    with monkeypatch.context() as patch:
        patch.setattr(calls, "duel", slowed)
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


def matched(gates, kind):
    """The shapes of a kind that are contests of contenders, each with its matches."""
    for name, shape in gates.shapes.KINDS[kind].items():
        if name != "import pysframe":
            yield name, shape, shape.begin()


def decided(verdicts, shape, figure, contest):
    """The verdict where the gate lies half of a figure beyond it."""
    gate = figure * 1.5 if shape.most else figure / 1.5
    asked = verdicts.Verdict("any", "", "", shape.unit, gate, gate, "any", most=shape.most)
    return verdicts.decide(asked, contest)


@pytest.mark.parametrize("kind", SHAPED)
def test_a_slow_tick_step_or_whole_operation_fails(gates, bench, monkeypatch, kind):
    verdicts, seen = bench("verdicts"), 0
    monkeypatch.setattr(verdicts, "ROUNDS", (1, 2))
    monkeypatch.setattr(bench("around"), "MANY", 200)
    for name, shape, contest in matched(gates, kind):
        contest.go_on(1)
        figure = contest.go_on(2).figure
        assert decided(verdicts, shape, figure, contest).passed, name
        slow = shape.begin()
        for match in slow.matches:
            match.make = slowed(match.make)
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
    assert threads.ThreadsContest(1200, 1024, lets_go=True).go_on(1).figure < 0.675


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


# ---- the whole ----


def run_gates(*words, **environment):
    return subprocess.run(
        [sys.executable, BENCH / "gates.py", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def trial(bench):
    if not machine.has_native():
        pytest.skip("no native engine")
    return bench("trial")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where a copy of the library that can be told to be slow is built once."""
    return tmp_path_factory.mktemp("copy")


@pytest.fixture
def copy(trial, built, monkeypatch):
    monkeypatch.setattr(trial.delays, "COPY", built)
    if not (built / "bench").exists():
        trial.delays.build()
    return trial


@pytest.mark.timeout(600)  # it builds the library
@pytest.mark.parametrize(
    "place",
    [
        "unprotect_batch.out suite 5 1200 B",
        "Receiver.add_key",
        "unprotect_batch, its floor",
    ],
)
def test_a_real_delay_a_quarter_beyond_the_gate_fails_its_row(copy, place):
    kernel = engine.default().name.removeprefix("native:")
    clause, figure, gate = copy.amount_in(kernel, place)
    row = place.partition(" suite")[0]
    shape = copy.delays.gates.shapes.SHAPES.get(row)
    assert (figure / gate if shape and shape.most else gate / figure) > 1.2
    failed, judged = copy.failed_in(kernel, clause, row)
    assert place in failed
    assert judged >= len(failed)
    passed, _ = copy.failed_in(kernel, "", row)
    assert place not in passed


def test_a_row_that_no_delay_reaches_says_why(trial):
    points = [point for kernel in TIERS for row in trial.delays.rows(kernel) for point in row]
    unreached = {point.name for point in points if point.unreached}
    assert unreached == {"tick: columns sealed", *trial.delays.gates.shapes.KINDS["around"]}
    assert all(bool(point.kind) != bool(point.unreached) for point in points)


@pytest.mark.timeout(600)
def test_gates_hold_beside_a_busy_neighbour(trial):
    kernel = engine.default().name.removeprefix("native:")
    words = ("long header", "add_key", "protect_batch.out")
    with trial.neighbour():
        done = run_gates("--kernel", kernel, *words, PYSFRAME_KERNEL=kernel)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gates_refuse_the_fallback():
    done = run_gates("protect", PYSFRAME_BACKEND="fallback")
    assert done.returncode and "only the fallback" in done.stderr


def test_an_empty_set_of_gates_fails():
    done = run_gates("no such gate")
    assert done.returncode
    assert "no gate was measured" in done.stderr or "only the fallback" in done.stderr


@pytest.mark.parametrize("text", ["share = 0.7\n", "share = 0.75\n"])
def test_a_low_share_or_a_kernel_without_a_budget_fails(gates, monkeypatch, tmp_path, text):
    monkeypatch.setattr(gates, "BUDGETS", tmp_path / "budgets.toml")
    gates.BUDGETS.write_text(text)
    with pytest.raises(SystemExit, match=r"below|nothing for|only the fallback"):
        gates.kernels()


def test_recording_lowers_a_bar_for_this_cpu_only(bench, monkeypatch):
    record = bench("record")
    monkeypatch.setattr(record.about, "microarchitecture", lambda: "zen4")
    bars = {"zen5": 10.0}
    record.lower(bars, [9.5, 9.1])
    assert bars == {"zen5": 10.0}
    record.lower(bars, [9.5, 8.37])
    assert bars == {"zen5": 10.0, "zen4": 8.3}
    ceilings = {"zen5": 1.2}
    record.lower(ceilings, [1.31, 1.62], most=True)
    assert ceilings == {"zen5": 1.2, "zen4": 1.65}


def test_a_missing_peer_is_an_error(bench, monkeypatch):
    c_peers = bench("c_peers")
    for missing in ("openssl", "ipsec"):
        c_peers.openssl.cache_clear(), c_peers.build.cache_clear()
        with monkeypatch.context() as patch:
            patch.delenv("PYSFRAME_LIBCRYPTO", raising=False)
            patch.setattr(c_peers, "files", lambda package: [])
            patch.setattr(c_peers, "ipsec_version", lambda: None)
            with pytest.raises(c_peers.MissingPeer, match=r"libcrypto|intel-ipsec-mb"):
                c_peers.openssl() if missing == "openssl" else c_peers.build()


def test_a_fence_is_one():
    """A byte behind a frame at a page edge kills who reads it."""
    program = (
        "import edges, sys; slots = edges.Fences([40], 0); at = slots.offsets[0] + 40; "
        "slots.view[at - 1]; print('alive', flush=True); slots.view[at]"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=BENCH, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("alive\n", -11)


def test_the_page_says_where_a_peer_is_ahead(bench):
    page = bench("page")
    rows = {"160": {"pysframe protect": {"median": 50.0}, "peer": {"median": 54.0}}}
    assert page.near(rows, "pysframe protect") == {"peer": ["160"]}
    rows["160"]["peer"]["median"] = 56.0
    assert page.near(rows, "pysframe protect") == {}
