"""Fewer events, same failure: delta debugging over the events of a plan."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.plan import Event, Plan
from tests.simulation.world import run

_MOST_RUNS = 1_000


def kind_of_failure(plan: Plan) -> str | None:
    failure = run(plan).failure
    return failure.kind if failure is not None else None


def shrink(plan: Plan, kind: str, fails: Callable[[Plan], str | None] = kind_of_failure) -> Plan:
    """The plan with as few events as this finds, of which `fails` says the same `kind`."""
    events, size, runs = [*plan.events], max(1, len(plan.events) // 2), 0
    while runs < _MOST_RUNS:
        at, is_smaller = 0, False
        while at < len(events) and runs < _MOST_RUNS:
            runs += 1
            fewer = events[:at] + events[at + size :]
            if fails(plan.with_events(tuple(fewer))) == kind:
                events, is_smaller = fewer, True
            else:
                at += size
        if size > 1:
            size //= 2
        elif not is_smaller:
            break
    return _simpler(plan.with_events(tuple(events)), kind, fails)


def _simpler(plan: Plan, kind: str, fails: Callable[[Plan], str | None]) -> Plan:
    """Without what callers do besides, as far as it fails without it, too."""
    for at, event in enumerate(plan.events):
        for name in ("cancel", "settle", "timeout"):
            if name == "timeout" and event.kind != "acquire":
                continue  # who serves may wait for ever
            if event.how.get(name) is not None:
                simpler = Event(event.at, event.kind, event.who, {**event.how, name: None})
                events = (*plan.events[:at], simpler, *plan.events[at + 1 :])
                if fails(plan.with_events(events)) == kind:
                    plan, event = plan.with_events(events), simpler
    return plan
