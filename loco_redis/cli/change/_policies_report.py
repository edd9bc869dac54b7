"""What `loco-redis policies` lists."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._console import seconds, shown, table
from loco_redis.cli.change._units import amount
from loco_redis.observe import Observer
from loco_redis.observe.rules import Rules


@dataclass(frozen=True)
class AccessRow:
    """The labels that the data of an agent's tasks may have."""

    agent_id: str
    labels: list[str]


@dataclass(frozen=True)
class RateRow:
    """How many tasks of an agent are let in per period."""

    agent_id: str
    limit: float


@dataclass(frozen=True)
class CapRow:
    """The most slots that an agent may hold."""

    agent_id: str
    max_slots: int


@dataclass(frozen=True)
class PoliciesReport:
    """The rules of a resource. `rate_default`: tasks per `rate_period` seconds for agents that are
    not in `rates`; null: no limit."""

    resource: str
    access: list[AccessRow]
    rate_default: float | None
    rate_period: float | None
    rates: list[RateRow]
    caps: list[CapRow]


def fetch(observer: Observer, agent: str | None = None) -> PoliciesReport:
    rules = Rules.read(observer)
    rate = rules.rate
    return PoliciesReport(
        resource=observer.name,
        access=[AccessRow(a, b) for a, b in rules.labels.items() if agent in (None, a)],
        rate_default=rate.default if rate else None,
        rate_period=rate.period if rate else None,
        rates=[RateRow(a, b) for a, b in rules.rates.items() if agent in (None, a)],
        caps=[CapRow(a, b) for a, b in rules.caps.items() if agent in (None, a)],
    )


def view(report: PoliciesReport) -> RenderableType:
    made = table("policy", "agent", "rule", left=3)
    for access in report.access:
        labels = ", ".join(map(shown, access.labels)) or "only tasks without labels"
        made.add_row("access", Text(shown(access.agent_id)), Text(labels))
    span = seconds(report.rate_period or 0)
    if report.rate_default is not None:
        made.add_row("rate", Text("all others", style="dim"), rate_text(report.rate_default, span))
    for rate in report.rates:
        made.add_row("rate", Text(shown(rate.agent_id)), rate_text(rate.limit, span))
    for cap in report.caps:
        made.add_row("cap", Text(shown(cap.agent_id)), f"{cap.max_slots:,} slots at most")
    return made if made.row_count else Text(f"{report.resource} has no policies")


def rate_text(limit: float, span: str) -> str:
    return f"{amount(limit)} tasks in {span}"
