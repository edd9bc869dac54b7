"""Paper, ink and scales of the plots; matplotlib is an extra, imported when a plot is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loco_redis._extras import need
from loco_redis.cli.bench._words import ms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, which the colour-blind can tell apart, without yellow and in an order in
#: which neighbours differ in lightness, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")
INK = "#333333"
_GREY = "#777777"
_LINES = "#E4E4E4"

FAINT = 0.28  # opacity of the runs that are not the median one
WIDTH = 7.2  # inches: 1,080 pixels, a little more than a README is wide
_DPI = 150
_TITLE, _TEXT = 11.0, 9.0
_LEAST_GAP = 0.055  # of the height of an axes, between two labels


def new_figure(height: float) -> Figure:
    """Not known to pyplot, so nothing of the process' own plots changes."""
    need("matplotlib", "bench")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=_DPI, format="png")


def colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def style(place: int) -> str:
    """Of a line: another one when the colours have all been used."""
    return STYLES[place // len(COLOURS) % len(STYLES)]


def title(axes: Axes, words: str, beneath: str = "") -> None:
    pad = 20 if beneath else 8
    axes.set_title(words, loc="left", fontsize=_TITLE, fontweight="bold", color=INK, pad=pad)
    axes.annotate(
        beneath,
        xy=(0, 1),
        xytext=(0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=_TEXT,
        color=_GREY,
    )


def plain(axes: Axes, across: str, up: str, grid: bool = True) -> None:
    """Labels with units, faint lines across, no box."""
    axes.set_xlabel(across, fontsize=_TEXT, color=INK)
    axes.set_ylabel(up, fontsize=_TEXT, color=INK)
    axes.tick_params(labelsize=_TEXT, colors=INK, length=0, which="both")
    if grid:
        axes.grid(True, axis="y", color=_LINES, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GREY)


def nines(percentile: float, count: int) -> float:
    """Where a percentile lies on the axis: 0 at 0, 1 at 90, 2 at 99, and so on. The longest span of
    a sample stands where 1 of `count` is left, for 100 would be infinitely far."""
    left = max(1 - percentile / 100, 1 / max(count, 2))
    return -math.log10(left)


def percentile_axis(axes: Axes, farthest: float) -> None:
    """From 0 to the nines that the data has: 0, 50, 90, 99, 99.9 ... percent."""
    most = max(math.floor(farthest + 1e-9), 1)
    marks = [(0.0, "0"), (nines(50, 10), "50")]
    marks += [(float(n), f"{100 - 100 * 10.0**-n:.{max(n - 2, 0)}f}") for n in range(1, most + 1)]
    axes.set_xticks([at for at, _ in marks], [text for _, text in marks])
    axes.set_xlim(0, farthest * 1.01)
    axes.grid(True, axis="x", color=_LINES, linewidth=0.8)


def ms_axis(axes: Axes) -> None:
    """Logarithmic, in milliseconds, labelled at 1, 2 and 5."""
    from matplotlib import ticker

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    steps = (1.0,) if high / low > 2000 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.12g}"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names of lines beside their ends (x, y in ms, text, colour), moved apart where they meet."""
    if not ends:
        return
    low, high = (math.log10(bound) for bound in axes.get_ylim())
    ordered = sorted(ends, key=lambda end: end[1])
    places = [(math.log10(end[1]) - low) / (high - low) for end in ordered]
    for (x, y, text, ink), place in zip(ordered, apart(places), strict=True):
        axes.plot([x], [y], marker="o", markersize=4, color=ink, clip_on=False)
        axes.annotate(
            f"{text}  {ms(y / 1000)} ms",
            xy=(1, place),
            xycoords="axes fraction",
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=_TEXT,
            color=ink,
            annotation_clip=False,
        )


def apart(places: Sequence[float]) -> list[float]:
    """Rising places from 0 to 1, each at least a line above the one before where there is room for
    that, moved as little as it takes."""
    gap = min(_LEAST_GAP, 1 / max(len(places) - 1, 1))
    moved = list(places)
    for _ in range(200):
        for at in range(1, len(moved)):
            if (lack := gap - (moved[at] - moved[at - 1])) > 0:
                moved[at - 1] -= lack / 2
                moved[at] += lack / 2
        moved = [min(max(place, 0.0), 1.0) for place in moved]
    return moved
