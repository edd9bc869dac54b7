"""Rules in the model, and what follows from them: features, lines of capped tenants, places."""

from __future__ import annotations

import math
from typing import NamedTuple

from loco_redis.testing import ops
from loco_redis.testing.model_money import account_of, limit_of, record_over
from loco_redis.testing.model_state import Load, State, Trust, held_by, tenant_of

SIGNALS = {"success": 15000, "fast": 10000, "late": -25000, "error": -50000, "timeout": -80000}
BASE, TOP, MAX_TRUSTED = 500_000, 1_000_000, 10_000
LETTERS = "bcpsorxuthez"
_LETTER = dict(zip("bBcrRaso", "bbcpppso", strict=True))


def features(state: State) -> str:
    """One letter for each part of governance that is on."""
    config, on = state.configured, {"h"} if state.throttled else set()
    switches = {"r": config.rpm, "t": config.tpm, "x": config.adaptive, "u": config.auto_tune}
    switches |= {"e": config.events, "z": config.paused}
    on |= {letter for letter, value in switches.items() if value}
    for field, value in state.rules.items():
        kind = field[:1].decode()
        if kind == "t":
            most, ceiling, cap = value.split(b"|")
            on |= {
                letter for letter, is_on in zip("pbc", (most, ceiling, cap), strict=True) if is_on
            }
        else:
            on.add(_LETTER[kind])
    return "".join(letter for letter in LETTERS if letter in on)


def govern(state: State, now: int, changes: dict[bytes, bytes]) -> bool:
    """Set and remove rules; False (and nothing done) if a tenant to be removed is busy."""
    gone = [f[1:] for f, value in changes.items() if f[:1] == b"t" and not value]
    busy = {tenant_of(agent) for agent in [*state.loads(), *(r.agent for r, _ in state.holders())]}
    if busy & set(gone):
        return False
    for field, value in changes.items():
        state.rules[field] = value
        if not value:
            del state.rules[field]
    for tenant in gone:
        state.accounts.pop(b"t" + tenant, None)
        state.agents = {a: kind for a, kind in state.agents.items() if tenant_of(a) != tenant}
    capped = {field[1:] for field in changes if field[:1] == b"c"}
    everybody = any(field[:1] in b"ts" for field in changes)
    for agent in state.loads():
        if everybody or agent in capped:
            touch(state, now, agent)
    for name in _limited(state, changes):
        limit, _, period = limit_of(state, name)
        account = account_of(state, name, now, None if limit is None else period)
        account.over = 0
        record_over(state, name, account)
        state.accounts[name] = account
    follow_features(state)
    return True


def _limited(state: State, changes: dict[bytes, bytes]) -> set[bytes]:
    """The accounts whose limit may be another now."""
    own = {b"a" + field[1:] for field in changes if field[:1] == b"B"}
    own |= {field for field, value in changes.items() if field[:1] == b"t" and value}
    return own | {name for name in state.accounts if name[:1] == b"a" and b"b" in changes}


def follow_features(state: State) -> None:
    """Where nothing is on nothing is kept."""
    if not features(state):
        state.requests_at = state.tokens_at = state.told = 0


class Place(NamedTuple):
    """Where an agent stands: parked at its cap, in a tenant's line, with its trust in percent."""

    is_capped: bool = False
    tenant: bytes | None = None
    percent: int = 100

    @property
    def text(self) -> str:
        if self.is_capped:
            return "c"
        if self.tenant is None and self.percent == 100:
            return ""
        return f":{(self.tenant or b'').decode()}:{self.percent:03d}"

    @property
    def factor(self) -> float:
        return 1.0 if self.is_capped else self.percent / 100


def place_of(state: State, agent: bytes, load: Load) -> Place:
    if not load.is_candidate:
        return Place(percent=state.percent.get(agent, 100))
    cap = state.rules.get(b"c" + agent)
    if cap is not None and held_by(state, b"a" + agent) >= int(cap):
        return Place(is_capped=True)
    return Place(False, line_of(state, agent), state.percent.get(agent, 100))


def line_of(state: State, agent: bytes) -> bytes | None:
    """The tenant of an agent, if it is capped."""
    tenant = tenant_of(agent)
    return tenant if tenant and tenant_cap(state, tenant) is not None else None


def tenant_cap(state: State, tenant: bytes) -> int | None:
    cap = state.rules.get(b"t" + tenant, b"||").split(b"|")[2]
    return int(cap) if cap else None


def is_closed(state: State, tenant: bytes) -> bool:
    """Does a capped tenant hold as many slots as it may?"""
    return held_by(state, b"t" + tenant) >= (tenant_cap(state, tenant) or 0)


def is_capped(state: State, agent: bytes) -> bool:
    """May the agent hold no more, or its tenant?"""
    cap, tenant = state.rules.get(b"c" + agent), line_of(state, agent)
    full = cap is not None and held_by(state, b"a" + agent) >= int(cap)
    return full or (tenant is not None and is_closed(state, tenant))


def may_run(state: State, agent: bytes, load: Load) -> bool:
    """Has the agent a request that could be granted, as far as caps go; or a task, and somebody
    waits to serve any?"""
    if not load.is_candidate:
        return bool(state.servers()) and not is_capped(state, agent)
    place = place_of(state, agent, load)
    closed = place.tenant is not None and is_closed(state, place.tenant)
    return not place.is_capped and not closed


def trust_rule(state: State) -> tuple[int, int] | None:
    rule = state.rules.get(b"s")
    if rule is None:
        return None
    target, half_life = rule.split(b"|")
    return int(target), int(half_life)


def decayed(trust: Trust | None, now: int, half_life: int) -> int:
    """Half of what is above or below 500 is left after a half-life."""
    if trust is None:
        return BASE
    age = max(now - trust.at, 0) / half_life
    halves = math.floor(age)
    left = 0.0 if halves > 40 else math.ldexp(1 - (age - halves) / 2, -halves)
    score = BASE + (trust.score - BASE) * left
    return math.ceil(score) if score < BASE else math.floor(score)


def touch(state: State, now: int, agent: bytes) -> None:
    """Its trust counts in the choice as it is whenever its queue changes."""
    rule = trust_rule(state)
    state.percent.pop(agent, None)
    if rule:
        score = decayed(state.trust.get(agent), now, rule[1])
        state.percent[agent] = 80 + math.floor(score * 40 / TOP + 0.5)


def judge(state: State, now: int, agent: bytes, signal: str, waited: int) -> None:
    rule = trust_rule(state)
    if rule is None:
        return
    target, half_life = rule
    known = state.trust.get(agent)
    if known is None and len(state.trust) >= MAX_TRUSTED:
        return
    trust = Trust(decayed(known, now, half_life), now, dict(known.counts) if known else {})
    signals = [signal]
    if signal == "success" and waited * 2 <= target:
        signals.append("fast")
    if signal == "success" and waited > target:
        signals.append("late")
    for name in signals:
        trust.score = min(max(trust.score + SIGNALS[name], 0), TOP)
        trust.counts[name] = trust.counts.get(name, 0) + 1
    state.trust[agent] = trust
    touch(state, now, agent)


def changes_of(op: ops.Govern) -> dict[bytes, bytes]:
    """The pairs that `ops.packed` put together."""
    parts, rest = [], op.changes
    while rest:
        length, _, rest = rest.removeprefix(b"|").partition(b"|")
        parts.append(rest[: int(length)])
        rest = rest[int(length) :]
    return dict(zip(parts[::2], parts[1::2], strict=True))
