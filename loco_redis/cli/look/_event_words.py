"""Decisions in words: pure functions from events to text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from rich.text import Text

from loco_redis._replies import Refusal
from loco_redis.cli._console import seconds, shown
from loco_redis.errors import PolicyViolationError
from loco_redis.governance._refusals import error_of

_STYLES = {
    "submitted": "cyan",
    "due": "cyan",
    "granted": "green",
    "released": "dim",
    "refused": "red",
    "cancelled": "yellow",
    "reclaimed": "bold red",
    "requeued": "yellow",
    "died": "bold red",
    "evicted": "magenta",
    "expired": "red",
    "throttled": "yellow",
    "reconfigured": "blue",
    "governed": "blue",
}
_WIDEST, _AGENT = max(map(len, _STYLES)), 10  # columns

#: Of the fields of `rules` in lua/README.md, by their first letter.
_RULES = {
    "b": "budgets",
    "B": "the budget of {}",
    "c": "the cap of {}",
    "t": "tenant {}",
    "a": "the labels of {}",
    "r": "rates",
    "R": "the rate of {}",
    "s": "trust",
    "o": "the SLO",
}

Facts = Mapping[str, str | int | float]


class Decision(Protocol):
    """An event, or the row of one."""

    @property
    def at(self) -> float: ...
    @property
    def tick(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def agent_id(self) -> str | None: ...
    @property
    def facts(self) -> Facts: ...


def line(event: Decision) -> Text:
    """When (local time), at which tick, what, whose, and the facts."""
    at = datetime.fromtimestamp(event.at).strftime("%H:%M:%S.%f")[:-3]
    text = Text.assemble((at, "dim"), (f"  {event.tick:>6}  ", "dim"))
    text.append(f"{event.kind:{_WIDEST}}  ", style=_STYLES.get(event.kind, ""))
    if event.agent_id is not None:
        text.append(f"{shown(event.agent_id):{_AGENT}}  ", style="bold")
    return text.append(shown(words(event)))


def words(event: Decision) -> str:
    """The facts of an event; of one that is not known here, as they are."""
    facts = event.facts
    match event.kind:
        case "submitted":
            weight = float(facts["weight"])
            what = f"weight {weight:g}" if weight else "serves its tasks"
            return f"{what}, queue {facts['depth']:g}"
        case "granted":
            waited = _count(int(facts["waited"]), "tick")
            task = f", task {facts['task']}" if facts.get("task") else ""
            return f"slot {facts['slot']}, score {facts['score']:.2f}, waited {waited}{task}"
        case "released":
            return f"slot {facts['slot']}, cost {facts['cost']:g}, {facts['held']} still held"
        case "refused":
            return _refused(event.agent_id or "", facts)
        case "cancelled":
            waited = "gave up: its time was up" if facts["late"] == "1" else "gave up waiting"
            return "gave its slot back" if facts["state"] == "G" else waited
        case "reclaimed":
            return f"slot {facts['slot']} taken back, token {facts['token']}"
        case "evicted":
            lost = f"lost its slot, token {facts['token']}"
            what = lost if facts["state"] == "G" else "stopped waiting"
            return f"{what}, by {facts['by']}"
        case _:
            return _of_the_whole(event.kind, facts)


def _of_the_whole(kind: str, facts: Facts) -> str:
    match kind:
        case "requeued":
            so_far = f" after {_count(facts['attempt'], 'attempt')}"
            fresh = ", all its attempts before it"
            return f"task {facts['id']} is queued again{so_far if facts['attempt'] else fresh}"
        case "due":
            again = f", after {_count(facts['attempt'], 'attempt')}" if facts["attempt"] else ""
            return f"task {facts['id']} joins its queue{again}"
        case "died":
            return f"task {facts['id']} is dead after {_count(facts['attempt'], 'attempt')}"
        case "expired":
            return f"session {facts['session']}"
        case "throttled":
            pause, limit = seconds(float(facts["pause"])), _count(facts["limit"], "slot")
            return f"nothing for {pause}, then at most {limit}"
        case "reconfigured":
            told = {name: value for name, value in facts.items() if name not in ("version", "by")}
            changes = " ".join(f"{name}={value}" for name, value in told.items())
            return f"{changes}, version {facts['version']}, by {facts['by']}"
        case "governed":
            return f"{_rules(str(facts['rules']))}, by {facts['by']}"
        case _:
            return " ".join(f"{name}={value}" for name, value in facts.items())


def _refused(agent: str, facts: Facts) -> str:
    why, told = str(facts["why"]), str(facts["facts"])
    if why == "backpressure":
        return "as many wait as may (max_waiters)"
    # A label may have spaces in it, numbers have none.
    parts = (told,) if why == "access" else tuple(told.split())
    error = error_of(Refusal(why, parts), agent)
    return f"{why}: {error.detail}" if isinstance(error, PolicyViolationError) else str(error)


def _rules(fields: str) -> str:
    return ", ".join(_rule(field) for field in fields.split("\x1f"))


def _rule(field: str) -> str:
    return _RULES[field[0]].format(field[1:]) if field[:1] in _RULES else field


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
