"""The latency budget guards what it says: bench/gates.py, seen to fail and seen to pass.

Here on figures that are made up; test_measured.py measures, alone on the machine.
"""

import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO

import pytest
from on_the_bench import BENCH, SHAPED, TIERS, run_gates

ROWS = ("rows", "kernels", "shapes", *SHAPED)
CPUS = ("zen4", "zen5", "")


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


def test_a_figure_that_may_be_bad_luck_is_measured_again_and_never_passes(gates, bench):
    verdicts = bench("verdicts")
    asked = next(asked for kind, asked in every_point(gates) if kind == "shapes" and asked.most)
    unsure = Found(verdicts, asked.gate * 0.9, sure=False)
    verdict = verdicts.decide(asked, unsure)
    assert unsure.asked == list(verdicts.ROUNDS)
    assert not verdict.passed and not verdict.failed and verdict.mark == "UNSURE"
    assert "1 could not be measured" in "".join(verdicts.summary("any", [verdict]))
    assert verdicts.decide(asked, Found(verdicts, asked.gate * 1.1, sure=False)).failed
    late = Found(verdicts, asked.gate * 0.9)
    late.found = [*unsure.found, *late.found]
    assert verdicts.decide(asked, late).passed
    assert late.asked == list(verdicts.ROUNDS[:2])


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


# ---- the whole ----


def test_every_row_has_a_delay_that_reaches_it(trial):
    points = [point for kernel in TIERS for row in trial.delays.rows(kernel) for point in row]
    known = (trial.delays.ROOT / "bench" / "c" / "delay.c").read_text()
    for point in points:
        assert f'"{point.kind}"' in known, point.name
        assert point.kind in trial.delays.FIRST_GUESSES
        assert point.clause(1).split()[1] in ("*", point.asked.kernel)
    around = [point for point in points if point.name in trial.delays.gates.shapes.KINDS["around"]]
    assert len(around) == 12 * len(TIERS)
    assert {point.kind for point in around} <= set(trial.delays.AROUND.values())


def test_gates_refuse_the_fallback():
    done = run_gates("protect", PYSFRAME_BACKEND="fallback")
    assert done.returncode and "only the fallback" in done.stderr


def test_an_empty_set_of_gates_fails():
    done = run_gates("no such gate")
    assert done.returncode
    assert "no gate was measured" in done.stderr or "only the fallback" in done.stderr


def test_a_kernel_holds_its_own_table_or_the_next_narrower_kernels(gates, monkeypatch):
    ladder, budget = ("none", "a", "b", "c", "d"), {"share": 0.75, "b": {"rows": []}, "d": {}}
    monkeypatch.setattr(gates.engine, "ladder", lambda: ladder)
    assert gates.tier(budget | {"d": {"rows": [1]}}, "d") == {"rows": [1]}
    assert gates.tier(budget, "c") == gates.tier(budget, "b") == {"rows": []}
    with pytest.raises(SystemExit, match="nothing for a, nor for a narrower"):
        gates.tier(budget, "a")


def test_recording_makes_the_table_of_a_new_kernel_and_keeps_the_others(
    gates, bench, monkeypatch, tmp_path
):
    """Also that of a kernel which this CPU lacks. A new one begins as the next narrower one's."""
    record, recorded, table = bench("record"), [], gates.budgets()[TIERS[-1]]
    monkeypatch.setattr(gates, "BUDGETS", tmp_path / "budgets.toml")
    tables = record.toml(table, "wide") + record.toml(table, "narrow")
    gates.BUDGETS.write_text(f"share = 0.75\n{tables}")
    monkeypatch.setattr(record.about, "microarchitecture", lambda: "zen4")
    monkeypatch.setattr(gates, "kernels", lambda: ["new", "narrow"])
    monkeypatch.setattr(gates.engine, "ladder", lambda: ("none", "narrow", "new", "wide"))
    monkeypatch.setattr(record, "recorded", lambda kernel, *_: recorded.append(kernel))

    def run(command, **_):
        monkeypatch.setattr(sys, "argv", command[1:])
        with redirect_stdout(StringIO()) as said:
            assert record.main() == 0
        return said.getvalue()

    monkeypatch.setattr(record.subprocess, "check_output", run)
    monkeypatch.setattr(sys, "argv", ["record.py"])
    assert record.main() == 0
    assert recorded == ["new", "narrow"]
    after = gates.budgets()
    assert [*after.items()] == [("share", 0.75), *((k, table) for k in ("wide", "new", "narrow"))]


@pytest.mark.parametrize("text", ["share = 0.7\n", "share = 0.75\n"])
def test_a_low_share_or_a_kernel_without_a_budget_fails(gates, monkeypatch, tmp_path, text):
    monkeypatch.setattr(gates, "BUDGETS", tmp_path / "budgets.toml")
    gates.BUDGETS.write_text(text)
    with pytest.raises(SystemExit, match=r"below|nothing for|only the fallback"):
        gates.kernels()


def test_what_the_whole_runs_slow_is_a_point_of_its_kernel(trial):
    slow = {kernel: trial.gates.tier(trial.gates.budgets(), kernel)["trial"] for kernel in TIERS}
    for kernel, place in slow.items():
        assert [p.name for row in trial.delays.rows(kernel) for p in row].count(place) == 1


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


def test_recording_goes_on_until_it_is_sure(bench, gates, monkeypatch):
    record, verdicts = bench("record"), bench("verdicts")
    contest = Found(verdicts, *[1.0] * 4, sure=False)
    contest.found += Found(verdicts, 0.9, 0.9).found
    assert record.reached(contest).sure
    assert len(contest.asked) == 6
    never = {"shape": "threads 160 B x 64", "bar": {"zen4": 0.95}}
    point = ("", lambda: Found(verdicts, 1.0, sure=False))
    monkeypatch.setitem(gates.POINTS, "shapes", lambda *_: [point])
    monkeypatch.setattr(gates, "why_not", lambda *_: "")
    with pytest.raises(SystemExit, match="never had its cores"):
        record.recorded("any", {kind: [] for kind in gates.POINTS} | {"shapes": [never]}, [])
    assert never["bar"] == {"zen4": 0.95}


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
