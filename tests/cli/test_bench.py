"""pysframe bench: what it times is checked, and it says the one number a person wants."""

import json
import re

import pytest

from pysframe import CipherSuite
from pysframe.cli import bench, main
from pysframe.demo import contest
from pysframe.demo.contest import Timing, contestants, p50_p99, race


def test_the_table(capsys):
    assert main(["bench", "--seconds", "0.1"]) == 0
    out = capsys.readouterr().out
    rows = re.findall(r"^(80 B|1.2 kB|20 kB) +(protect|unprotect) +\S", out, re.M)
    assert len(rows) == 6
    assert re.search(r"^One core protects and unprotects about [\d,]+ voice streams\.$", out, re.M)
    assert max(map(len, out.splitlines())) <= 80


def test_json(capsys):
    assert main(["bench", "--seconds", "0.1", "--json", "--suite", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["suite"] == CipherSuite(1).name
    assert result["ns_per_frame"].keys() == {"80", "1200", "20000"}
    for ways in result["ns_per_frame"].values():
        assert ways.keys() == {"calls", "batch"}  # the others are for GCM suites
        assert all(0 < t["p50"] <= t["p99"] for way in ways.values() for t in way.values())
    assert result["voice_streams_per_core"].keys() == {"calls", "batch"}


def test_streams_are_what_fits_into_a_second():
    timing = Timing(seal=[100.0] * 3, open=[300.0] * 3)  # 400 ns a frame, 20 us a stream
    assert bench.voice_streams({"calls": timing, "batch": timing}) == {
        "calls": 50_000,
        "batch": 50_000,
    }


def test_the_crowd_is_as_large_as_it_says(monkeypatch):
    """Every stream of it has keys of its own and takes part in every round."""
    monkeypatch.setattr(contest, "CROWD", 100)
    monkeypatch.setattr(contest, "CROWD_ROWS", 20)
    seen = []
    monkeypatch.setattr(
        contest, "_one_block", lambda way, frames: (seen.append(way), (1.0, 2.0))[1]
    )
    suite = CipherSuite.AES_128_GCM_SHA256_128
    timings = contest.crowd(suite, 80, 0.0, lambda share: None)
    assert list(timings) == ["calls", "batch"] and len(timings["batch"].seal) == 5
    assert len({id(s) for way in seen for s in way.senders}) == 100


def test_percentiles_are_over_blocks():
    assert p50_p99([float(n) for n in range(1, 102)]) == (51.0, 100.0)
    assert p50_p99([7.0]) == (7.0, 7.0)


def test_a_wrong_answer_ends_the_run(capsys, monkeypatch):
    class Forgetful(contest.Calls):
        def open(self, sealed):
            return [*super().open(sealed)[:-1], b""]

    monkeypatch.setattr(
        contest, "contestants", lambda suite: [Forgetful(contest.streams(suite, contest.BLOCK))]
    )
    assert main(["bench", "--seconds", "0.1"]) == 1
    assert "did not give back the frames" in capsys.readouterr().err


def test_everybody_takes_part_in_every_round():
    suite = CipherSuite.AES_128_GCM_SHA256_128
    timings = race(suite, 80, 0.01, lambda share: None)
    assert list(timings) == [way.name for way in contestants(suite)]
    assert len({len(t.seal) for t in timings.values()}) == 1


@pytest.mark.parametrize("words", [["--suite", "3"], ["--suite", "9"], ["--seconds", "0"]])
def test_wrong_usage_exits_2(capsys, words):
    assert main(["bench", *words]) == 2
    assert "must be" in capsys.readouterr().err
