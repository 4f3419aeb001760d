"""All tables and the chart: `make bench`.

    python bench/report.py [--quick]

Writes bench/results/report.json, docs/benchmarks.md, and docs/benchmark-{light,dark}.svg. A peer
that is missing, or a figure that cannot be checked, ends the run.
"""

import argparse
import json
import os
import platform
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import peers
from gates import OURS, SHAPES
from interleave import race
from workloads import Workload

import pysframe
from pysframe import engine

ROOT = Path(__file__).parent.parent
SIZES = (40, 80, 160, 320, 640, 1200, 4096, 16384)
CHART_SIZE = 160
SEALING = ("protect", "protect_many", "protect_batch")
OPENING = ("unprotect", "unprotect_many.to_list", "unprotect_batch")


# ---- measuring ----


def table(suite: int, rows: tuple[str, ...], opening: bool, repetitions: int) -> dict[str, Any]:
    """{size: {name: {"best", "median", "p99"}}} in ns; the contenders of a size run one race."""
    found: dict[str, Any] = {}
    for size in SIZES:
        say(f"suite {suite}, {'open' if opening else 'seal'}, {size} bytes")
        contenders = [
            replace(OURS[row](Workload(suite, size)), name=f"pysframe {row}") for row in rows
        ]
        for make in peers.ALL:
            peer = make()
            if suite not in peer.suites or (peer.name == "pylibsrtp" and size > 1400):
                continue
            workload = Workload(suite, size)
            if opening and peer.make(bytes(peers.KEY_SIZES[suite]))[1] is None:
                continue
            contenders.append(workload.peer_open(peer) if opening else workload.peer_seal(peer))
        timings = race(contenders, repetitions)
        found[str(size)] = {
            name: {"best": t.best, "median": t.median, "p99": t.p99} for name, t in timings.items()
        }
    return found


def measure(repetitions: int, quick: bool) -> dict[str, Any]:
    shapes: dict[str, Any] = {}
    for name, (unit, _most, figure_of) in SHAPES.items() if not quick else ():
        say(name)
        shapes[name] = {"figure": figure_of(4), "unit": unit}
    suites = {}
    for suite in (4, 5):
        suites[str(suite)] = {
            "seal": table(suite, SEALING, False, repetitions),
            "open": table(suite, OPENING, True, repetitions),
        }
    return {"about": about(), "suites": suites, "shapes": shapes}


def about() -> dict[str, Any]:
    backend = pysframe.backend_info()
    return {
        "date": date.today().isoformat(),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}",
        "engine": f"{backend.engine}:{backend.kernel}",
        "backend": backend._asdict(),
        "peers": {peer.title: peer.caveat for peer in (make() for make in peers.ALL)},
    }


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor()


# ---- writing ----


def page(report: dict[str, Any]) -> str:
    known = report["about"]
    parts = [
        "# Benchmarks",
        "",
        "Read this first:",
        "",
        *[f"- {caveat}" for caveat in caveats(report)],
        "",
        f"Machine: {known['machine']}. Engine: {known['engine']}. {known['date']}.",
        "`make bench` measures all of it again on yours.",
        "",
        "Nanoseconds per frame, median over repetitions that take turns in one process.",
    ]
    for suite, halves in report["suites"].items():
        name = pysframe.CipherSuite(int(suite)).name
        for half, rows in halves.items():
            parts += ["", f"## {name}, {half}", "", *markdown(rows)]
    if report["shapes"]:
        parts += ["", "## Shapes of traffic, and what objects cost", ""]
        parts += ["| what | figure |", "|---|---|"]
        for name, shape in report["shapes"].items():
            parts.append(f"| {name} | {shape['figure']:.4g} {shape['unit']} |")
    parts += ["", "## Peers", "", "| peer | its figure |", "|---|---|"]
    parts += [
        f"| {title} | {caveat or 'bare AEAD call'} |" for title, caveat in known["peers"].items()
    ]
    return "\n".join(parts) + "\n"


