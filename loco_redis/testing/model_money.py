"""Budgets, ceilings and policies in the model: who is let in; what is reserved, spent, owed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from loco_redis._replies import Refusal, Standing
from loco_redis.testing.model_state import Account, State, Terms, held_by, tenant_of

DAY = 86_400_000_000
MAX_ALERTS = 1000
SEPARATOR = b"\x1f"


@dataclass(slots=True)
class Plan:
    """What a task that is let in reserves: accounts (with their period), and its terms."""

    agent: bytes
    weight: int
    cost: int
    tokens: int
    is_plain: bool
    flags: str = ""
    periods: tuple[str, ...] = ()
    rate_at: int | None = None
    joins: bool = False
    alert: bytes | None = None

    @property
    def terms(self) -> Terms | None:
        plain = self.is_plain and not self.flags
        return None if plain else Terms(self.cost, self.tokens, self.flags)


def gcra(at: int, now: int, amount: int, burst: int, limit: int, period: int) -> tuple[int, int]:
    """When the bucket is full again after taking `amount`, and how long that has to wait."""
    taken = math.floor(float(amount) * period / limit)
    room = math.ceil(float(burst) * period / limit)
    full = max(at, now)
    return full + taken, max(full + taken - now - max(room, taken), 0)


def window_of(period: str, now: int) -> int:
    if period == "":
        return 0
    if period == "month":
        day = datetime.fromtimestamp(now / 1e6, UTC)
        return day.year * 12 + day.month - 1
    return now // (DAY if period == "day" else int(period))


def account_of(state: State, name: bytes, now: int, period: str | None = None) -> Account:
    """A copy of the account as it stands in its present window."""
    account = state.accounts.get(name)
    if account is None:
        span = period or ""
        return Account(window=window_of(span, now), period=span)
    span = account.period if period is None else period
    window = window_of(span, now)
    if span != account.period or window > account.window:
        over = min(account.over, account.reserved)
        return Account(0, 0, account.reserved, over, window, span)
    return replace(account)


def limit_of(state: State, name: bytes) -> tuple[int | None, str, str]:
    """The limit of an account, its mode (r, a, d) and period."""
    if name[:1] == b"t":
        ceiling = state.rules.get(name, b"||").split(b"|")[1]
        return (int(ceiling) if ceiling else None), "r", ""
    default, mode, period = state.rules.get(b"b", b"|r|").split(b"|")
    limit = state.rules.get(b"B" + name[1:], default)
    return (int(limit) if limit else None), mode.decode(), period.decode()


def record_over(state: State, name: bytes, account: Account) -> None:
    limit = limit_of(state, name)[0]
    if limit is not None:
        account.over = max(account.over, account.used - limit)


def post(
    state: State,
    now: int,
    agent: bytes,
    flags: str,
    *,
    reserved: int = 0,
    spent: int = 0,
    unsettled: int = 0,
) -> None:
    """Change the accounts that the flags name; what goes beyond the limit is on record."""
    for flag in flags:
        if flag not in "at":
            continue
        name = flag.encode() + (agent if flag == "a" else tenant_of(agent) or b"")
        account = account_of(state, name, now)
        account.reserved += reserved
        account.spent = max(account.spent + spent, 0)
        account.unsettled = max(account.unsettled + unsettled, 0)
        if reserved + spent + unsettled > 0:
            record_over(state, name, account)
        state.accounts[name] = account


def refund(state: State, now: int, agent: bytes, terms: Terms | None, spent: int = 0) -> None:
    """A reservation ends: by what was spent, or by nothing."""
    if terms:
        post(state, now, agent, terms.flags, reserved=-terms.cost, spent=spent)


def reserve(state: State, now: int, agent: bytes, terms: Terms | None) -> None:
    if terms:
        post(state, now, agent, terms.flags, reserved=terms.cost)


def decide(state: State, now: int, agent: bytes, weight: int, given: bytes) -> Plan | Refusal:
    """Access, rate, the tenant's size, its ceiling, the budget: the first that refuses."""
    cost, tokens, labels = given.split(b":", 2) if given else (b"", b"", b"")
    plan = Plan(agent, weight, int(cost or weight), int(tokens or 0), not given)
    for check in (_access, _rate, _membership, _ceiling, _budget):
        facts = check(state, now, plan, labels)
        if facts:
            return Refusal(str(facts[0]), tuple(map(str, facts[1:])))
    return plan


Facts = tuple[object, ...] | None


