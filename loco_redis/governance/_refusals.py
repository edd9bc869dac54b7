"""Refusals of the scripts as the errors that their callers get."""

from __future__ import annotations

from loco_redis._replies import Refusal
from loco_redis.errors import (
    BudgetExceededError,
    LocoRedisError,
    PolicyViolationError,
    ResourceFullError,
    TenantCostExceededError,
    TenantLimitError,
)


def error_of(refusal: Refusal, agent_id: str) -> LocoRedisError:
    """What to raise for a refusal, whose facts are in thousandths and microseconds."""
    policy, facts = refusal.policy, refusal.facts
    tenant = agent_id.partition("/")[0]
    if policy == "full":
        what, most = facts[0], int(facts[1])
        return ResourceFullError(what, most // 1000 if what == "weight" else most)
    if policy == "budget":
        return BudgetExceededError(agent_id, *_units(facts))
    if policy == "tenant":
        return TenantCostExceededError(tenant, agent_id, *_units(facts))
    if policy == "tenant_agents":
        return TenantLimitError(tenant, int(facts[0]))
    if policy == "access":
        return PolicyViolationError(
            policy,
            agent_id,
            f"data labelled {facts[0]!r} is not for it: add the label to its rule, "
            "or let another agent do it",
        )
    if policy == "rate":
        rate, period, wait = int(facts[0]) / 1000, int(facts[1]) / 1e6, int(facts[2]) / 1e6
        detail = f"it may start {rate:g} tasks in {period:g} s: retry in {wait:.3g} s"
        return PolicyViolationError(policy, agent_id, detail, retry_after=wait)
    return PolicyViolationError(policy, agent_id, ", ".join(facts) or "no reason given")


def _units(facts: tuple[str, ...]) -> tuple[float, float, float]:
    limit, used, asked = (int(fact) / 1000 for fact in facts)
    return limit, used, asked
