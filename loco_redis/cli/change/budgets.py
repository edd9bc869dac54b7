"""`loco-redis budgets`: what agents may spend and have spent."""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis._replies import Standing
from loco_redis.cli._acting import act, checked, confirm, existing, say, set_rules
from loco_redis.cli._console import shown, table
from loco_redis.cli._errors import Broken
from loco_redis.cli._groups import Listing
from loco_redis.cli._options import (
    agent_option,
    json_option,
    limit_option,
    resource_options,
    yes_option,
)
from loco_redis.cli._report import documented, emit
from loco_redis.cli._rows import cut
from loco_redis.cli.change._units import Limit, PeriodType, amount, chosen, counted, period_text
from loco_redis.governance import BudgetManager, BudgetPolicy
from loco_redis.governance._rules import REMOVED
from loco_redis.governance._stored import left_of
from loco_redis.observe import Observer
from loco_redis.observe import rules as stored
from loco_redis.observe.rules import MODES, BudgetRule, Rules
from loco_redis.scheduler import AsyncLOCOScheduler


@dataclass(frozen=True)
class BudgetRow:
    """An agent's account in units of cost; `limit` and `left` null: unlimited; `own_limit`: not the
    default; `over`: most that was used beyond the limit without having been refused."""

    agent_id: str
    limit: float | None
    own_limit: bool
    spent: float
    unsettled: float
    reserved: float
    left: float | None
    over: float


@dataclass(frozen=True)
class BudgetsReport:
    """Agents with an account or a limit of their own, the fullest first; `total` counts those that
    are not listed, too. `default_limit` null: unlimited. `mode`: reject, alert or downgrade.
    `period`: "day", "month" (UTC), seconds, or null: spending never begins anew."""

    resource: str
    default_limit: float | None
    mode: str
    period: str | float | None
    total: int
    budgets: list[BudgetRow]


def fetch(observer: Observer, agent: str | None, limit: int) -> BudgetsReport:
    rules = Rules.read(observer)
    own, common = rules.limits, rules.budget
    rows = [
        BudgetRow(
            agent_id=name,
            limit=row.limit,
            own_limit=name in own,
            spent=row.spent,
            unsettled=row.unsettled,
            reserved=row.reserved,
            left=left_of(row),
            over=row.over,
        )
        for name, row in stored.standings(observer, "a", own).items()
        if agent in (None, name)
    ]
    rows.sort(key=lambda row: (-_fullness(row), row.agent_id))
    return BudgetsReport(
        observer.name, common.default_limit, common.mode, common.period, len(rows), rows[:limit]
    )


def _fullness(row: BudgetRow) -> float:
    used = row.spent + row.unsettled + row.reserved
    if row.limit is None:
        return 0.0
    return used / row.limit if row.limit else 1.0 + used


def view(report: BudgetsReport) -> RenderableType:
    rule = BudgetRule(report.default_limit, report.mode, report.period)
    if not report.budgets and rule == BudgetRule(None, "reject", None):
        return Text(f"{report.resource} has no budgets: see `loco-redis budgets set -h`")
    head = Text(_sentence(rule))
    if not report.budgets:
        return Group(head, Text(f"no agent of {report.resource} has an account"))
    made = table("agent", "limit", "", "spent", "unsettled", "reserved", "left", "over")
    for row in report.budgets:
        made.add_row(
            Text(shown(row.agent_id)),
            amount(row.limit, "none"),
            Text("own" if row.own_limit else "", style="dim"),
            *(amount(value) for value in (row.spent, row.unsettled, row.reserved)),
            Text(amount(row.left), style="red" if row.left == 0 else ""),
            Text(amount(row.over) if row.over else "", style="yellow"),
        )
    return Group(head, cut(made, len(report.budgets), report.total))


def _sentence(rule: BudgetRule) -> str:
    limit = amount(rule.default_limit, "any amount")
    beyond = {"reject": "refused", "alert": "let in with an alert", "downgrade": "downgraded"}
    span = period_text(rule.period)
    return f"by default an agent may spend {limit} {span}; beyond its limit: {beyond[rule.mode]}"


@click.group("budgets", cls=Listing)
def command() -> None:
    """Show and change what agents may spend. Without a command: `list`.

    Example:  loco-redis budgets set batch --limit 100
    """


