"""`loco-redis costs`: what was spent, and for whom."""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._console import shown, table
from loco_redis.cli._options import json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._rows import cut
from loco_redis.cli._target import open_target
from loco_redis.observe import Observer
from loco_redis.observe.figures import COST_DIMENSIONS, costs_by


@dataclass(frozen=True)
class CostRow:
    """What was charged to one agent, team, workflow, model or session: `cost` in units, `share` of
    the total from 0 to 1."""

    name: str
    cost: float
    share: float


@dataclass(frozen=True)
class CostsReport:
    """What the leases of a resource have cost since it exists, the highest first.

    `by` says whose costs the rows are; `total_cost` is that of all leases in units, `labelled_cost`
    of those that have such a label; `total` counts rows that are not listed, too. `__other__` is
    what is beyond the first 10,000 names.
    """

    resource: str
    by: str
    total_cost: float
    labelled_cost: float
    total: int
    costs: list[CostRow]


def fetch(observer: Observer, by: str, limit: int) -> CostsReport:
    observer.snapshot()  # a resource that is not there is said so
    found = costs_by(observer, by)
    everything = found if by == "agent" else costs_by(observer, "agent")
    total = round(sum(everything.values()), 3)
    rows = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return CostsReport(
        resource=observer.name,
        by=by,
        total_cost=total,
        labelled_cost=round(sum(found.values()), 3),
        total=len(rows),
        costs=[
            CostRow(name, cost, round(cost / total, 6) if total else 0.0)
            for name, cost in rows[:limit]
        ],
    )


def view(report: CostsReport) -> RenderableType:
    if not report.costs:
        if not report.total_cost:
            return Text(f"nothing has been spent on {report.resource} yet")
        return Text(
            f"{report.total_cost:,.10g} was spent on {report.resource}, by tasks without a "
            f"{report.by}: give Task({_FIELDS[report.by]}=...)"
        )
    made = table(report.by, "cost", "share")
    for row in report.costs:
        made.add_row(Text(shown(row.name)), f"{row.cost:,.3f}", f"{row.share:.1%}")
    unlabelled = round(report.total_cost - report.labelled_cost, 3)
    if unlabelled > 0:
        share = f"{unlabelled / report.total_cost:.1%}"
        made.add_row(Text(f"without a {report.by}", style="dim"), f"{unlabelled:,.3f}", share)
    total = Text(f"total {report.total_cost:,.3f}", style="bold")
    return Group(cut(made, len(report.costs), report.total), total)


_FIELDS = {"team": "team", "workflow": "workflow", "model": "model", "session": "session_id"}


@documented(CostsReport)
@click.command("costs")
@resource_options
@click.option(
    "--by",
    type=click.Choice(list(COST_DIMENSIONS)),
    default="agent",
    show_default=True,
    help="Whose costs.",
)
@limit_option
@json_option
def command(redis: str | None, name: str | None, by: str, limit: int, as_json: bool) -> None:
    """List what was spent by agent, team, workflow, model or session.

    Costs are in the units of settle(), or of weight where nothing was settled. What is reserved
    now, and what may be spent at all, is told by budgets.

    Example:  loco-redis costs --by team
    """
    with open_target(redis, name) as observer:
        emit(fetch(observer, by, limit), as_json, view)
