"""How tenants stand, read from Redis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loco_redis import _hashes as hashes
from loco_redis.governance import _stored as stored

if TYPE_CHECKING:
    from loco_redis._session import Session
    from loco_redis.scheduler import AsyncLOCOScheduler


@dataclass(frozen=True, slots=True)
class TenantStats:
    """One tenant at one moment; costs in units, None where there is no limit.

    Attributes:
        agents: registered agents, by their names within the tenant.
        cost: settled; with a ceiling since that was set, else since the scheduler exists.
        unsettled, reserved: kept only with a ceiling.
        over: what real costs came to beyond the ceiling, at most.
        remaining: the ceiling less cost, unsettled and reserved, at least 0.0.
        holding: slots held.
    """

    tenant_id: str
    agents: tuple[str, ...]
    max_agents: int | None
    cost: float
    unsettled: float
    reserved: float
    over: float
    ceiling: float | None
    remaining: float | None
    holding: int
    max_concurrency: int | None


async def stats_of(
    scheduler: AsyncLOCOScheduler, session: Session, known: dict[str, bytes]
) -> dict[str, TenantStats]:
    """Tenant id -> its stats, of tenants given with their rules."""
    limits = {tenant: limits_of(rule) for tenant, rule in known.items()}
    pattern = b"%b/*" % (next(iter(known)).encode() if len(known) == 1 else b"*")
    registered = await hashes.scan(session, session.scripts.keys.agents, pattern)
    agents = _by_tenant(agent.decode() for agent in registered)
    accounts = await stored.standings(session, [b"t" + name.encode() for name in known])
    costs: dict[str, float] = {}
    holders: dict[str, list[str]] = {}
    if any(ceiling is None for _, ceiling, _ in limits.values()):
        costs = await costs_by_tenant(scheduler)
    if any(cap is None for *_, cap in limits.values()):
        snapshot = await scheduler.snapshot(max(1000, session.config.capacity))
        holders = _by_tenant(holder.agent_id for holder in snapshot.holders)
    found = {}
    for account in accounts:
        tenant = account.scope[1:]
        max_agents, ceiling, cap = limits[tenant]
        found[tenant] = TenantStats(
            tenant_id=tenant,
            agents=tuple(sorted(agents.get(tenant, ()))),
            max_agents=max_agents,
            cost=costs.get(tenant, 0.0) if ceiling is None else account.spent,
            unsettled=account.unsettled,
            reserved=account.reserved,
            over=account.over,
            ceiling=account.limit,
            remaining=stored.left_of(account),
            holding=len(holders.get(tenant, ())) if cap is None else account.held,
            max_concurrency=cap,
        )
    return found


async def costs_by_tenant(scheduler: AsyncLOCOScheduler) -> dict[str, float]:
    """Tenant id -> what its agents have been charged; 0.0 for others."""
    costs: defaultdict[str, float] = defaultdict(float)
    for agent, cost in (await scheduler.metrics.cost_by_agent()).items():
        tenant, slash, _ = agent.partition("/")
        if slash:
            costs[tenant] = round(costs[tenant] + cost, 3)
    return costs


def limits_of(rule: bytes) -> tuple[int | None, int | None, int | None]:
    """A tenant's rule: max_agents, ceiling (thousandths), max_concurrency."""
    most, ceiling, cap = (int(part) if part else None for part in rule.split(b"|"))
    return most, ceiling, cap


def _by_tenant(full_names: Iterable[str]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in full_names:
        tenant, slash, agent = name.partition("/")
        if slash:
            found[tenant].append(agent)
    return found