@documented(BudgetsReport)
@command.command("list")
@resource_options
@agent_option
@limit_option
@json_option
def list_(
    redis: str | None, name: str | None, agent: str | None, limit: int, as_json: bool
) -> None:
    """List limits and accounts, the fullest first, in units of cost.

    Example:  loco-redis budgets list --agent batch
    """
    with existing(redis, name) as observer:
        emit(fetch(observer, agent, limit), as_json, view)


@command.command("set")
@click.argument("agent", required=False)
@click.option("--limit", type=Limit(), help="What may be spent; none: the default, or no limit.")
@click.option("--mode", type=click.Choice([*MODES.values()]), help="What a task beyond it meets.")
@click.option("--period", type=PeriodType(), help="Spending begins anew each day, month (UTC), ...")
@resource_options
def set_(
    redis: str | None,
    name: str | None,
    agent: str | None,
    limit: float | str | None,
    mode: str | None,
    period: float | str | None,
) -> None:
    """Set the limit of AGENT or, without one, what holds for all agents. What is not given stays.
    A process that defines a budget itself sets that again when it opens.

    Example:  loco-redis budgets set --limit 50 --mode reject --period day
    """
    if agent is not None and (mode or period is not None):
        raise click.UsageError("mode and period are the same for all agents: leave AGENT out")
    if limit is mode is period is None:
        raise click.UsageError("give --limit, --mode or --period")
    with existing(redis, name) as observer:
        if agent is not None:
            _set_own(observer, agent, limit)
            return
        before = Rules.read(observer).budget
        after = BudgetRule(
            chosen(limit, before.default_limit), mode or before.mode, chosen(period, before.period)
        )
        # Where all is as without a rule, the policy has none to give.
        changes = {b"b": REMOVED} | checked(lambda: BudgetPolicy(*after))._rules()
        set_rules("budgets set", observer, changes)
        say(_sentence(after))


def _set_own(observer: Observer, agent: str, limit: float | str | None) -> None:
    units = chosen(limit, None)

    async def change(scheduler: AsyncLOCOScheduler) -> None:
        assert scheduler.budget is not None
        if units is None:
            await scheduler.budget.remove_limit(agent)
        else:
            await scheduler.budget.set_limit(agent, units)

    act("budgets set", observer, change, budget=BudgetManager())
    (now,) = observer.standings(f"a{agent}")
    of = "the default" if units is None else "its own limit"
    say(f"{shown(agent)} may spend {amount(now.limit, 'without a limit')} ({of}); {_used(now)}")


def _used(now: Standing) -> str:
    left = left_of(now)
    used = f"{amount(now.used)} is spent, unsettled or reserved"
    return used if left is None else f"{used}, {amount(left)} is left"


@command.command("reset")
@click.argument("agent", required=False)
@click.option("--all", "every", is_flag=True, help="Of every agent.")
@resource_options
@yes_option
def reset(redis: str | None, name: str | None, agent: str | None, every: bool, yes: bool) -> None:
    """Set what AGENT has spent, and what is unsettled, back to nothing. What is reserved stays.

    Example:  loco-redis budgets reset batch
    """
    if (agent is not None) == every:
        raise click.UsageError("give an AGENT, or --all")
    with existing(redis, name) as observer:
        rows = fetch(observer, agent, 10**9).budgets
        spent = [row for row in rows if row.spent or row.unsettled]
        if not spent:
            whose = "no agent has" if agent is None else f"{shown(agent)} has not"
            raise Broken(f"nothing to reset: {whose} spent anything")
        confirm(_reset_view(spent), yes)

        async def forget(scheduler: AsyncLOCOScheduler) -> None:
            assert scheduler.budget is not None
            if agent is None:
                await scheduler.budget.reset_all()
            else:
                await scheduler.budget.reset(agent)

        act("budgets reset", observer, forget, budget=BudgetManager())
        say(f"done: {counted(len(spent), 'account')} set back")


def _reset_view(rows: list[BudgetRow]) -> RenderableType:
    if len(rows) > 1:
        total = sum(row.spent + row.unsettled for row in rows)
        return Text(f"forget that {len(rows)} agents have spent {amount(total)} in all")
    (row,) = rows
    return Text.assemble(
        "forget that ",
        (shown(row.agent_id), "bold"),
        f" has spent {amount(row.spent)} and left {amount(row.unsettled)} unsettled",
    )
