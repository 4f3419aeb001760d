"""docs/benchmarks.md, from the figures of one report."""

from collections.abc import Iterator
from typing import Any

import pysframe

HERO_SIZE = "160"
LEVEL = 1.1  # a peer within a tenth of ours is level with it
C_NAMES = {1: "AES_128_CTR_HMAC_SHA256 (suites 1-3)", 6: "AES_256_CTR_HMAC_SHA512 (suites 6-8)"}
BEST = {"seal": "pysframe protect_batch.out", "open": "pysframe unprotect_batch.out"}
SINGLE = {"seal": "pysframe protect", "open": "pysframe unprotect"}
PER_SECOND = ("protect_per_s", "unprotect_per_s", "both_per_s")

WITHOUT_PYTHON = """\
The kernels of `csrc/` alone beside OpenSSL (EVP, contexts kept, a new nonce for each frame) and
intel-ipsec-mb: batches of 64 frames of 64 keys, median nanoseconds per frame. GCM: the bare AEAD
with 12 bytes of AAD, ipsec-mb's direct call. CTR with HMAC: 48 bytes of MAC input before the
frame's, ipsec-mb's burst of jobs that cipher and hash."""
SCALE = """\
One core. Every stream has a Sender and a Receiver with a key of its own and one frame of 80 bytes a
tick; batches of at most 512 rows, in random order. Memory is the growth of a fresh process by both
objects; set-up includes the key schedules of both. Divided by 50, the rate of a row is how many
voice streams a core carries, as long as that is about the row's number of streams."""
TICKS = """\
One frame of each of 500 streams, 160 bytes, AES-128-GCM, median nanoseconds per frame. All that a
service has to do is inside the measurement: building batches and columns, the call, and reading
what it returned. cryptography's figure has its AESGCM and the least Python that reads or writes
the SFrame header, makes the nonce and finds the key by its KID, without a replay window."""
AGENTS = """\
What `pysframe.adapters.aiortc` adds to the queue that aiortc's decoder thread reads: 120 bytes,
suite 4, the best turns of each. cryptography's figure is the same adapter over its AESGCM and
the least Python that is right, without a replay window. Below, an agent host that opens one
frame of each call a tick of 20 ms, in one batch: median nanoseconds, and how many calls that
would be if a core did nothing else."""
BROWSER = """\
The frame worker and that of `livekit-client` in Chromium, on the same frames in turns, from
putting a frame into the transform to taking it out; AES-128-GCM. Middle and tail are of the
best quarter of the blocks of 100 frames, and `make web` holds ours to 1.1 of theirs; the 99th
percentile of all frames has whatever else ran on the machine in it."""
LATENCY = """\
A call in one page, on one clock: from mouth to ear without microphone and loudspeaker, sealed
and plain, and what a frame spends in the transforms."""
TAILS = {"middle": "middle", "tail": "tail", "p99": "p99 of all"}
WORKERS = ("ours", "LiveKit's")
TICK_NS = 20e6
SHAPES = """\
Ours against ours, at the worse of suites 4 and 5; `bench/shapes.py` says how. The bars are in
`bench/budgets.toml`, and `make bench-gate` holds them."""


def markdown(report: dict[str, Any]) -> str:
    return "\n".join(lines(report)) + "\n"


def lines(report: dict[str, Any]) -> Iterator[str]:
    yield "# Benchmarks"
    yield from ("", "Read this first:", "")
    yield from (f"- {caveat}" for caveat in caveats(report))
    yield from ("", *machine(report["about"]), "")
    yield from picture("frame", hero_caption(report))
    yield from ("", "## Calls from Python", "")
    yield "Median nanoseconds per frame; each contender takes turns with `cryptography`."
    for suite, halves in report["calls"].items():
        for half, rows in halves.items():
            yield from ("", f"### {pysframe.CipherSuite(int(suite)).name}, {half}", "")
            yield from by_size(rows)
    yield ""
    yield from picture("sizes", "AES-128-GCM, seal: nanoseconds per frame over its size.")
    yield from ("", "99th percentile over blocks of 64 frames, AES-128-GCM, seal:", "")
    yield from by_size(report["calls"]["4"]["seal"], "p99")
    yield from tiers(report["tiers"])
    yield from without_python(report["kernels"])
    yield from scale(report["scale"])
    if "ticks" in report:
        yield from ticks(report)
    if "agents" in report:
        yield from agents(report)
    if "browser" in report:
        yield from browser(report)
    yield from shapes(report["shapes"])
    yield from peers(report["about"])


# ---- caveats ----


def caveats(report: dict[str, Any]) -> Iterator[str]:
    yield "A benchmark flatters its author. Measure your own frames on your own machine."
    yield (
        "In the tables of calls pysframe does the whole SFrame operation: header, counter, key "
        "look-up, replay window, AEAD, and the result as the API returns it. A peer does its bare "
        "AEAD call, with key object and nonce ready; the rest would be left to Python."
    )
    yield (
        "Rows named many and batch take 64 frames of 64 keys in one call. They are for programs "
        "that have so many frames at one moment; never wait to fill a batch. `.out` writes into an "
        "existing buffer; `protect_many` and `to_list` make one bytes object per frame."
    )
    yield (
        "Caches are warm, frames equally long, one thread runs, and the virtual machine is shared: "
        "absolute times drift by a tenth from run to run, ratios within a row by less."
    )
    yield "From a few kilobytes a frame on, AES itself is the cost, and all fast libraries meet."
    yield from level_or_ahead(report)


