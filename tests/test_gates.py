"""The latency budget guards what it says: bench/gates.py, seen to fail."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import perf_counter_ns

import machine
import pytest

BENCH = Path(__file__).parent.parent / "bench"
BLOCK = 64
TIERS = machine.X86_KERNELS
ROWS = ("rows", "kernels", "shapes")


@pytest.fixture
def bench(monkeypatch):
    """bench("gates") is bench/gates.py, on this process's engine."""
    monkeypatch.syspath_prepend(BENCH)
    return import_module


@pytest.fixture
def gates(bench, monkeypatch):
    module = bench("gates")
    monkeypatch.setattr(module, "PAUSE", 0)
    return module


def every_row(gates):
    budget = gates.budgets()
    for kernel in TIERS:
        for kind in ROWS:
            yield from ((kernel, kind, row) for row in budget[kernel][kind])


def judged(gates, monkeypatch, kernel, kind, row, *, times=1.0, slower=1.0, late=1.0):
    """The verdicts of a row whose figure lies at its gate, `times` better."""
    share = gates.budgets()["share"]
    most = kind == "shapes" and gates.shapes.SHAPES[row["shape"]].most
    figure, _ = gates.gate_of(row, share, most)
    figure = figure / times if most else figure * times
    late_ns = row.get("p99_ns", 1) * gates.MOST_P99 * late
    monkeypatch.setattr(gates, "measure", lambda *_: (figure, 10.0, late_ns))
    monkeypatch.setattr(gates.c_peers, "times_faster", lambda *_: (figure, 10.0))
    known = {
        name: replace(shape, measure=lambda: figure) for name, shape in gates.shapes.SHAPES.items()
    }
    monkeypatch.setattr(gates.shapes, "SHAPES", known)
    return list(gates.JUDGES[kind](kernel, row, share, slower))


# ---- each row ----


def test_a_slowdown_of_a_quarter_beyond_the_gate_fails_every_row(gates, monkeypatch):
    seen = set()
    for kernel, kind, row in every_row(gates):
        with monkeypatch.context() as patch:
            at_gate = judged(gates, patch, kernel, kind, row, times=1.001, late=0.7)
        with monkeypatch.context() as patch:
            slow = judged(gates, patch, kernel, kind, row, slower=1.25, late=0.7)
        assert at_gate and all(v.passed for v in at_gate), (kernel, row)
        assert slow and not any(v.passed for v in slow), (kernel, row)
        seen.add((kernel, kind))
    assert seen == {(kernel, kind) for kernel in TIERS for kind in ROWS}


def test_a_late_block_fails_every_call(gates, monkeypatch):
    for kernel, kind, row in every_row(gates):
        if kind == "rows":
            with monkeypatch.context() as patch:
                late = judged(gates, patch, kernel, kind, row, times=2.0, late=1.01)
            assert not any(v.passed for v in late), (kernel, row)


def test_every_call_and_shape_has_a_gate_in_every_tier(gates):
    budget = gates.budgets()
    for kernel in TIERS:
        assert {row["call"] for row in budget[kernel]["rows"]} == set(gates.OURS)
        assert {row["shape"] for row in budget[kernel]["shapes"]} == set(gates.shapes.SHAPES)
        suites = {row["suite"] for row in budget[kernel]["kernels"]}
        assert suites == {1, 4, 5, 6}


def test_no_gate_is_lower_than_three_quarters_of_what_its_row_shows(gates):
    for kernel, kind, row in every_row(gates):
        most = kind == "shapes" and gates.shapes.SHAPES[row["shape"]].most
        gate, excused = gates.gate_of(row, 0.75, most)
        aim = row["reached"] if excused else row["bar"]
        assert (aim / gate if most else gate / aim) >= 0.75 - 1e-9, (kernel, row)
        assert excused == ("reached" in row), f"{kernel}: needs no excuse: {row}"


def test_a_row_short_of_its_bar_is_marked(gates):
    verdict = gates.Verdict("vaes512", "protect", "", 5.0, "x", 8.0, 4.5, excused=True)
    assert gates.line(verdict).startswith("LOW ")
    assert any("short of the bar" in said for said in gates.remarks("vaes512", [verdict]))
    caught_up = replace(verdict, figure=7.9)
    assert any("record again" in said for said in gates.remarks("vaes512", [caught_up]))


# ---- real calls, really slowed down ----


@pytest.mark.parametrize(
    "call",
    [
        *("protect", "protect_many", "protect_batch", "protect_batch.out"),
        *("unprotect", "unprotect_many.to_list", "unprotect_batch", "unprotect_batch.out"),
    ],
)
def test_a_slow_call_fails(gates, monkeypatch, call):
    """Ours with a pause that makes it a quarter slower than its gate allows."""
    gate, size = 4.0, 160
    ours, theirs = gates.duel(call, 4, size)
    peer_ns = min(gates.race([theirs], 5)[theirs.name].ns)
    run = ours.run

    def slow(blocks):
        end = perf_counter_ns() + 1.25 * peer_ns / gate * BLOCK * len(blocks)
        result = run(blocks)
        while perf_counter_ns() < end:
            pass
        return result

    monkeypatch.setattr(gates, "duel", lambda *_: (replace(ours, run=slow), theirs))
    row = {"call": call, "sizes": [size], "suites": [4], "bar": gate / 0.75, "p99_ns": 1e9}
    # A neighbour on the machine slows the peer down as well, hence not only once.
    assert not all(next(gates.judge_row("any", row, 0.75, 1.0)).passed for _ in range(3))
    monkeypatch.setattr(gates, "duel", lambda *_: (ours, theirs))
    assert next(gates.judge_row("any", row | {"bar": 0.01}, 0.75, 1.0)).passed


def test_a_wrong_frame_ends_the_run(bench, gates):
    wrong = bench("workloads").WrongResult
    for call in gates.OURS:
        ours, theirs = gates.duel(call, 4, 40)
        for contender in (ours, theirs):
            given = contender.prepare()
            with pytest.raises((wrong, ValueError)):
                contender.check(given, spoilt(contender.run(given)))


def spoilt(results):
    """The same with a result missing in the last block."""
    last = results[-1]
    return [*results[:-1], last[:-1] if isinstance(last, list) else type(last)(b"", [], [])]


# ---- the whole ----


def run_gates(*words, **environment):
    return subprocess.run(
        [sys.executable, BENCH / "gates.py", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


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
