"""All tables and charts: `make bench`.

    python bench/report.py               measures everything anew, in minutes
    python bench/report.py --resume      goes on where a run was broken off
    python bench/report.py --write       writes page and charts again from the last JSON
    python bench/report.py --only ticks  measures the parts anew whose names begin so, and keeps all
                                         others of the last JSON, which must be this machine's

Writes docs/bench/report.json, docs/benchmarks.md, and the charts beside the JSON, each for light
and dark pages. A peer that is missing, or a figure that cannot be checked, ends the run.
"""

import argparse
import json
import os
import shutil
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import about
import c_peers
import charts
import measure
import page
import peers

import pysframe
from pysframe import engine

ROOT = Path(__file__).parent.parent
DONE = ROOT / "build" / "bench" / "parts"
JSON = Path("docs") / "bench" / "report.json"


def kernels() -> list[str]:
    if not engine.default().name.startswith("native:"):
        sys.exit("benchmarks are for the native engine; here is only the fallback")
    return [name.split(":")[1] for name in engine.available() if name.startswith("native:")]


def measured(resume: bool) -> dict[str, Any]:
    if not resume:
        shutil.rmtree(DONE, ignore_errors=True)
    DONE.mkdir(parents=True, exist_ok=True)
    parts = measure.parts(kernels())
    report: dict[str, Any] = {"about": what()}
    begun = time.monotonic()
    for number, (name, part) in enumerate(parts.items(), 1):
        put(report, name, kept(name) or keep(name, part()))
        progress(number, len(parts), time.monotonic() - begun, name)
    return report


def refreshed(report: dict[str, Any], only: str) -> dict[str, Any]:
    """The last report with some of its parts measured anew."""
    here, known = what(), report["about"]
    differ = [key for key in ("machine", "engine") if here[key] != known[key]]
    if differ:
        sys.exit(f"the last report is another machine's: {', '.join(differ)}; measure everything")
    found = {name: part for name, part in measure.parts(kernels()).items() if name.startswith(only)}
    if not found:
        sys.exit(f"no part begins with {only!r}")
    for number, (name, part) in enumerate(found.items(), 1):
        begun = time.monotonic()
        put(report, name, part())
        said = {"date": here["date"], "commit": here["commit"]}
        report.setdefault("refreshed", {})[name] = said
        progress(number, len(found), time.monotonic() - begun, name)
    return report


def kept(name: str) -> Any:
    path = DONE / f"{name.replace('/', '+')}.json"
    return json.loads(path.read_text()) if path.exists() else None


def keep(name: str, figures: Any) -> Any:
    (DONE / f"{name.replace('/', '+')}.json").write_text(json.dumps(figures))
    return figures


def put(report: dict[str, Any], name: str, figures: Any) -> None:
    """calls/4/seal/40 goes to report["calls"]["4"]["seal"]["40"]."""
    *path, last = name.split("/")
    for step in path:
        report = report.setdefault(step, {})
    report[last] = figures


def progress(done: int, of: int, seconds: float, name: str) -> None:
    bar = "#" * (30 * done // of)
    line = f"[{bar:30}] {done:3}/{of} {seconds:4.0f} s  {name}"
    if sys.stderr.isatty():
        print(f"\r{line:100}", end="\n" if done == of else "", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def what() -> dict[str, Any]:
    """The machine and the versions; raises where a peer is missing."""
    backend = pysframe.backend_info()
    c_peers.build()
    return {
        "date": date.today().isoformat(),
        "machine": about.name(),
        "engine": f"{backend.engine}:{backend.kernel}",
        "versions": backend.versions,
        "commit": about.commit(),
        "peers": {peer.title: peer.caveat for peer in (make() for make in peers.ALL)},
        "c_peers": {
            "intel-ipsec-mb": c_peers.ipsec_version(),
            "OpenSSL": c_peers.openssl_name().removeprefix("OpenSSL "),
        },
        "cores_used": len(os.sched_getaffinity(0)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="keep the parts that are there")
    again.add_argument("--write", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=ROOT, help="where docs/ lies")
    again.add_argument("--only", metavar="PART", help="measure these parts anew, keep the others")
    options = parser.parse_args()
    path = options.out / JSON
    path.parent.mkdir(parents=True, exist_ok=True)
    if options.only:
        last = json.loads(path.read_text())
        path.write_text(json.dumps(refreshed(last, options.only), indent=1) + "\n")
    elif not options.write:
        path.write_text(json.dumps(measured(options.resume), indent=1) + "\n")
    report = json.loads(path.read_text())
    (options.out / "docs" / "benchmarks.md").write_text(page.markdown(report))
    charts.draw(report, path.parent)
    print(f"wrote {path}, {options.out / 'docs' / 'benchmarks.md'} and the charts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
