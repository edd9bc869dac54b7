"""Rules and accounts of governance as values, read by plain commands (`lua/README.md`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from loco_redis._keys import Keys
from loco_redis._replies import Standing
from loco_redis.governance._rules import LABEL_SEPARATOR, MICROSECONDS
from loco_redis.governance._tenant_stats import limits_of
from loco_redis.governance.slo import SLOState, _Reading
from loco_redis.governance.trust import TrustScorer, TrustStats, _percent, decayed
from loco_redis.observe.observer import Observer

MODES = {"r": "reject", "a": "alert", "d": "downgrade"}
Period = str | float | None  # "day", "month" (UTC), seconds, or None: never
_PAGE = 500  # accounts in one script


class BudgetRule(NamedTuple):
    """What agents without a limit of their own may spend; mode and period are everybody's."""

    default_limit: float | None
    mode: str
    period: Period


class TenantRule(NamedTuple):
    """None: no limit."""

    max_agents: int | None
    ceiling: float | None
    max_slots: int | None


class RateRule(NamedTuple):
    """Tasks per period for agents without a rate of their own; the seconds are everybody's."""

    default: float | None
    period: float


class TrustRule(NamedTuple):
    """Ticks that a task may wait, and seconds after which a score is half way back to 500."""

    slo_target: int
    half_life: float


class SLORule(NamedTuple):
    """Ticks that a task may wait, how many waits count, and from which shares on it is bad."""

    target_wait: int
    window: int
    warn: float
    critical: float


@dataclass(frozen=True)
class Rules:
    """All rules of a resource, by kind; `stored` is the hash as it is."""

    stored: Mapping[bytes, bytes]

    @classmethod
    def read(cls, observer: Observer) -> Rules:
        return cls(observer.link.scan(Keys(observer.name).rules))

    @property
    def budget(self) -> BudgetRule:
        default, mode, period = self.stored.get(b"b", b"|r|").decode().split("|")
        limit = int(default) / 1000 if default else None
        return BudgetRule(limit, MODES[mode], period_of(period))

    @property
    def limits(self) -> dict[str, float]:
        """Agent -> its own budget."""
        return {agent: int(value) / 1000 for agent, value in self._of("B").items()}

    @property
    def tenants(self) -> dict[str, TenantRule]:
        found = {}
        for name, row in self._of("t").items():
            most, ceiling, slots = limits_of(row)
            found[name] = TenantRule(most, None if ceiling is None else ceiling / 1000, slots)
        return found

    @property
    def labels(self) -> dict[str, list[str]]:
        """Agent -> the labels that its tasks may have."""
        return {
            agent: [label for label in row.decode().split(LABEL_SEPARATOR) if label]
            for agent, row in self._of("a").items()
        }

    @property
    def rate(self) -> RateRule | None:
        row = self.stored.get(b"r")
        if row is None:
            return None
        default, period = row.decode().split("|")
        return RateRule(int(default) / 1000 if default else None, int(period) / MICROSECONDS)

    @property
    def rates(self) -> dict[str, float]:
        """Agent -> how many of its tasks are let in per period."""
        return {agent: int(value) / 1000 for agent, value in self._of("R").items()}

    @property
    def caps(self) -> dict[str, int]:
        """Agent -> the most slots that it may hold."""
        return {agent: int(value) for agent, value in self._of("c").items()}

    def _of(self, kind: str) -> dict[str, bytes]:
        prefix = kind.encode()
        return {
            field[1:].decode(errors="replace"): value
            for field, value in sorted(self.stored.items())
            if field.startswith(prefix)
            # The rule of all agents for budgets and rates is the bare letter.
            and len(field) > 1
        }


def period_of(text: str) -> Period:
    """Of a stored period, in microseconds or by name."""
    return int(text) / MICROSECONDS if text.isdigit() else text or None


def standings(observer: Observer, kind: str, also: Mapping[str, object]) -> dict[str, Standing]:
    """How agents ("a") or tenants ("t") stand that have an account, and those named besides; by
    name, in pages so that many block nobody."""
    accounts = observer.link.scan(Keys(observer.name).accounts, kind.encode() + b"*")
    names = sorted({field[1:].decode(errors="replace") for field in accounts} | set(also))
    found: dict[str, Standing] = {}
    for start in range(0, len(names), _PAGE):
        page = [kind + name for name in names[start : start + _PAGE]]
        found.update((row.scope[1:], row) for row in observer.standings(*page))
    return found


def costs_by_tenant(observer: Observer) -> dict[str, float]:
    """Tenant -> what its agents have been charged since the scheduler exists."""
    found: defaultdict[str, float] = defaultdict(float)
    for agent, cost in observer.link.scan(Keys(observer.name).costs, b"*/*").items():
        tenant = agent.decode(errors="replace").partition("/")[0]
        found[tenant] = round(found[tenant] + int(cost) / 1000, 3)
    return found


def agents_by_tenant(observer: Observer) -> dict[str, int]:
    """Tenant -> how many agents it has registered."""
    found: defaultdict[str, int] = defaultdict(int)
    for agent in observer.link.scan(Keys(observer.name).agents, b"*/*"):
        found[agent.decode(errors="replace").partition("/")[0]] += 1
    return found


def trust_rule(observer: Observer) -> TrustRule | None:
    """None while trust is off."""
    row = observer.link.call("HGET", Keys(observer.name).rules, "s")
    if row is None:
        return None
    target, half_life = map(int, row.split(b"|"))
    return TrustRule(target, half_life / MICROSECONDS)


def trust(observer: Observer, now: float, rule: TrustRule | None) -> dict[str, TrustStats]:
    """Agent -> its record and its score at `now` (epoch seconds by the server), of all scored."""
    half_life = rule.half_life if rule else TrustScorer().decay_half_life
    rows = observer.link.scan(Keys(observer.name).accounts, b"s*")
    return {
        field[1:].decode(errors="replace"): _trust_stats(row, now, half_life)
        for field, row in rows.items()
    }


def _trust_stats(row: bytes, now: float, half_life: float) -> TrustStats:
    score = decayed(row, round(now * MICROSECONDS), round(half_life * MICROSECONDS))
    return TrustStats(score / 1000, _percent(score) / 100, *map(int, row.split(b"|")[2:]))


def slo_rule(observer: Observer) -> SLORule | None:
    """None where no SLO is watched."""
    row = observer.link.call("HGET", Keys(observer.name).rules, "o")
    if row is None:
        return None
    target, window, warn, critical = row.split(b"|")
    return SLORule(int(target), int(window), float(warn), float(critical))


def slo_waits(observer: Observer, rule: SLORule) -> tuple[int, int, SLOState]:
    """Of the last waits of the fleet: how many count, how many were late, and how bad that is."""
    row = observer.link.call("HGET", Keys(observer.name).accounts, "o") or b""
    waits = row[-rule.window :]
    late = waits.count(b"1")
    rate = late / len(waits) if waits else 0.0
    return len(waits), late, _Reading(rate, rule.warn, rule.critical).state
