"""The charts of the report as SVG, each once for light and once for dark pages.

Words stay text, in the reader's own font; a caption belongs to the page, not to the picture.
"""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from page import HERO_SIZE

THEMES = {
    "light": {"ink": "#1f2328", "quiet": "#8c959f", "grid": "#d1d9e0", "ours": "#1a7f37"},
    "dark": {"ink": "#e6edf3", "quiet": "#848d97", "grid": "#3d444d", "ours": "#3fb950"},
}
LINES = {  # name in the report: (label, colour on light, on dark, style)
    "pysframe protect_batch.out": ("pysframe protect_batch, 64 a call", "#1a7f37", "#3fb950", "-"),
    "pysframe protect": ("pysframe protect", "#1a7f37", "#3fb950", "--"),
    "qh3": ("qh3", "#8250df", "#a371f7", "-"),
    "cryptography": ("cryptography", "#0969da", "#58a6ff", "-"),
    "pylibsrtp": ("pylibsrtp (SRTP)", "#9a6700", "#d29922", "-"),
}
STYLES = ("-", "--", ":", "-.")  # of our kernels, widest first, and again from the first
C_PEERS = {
    "ipsec-avx512": ("ipsec-mb AVX-512", "#9a6700", "#d29922", "-"),
    "ipsec-avx2": ("ipsec-mb AVX2", "#9a6700", "#d29922", "--"),
    "ipsec-sse": ("ipsec-mb SSE", "#9a6700", "#d29922", ":"),
    "openssl": ("OpenSSL EVP", "#0969da", "#58a6ff", "-"),
}
TICKS = {  # name in the report: how its bar is called
    "list sealed": "bytes to a list, sealed",
    "list opened": "bytes to a list, opened",
    "columns sealed": "columns, built and sealed",
    "buffer, to_list": "buffer to a list, opened",
    "buffer, each row": "buffer, opened, each row read",
}
TICK_PEERS = {"list sealed": "sealed", "list opened": "opened"}
SIZE = (8, 4.2)
BAR = 0.29  # inches of a figure for each bar


def draw(report: dict[str, Any], folder: Path) -> None:
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pysframe", "font.size": 10})
    mpl.rcParams["font.family"] = ["sans-serif"]
    for theme in THEMES:
        for name, paint in CHARTS.items():
            save(folder / f"{name}-{theme}.svg", theme, paint, report)


def save(path: Path, theme: str, paint: Callable[..., None], report: dict[str, Any]) -> None:
    figure, axes = plt.subplots(figsize=SIZE)
    ink = THEMES[theme]["ink"]
    axes.tick_params(colors=ink, which="both", length=0)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(ink)
    for side in axes.spines.values():
        side.set_visible(False)
    paint(axes, report, theme)
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def frame(axes: Axes, report: dict[str, Any], theme: str) -> None:
    """Bars from zero, one frame a call or 64, and then a tick; pycryptodome's, a hundred times
    longer, is cut and says so."""
    groups = {"One frame": single_bars(report)}
    if "ticks" in report:
        groups["A tick of 500 frames, all of it"] = tick_bars(report["ticks"])
    places, at = [], 0.0
    for title, bars in reversed(groups.items()):
        places += [(at + i, *bar) for i, bar in enumerate(reversed(bars))]
        at += len(bars) + 1.6
        axes.text(0, at - 1.6 + 0.05, title, color=THEMES[theme]["ink"], weight="bold")
    axes.figure.set_size_inches(SIZE[0], BAR * at)
    put_bars(axes, places, THEMES[theme])


def single_bars(report: dict[str, Any]) -> list[tuple[str, float]]:
    """The shortest first."""
    row = report["calls"]["4"]["seal"][HERO_SIZE]
    bars = [
        (label(name), times["median"]) for name, times in row.items() if not name.endswith(".out")
    ]
    return sorted(bars, key=lambda bar: bar[1])


def tick_bars(found: dict[str, dict[str, float]]) -> list[tuple[str, float]]:
    bars = [(f"pysframe {said}", next(iter(ours(found[name])))) for name, said in TICKS.items()]
    peers = [
        (f"cryptography and Python, {said}", found[name]["cryptography"])
        for name, said in TICK_PEERS.items()
    ]
    return sorted(bars + peers, key=lambda bar: bar[1])


def ours(times: dict[str, float]) -> list[float]:
    return [ns for who, ns in times.items() if who != "cryptography"]


