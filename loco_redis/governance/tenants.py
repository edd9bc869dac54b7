"""Tenants: groups of agents with limits in common, on one scheduler."""

from __future__ import annotations

import re
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from loco_redis import _hashes as hashes
from loco_redis import _validate as validate
from loco_redis._replies import Status
from loco_redis.errors import AgentBusyError, UnknownTenantError
from loco_redis.governance import _rules as rules
from loco_redis.governance import _stored as stored
from loco_redis.governance._arguments import thousandths
from loco_redis.governance._rules import REMOVED, govern
from loco_redis.governance._tenant_stats import (
    TenantStats,
    costs_by_tenant,
    limits_of,
    stats_of,
)
from loco_redis.models import Agent, SharedResource, Task

__all__ = ["MultiTenantScheduler", "TenantStats"]

if TYPE_CHECKING:
    from loco_redis._acquisition import Acquisition
    from loco_redis._session import Session
    from loco_redis.lease import Lease


class MultiTenantScheduler:
    """An AsyncLOCOScheduler (`.scheduler`) whose agents belong to tenants. In Redis and in metrics
    an agent is named `tenant/agent`, so agents of different tenants never collide.

    Tenants are known to the whole fleet. Their ids are 1 to 64 characters out of A-Z a-z 0-9 _ -;
    others are ValueErrors.

    Args:
        resource: what is shared.
        options: as of AsyncLOCOScheduler.
    """

    def __init__(self, resource: SharedResource, **options: Any) -> None:
        from loco_redis.scheduler import AsyncLOCOScheduler  # which imports this package

        self.scheduler = AsyncLOCOScheduler(resource=resource, **options)
        self._registered: dict[bytes, bytes] = {}  # rules set here: set anew with an emptied server

    def __repr__(self) -> str:
        return f"<MultiTenantScheduler {self.scheduler!r}>"

    async def __aenter__(self) -> Self:
        await self.scheduler.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # Tenants

    async def register_tenant(
        self,
        tenant_id: str,
        max_agents: int | None = None,
        cost_ceiling: float | None = None,
        max_concurrency: int | None = None,
    ) -> None:
        """Make a tenant known; again to change its limits, None taking one away. Who is beyond a
        new limit keeps what it has.

        Args:
            max_agents: most agents that may be registered.
            cost_ceiling: most that its agents together may spend, reserve and leave unsettled.
            max_concurrency: most slots held at once; 0 pauses the tenant.
        """
        tenant = _tenant(tenant_id)
        validate.whole("max_agents", max_agents, 0)
        validate.whole("max_concurrency", max_concurrency, 0)
        ceiling = None if cost_ceiling is None else thousandths("cost_ceiling", cost_ceiling)
        rule = rules.tenant(tenant, max_agents, ceiling, max_concurrency)
        await govern(await self._use(), rule)
        self._registered |= rule

    async def unregister_tenant(self, tenant_id: str) -> None:
        """Forget a tenant, its agents and its account.

        Raises:
            UnknownTenantError: there is none.
            AgentBusyError: one of its agents has tasks queued, waits or holds.
        """
        field = b"t" + _tenant(tenant_id)
        session = await self._use()
        await self._rule(session, tenant_id)
        if (await govern(session, {field: REMOVED})).status is Status.AGENT_BUSY:
            raise AgentBusyError(f"{tenant_id}/*")
        self._registered.pop(field, None)

    async def tenant_stats(self, tenant_id: str) -> TenantStats:
        """The tenant as it is now. Raises UnknownTenantError."""
        session = await self._connected()
        rule = await self._rule(session, tenant_id)
        return (await stats_of(self.scheduler, session, {tenant_id: rule}))[tenant_id]

    async def all_tenants(self) -> dict[str, TenantStats]:
        """Tenant id -> its stats."""
        session = await self._connected()
        found = await hashes.scan(session, session.scripts.keys.rules, b"t*")
        known = {field[1:].decode(): rule for field, rule in sorted(found.items())}
        return await stats_of(self.scheduler, session, known)

    async def tenant_cost(self, tenant_id: str) -> float:
        """What its agents have spent. Raises UnknownTenantError."""
        session = await self._connected()
        rule = await self._rule(session, tenant_id)
        if limits_of(rule)[1] is None:
            return (await costs_by_tenant(self.scheduler))[tenant_id]
        return (await stored.standing(session, b"t" + tenant_id.encode())).spent

    async def tenant_remaining(self, tenant_id: str) -> float | None:
        """What its agents may still spend; None without a ceiling. Raises UnknownTenantError."""
        session = await self._connected()
        await self._rule(session, tenant_id)
        return stored.left_of(await stored.standing(session, b"t" + tenant_id.encode()))

    async def agent_tenant(self, agent_id: str) -> str | None:
        """The registered tenant of an agent by its full name, `tenant/agent`; None without one."""
        validate.agent_id(agent_id)
        tenant_id, slash, agent = agent_id.partition("/")
        if not (slash and agent and re.fullmatch(validate.NAME_PATTERN, tenant_id)):
            return None
        session = await self._connected()
        return tenant_id if await self._find(session, tenant_id) is not None else None

    # Agents, tasks, slots

    async def register_agent(self, tenant_id: str, agent: Agent) -> None:
        """Make an agent of the tenant known, by its name within the tenant.

        Raises:
            UnknownTenantError: there is no such tenant.
            TenantLimitError: it has as many agents as it may.
        """
        if not isinstance(agent, Agent):
            raise ValueError(f"agent must be an Agent, got {validate.shown(agent)}")
        agent = replace(agent, agent_id=_full_name(tenant_id, agent.agent_id))
        await self._rule(await self._use(), tenant_id)
        await self.scheduler.register_agent(agent)

    async def submit_task(self, tenant_id: str, agent_id: str, task: Task | None = None) -> str:
        """As AsyncLOCOScheduler.submit_task, for an agent of the tenant.

        Raises:
            UnknownTenantError: there is no such tenant.
            TenantCostExceededError, TenantLimitError: it would go beyond its limits.
        """
        agent = _full_name(tenant_id, agent_id)
        await self._rule(await self._use(), tenant_id)
        return await self.scheduler.submit_task(agent, task)

    def acquire(
        self, tenant_id: str, agent_id: str, task: Task | None = None, **options: Any
    ) -> TenantAcquisition:
        """As AsyncLOCOScheduler.acquire, for an agent of the tenant.

        Raises:
            ValueError: at once, for bad arguments. When entered, besides what that raises:
            UnknownTenantError, TenantCostExceededError, TenantLimitError.
        """
        inner = self.scheduler.acquire(_full_name(tenant_id, agent_id), task, **options)
        return TenantAcquisition(self, tenant_id, inner)

    async def shutdown(self, timeout: float = 30.0) -> dict[str, int]:
        """As AsyncLOCOScheduler.shutdown."""
        return await self.scheduler.shutdown(timeout)

    async def aclose(self) -> None:
        """As AsyncLOCOScheduler.aclose."""
        await self.scheduler.aclose()

    # Inside

    async def _use(self) -> Session:
        """The open session, for new work."""
        session = await self.scheduler._use()
        if self._rules not in session.belongings.rules:
            session.belongings.rules.append(self._rules)
        return session

    async def _connected(self) -> Session:
        return await self.scheduler._connected()

    def _rules(self) -> dict[bytes, bytes]:
        return self._registered

    async def _find(self, session: Session, tenant_id: str) -> bytes | None:
        field = b"t" + _tenant(tenant_id)
        return await hashes.get(session, session.scripts.keys.rules, field)

    async def _rule(self, session: Session, tenant_id: str) -> bytes:
        rule = await self._find(session, tenant_id)
        if rule is None:
            raise UnknownTenantError(tenant_id)
        return rule


class TenantAcquisition:
    """`async with scheduler.acquire(tenant, agent) as lease:`; for one use."""

    __slots__ = ("_inner", "_scheduler", "_tenant_id")

    def __init__(self, scheduler: MultiTenantScheduler, tenant_id: str, inner: Acquisition) -> None:
        self._scheduler, self._tenant_id, self._inner = scheduler, tenant_id, inner

    def __repr__(self) -> str:
        return repr(self._inner)

    async def __aenter__(self) -> Lease:
        await self._scheduler._rule(await self._scheduler._use(), self._tenant_id)
        return await self._inner.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc, traceback)


def _tenant(tenant_id: str) -> bytes:
    if not isinstance(tenant_id, str) or not re.fullmatch(validate.NAME_PATTERN, tenant_id):
        raise ValueError(f"tenant id must be {validate.NAME_RULE}, got {validate.shown(tenant_id)}")
    return tenant_id.encode()


def _full_name(tenant_id: str, agent_id: str) -> str:
    """What an agent of a tenant is called in Redis."""
    _tenant(tenant_id)
    validate.agent_id(agent_id)
    name = f"{tenant_id}/{agent_id}"
    validate.agent_id(name)
    return name