def caveats(report: dict[str, Any]) -> list[str]:
    return [
        "The author of a benchmark flatters himself. Measure your own frames on your own machine.",
        "Ours counts the whole SFrame operation: header, counter, key look-up, replay window, AEAD "
        "and the result as the API returns it. A peer counts its bare AEAD call, key object and "
        "nonce ready.",
        "Rows named many and batch take 64 frames of 64 keys in one call; nobody waits to fill "
        "one. `protect_batch` reads and writes one flat buffer; the others make one bytes object a "
        "frame.",
        *level_or_ahead(report),
    ]


def level_or_ahead(report: dict[str, Any]) -> list[str]:
    """The sizes at which a peer is level (within 10 %) or ahead of our single call."""
    said = []
    for suite, halves in report["suites"].items():
        for half, ours in (("seal", "pysframe protect"), ("open", "pysframe unprotect")):
            for size, row in halves[half].items():
                mine = row[ours]["median"]
                near = [
                    n for n, t in row.items() if "pysframe" not in n and t["median"] < mine * 1.1
                ]
                if near:
                    said.append(
                        f"Suite {suite}, {half}, {size} bytes: {', '.join(near)} is level with "
                        "one call of ours, or ahead."
                    )
    return said or ["At none of these sizes is a peer level with or ahead of one call of ours."]


def markdown(rows: dict[str, Any]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| bytes | {' | '.join(rows)} |", "|---" * (len(rows) + 1) + "|"]
    for name in names:
        cells = [f"{row[name]['median']:.0f}" if name in row else "-" for row in rows.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def chart(report: dict[str, Any], path: Path, dark: bool) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    ink, quiet, accent = (
        ("#e6edf3", "#6e7681", "#3fb950") if dark else ("#1f2328", "#afb8c1", "#1a7f37")
    )
    row = report["suites"]["4"]["seal"][str(CHART_SIZE)]
    bars = sorted(((n, t["median"]) for n, t in row.items()), key=lambda bar: -bar[1])
    bars = [bar for bar in bars if bar[0] != "pycryptodome"]
    mpl.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "1"})
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(bars) + 1.1))
    colors = [accent if name.startswith("pysframe") else quiet for name, _ in bars]
    axes.barh([name for name, _ in bars], [ns for _, ns in bars], color=colors, height=0.62)
    for at, (_, ns) in enumerate(bars):
        axes.text(ns, at, f"  {ns:.0f} ns", va="center", color=ink, fontsize=10)
    whole = "ours the whole SFrame operation, peers the bare AEAD"
    title = f"One {CHART_SIZE}-byte frame, AES-128-GCM: {whole}"
    axes.set_title(title, color=ink, fontsize=10, loc="left")
    axes.tick_params(colors=ink, length=0, labelsize=10)
    axes.set_xticks([])
    axes.set_xlim(0, max(ns for _, ns in bars) * 1.15)
    for side in axes.spines.values():
        side.set_visible(False)
    caption = f"{report['about']['machine']}; {report['about']['engine']}; median ns per frame"
    figure.text(0.01, 0.01, caption, color=ink, fontsize=7)
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few repetitions, no shapes")
    parser.add_argument("--out", type=Path, default=ROOT, help="where docs/ and bench/ lie")
    options = parser.parse_args()
    if not engine.default().name.startswith("native:"):
        sys.exit("benchmarks are for the native engine; here is only the fallback")
    report = measure(5 if options.quick else 31, options.quick)
    docs, results = options.out / "docs", options.out / "bench" / "results"
    docs.mkdir(exist_ok=True)
    results.mkdir(parents=True, exist_ok=True)
    (results / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (docs / "benchmarks.md").write_text(page(report))
    chart(report, docs / "benchmark-light.svg", dark=False)
    chart(report, docs / "benchmark-dark.svg", dark=True)
    print(f"wrote {results / 'report.json'}, {docs / 'benchmarks.md'} and two charts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
