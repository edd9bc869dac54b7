"""The plots of a report. With several runs the median one is drawn strongly, the others faintly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loco_redis.cli._console import shown
from loco_redis.cli.bench import _over_runs as over_runs
from loco_redis.cli.bench import _plot_style as ink
from loco_redis.cli.bench._figures import BenchReport, HostFigures, RunFigures, Spans
from loco_redis.cli.bench._words import ms, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_HOSTS = 40
_LEAST_MS = 0.001  # of an HDR histogram of microseconds; a logarithm has no zero


def draw(report: BenchReport, folder: Path) -> dict[str, str]:
    """Write the plots as PNG into a folder that exists: name to file name, in order of the report.

    Those for which nothing was measured are left out.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    made = {}
    for name, plot in _PLOTS.items():
        if report.runs and (figure := plot(report)) is not None:
            made[name] = f"{name}.png"
            ink.save(figure, folder / made[name])
    return made


def waits(report: BenchReport) -> Figure | None:
    """Percentile curves by class."""
    names = [row.name for row in over_runs.classes(report.runs)]
    curves = [
        (place, run, next(row.wait for row in run.classes if row.name == name))
        for place, name in enumerate(names)
        for run in report.runs
        if any(row.name == name for row in run.classes)
    ]
    figure = _percentile_curves(report, names, curves, "How long requests waited, by class")
    if figure is not None:
        figure.axes[0].set_ylabel("wait, ms (log scale)")
    return figure


def handoff(report: BenchReport) -> Figure | None:
    curves = [(0, run, run.handoff) for run in report.runs]
    words = "From a body's end to the next body's start on its slot"
    figure = _percentile_curves(report, [""], curves, words)
    if figure is None:
        return None
    axes, spans = figure.axes[0], over_runs.middle_run(report.runs).handoff
    axes.set_ylabel("hand-off, ms (log scale)")
    for percentile, span in ((50.0, spans.p50), (99.0, spans.p99), (99.9, spans.p999)):
        at = ink.nines(percentile, spans.count)
        if span > 0 and at < ink.nines(100, spans.count):
            axes.plot([at], [span * 1000], marker="o", markersize=4, color=ink.colour(0))
            axes.annotate(
                f"p{percentile:g}  {ms(span)} ms",
                xy=(at, span * 1000),
                xytext=(7, -12),  # the curve rises, so there is room
                textcoords="offset points",
                fontsize=9,
                color=ink.INK,
            )
    return figure


def _percentile_curves(
    report: BenchReport,
    names: Sequence[str],
    curves: Sequence[tuple[int, RunFigures, Spans]],
    words: str,
) -> Figure | None:
    """Curves of (place in `names`, run, spans)."""
    strong = over_runs.middle_run(report.runs)
    curves = [curve for curve in curves if curve[2].count and curve[2].curve]
    if not curves:
        return None
    figure = ink.new_figure(4.0)
    axes = figure.subplots()
    ends, farthest = [], 1.0
    for place, run, spans in sorted(curves, key=lambda curve: curve[1] is strong):
        points = _points(spans)
        is_strong = run is strong
        axes.plot(
            *zip(*points, strict=True),
            color=ink.colour(place),
            linestyle=ink.style(place),
            linewidth=2.0 if is_strong else 1.0,
            alpha=1.0 if is_strong else ink.FAINT,
        )
        farthest = max(farthest, points[-1][0])
        if is_strong:
            ends.append((*points[-1], shown(names[place]) or "longest", ink.colour(place)))
    ink.title(axes, words, f"the dot is the longest{_runs(report)}")
    ink.plain(axes, "percentile", "ms")
    ink.ms_axis(axes)
    ink.percentile_axis(axes, farthest)
    ink.label_ends(axes, ends)
    return figure


