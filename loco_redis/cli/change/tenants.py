"""`loco-redis tenants`: groups of agents with limits in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import click
from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._acting import act_by, confirm, existing, say
from loco_redis.cli._console import shown, table
from loco_redis.cli._errors import Broken
from loco_redis.cli._groups import Listing
from loco_redis.cli._options import json_option, limit_option, resource_options, yes_option
from loco_redis.cli._report import documented, emit
from loco_redis.cli._rows import cut
from loco_redis.cli.change._units import Limit, amount, chosen, counted
from loco_redis.governance import MultiTenantScheduler
from loco_redis.governance._stored import left_of
from loco_redis.observe import Observer
from loco_redis.observe import rules as stored
from loco_redis.observe.rules import Rules, TenantRule


@dataclass(frozen=True)
class TenantRow:
    """A tenant; costs in units, null where there is no limit. `agents`: registered ones; `spent`:
    settled since it has a ceiling or, without one, since the resource exists; `unsettled` and
    `reserved` are kept only with a ceiling; `holding`: slots held."""

    tenant_id: str
    agents: int
    max_agents: int | None
    spent: float
    unsettled: float
    reserved: float
    ceiling: float | None
    left: float | None
    over: float
    holding: int
    max_slots: int | None


@dataclass(frozen=True)
class TenantsReport:
    """The tenants of a resource; `total` counts those that are not listed, too."""

    resource: str
    total: int
    tenants: list[TenantRow]


def fetch(observer: Observer, limit: int) -> TenantsReport:
    rules = Rules.read(observer).tenants
    if not rules:
        return TenantsReport(observer.name, 0, [])
    accounts = stored.standings(observer, "t", rules)
    agents, costs = stored.agents_by_tenant(observer), stored.costs_by_tenant(observer)
    holding = Counter(
        holder.agent_id.partition("/")[0]
        for holder in observer.requests().holders
        if "/" in holder.agent_id
    )
    rows = []
    for name, rule in rules.items():
        account = accounts[name]
        rows.append(
            TenantRow(
                tenant_id=name,
                agents=agents.get(name, 0),
                max_agents=rule.max_agents,
                spent=costs.get(name, 0.0) if rule.ceiling is None else account.spent,
                unsettled=account.unsettled,
                reserved=account.reserved,
                ceiling=rule.ceiling,
                left=left_of(account),
                over=account.over,
                holding=holding[name],
                max_slots=rule.max_slots,
            )
        )
    return TenantsReport(observer.name, len(rows), rows[:limit])


def view(report: TenantsReport) -> RenderableType:
    if not report.tenants:
        return Text(f"{report.resource} has no tenants: see `loco-redis tenants set -h`")
    made = table("tenant", "agents", "slots", "ceiling", "spent", "unsettled", "reserved", "left")
    for row in report.tenants:
        made.add_row(
            Text(shown(row.tenant_id)),
            _of(row.agents, row.max_agents),
            _of(row.holding, row.max_slots),
            amount(row.ceiling, "none"),
            *(amount(value) for value in (row.spent, row.unsettled, row.reserved)),
            Text(amount(row.left), style="red" if row.left == 0 else ""),
        )
    return cut(made, len(report.tenants), report.total)


def _of(count: int, most: int | None) -> str:
    return f"{count:,}" if most is None else f"{count:,} of {most:,}"


@click.group("tenants", cls=Listing)
def command() -> None:
    """Show and change tenants. These are groups of agents with limits in common. Without a command:
    `list`.

    Example:  loco-redis tenants set acme --max-slots 2
    """


@documented(TenantsReport)
@command.command("list")
@resource_options
@limit_option
@json_option
def list_(redis: str | None, name: str | None, limit: int, as_json: bool) -> None:
    """List tenants with their limits and what they use. The agent `acme/x` is of tenant `acme`.

    Example:  loco-redis tenants list --json
    """
    with existing(redis, name) as observer:
        emit(fetch(observer, limit), as_json, view)


@command.command("set")
@click.argument("tenant")
@click.option("--max-agents", type=Limit(int), help="Most agents that may be registered.")
@click.option("--ceiling", type=Limit(), help="Most that its agents together may spend.")
@click.option("--max-slots", type=Limit(int), help="Most slots held at once; 0 pauses it.")
@resource_options
def set_(
    redis: str | None,
    name: str | None,
    tenant: str,
    max_agents: int | str | None,
    ceiling: float | str | None,
    max_slots: int | str | None,
) -> None:
    """Make TENANT known, or change its limits. What is not given stays, `none` removes. Who is
    beyond a new limit keeps what it has.

    Example:  loco-redis tenants set acme --max-agents 10 --ceiling 500 --max-slots none
    """
    with existing(redis, name) as observer:
        before = Rules.read(observer).tenants.get(tenant)
        known = before or TenantRule(None, None, None)
        after = TenantRule(
            chosen(max_agents, known.max_agents),
            chosen(ceiling, known.ceiling),
            chosen(max_slots, known.max_slots),
        )

        async def change(tenants: MultiTenantScheduler) -> None:
            await tenants.register_tenant(tenant, *after)

        act_by(MultiTenantScheduler, "tenants set", observer, change)
        limits = (
            f"{amount(after.max_agents, 'any number of')} agents",
            f"{amount(after.max_slots, 'any number of')} slots",
            "no ceiling" if after.ceiling is None else f"a ceiling of {amount(after.ceiling)}",
        )
        say(f"{tenant}{'' if before else ', a new tenant,'} has {', '.join(limits)}")


@command.command("rm")
@click.argument("tenant")
@resource_options
@yes_option
def rm(redis: str | None, name: str | None, tenant: str, yes: bool) -> None:
    """Forget TENANT with its agents and its account. Not while they have any work.

    Example:  loco-redis tenants rm acme
    """
    with existing(redis, name) as observer:
        rows = {row.tenant_id: row for row in fetch(observer, 10**9).tenants}
        if tenant not in rows:
            raise Broken(f"{observer.name} has no tenant {shown(tenant)}")
        row = rows[tenant]
        agents = counted(row.agents, "registered agent")
        spent = amount(row.spent)
        confirm(
            Text(f"forget tenant {tenant}: its limits, {agents}, and that it has spent {spent}"),
            yes,
        )

        async def forget(tenants: MultiTenantScheduler) -> None:
            await tenants.unregister_tenant(tenant)

        act_by(MultiTenantScheduler, "tenants rm", observer, forget)
        say(f"done: {tenant} is forgotten")