def level_or_ahead(report: dict[str, Any]) -> Iterator[str]:
    """Where a peer is level with single calls, batches or our widest kernel in C, or ahead."""
    found: dict[str, list[str]] = {}
    for suite, halves in report["calls"].items():
        for half, rows in halves.items():
            for ours in (SINGLE[half], BEST[half]):
                for peer, sizes in near(rows, ours).items():
                    said = f"**{peer} is level with `{ours.split()[1]}`, or ahead**"
                    found.setdefault(said, []).append(f"suite {suite} at {at(sizes)}")
    for suite, halves in report["kernels"].items():
        for half, cells in halves.items():
            for kernel, peer, sizes in near_in_c(cells, list(report["tiers"])):
                said = f"**In C {peer} is level with our {kernel} kernel, or ahead**"
                found.setdefault(said, []).append(f"suite {suite} {half} at {at(sizes)}")
    yield from (f"{said}: {'; '.join(where)}." for said, where in found.items())
    if not found:
        yield "At none of these sizes is a peer level with ours or ahead."


def at(sizes: list[str]) -> str:
    return f"{', '.join(sizes)} bytes"


def near(rows: dict[str, Any], ours: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for size, row in rows.items():
        for name, times in row.items():
            if "pysframe" not in name and times["median"] < row[ours]["median"] * LEVEL:
                found.setdefault(name, []).append(size)
    return found


def near_in_c(
    cells: list[dict[str, Any]], kernels: list[str]
) -> Iterator[tuple[str, str, list[str]]]:
    """Peers near our widest kernel; how the others do is in the tables. kernels: widest first."""
    ns = {(cell["engine"], cell["size"]): cell["median_ns"] for cell in cells}
    engines = dict.fromkeys(cell["engine"] for cell in cells)
    ours = next(kernel for kernel in kernels if kernel in engines)
    for peer in (engine for engine in engines if engine not in kernels):
        sizes = [s for e, s in ns if e == ours and ns[peer, s] < ns[ours, s] * LEVEL]
        if sizes:
            yield ours, peer, [str(size) for size in sizes]


# ---- tables ----


def machine(known: dict[str, Any]) -> list[str]:
    return [
        f"Machine: {known['machine']}. Engine: {known['engine']}, one core. {known['date']},",
        f"commit {known['commit'] or 'unknown'}.",
        "`make bench-peers bench` measures all of it again on yours and writes this page;",
        "the figures are in [bench/report.json](bench/report.json).",
    ]


def hero_caption(report: dict[str, Any]) -> str:
    return (
        f"One {HERO_SIZE}-byte frame protected with AES-128-GCM, median nanoseconds. pysframe: the "
        "whole SFrame operation (header, counter, key look-up, AEAD), `protect` one frame a call, "
        "the batches 64 frames of 64 keys a call. Others: the bare AEAD call with key object and "
        f"nonce ready (pylibsrtp: the SRTP packet). {report['about']['machine']}."
    )


def picture(name: str, caption: str) -> list[str]:
    return [
        "<picture>",
        f'  <source media="(prefers-color-scheme: dark)" srcset="bench/{name}-dark.svg">',
        f'  <img alt="Chart: the figures are in the tables below" src="bench/{name}-light.svg">',
        "</picture>",
        "",
        f"*{caption}*",
    ]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    out = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return out + [f"| {' | '.join(row)} |" for row in rows]


def by_size(rows: dict[str, Any], figure: str = "median") -> list[str]:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    names.sort(key=lambda name: "pysframe" not in name)
    cells = [
        [name, *(digits(row[name][figure]) if name in row else "-" for row in rows.values())]
        for name in names
    ]
    return table(["bytes", *rows], cells)


def digits(ns: float) -> str:
    return f"{ns:.1f}" if ns < 100 else f"{ns:,.0f}"


def tiers(found: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## Kernels", "")
    yield "The same calls on each kernel of this machine: AES-128-GCM, median ns per frame."
    for half in ("seal", "open"):
        sizes = list(next(iter(found.values()))[half])
        rows = [
            [
                f"{kernel} `{name.split()[1]}`",
                *(digits(halves[half][s][name]["median"]) for s in sizes),
            ]
            for kernel, halves in found.items()
            for name in halves[half][sizes[0]]
            if name.startswith("pysframe")
        ]
        yield from ("", *table([half, *sizes], rows))


def without_python(found: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## Without Python", "")
    yield WITHOUT_PYTHON
    yield ""
    yield from picture("kernels", "AES-128-GCM, seal, in C: nanoseconds per frame.")
    for suite, halves in found.items():
        name = C_NAMES.get(int(suite)) or pysframe.CipherSuite(int(suite)).name
        for half, cells in halves.items():
            sizes = list(dict.fromkeys(str(cell["size"]) for cell in cells))
            engines = dict.fromkeys(cell["engine"] for cell in cells)
            ns = {(c["engine"], str(c["size"])): c["median_ns"] for c in cells}
            rows = [[e, *(digits(ns[e, size]) for size in sizes)] for e in engines]
            yield from ("", f"### {name}, {half}", "", *table(["bytes", *sizes], rows))


def scale(found: list[dict[str, float]]) -> Iterator[str]:
    yield from ("", "## From 1 to 100,000 streams", "")
    yield SCALE
    yield ""
    yield from picture("streams", "Frames a core protects and unprotects a second, over streams.")
    yield ""
    head = ["streams", "protect/s", "unprotect/s", "both/s", "bytes", "set-up us"]
    rows = [
        [
            f"{row['streams']:,}",
            *(f"{row[key] / 1e6:.2f} M" for key in PER_SECOND),
            f"{row['bytes_per_stream']:,.0f}" if row["bytes_per_stream"] else "-",
            f"{row['setup_us_per_stream']:.1f}",
        ]
        for row in found
    ]
    yield from table(head, rows)


def ticks(report: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## A tick, all of it", "")
    yield TICKS
    if part := report.get("refreshed", {}).get("ticks"):
        yield f"Measured on {part['date']}, commit {part['commit'] or 'unknown'}."
    rows = []
    for name, times in report["ticks"].items():
        peer = times.get("cryptography")
        ns = next(ns for who, ns in times.items() if who != "cryptography")
        times_faster = f"{peer / ns:.1f}" if peer else "-"
        rows.append([name, digits(ns), digits(peer) if peer else "-", times_faster])
    yield from ("", *table(["tick", "pysframe", "cryptography", "times"], rows))


def agents(report: dict[str, Any]) -> Iterator[str]:
    part = report["agents"]
    yield from ("", "## An agent's frames", "")
    yield AGENTS
    yield from ("", measured(report, "agents", part["load"]))
    peer = part["adds"]["cryptography"]
    rows = [[name, digits(ns), f"{ns / peer:.2f}"] for name, ns in part["adds"].items()]
    yield from (
        "",
        *table(["the adapter over", "ns it adds to a frame", "of cryptography's"], rows),
    )
    rows = [
        [calls, *(text for ns in by.values() for text in (digits(ns), f"{TICK_NS / ns:,.0f}"))]
        for calls, by in part["hosts"].items()
    ]
    head = ["calls in a batch", "pysframe, ns a frame", "calls a core"]
    yield from ("", *table([*head, "cryptography, ns a frame", "calls a core"], rows))


def browser(report: dict[str, Any]) -> Iterator[str]:
    part = report["browser"]
    yield from ("", "## In a browser", "")
    if "missing" in part:
        yield f"Not measured: the machine has not got {part['missing']}."
        return
    yield BROWSER
    yield from ("", measured(report, "browser", part["load"]))
    rows = [
        [line["name"], *(us(line[who][what]) for what in TAILS for who in ("ours", "theirs"))]
        for line in part["frames"]
    ]
    head = ["us a frame", *(f"{what}, {who}" for what in TAILS.values() for who in WORKERS)]
    yield from ("", *table(head, rows))
    latency = part["latency"]
    yield from ("", LATENCY, "", measured(report, "browser", latency["load"]))
    rows = [
        [r["name"], f"{r['median']:.2f}", f"{r['p99']:.2f}", str(r["of"])] for r in latency["rows"]
    ]
    yield from ("", *table(["ms", "median", "99th percentile", "of"], rows))


def us(ms: float) -> str:
    return f"{1000 * ms:.1f}"


def measured(report: dict[str, Any], name: str, load: list[float]) -> str:
    """When a part was measured, where that is not when the others were, and beside what else."""
    said = f"Load of the machine: {load[0]:.1f} before, {load[1]:.1f} after."
    if part := report.get("refreshed", {}).get(name):
        said = f"Measured on {part['date']}, commit {part['commit'] or 'unknown'}. {said}"
    return said


def shapes(found: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## Shapes of traffic, and what objects cost", "")
    yield SHAPES
    rows = [[name, amount(shape)] for name, shape in found.items()]
    yield from ("", *table(["what", "figure"], rows))


def amount(shape: dict[str, Any]) -> str:
    if shape["figure"] is None:
        return "not measured: one core"
    return f"{shape['figure']:.4g} {shape['unit']}"


def peers(known: dict[str, Any]) -> Iterator[str]:
    rows = [[title, caveat or "bare AEAD call"] for title, caveat in known["peers"].items()]
    rows += [[f"{name} {version}", "in C"] for name, version in known["c_peers"].items()]
    yield from ("", "## Versions", "", "| peer | its figure |", "|---|---|")
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield from ("", ", ".join(f"{name} {version}" for name, version in known["versions"].items()))
