"""The charts of the report as SVG, each once for light and once for dark pages.

Words stay text, in the reader's own font; a caption belongs to the page, not to the picture.
"""

from collections.abc import Callable
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
C_LINES = {
    "vaes512": ("pysframe vaes512", "#1a7f37", "#3fb950", "-"),
    "vaes256": ("pysframe vaes256", "#1a7f37", "#3fb950", "--"),
    "aesni": ("pysframe aesni", "#1a7f37", "#3fb950", ":"),
    "ipsec-avx512": ("ipsec-mb AVX-512", "#9a6700", "#d29922", "-"),
    "ipsec-avx2": ("ipsec-mb AVX2", "#9a6700", "#d29922", "--"),
    "ipsec-sse": ("ipsec-mb SSE", "#9a6700", "#d29922", ":"),
    "openssl": ("OpenSSL EVP", "#0969da", "#58a6ff", "-"),
}
SIZE = (8, 4.2)


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
    """Bars from zero; pycryptodome, a hundred times longer, is cut and says so."""
    color, row = THEMES[theme], report["calls"]["4"]["seal"][HERO_SIZE]
    bars = [(name, times["median"]) for name, times in row.items() if not name.endswith(".out")]
    bars.sort(key=lambda bar: -bar[1])
    longest = max(ns for name, ns in bars if name != "pycryptodome")
    shown = [min(ns, longest * 1.12) for _, ns in bars]
    paints = [color["ours" if "pysframe" in name else "quiet"] for name, _ in bars]
    names = [label(name) for name, _ in bars]
    axes.barh(names, shown, color=paints, height=0.66)
    for at, (name, ns) in enumerate(bars):
        cut = " (bar cut)" if name == "pycryptodome" else ""
        words = f"{ns:,.0f} ns{cut}"
        axes.text(shown[at] + longest / 80, at, words, va="center", color=color["ink"])
    axes.set_xticks([])
    axes.set_xlim(0, longest * 1.42)


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


def kernels(axes: Axes, report: dict[str, Any], theme: str) -> None:
    cells = report["kernels"]["4"]["seal"]
    engines = [name for name in C_LINES if any(cell["engine"] == name for cell in cells)]
    series = {
        name: [(c["size"], c["median_ns"]) for c in cells if c["engine"] == name]
        for name in engines
    }
    lines(axes, theme, series, C_LINES)
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