def _access(state: State, _now: int, plan: Plan, labels: bytes) -> Facts:
    rule = state.rules.get(b"a" + plan.agent)
    if rule is None:
        return None
    allowed = rule.split(SEPARATOR)
    for label in filter(None, labels.split(SEPARATOR)):
        if label not in allowed:
            return "access", label.decode()
    return None


def _rate(state: State, now: int, plan: Plan, _labels: bytes) -> Facts:
    default, period = state.rules.get(b"r", b"|1").split(b"|")
    rate = state.rules.get(b"R" + plan.agent, default)
    if not rate:
        return None
    burst = max(int(rate), 1000)
    empty = now + math.ceil(float(burst) * int(period) / int(rate))
    at = min(state.rate_at.get(plan.agent, 0), empty)
    plan.rate_at, wait = gcra(at, now, 1000, burst, int(rate), int(period))
    return ("rate", int(rate), int(period), wait) if wait else None


def _membership(state: State, _now: int, plan: Plan, _labels: bytes) -> Facts:
    tenant = tenant_of(plan.agent)
    most = state.rules.get(b"t" + (tenant or b""), b"||").split(b"|")[0]
    if not tenant or not most or plan.agent in state.agents:
        return None
    if len(members(state, tenant)) >= int(most):
        return "tenant_agents", int(most)
    plan.joins = True
    return None


def members(state: State, tenant: bytes) -> list[bytes]:
    return [agent for agent in state.agents if tenant_of(agent) == tenant]


def _ceiling(state: State, now: int, plan: Plan, _labels: bytes) -> Facts:
    name = b"t" + (tenant_of(plan.agent) or b"")
    limit = limit_of(state, name)[0] if len(name) > 1 else None
    if limit is None:
        return None
    used = account_of(state, name, now, "").used
    if used + plan.cost > limit:
        return "tenant", limit, used, plan.cost
    plan.flags, plan.periods = "t", ("",)
    return None


def _budget(state: State, now: int, plan: Plan, _labels: bytes) -> Facts:
    name = b"a" + plan.agent
    limit, mode, period = limit_of(state, name)
    if limit is None:
        return None
    used = account_of(state, name, now, period).used
    if used + plan.cost > limit:
        if mode == "r":
            return "budget", limit, used, plan.cost
        plan.flags += "ae" if mode == "a" else "ad"
        if mode == "a":
            plan.alert = b"%d|%d|%d|%d|%b" % (now, limit, used, plan.cost, plan.agent)
    else:
        plan.flags += "a"
    plan.periods += (period,)
    return None


def admit(state: State, now: int, plan: Plan) -> None:
    """Carry a plan out. Only what was let in beyond its limit is on record as over."""
    if plan.rate_at is not None:
        state.rate_at[plan.agent] = plan.rate_at
    if plan.joins:
        state.agents[plan.agent] = ""
    accounts = [flag for flag in plan.flags if flag in "at"]
    for flag, period in zip(accounts, plan.periods, strict=True):
        name = flag.encode() + (plan.agent if flag == "a" else tenant_of(plan.agent) or b"")
        account = account_of(state, name, now, period)
        account.reserved += plan.cost
        if set(plan.flags) & {"d", "e"}:
            record_over(state, name, account)
        state.accounts[name] = account
    if plan.alert:
        state.alerts = [plan.alert, *state.alerts][:MAX_ALERTS]


def standing(state: State, now: int, scope: bytes) -> Standing:
    """What `standing` says of an agent or tenant."""
    limit, mode, period = limit_of(state, scope)
    account = account_of(state, scope, now, None if limit is None else period)
    name = scope[1:]
    rate, span, wait = b"", b"", 0
    if scope[:1] == b"t":
        cap = state.rules.get(scope, b"||").split(b"|")[2]
    else:
        cap = state.rules.get(b"c" + name, b"")
        default, span = state.rules.get(b"r", b"|0").split(b"|")
        rate = state.rules.get(b"R" + name, default)
        wait = max(state.rate_at.get(name, 0) - now, 0) if rate else 0
    held = held_by(state, scope) if cap else 0
    return Standing(
        scope=scope.decode(),
        limit=None if limit is None else limit / 1000,
        mode=mode,
        period=str(int(period) / 1e6) if period.isdigit() else period,
        spent=account.spent / 1000,
        unsettled=account.unsettled / 1000,
        reserved=account.reserved / 1000,
        over=account.over / 1000,
        cap=int(cap) if cap else None,
        held=held,
        rate=int(rate) / 1000 if rate else None,
        rate_period=int(span or 0) / 1e6,
        rate_wait=wait / 1e6,
    )
