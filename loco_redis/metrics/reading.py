"""All that metrics tell of a resource, read at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loco_redis._keys import Keys
from loco_redis._replies import Standing
from loco_redis._rows import AccountRow
from loco_redis.governance.slo import SLOState
from loco_redis.governance.trust import decayed
from loco_redis.observe.figures import Figures, read_figures
from loco_redis.observe.observer import Observer, Requests
from loco_redis.observe.rules import Rules, slo_rule, slo_waits, trust_rule
from loco_redis.snapshots import AgentSnapshot, Snapshot

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """A resource at one moment; its parts were read one after another.

    Attributes:
        agents: the greatest score first.
        budgets, ceilings: how agents and tenants with a limit stand, those nearest to it.
        trust: agent -> score; empty while trust is off.
        slo: the share of violations and the state; None without an SLO.
    """

    snapshot: Snapshot
    requests: Requests
    agents: list[AgentSnapshot]
    budgets: Mapping[str, Standing]
    ceilings: Mapping[str, Standing]
    trust: Mapping[str, float]
    slo: tuple[float, SLOState] | None
    figures: Figures


def read(observer: Observer, limit: int) -> Reading:
    """Pages and short commands only; nothing is written.

    Args:
        limit: most accounts of agents, and of tenants.

    Raises:
        UnknownResourceError: nothing is stored under its name.
        BackendError: Redis cannot be read.
    """
    now = observer.snapshot()
    rules = Rules.read(observer)
    accounts = observer.link.scan(Keys(observer.name).accounts, b"[ats]*")
    default = rules.budget.default_limit
    ceilings = {name: rule.ceiling for name, rule in rules.tenants.items()}
    budgets, tenants = _Limits(rules.limits, default), _Limits(ceilings, None)
    return Reading(
        snapshot=now,
        requests=observer.requests(now),
        agents=observer.agents(now),
        budgets=_nearest(observer, "a", accounts, budgets, limit),
        ceilings=_nearest(observer, "t", accounts, tenants, limit),
        trust=_trust(observer, now, accounts),
        slo=_slo(observer),
        figures=read_figures(observer),
    )


@dataclass(frozen=True, slots=True)
class _Limits:
    """What each may spend; None: no limit."""

    own: Mapping[str, float | None]
    default: float | None

    def used(self, name: str, row: bytes) -> float:
        """The share that is used up, as far as its period has not ended; -1 without a limit."""
        most = self.own.get(name, self.default)
        if most is None:
            return -1.0
        account = AccountRow.parse(row)
        spent = (account.spent + account.unsettled + account.reserved) / 1000
        return spent / most if most else 1.0


def _nearest(
    observer: Observer, kind: str, accounts: Mapping[bytes, bytes], limits: _Limits, count: int
) -> dict[str, Standing]:
    """Of those who have an account and a limit, at most `count`."""
    used = {
        name: share
        for field, row in accounts.items()
        if field.startswith(kind.encode())
        and (share := limits.used(name := field[1:].decode(errors="replace"), row)) >= 0
    }
    chosen = sorted(used, key=lambda name: (-used[name], name))[:count]
    if not chosen:
        return {}
    return {row.scope[1:]: row for row in observer.standings(*(kind + name for name in chosen))}


def _trust(observer: Observer, now: Snapshot, accounts: Mapping[bytes, bytes]) -> dict[str, float]:
    rule = trust_rule(observer)
    if rule is None:
        return {}
    clock, half_life = round(now.server_time * _MICROSECONDS), round(rule.half_life * _MICROSECONDS)
    return {
        field[1:].decode(errors="replace"): decayed(row, clock, half_life) / 1000
        for field, row in accounts.items()
        if field.startswith(b"s")
    }


def _slo(observer: Observer) -> tuple[float, SLOState] | None:
    rule = slo_rule(observer)
    if rule is None:
        return None
    counted, late, state = slo_waits(observer, rule)
    return (late / counted if counted else 0.0), state