def put_bars(axes: Axes, places: list[tuple[float, str, float]], color: dict[str, str]) -> None:
    longest = max(ns for _, name, ns in places if name != "pycryptodome")
    for at, name, ns in places:
        shown, cut = min(ns, longest * 1.12), " (bar cut)" if name == "pycryptodome" else ""
        paint = color["ours" if "pysframe" in name else "quiet"]
        axes.barh(at, shown, color=paint, height=0.66)
        words = f"{ns:,.0f} ns{cut}"
        axes.text(shown + longest / 80, at, words, va="center", color=color["ink"])
    axes.set_yticks([at for at, _, _ in places], [name for _, name, _ in places])
    axes.set_xticks([])
    axes.set_xlim(0, longest * 1.42)
    axes.set_ylim(-0.6, max(at for at, _, _ in places) + 1.2)


def label(name: str) -> str:
    if name.startswith("pysframe") and name != "pysframe protect":
        return f"{name}, 64 a call"
    return name.replace("into", "encrypt_into")


def lines(
    axes: Axes, theme: str, series: dict[str, list[tuple[float, float]]], known: dict[str, Any]
) -> None:
    """Logarithmic both ways, each line named at its end."""
    axes.set(xscale="log", yscale="log")
    axes.grid(True, color=THEMES[theme]["grid"], linewidth=0.6, which="major")
    axes.set_axisbelow(True)
    for name, points in series.items():
        label, light, dark, style = known[name]
        color = light if theme == "light" else dark
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, style, color=color, label=label, linewidth=2, marker="o", markersize=3.5)
    legend = axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for text in legend.get_texts():
        text.set_color(THEMES[theme]["ink"])


def plain(axes: Axes, xs: list[int], ys: list[int], unit: str) -> None:
    """Whole numbers on both axes, at these places."""
    axes.set_xticks(xs, [f"{x:,}" for x in xs])
    axes.set_yticks(ys, [f"{y:,} {unit}" for y in ys])
    axes.minorticks_off()


def sizes(axes: Axes, report: dict[str, Any], theme: str) -> None:
    rows = report["calls"]["4"]["seal"]
    series = {
        name: [(int(size), row[name]["median"]) for size, row in rows.items() if name in row]
        for name in LINES
    }
    lines(axes, theme, series, LINES)
    plain(axes, [40, 160, 640, 1200, 4096, 16384], [20, 50, 100, 200, 500, 1000, 2000], "ns")
    axes.set_xlabel("bytes in a frame", color=THEMES[theme]["ink"])


def c_lines(kernels: list[str]) -> dict[str, tuple[str, str, str, str]]:
    """Kernels, widest first, and their peers."""
    ours = zip(kernels, cycle(STYLES), strict=False)
    named = {kernel: (f"pysframe {kernel}", "#1a7f37", "#3fb950", style) for kernel, style in ours}
    return named | C_PEERS


def kernels(axes: Axes, report: dict[str, Any], theme: str) -> None:
    cells = report["kernels"]["4"]["seal"]
    known = c_lines(list(report["tiers"]))
    engines = [name for name in known if any(cell["engine"] == name for cell in cells)]
    series = {
        name: [(c["size"], c["median_ns"]) for c in cells if c["engine"] == name]
        for name in engines
    }
    lines(axes, theme, series, known)
    plain(axes, [40, 80, 160, 320, 640, 1200, 4096], [10, 20, 50, 100, 200, 500], "ns")
    axes.set_xlabel("bytes in a frame", color=THEMES[theme]["ink"])


def streams(axes: Axes, report: dict[str, Any], theme: str) -> None:
    known = {
        "protect_per_s": ("protect", "#1a7f37", "#3fb950", "-"),
        "unprotect_per_s": ("unprotect", "#0969da", "#58a6ff", "-"),
        "both_per_s": ("protect and unprotect", "#9a6700", "#d29922", "-"),
    }
    series = {key: [(row["streams"], row[key] / 1e6) for row in report["scale"]] for key in known}
    lines(axes, theme, series, known)
    axes.set_yscale("linear")
    axes.set_ylim(bottom=0)
    counts = [int(row["streams"]) for row in report["scale"]]
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.yaxis.set_major_formatter("{x:g} M/s")
    axes.minorticks_off()
    axes.set_xlabel("streams, each with a key of its own", color=THEMES[theme]["ink"])


CHARTS = {"frame": frame, "sizes": sizes, "kernels": kernels, "streams": streams}
