"""Draws docs/images/*.png from the figures that the benchmarks have left in docs/figures/:
`python docs/plots.py`, after `python -m benchmarks.peers --write`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from loco_redis.cli.bench import _plot_style as ink

DOCS = Path(__file__).parent
OURS = "loco-redis"
_SHADES = (1.0, 0.6, 0.3)  # of 1, 2 and 4 processes
_OTHER = "#8A8A8A"
#: Of the growth: what is drawn, its name in the plot, and how far the name is moved up, in points.
_GROWTH = {
    "loco-redis, its scripts alone": ("loco-redis", 0),
    "self-limiters, as in its README": ("self-limiters", 5),
    "a BLPOP token list without redis-py's time limit": ("BLPOP list", -5),
    "a sorted-set semaphore with pub/sub": ("pub/sub semaphore", 0),
    "redis-py Lock": ("redis-py Lock, which polls", -4),
}

#: Of the bars.
_SHORT = {
    "self-limiters, as in its README": "self-limiters,\nas in its README",
    "self-limiters, one object kept": "self-limiters,\none object kept",
    "a bare BLPOP token list": "BLPOP list",
    "a BLPOP token list without redis-py's time limit": "BLPOP list, without\nits time limit",
    "a sorted-set semaphore with pub/sub": "pub/sub semaphore",
}

Data = Mapping[str, Any]


def kept(section: str) -> list[Data]:
    """The data of all figures of a section that have some."""
    rows = json.loads((DOCS / "figures" / f"{section}.json").read_text())["figures"]
    return [row["data"] for row in rows if row["data"]]


def grants(axes: Axes, rows: list[Data]) -> None:
    """Bars: what each gets with 1, 2 and 4 processes on four slots."""
    rates: dict[str, dict[int, float]] = {OURS: {}}
    for row in rows:
        if row.get("slots") == 4 and row.get("processes"):
            rates.setdefault(row["peer"], {})[row["processes"]] = row["per_second"]
            rates[OURS][row["processes"]] = row["ours_per_second"]
    rates = {peer: found for peer, found in rates.items() if len(found) > 1}
    order = sorted(rates, key=lambda peer: rates[peer][1])
    for place, peer in enumerate(order):
        for number, (processes, rate) in enumerate(sorted(rates[peer].items())):
            axes.barh(
                place + (1 - number) * 0.27,
                rate,
                height=0.24,
                color=ink.COLOURS[0] if peer == OURS else _OTHER,
                alpha=_SHADES[number],
            )
            words = f"{rate:,.0f}" + (" /s in 1 process" if number == 0 else f" in {processes}")
            axes.annotate(
                words,
                (rate, place + (1 - number) * 0.27),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=ink.INK,
            )
    ink.plain(axes, "grants a second, 50 tasks a process on 4 slots", "", grid=False)
    axes.set_yticks(range(len(order)), [_SHORT.get(peer, peer) for peer in order])
    axes.set_xlim(0, max(max(found.values()) for found in rates.values()) * 1.3)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def growth(axes: Axes, rows: list[Data]) -> None:
    """Curves: what a grant costs the server while more and more wait."""
    ends = []
    for place, (peer, (name, up)) in enumerate(_GROWTH.items()):
        found = [row for row in rows if row["peer"] == peer and "agents" in row and "us" in row]
        if not found:
            continue
        agents, us = found[0]["agents"], found[0]["us"]
        colour = ink.colour(place)
        axes.plot(agents, us, color=colour, linewidth=2.2 if place == 0 else 1.6, marker="o", ms=4)
        ends.append((agents[-1], us[-1], name, up, colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    for x, y, name, up, colour in ends:
        axes.annotate(
            f"{name}, {y:,.0f} us",
            (x, y),
            xytext=(7, up),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
        )
    ink.plain(axes, "requests waiting", "server time of a grant, us")
    axes.set_xlim(8, 2_000_000)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
        axis.set_minor_locator(NullLocator())
    axes.set_xticks([10, 100, 1000, 10_000, 100_000])


def queues(axes: Axes, rows: list[Data]) -> None:
    """Bars: jobs submitted and then served a second."""
    found = {row["peer"]: row for row in rows if "ours_submitted" in row}
    rates = {peer: row["per_second"] for peer, row in found.items()}
    rates[OURS] = next(iter(found.values()))["ours_per_second"]
    order = sorted(rates, key=lambda peer: rates[peer])
    colours = [ink.COLOURS[0] if peer == OURS else _OTHER for peer in order]
    axes.barh(order, [rates[peer] for peer in order], height=0.6, color=colours)
    for place, peer in enumerate(order):
        axes.annotate(
            f"{rates[peer]:,.0f}",
            (rates[peer], place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=ink.INK,
        )
    ink.plain(axes, "jobs submitted and served a second, one worker process", "", grid=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def draw(images: Path) -> None:
    """Write both plots into a folder."""
    rows = kept("peers")
    main = ink.new_figure(6.4)
    top, bottom = main.subplots(2, 1, height_ratios=(1.35, 1))
    ink.title(top, "Grants a second", "the same work on the same server; faint: 2 and 4 processes")
    grants(top, rows)
    ink.title(bottom, "What a grant costs while others wait", "server time; one slot, logarithmic")
    growth(bottom, rows)
    ink.save(main, images / "peers.png")
    other = ink.new_figure(2.8)
    axes = other.subplots()
    ink.title(axes, "Durable tasks and task queues", "empty jobs, first submitted, then served")
    queues(axes, rows)
    ink.save(other, images / "queues.png")


if __name__ == "__main__":
    draw(DOCS / "images")
