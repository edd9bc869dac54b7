"""`loco-redis trust`: how agents' records weigh in the choice."""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._acting import existing
from loco_redis.cli._console import seconds, shown, table
from loco_redis.cli._options import agent_option, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._rows import cut
from loco_redis.observe import Observer
from loco_redis.observe import rules as stored


@dataclass(frozen=True)
class TrustRow:
    """An agent's score (0 to 1000, 500 where nothing is known), by what it multiplies L(i), and the
    signals so far; `fast` and `late` successes are successes, too."""

    agent_id: str
    score: float
    multiplier: float
    successes: int
    fast: int
    late: int
    errors: int
    timeouts: int


@dataclass(frozen=True)
class TrustReport:
    """Agents with a record, the least trusted first; `total` counts those that are not listed, too.
    `slo_target` in ticks and `half_life` in seconds are null while trust is off."""

    resource: str
    slo_target: int | None
    half_life: float | None
    total: int
    agents: list[TrustRow]


def fetch(observer: Observer, agent: str | None, limit: int) -> TrustReport:
    rule, now = stored.trust_rule(observer), observer.snapshot().server_time
    rows = [
        TrustRow(
            agent_id=name,
            score=stats.score,
            multiplier=stats.priority_multiplier,
            successes=stats.successes,
            fast=stats.fast,
            late=stats.late,
            errors=stats.errors,
            timeouts=stats.timeouts,
        )
        for name, stats in stored.trust(observer, now, rule).items()
        if agent in (None, name)
    ]
    rows.sort(key=lambda row: (row.score, row.agent_id))
    target, half_life = rule or (None, None)
    return TrustReport(observer.name, target, half_life, len(rows), rows[:limit])


def view(report: TrustReport) -> RenderableType:
    if report.half_life is None:
        head = Text("trust is off: a scheduler with trust_scorer=TrustScorer() switches it on")
    else:
        head = Text(
            f"waits above {report.slo_target} ticks are late; scores return to 500 by half in "
            f"{seconds(report.half_life)}"
        )
    if not report.agents:
        return head if report.half_life is None else Group(head, Text("no agent has a record yet"))
    made = table("agent", "score", "factor", "successes", "fast", "late", "errors", "timeouts")
    for row in report.agents:
        counts = (row.successes, row.fast, row.late, row.errors, row.timeouts)
        made.add_row(
            Text(shown(row.agent_id)),
            f"{row.score:.0f}",
            f"{row.multiplier:.2f}",
            *(f"{count:,}" for count in counts),
        )
    return Group(head, cut(made, len(report.agents), report.total))


@documented(TrustReport)
@click.command("trust")
@resource_options
@agent_option
@limit_option
@json_option
def command(
    redis: str | None, name: str | None, agent: str | None, limit: int, as_json: bool
) -> None:
    """List how agents are trusted, and why. The least trusted come first.

    Example:  loco-redis trust --agent batch
    """
    with existing(redis, name) as observer:
        emit(fetch(observer, agent, limit), as_json, view)
