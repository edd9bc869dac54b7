"""Budgets: what each agent may spend, in all or in each day, month or other period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from loco_redis import _validate as validate
from loco_redis.governance import _rules as rules
from loco_redis.governance import _stored as stored
from loco_redis.governance._arguments import by_agent, thousandths
from loco_redis.governance._policy import BuiltInPolicy
from loco_redis.governance._rules import REMOVED, Governor, Use, govern

if TYPE_CHECKING:
    from loco_redis._replies import Standing
    from loco_redis._session import Session

Period = str | float | None

_MODES = {"reject": "r", "alert": "a", "downgrade": "d"}
_MODE_NAMES = {letter: name for name, letter in _MODES.items()}
_MAX_PERIOD = 1e9  # seconds


class BudgetPolicy(BuiltInPolicy):
    """The definition of the agents' budgets. A task reserves its `cost` (or weight) when it is
    asked for, and spends what it is settled at, or else its cost, when it has succeeded.

    Args:
        default_limit: what an agent may spend (units of cost); None: no limit.
        on_exceeded: "reject" raises BudgetExceededError; "alert" lets the task in, records an alert
            and logs; "downgrade" lets it in with `lease.downgraded` set.
        period: spending begins anew each "day", "month" (both UTC) or so many seconds; None: never.
        limits: of single agents, instead of the default.

    What is left at its default is left as it is stored: a policy that only sets `limits` changes
    nothing for other agents.

    Raises:
        ValueError: any of them out of range.
    """

    name = "budget"
    _common, _own = b"b", b"B"

    def __init__(
        self,
        default_limit: float | None = None,
        on_exceeded: str = "reject",
        period: Period = None,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        if not isinstance(on_exceeded, str) or on_exceeded not in _MODES:
            raise ValueError(
                "on_exceeded must be 'reject', 'alert' or 'downgrade', "
                f"got {validate.shown(on_exceeded)}"
            )
        if default_limit is not None:
            thousandths("default_limit", default_limit)
        if period is not None and period not in ("day", "month"):
            _check_period(period)
        self.default_limit, self.on_exceeded, self.period = default_limit, on_exceeded, period
        self._limits: dict[str, float] = {}
        for agent_id, limit in by_agent("limits", limits):
            thousandths(f"the limit of {agent_id!r}", limit)
            self._limits[agent_id] = limit

    def __repr__(self) -> str:
        return (
            f"BudgetPolicy(default_limit={self.default_limit!r}, on_exceeded={self.on_exceeded!r}, "
            f"period={self.period!r}, limits={self._limits!r})"
        )

    @property
    def limits(self) -> Mapping[str, float]:
        return MappingProxyType(self._limits)

    def _rules(self) -> dict[bytes, bytes]:
        default = self.default_limit
        units = None if default is None else thousandths("default_limit", default)
        changes: dict[bytes, bytes] = {}
        if (default, self.on_exceeded, self.period) != (None, "reject", None):
            changes = rules.budget(units, _MODES[self.on_exceeded], _period_text(self.period))
        for agent_id, limit in self._limits.items():
            changes |= rules.limit(agent_id.encode(), thousandths("limit", limit))
        return changes

    async def summary(self) -> dict[str, Any]:
        """The definition that holds now, in Redis: default_limit, on_exceeded, period, limits."""
        common, own = await self._stored(await self._session())
        default, mode, period = (common or b"|r|").decode().split("|")
        return {
            "default_limit": int(default) / 1000 if default else None,
            "on_exceeded": _MODE_NAMES[mode],
            "period": int(period) / 1e6 if period.isdigit() else period or None,
            "limits": {agent: int(limit) / 1000 for agent, limit in own.items()},
        }


@dataclass(frozen=True, slots=True)
class BudgetAlert:
    """An agent was let in beyond its limit: `asked` would come to the `used` (units of cost)."""

    at: datetime
    agent_id: str
    limit: float
    used: float
    asked: float


class BudgetManager(Governor):
    """Reads and changes the agents' budgets, which the whole fleet shares; `scheduler.budget`.

    An agent's account is kept while it has a limit; without one, only `record_spend` counts. All
    amounts are in units of cost, to a thousandth; arguments out of range are ValueErrors.

    Args: as of BudgetPolicy.
    """

    _option = "budget={}"

    def __init__(
        self,
        default_limit: float | None = None,
        on_exceeded: str = "reject",
        period: Period = None,
    ) -> None:
        self._policy = BudgetPolicy(default_limit, on_exceeded, period)

    @classmethod
    def of(cls, budget: BudgetPolicy | BudgetManager) -> BudgetManager:
        """A manager for this definition; a manager itself as it is."""
        if isinstance(budget, BudgetManager):
            return budget
        if not isinstance(budget, BudgetPolicy):
            raise ValueError(
                "budget must be a BudgetPolicy or a BudgetManager, such as "
                f"BudgetPolicy(default_limit=100), got {validate.shown(budget)}"
            )
        manager = cls(budget.default_limit, budget.on_exceeded, budget.period)
        manager._policy._limits.update(budget.limits)  # its own: `set_limit` changes it
        return manager

    @classmethod
    def over(cls, policy: BudgetPolicy) -> BudgetManager:
        """A manager that changes this very definition, which an enforcer holds, too."""
        manager = cls()
        manager._policy = policy
        return manager

    def __repr__(self) -> str:
        return f"<BudgetManager of {self._policy!r}>"

    @property
    def policy(self) -> BudgetPolicy:
        """The definition as this process has set it."""
        return self._policy

    def _bind(self, use: Use) -> None:
        super()._bind(use)
        self._policy._bind(use)

    def _rules(self) -> dict[bytes, bytes]:
        return self._policy._rules()

    async def set_limit(self, agent_id: str, max_cost: float) -> None:
        """What the agent may spend from now on, for the whole fleet."""
        agent, units = validate.agent_id(agent_id), thousandths("max_cost", max_cost)
        await govern(await self._session(), rules.limit(agent, units))
        self._policy._limits[agent_id] = max_cost

    async def remove_limit(self, agent_id: str) -> None:
        """Back to the default limit: without one, the agent is uncapped."""
        agent = validate.agent_id(agent_id)
        await govern(await self._session(), {b"B" + agent: REMOVED})
        self._policy._limits.pop(agent_id, None)

    async def get_limit(self, agent_id: str) -> float | None:
        """The agent's own limit or else the default; None when it is uncapped."""
        return (await self._standing(agent_id)).limit

    async def check(self, agent_id: str, task_cost: float) -> bool:
        """Does this cost fit into what remains? Reserves nothing and refuses nothing."""
        units = validate.cost(task_cost)
        left = stored.left_of(await self._standing(agent_id))
        return left is None or units <= round(left * 1000)

    async def record_spend(self, agent_id: str, cost: float) -> None:
        """Book what was spent outside of any lease; it is never refused."""
        agent, units = validate.agent_id(agent_id), validate.cost(cost)
        await self._spend(b"a" + agent, units)

    async def spent(self, agent_id: str) -> float:
        """Spent in the present period, without what is unsettled."""
        return (await self._standing(agent_id)).spent

    async def unsettled(self, agent_id: str) -> float:
        """Reserved by holders that were given up, and not settled by them since."""
        return (await self._standing(agent_id)).unsettled

    async def reserved(self, agent_id: str) -> float:
        """Reserved by what is queued, waits or holds."""
        return (await self._standing(agent_id)).reserved

    async def remaining(self, agent_id: str) -> float | None:
        """The limit less spent, unsettled and reserved, at least 0.0; None when uncapped."""
        return stored.left_of(await self._standing(agent_id))

    async def reset(self, agent_id: str) -> None:
        """Set spent and unsettled back to nothing; what is reserved stays."""
        await self._spend(b"a" + validate.agent_id(agent_id), None)

    async def reset_all(self) -> None:
        """The same for every agent."""
        await self._spend(b"", None)

    async def summary(self) -> dict[str, dict[str, float | None]]:
        """Agent -> its limit, spent, unsettled, reserved, remaining; of all agents that have an
        account (at most 10,000) or a limit of their own."""
        session = await self._session()
        found = [s for s in await stored.all_standings(session) if s.scope[0] == "a"]
        _, own = await self._policy._stored(session)
        others = sorted(own.keys() - {s.scope[1:] for s in found})
        found += await stored.standings(session, [b"a" + agent.encode() for agent in others])
        return {s.scope[1:]: _figures(s) for s in found}

    async def alerts(self) -> list[BudgetAlert]:
        """The last 1,000 times that an agent was let in beyond its limit (on_exceeded="alert"),
        oldest first."""
        session = await self._session()
        command = ("LRANGE", session.scripts.keys.alerts, 0, -1)
        rows = (await session.outbox.send_raw(session.backend_timeout, *command)).reply
        return [_alert(row) for row in reversed(rows)]

    async def _standing(self, agent_id: str) -> Standing:
        agent = validate.agent_id(agent_id)
        return await stored.standing(await self._session(), b"a" + agent)

    async def _spend(self, scope: bytes, cost: int | None) -> None:
        session: Session = await self._session()
        await session.once(session.scripts.spend, scope=scope, cost=cost)


def _check_period(period: Period) -> None:
    try:
        validate.seconds("period", period, 0.001, _MAX_PERIOD)
    except ValueError as error:
        raise ValueError(f"{error}; or be 'day', 'month' or None") from None


def _period_text(period: Period) -> str:
    if period is None or isinstance(period, str):
        return period or ""
    return str(round(period * rules.MICROSECONDS))


def _figures(s: Standing) -> dict[str, float | None]:
    return {
        "limit": s.limit,
        "spent": s.spent,
        "unsettled": s.unsettled,
        "reserved": s.reserved,
        "over": s.over,
        "remaining": stored.left_of(s),
    }


def _alert(row: bytes) -> BudgetAlert:
    at, limit, used, asked, agent = row.split(b"|", 4)
    return BudgetAlert(
        at=datetime.fromtimestamp(int(at) / 1e6, UTC),
        agent_id=agent.decode(),
        limit=int(limit) / 1000,
        used=int(used) / 1000,
        asked=int(asked) / 1000,
    )
