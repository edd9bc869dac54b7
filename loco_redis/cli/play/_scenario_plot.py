"""The picture of a scenario: waits by class over time. matplotlib is an extra (`bench`)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loco_redis.cli.bench import _plot_style as ink
from loco_redis.cli.play._scenario_report import Run, Served
from loco_redis.cli.play._scenario_schedule import SCENARIOS
from loco_redis.cli.play._scenario_view import medians

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
_DPI, _COLOURS = 150, 128
_STEPS = 40  # of the lines
_DOTS = 0.4  # opacity


def draw(run: Run, path: Path) -> None:
    """Write the picture of what was served; the suffix says in which format.

    Raises:
        ModuleNotFoundError: matplotlib is not installed; says how to install it.
        OSError: the file cannot be written.
    """
    figure, written = picture(run), io.BytesIO()
    if path.suffix.lower() == ".svg":
        figure.savefig(path, format="svg")
        return
    from PIL import Image  # comes with matplotlib

    figure.savefig(written, dpi=_DPI, format="png")
    # A palette makes a third of the file and no difference to the eye.
    Image.open(written).convert("RGB").quantize(_COLOURS).save(path, "PNG", optimize=True)


def picture(run: Run) -> Figure:
    """Above, a dot for each request, the medians of each class as a line, and what first come,
    first served would have been, which knows no classes; below, how many are waiting."""
    figure = ink.new_figure(4.8)
    waits, queue = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.4))
    for place, (name, served) in enumerate(run.by_class().items()):
        seen = [(one.due, one.waited) for one in served]
        waits.plot(*_columns(seen), ".", color=ink.colour(place), markersize=4, alpha=_DOTS)
        _line(waits, seen, run.seconds, name, color=ink.colour(place), linewidth=2.0)
    _line(waits, run.ghost, run.seconds, "first come, first served", color=ink.INK, linestyle=":")
    _stack(queue, run)
    ink.title(waits, f"{run.scenario}: {SCENARIOS[run.scenario].about}", _subtitle(run))
    ink.plain(waits, "", "wait, s")
    waits.set_ylim(0, waits.get_ylim()[1] * 1.15)  # the legend's room
    waits.legend(loc="upper right", frameon=False, fontsize=9, labelcolor=ink.INK, ncols=5)
    ink.plain(queue, "seconds since the start: when a request was due", "waiting")
    queue.set_ylim(bottom=0)
    queue.set_xlim(left=0)
    figure.align_ylabels()
    return figure


def _subtitle(run: Run) -> str:
    return (
        f"{run.agents} agents in {run.processes} processes share {run.capacity} slots, "
        f"{run.optimize_for}; dots: requests, lines: medians"
    )


def _line(
    axes: Axes, waits: Sequence[tuple[float, float]], seconds: float, name: str, **look: Any
) -> None:
    """Through the medians of waits by when they began."""
    length = max([seconds, *(at for at, _ in waits)])
    points = [
        ((place + 0.5) * length / _STEPS, value)
        for place, value in enumerate(medians(waits, length, _STEPS))
        if value is not None
    ]
    if len(points) == 1:  # which is no line: the dot among those that it stands for
        points, look["marker"] = [(waits[0][0], points[0][1])], "o"
    axes.plot(*_columns(points), label=name, markersize=5, **look)


def _stack(axes: Axes, run: Run) -> None:
    """How many wait at each moment, class upon class."""
    classes = run.by_class()
    end = max((one.held.start for one in run.served), default=run.seconds)
    moments = [end * place / 400 for place in range(401)]
    counts = [[_waiting(served, moment) for moment in moments] for served in classes.values()]
    colours = [ink.colour(place) for place in range(len(classes))]
    axes.stackplot(moments, *counts, colors=colours, alpha=0.6, linewidth=0)


def _waiting(served: Sequence[Served], moment: float) -> int:
    return sum(one.due <= moment < one.held.start for one in served)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
