"""How a scenario's figures look on a terminal: pure functions from values to renderables."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loco_redis.cli._console import table
from loco_redis.cli.play._render import colour
from loco_redis.cli.play._scenario_report import Run, ScenarioReport, Waits

_BARS = "▁▂▃▄▅▆▇█"
STEPS = 32  # of the line of bars, each one character


def progress(run: Run, height: int) -> RenderableType:
    """The live view."""
    served, total = len(run.served), len(run.jobs)
    words = Text(f"{run.scenario}  ", style="bold")
    words.append(f"{served} of {total} requests served", style="not bold")
    return Group(words, ProgressBar(total=total, completed=served))


def render(report: ScenarioReport, run: Run) -> Group:
    """Waits in seconds beside those of first come, first served; in ticks; over time; the whole."""
    return Group(
        _headline(report),
        Text(),
        _seconds(report),
        Text(),
        _ticks(report, run),
        Text(),
        _facts(report),
    )


def _headline(report: ScenarioReport) -> Text:
    line = Text(report.scenario, style="bold")
    line.append(
        f"  {report.agents} agents in {report.processes} processes, {report.capacity} slots, "
        f"{report.optimize_for}, seed {report.seed}",
        style="not bold",
    )
    return line


def _seconds(report: ScenarioReport) -> Table:
    made = table(
        "class", "agents", "grants", "wait p50", "p95", "p99", "max s", "fifo p50", "p95 s"
    )
    for place, row in enumerate(report.classes):
        fifo = row.fifo_seconds
        made.add_row(
            Text(row.name, style=colour(place)),
            f"{row.agents}",
            f"{row.grants:,}",
            *(f"{value:.2f}" for value in _shown(row.wait_seconds)),
            *(Text(f"{value:.2f}", style="dim") for value in (fifo.p50, fifo.p95)),
        )
    return made


def _ticks(report: ScenarioReport, run: Run) -> Table:
    lines = _over_time(run)
    longest = max((value or 0.0 for line in lines.values() for value in line), default=0.0)
    made = table("class", "ticks p50", "p95", "p99", "max", f"wait over time, to {longest:.2f} s")
    made.columns[-1].justify = "left"
    for place, row in enumerate(report.classes):
        made.add_row(
            Text(row.name, style=colour(place)),
            *(f"{value:.0f}" for value in _shown(row.wait_ticks)),
            Text(bars(lines[row.name], longest), style=colour(place)),
        )
    return made


def _shown(waits: Waits) -> tuple[float, float, float, float]:
    return waits.p50, waits.p95, waits.p99, waits.max


def _over_time(run: Run) -> dict[str, list[float | None]]:
    """Of each class the median wait of what was due in each step of the run."""
    length = max((one.due for one in run.served), default=0.0)
    return {
        name: medians([(one.due, one.waited) for one in served], length, STEPS)
        for name, served in run.by_class().items()
    }


def medians(waits: Sequence[tuple[float, float]], length: float, steps: int) -> list[float | None]:
    """The median of the second values of each step of the first ones, which go up to `length`."""
    found: list[list[float]] = [[] for _ in range(steps)]
    for at, waited in waits:
        found[min(int(at / length * steps), steps - 1) if length else 0].append(waited)
    return [median(each) if each else None for each in found]


def bars(values: Sequence[float | None], longest: float) -> str:
    """A character for each value, as high as it is great; a blank where there is none."""
    top = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[round(value / longest * top) if longest else 0]
        for value in values
    )


def _facts(report: ScenarioReport) -> Table:
    made = table("", "", left=2)
    made.show_header = False
    for name, value in (
        ("utilisation", f"{report.utilization:.1%} of {report.capacity} slots"),
        ("fairness of service", f"{report.fairness_of_service:.3f} (Jain's index, 1 = equal)"),
        ("fairness of mean waits", f"{report.fairness_of_waits:.3f}"),
        ("most slots held at once", f"Redis {report.peak}, workers {report.most_seen}"),
        ("grants", f"{report.grants:,} of {report.requests:,}, {report.grants_per_second:.1f}/s"),
        ("took", f"{report.took:.1f} s; requests came for {report.seconds:g} s"),
    ):
        made.add_row(name, value)
    return made
