"""Shapes that both commands draw: pure functions from values to rich renderables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from loco_redis.cli._console import table
from loco_redis.cli.play._stats import AgentFigures, Percentiles

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red")


def colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def agents_table(figures: Sequence[AgentFigures], total: AgentFigures, heading: str) -> Table:
    """Waits are shown as p50 / p95 / p99 of seconds, then of ticks."""
    made = table("agent", heading, "cost", "wait p50", "p95", "p99 s", "ticks p50", "p95", "p99")
    for index, row in enumerate(figures):
        made.add_row(Text(row.agent, style=colour(index)), *_cells(row))
    made.add_section()
    made.add_row(Text(total.agent, style="bold"), *_cells(total))
    return made


def _cells(row: AgentFigures) -> list[str]:
    seconds = [f"{value:.2f}" for value in _shown(row.seconds)]
    ticks = [f"{value:.0f}" for value in _shown(row.ticks)]
    return [f"{row.grants:,}", f"{row.cost:,.1f}", *seconds, *ticks]


def _shown(percentiles: Percentiles) -> tuple[float, float, float]:
    return percentiles.p50, percentiles.p95, percentiles.p99


def figures_json(row: AgentFigures) -> dict[str, Any]:
    """For --json; waits in seconds and in ticks."""
    return {
        "agent": row.agent,
        "grants": row.grants,
        "cost": round(row.cost, 3),
        "wait_seconds": _rounded(row.seconds),
        "wait_ticks": _rounded(row.ticks),
    }


def _rounded(percentiles: Percentiles) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(percentiles).items()}