def _points(spans: Spans) -> list[tuple[float, float]]:
    """Those which the longest span stands for are left out but for itself."""
    last, end = spans.curve[-1], ink.nines(100, spans.count)
    drawn = [point for point in spans.curve if ink.nines(point[0], spans.count) < end]
    return [
        (ink.nines(percentile, spans.count), max(span * 1000, _LEAST_MS))
        for percentile, span in (*drawn, last)
    ]


def timeline(report: BenchReport) -> Figure | None:
    """Arrivals and grants above, utilisation below, second by second."""
    if not any(run.timeline for run in report.runs):
        return None
    strong = over_runs.middle_run(report.runs)
    figure = ink.new_figure(4.6)
    rates, used = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for run in sorted(report.runs, key=lambda run: run is strong):
        seconds = [moment.second for moment in run.timeline]
        series: list[tuple[Axes, str, str, list[float]]] = [
            (rates, "arrivals", ink.COLOURS[4], [m.arrivals for m in run.timeline]),
            (rates, "grants", ink.COLOURS[0], [m.grants for m in run.timeline]),
            (used, "", ink.COLOURS[2], [m.utilization * 100 for m in run.timeline]),
        ]
        for axes, name, colour, values in series:
            axes.plot(
                seconds,
                values,
                color=colour,
                linewidth=1.6 if run is strong else 0.8,
                alpha=1.0 if run is strong else ink.FAINT,
                label=name if run is strong and name else None,
            )
    ink.title(rates, "What came and what was granted, in each second", _runs(report).lstrip("; "))
    ink.plain(rates, "", "requests/s")
    rates.set_ylim(bottom=0)
    rates.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False,
        fontsize=9, labelcolor=ink.INK,
    )  # fmt: skip
    ink.plain(used, "seconds since the measured time began", "slot time used, %")
    used.set_ylim(0, 102)
    used.set_xlim(0, max(len(run.timeline) for run in report.runs))
    used.xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels()
    return figure


def hosts(report: BenchReport) -> Figure | None:
    """Bars of medians; where there are several runs, a dot for each."""
    rows = over_runs.hosts(report.runs)
    if not rows:
        return None
    cut = rows[:_MOST_HOSTS]
    figure = ink.new_figure(1.1 + 0.3 * len(cut))
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, "grants", cut, report.runs, lambda row: row.grants, ink.COLOURS[0])
    _bars(
        right, "cores kept busy by workers", cut, report.runs, lambda row: row.cpu, ink.COLOURS[4]
    )
    left.set_ylim(len(cut) - 0.5, -0.5)
    words = f"bars: medians of {len(report.runs)} runs, dots: each" if len(report.runs) > 1 else ""
    if len(rows) > len(cut):
        words += f"; {len(rows) - len(cut)} more hosts are in the table"
    ink.title(left, "What each host did", words.lstrip("; "))
    return figure


def _bars(
    axes: Axes,
    label: str,
    rows: Sequence[HostFigures],
    runs: Sequence[RunFigures],
    figure: Callable[[HostFigures], float],
    colour: str,
) -> None:
    axes.barh([shown(row.name) for row in rows], [figure(row) for row in rows], 0.62, color=colour)
    for at, row in enumerate(rows):
        each = [figure(host) for run in runs for host in run.hosts if host.name == row.name]
        if len(each) > 1:
            axes.plot(each, [at] * len(each), "o", color=ink.INK, markersize=3, alpha=0.7)
        axes.annotate(
            number(figure(row)),
            xy=(max(each), at),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=ink.INK,
        )
    ink.plain(axes, label, "", grid=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    most = max(figure(host) for run in runs for host in run.hosts)
    axes.set_xlim(0, max(most, 1e-9) * 1.2)


def _runs(report: BenchReport) -> str:
    if len(report.runs) == 1:
        return ""
    strong = over_runs.middle_run(report.runs).run
    return f"; strong: run {strong} of {len(report.runs)}, faint: the others"


_PLOTS: dict[str, Callable[[BenchReport], Figure | None]] = {
    "waits": waits,
    "handoff": handoff,
    "timeline": timeline,
    "hosts": hosts,
}
