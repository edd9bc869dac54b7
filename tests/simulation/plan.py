"""A run as a list of timed events, made from a seed: what callers do, and what goes wrong.

A plan is all that decides a run, so it can be shortened event by event (`shrink.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

AGENTS = ("ann", "bob", "cy", "dee")


class Event(NamedTuple):
    """At `at` seconds, `kind` happens to process `who` (0: to the server)."""

    at: float
    kind: str
    who: int
    how: Mapping[str, Any]

    def __str__(self) -> str:
        whom = f"process {self.who}" if self.who else "server"
        how = " ".join(f"{name}={value!r}" for name, value in self.how.items() if value is not None)
        return f"{self.at:8.4f}  {whom:<10} {self.kind:<13} {how}".rstrip()


@dataclass(frozen=True)
class Plan:
    """The settings of a run, and its events in order of time."""

    seed: int
    processes: int
    capacity: int
    lease: float
    backend_timeout: float
    max_stall: float
    max_waiters: int | None
    rpm: int | None
    strict: bool
    capped: bool  # the first agent may hold one slot only
    length: float
    events: tuple[Event, ...] = field(repr=False)

    def __str__(self) -> str:
        return "\n".join([repr(self), *map(str, self.events)])

    def with_events(self, events: tuple[Event, ...]) -> Plan:
        return replace(self, events=events)


def plan_of(seed: int) -> Plan:
    """The plan that belongs to a seed."""
    chance = random.Random(seed)
    lease = chance.choice((0.4, 0.6, 1.0, 1.0, 2.0, 4.0))
    plan = Plan(
        seed,
        processes=chance.randint(2, 4),
        capacity=chance.randint(1, 3),
        lease=lease,
        backend_timeout=chance.choice((2.0, 4.0, 8.0)),
        max_stall=chance.choice((60.0, 2 * lease)),
        max_waiters=chance.choice((None, None, None, None, 2, 5)),
        rpm=chance.choice((None, None, None, None, None, 600)),
        strict=chance.random() < 0.2,
        capped=chance.random() < 0.2,
        length=chance.choice((4.0, 8.0)) + 3 * lease,
        events=(),
    )
    rushes = [chance.uniform(0.0, plan.length) for _ in range(chance.randint(1, 4))]
    work = [_work(chance, plan, rushes) for _ in range(chance.randint(10, 60))]
    kinds = chance.sample(FAULTS, chance.randint(1, 6))
    busy = [event.at for event in work]
    wrong = [_wrong(chance, plan, chance.choice(kinds), busy) for _ in range(chance.randint(0, 14))]
    return plan.with_events(tuple(sorted([*work, *wrong], key=lambda event: event.at)))


def _moment(chance: random.Random, plan: Plan, rushes: list[float], width: float) -> float:
    """Any time, or soon after one of `rushes`."""
    if chance.random() < 0.4:
        return round(chance.uniform(0.0, plan.length), 4)
    return round(min(plan.length, chance.choice(rushes) + width * chance.random()), 4)


def _work(chance: random.Random, plan: Plan, rushes: list[float]) -> Event:
    kind = chance.choices(
        ("acquire", "serve", "submit", "result", "cancel_task", "reconfigure", "evict", "close"),
        (64, 14, 16, 5, 2, 2, 2, 2),
    )[0]
    how: dict[str, Any] = {}
    if kind in ("acquire", "serve"):
        how = _acquire(chance, plan)
    if kind == "serve":
        how |= {
            "fails": chance.random() < 0.2,
            "retry_in": chance.choice((0.0, 0.05, 0.5)),
            "timeout": chance.choice((0, 0.05, 1.0, 1.0, 3 * plan.lease)),  # no task may ever come
        }
    elif kind == "submit":
        how = {
            "agent": chance.choice(AGENTS),
            "attempts": chance.choice((0, 1, 2)),
            "payload": chance.random() < 0.5,
            "delay": chance.choice((None, None, None, 0.02, 0.3, 1.5)),
            "deadline": chance.choice((None, None, None, None, 2.0, 60.0)),
            "result_ttl": chance.choice((None, 0.3, 600.0, 600.0)),
            "key": chance.choice((None, None, None, "k")),
        }
    elif kind == "result":
        how = {"timeout": chance.choice((0.1, 1.0, 3 * plan.lease + 3.0))}
    elif kind == "reconfigure":
        how = {"alpha": chance.choice((0.0, 0.25, 0.5))}
    at = _moment(chance, plan, rushes, 0.5)
    return Event(at, kind, chance.randint(1, plan.processes), how)


def _acquire(chance: random.Random, plan: Plan) -> dict[str, Any]:
    is_long = chance.random() < 0.2
    return {
        "agent": chance.choice(AGENTS),
        "weight": chance.choice((None, None, 1.0, 2.5)),
        "hold": round(chance.uniform(0, 4 * plan.lease if is_long else 0.4), 3),
        "timeout": chance.choice((None, None, None, 0, 0.05, 1.0, plan.lease)),
        "cancel": round(chance.uniform(0, 1.0), 4) if chance.random() < 0.2 else None,
        "settle": 0.5 if chance.random() < 0.2 else None,
        "form": chance.choice(("with", "with", "handle")),
    }


def _wrong(chance: random.Random, plan: Plan, kind: str, busy: list[float]) -> Event:
    who = 0 if kind in OF_SERVER else chance.randint(1, plan.processes)
    at = _moment(chance, plan, busy, 0.02)
    return Event(at, kind, who, _FAULTS[kind](chance, plan))


def _spell(chance: random.Random, plan: Plan) -> float:
    """A time that is short, or about a lease, or long."""
    shortest, longest = chance.choice(((0.005, 0.1), (0.3, 1.5), (1.0, 4.0)))
    scale = plan.lease if longest > 1 else 1.0
    return round(chance.uniform(shortest, longest) * scale, 3)


_LINKS = ("outbox", "inbox", "both")
_FAULTS: dict[str, Callable[[random.Random, Plan], dict[str, Any]]] = {
    "kill": lambda c, p: {"after": c.randint(0, 12)},
    "freeze": lambda c, p: {"seconds": _spell(c, p), "after": c.randint(0, 12)},
    "block": lambda c, p: {"seconds": _spell(c, p)},
    "cut": lambda c, p: {
        "link": c.choice(_LINKS),
        "drops": c.random() < 0.4,
        "linger": c.choice((0.0, 0.0, round(c.uniform(0.0, 0.5), 3))),
    },
    "cuts": lambda c, p: {"link": c.choice(_LINKS), "times": c.randint(3, 12)},
    "half_open": lambda c, p: {"link": c.choice(_LINKS), "deaf": c.random() < 0.5},
    "partition": lambda c, p: {"seconds": _spell(c, p), "heals": c.random() < 0.5},
    "repeat": lambda c, p: {"times": c.randint(1, 8)},
    "lose_hints": lambda c, p: {"seconds": round(c.uniform(0.1, 8.0), 3)},
    "delay_hints": lambda c, p: {
        "seconds": round(c.uniform(0.1, 8.0), 3),
        "by": round(c.uniform(0.01, 1.0), 3),
    },
    "slow": lambda c, p: {"seconds": _spell(c, p), "by": round(c.uniform(0.0, p.lease / 20), 4)},
    "lose_beat": lambda c, p: {"part": c.choice(("request", "reply", "late"))},
    "flush_all": lambda c, p: {},
    "flush_scripts": lambda c, p: {},
    "clock_step": lambda c, p: {"by": round(c.choice((-1, 1)) * 3600 * c.random() ** 4, 3)},
    "restart": lambda c, p: {"seconds": _spell(c, p), "empty": c.random() < 0.2,
                             "drops": c.random() < 0.5},
    "later": lambda c, p: {"seconds": _spell(c, p),
                           "error": c.choice(("READONLY", "LOADING", "BUSY"))},
    "full": lambda c, p: {"seconds": _spell(c, p)},
}  # fmt: skip
OF_SERVER = ("flush_all", "flush_scripts", "clock_step", "restart", "later", "full")
FAULTS = tuple(_FAULTS)
