"""What the model counts for readers: costs by label, waits, tokens, outcomes, the SLO."""

from __future__ import annotations

from loco_redis.testing.model_state import State

MAX_VALUES, MAX_WAITS = 10_000, 50_000
OTHER = b"__other__"


def tally(state: State, dimension: bytes, value: bytes, amount: int) -> None:
    """Add to a figure; where there are too many, to that of `__other__`."""
    if amount == 0:
        return
    most, other = MAX_VALUES, OTHER
    if dimension == b"wait":
        most, other = MAX_WAITS, value[:4] + OTHER
    mine = state.tallies.setdefault(dimension, {})
    if value not in mine and value != other and len(mine) >= most:
        value = other
    mine[value] = mine.get(value, 0) + amount
    if not mine[value]:
        del mine[value]


def attribute(state: State, agent: bytes, labels: bytes, cost: int) -> None:
    if not labels:
        return
    session, team, workflow, model = labels.split(b"\x1f")
    single = {b"s": session, b"t": team, b"w": workflow, b"m": model}
    pairs = {b"sa": (session, agent), b"ta": (team, agent), b"tm": (team, model)}
    pairs[b"tw"] = (team, workflow)
    for dimension, value in single.items():
        if value:
            tally(state, dimension, value, cost)
    for dimension, (first, second) in pairs.items():
        if first and second:
            tally(state, dimension, first + b"\0" + second, cost)


def average(state: State, value: bytes, amount: int) -> None:
    """An exponential moving average, factor 0.3."""
    before = state.averages.get(value)
    if before is None and len(state.averages) >= MAX_VALUES:
        return
    state.averages[value] = float(amount) if before is None else 0.3 * amount + 0.7 * before


def record_wait(state: State, ticks: int) -> None:
    rule = state.rules.get(b"o")
    if rule is not None:
        target, window = map(int, rule.split(b"|")[:2])
        state.slo = (state.slo + ("1" if ticks > target else "0"))[-window:]


def add_entries(state: State, entries: bytes) -> None:
    """`dimension|amount|length|value`, one after another."""
    rest = entries
    while rest:
        dimension, amount, length, rest = rest.split(b"|", 3)
        value, rest = rest[: int(length)], rest[int(length) :]
        if dimension == b"x":
            average(state, value, int(amount))
        else:
            tally(state, dimension, value, int(amount))
