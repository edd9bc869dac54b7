"""The built-in policies: who may work on which data, and how often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from loco_redis import _validate as validate
from loco_redis.governance import _rules as rules
from loco_redis.governance import _stored as stored
from loco_redis.governance._arguments import by_agent, thousandths
from loco_redis.governance._policy import BuiltInPolicy, Policy
from loco_redis.governance._rules import LABEL_SEPARATOR
from loco_redis.governance.enforcer import PolicyEnforcer

__all__ = ["AccessPolicy", "Policy", "PolicyEnforcer", "RatePolicy", "SecurityLabel"]

_MAX_LABEL_BYTES = 512
_MAX_PERIOD = 30 * 86400.0  # seconds
_MAX_RATE = 100_000  # tasks a second: more is beyond a clock of microseconds


class SecurityLabel(str, Enum):  # noqa: UP042  as the API says; a StrEnum does the same
    """How sensitive data is; any other text is a label, too."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"

    def __str__(self) -> str:
        return self.value


class AccessPolicy(BuiltInPolicy):
    """Which labels a task's data may have: `{"analyst": {"labels": ["public", "internal"]}}`.

    Agents without a rule and tasks without labels always pass; an agent with an empty list passes
    with unlabelled tasks only.

    Raises:
        ValueError: a rule of another form.
    """

    name = "access"
    _own = b"a"

    def __init__(self, rules: Mapping[str, Mapping[str, Iterable[str]]]) -> None:
        self._labels = {agent: _labels(agent, rule) for agent, rule in by_agent("rules", rules)}

    def __repr__(self) -> str:
        return f"AccessPolicy({self._labels!r})"

    def _rules(self) -> dict[bytes, bytes]:
        changes: dict[bytes, bytes] = {}
        for agent, labels in self._labels.items():
            # An empty value would remove the rule: two empty labels fit nothing.
            changes |= rules.access(agent.encode(), labels or ("", ""))
        return changes

    async def summary(self) -> dict[str, Any]:
        """{"rules": agent -> its labels}, as they hold now, in Redis."""
        _, own = await self._stored(await self._session())
        split = {agent: labels.decode().split(LABEL_SEPARATOR) for agent, labels in own.items()}
        return {"rules": {agent: [*filter(None, labels)] for agent, labels in split.items()}}


class RatePolicy(BuiltInPolicy):
    """How many tasks an agent may start in a period: a bucket of that many (at least one), which
    fills steadily, on the server's clock. Refused at once when it is empty.

    Args:
        limits: tasks in a period, of single agents.
        period: seconds, up to 30 days.
        default_limit: of all other agents; None: no limit.

    Raises:
        ValueError: any of them out of range.
    """

    name = "rate"
    _common, _own = b"r", b"R"

    def __init__(
        self,
        limits: Mapping[str, float] | None = None,
        period: float = 60.0,
        default_limit: float | None = None,
    ) -> None:
        self.period = validate.seconds("period", period, 0.001, _MAX_PERIOD)
        self.default_limit = default_limit
        self._default = None
        if default_limit is not None:
            self._default = self._rate("default_limit", default_limit)
        self._limits = dict(by_agent("limits", limits))
        self._rates = {
            agent: self._rate(f"the limit of {agent!r}", limit)
            for agent, limit in self._limits.items()
        }

    def __repr__(self) -> str:
        return (
            f"RatePolicy({self._limits!r}, period={self.period!r}, "
            f"default_limit={self.default_limit!r})"
        )

    def _rate(self, what: str, limit: float) -> int:
        units = thousandths(what, limit, 0.001)
        if limit > _MAX_RATE * self.period:
            raise ValueError(
                f"{what} must be at most {_MAX_RATE:,} tasks a second, got {limit:g} in "
                f"{self.period:g} s: leave such an agent out"
            )
        return units

    def _rules(self) -> dict[bytes, bytes]:
        changes = rules.rates(self._default, round(self.period * rules.MICROSECONDS))
        for agent, units in self._rates.items():
            changes |= rules.rate(agent.encode(), units)
        return changes

    async def remaining(self, agent_id: str) -> float | None:
        """Tasks that the agent may start at this moment, with the fraction that has filled up of
        the next; None without a limit."""
        agent = validate.agent_id(agent_id)
        now = await stored.standing(await self._session(), b"a" + agent)
        if now.rate is None:
            return None
        return max(0.0, max(now.rate, 1.0) - now.rate_wait * now.rate / now.rate_period)

    async def summary(self) -> dict[str, Any]:
        """The definition that holds now, in Redis: default_limit, period (seconds), limits."""
        common, own = await self._stored(await self._session())
        default, period = (common or b"|0").decode().split("|")
        return {
            "default_limit": int(default) / 1000 if default else None,
            "period": int(period) / 1e6,
            "limits": {agent: int(rate) / 1000 for agent, rate in own.items()},
        }


def _labels(agent: str, rule: Any) -> tuple[str, ...]:
    labels = rule.get("labels") if isinstance(rule, Mapping) else None
    if isinstance(labels, str) or not isinstance(labels, Iterable) or set(rule) != {"labels"}:
        raise ValueError(
            f"the rule of {agent!r} must be {{'labels': [...]}}, got {validate.shown(rule)}"
        )
    return tuple(_label(agent, label) for label in labels)


def _label(agent: str, label: Any) -> str:
    if isinstance(label, Enum):
        label = label.value
    encoded = validate.utf8(label)
    separated = encoded is not None and {"\0", LABEL_SEPARATOR} & {*label}
    if not encoded or separated or len(encoded) > _MAX_LABEL_BYTES:
        raise ValueError(
            f"a label of {agent!r} must be a text of at most {_MAX_LABEL_BYTES} UTF-8 bytes "
            f"without NUL and unit separator, got {validate.shown(label)}"
        )
    return str(label)
