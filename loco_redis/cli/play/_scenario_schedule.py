"""What the agents of a scenario ask for and when, drawn beforehand from a seed. Does no I/O.

All times are shares of the scenario's length until the last step, so that a scenario has the same
shape however long it takes; loads are shares of what the slots can do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

ROOT = -1
_BODY = 0.01  # of the length: what a body takes on average
_SPREAD = (0.5, 1.5)  # of that average: the shortest and the longest body
_LONG, _SHORT = 2.0, 0.5  # average bodies of a batch and of a webhook, against that average

_BURST, _BURST_AT = 40, 0.2
_SPIKE, _SPIKE_AT, _SPIKE_TAKES = 15, 0.4, 0.02  # webhooks for each slot
_BACKLOG = 0.12  # of what the slots can do: what the batch agents ask for at the start

#: Class of a security review: weight, body against the average, share of the agents, and the
#: chance that a body of it finds work for the next class.
_PIPELINE = {
    "triage": (1.0, 0.4, 0.2, 0.8),
    "scan": (2.0, 1.0, 0.4, 0.35),
    "verify": (5.0, 2.5, 0.25, 0.6),
    "report": (3.0, 1.5, 0.15, 0.0),
}
_SCANS = 3  # most scans that one triage asks for
_REVIEW_LOAD = 1.05


class Job(NamedTuple):
    """One request; times are seconds.

    Attributes:
        at: when it is due, after the start; of one that waits for another's end, 0.
        service: how long its body takes.
        after: the number of the job whose end it waits for, or ROOT.
    """

    number: int
    at: float
    agent: str
    weight: float
    service: float
    after: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of workload.

    Attributes:
        about: what it shows, in a line.
        agents, capacity: where none are given.
        least_agents: fewer make no sense.
        draw: the requests of (agents, capacity), in shares of the length.
    """

    about: str
    agents: int
    capacity: int
    least_agents: int
    draw: Callable[[Random, int, int], Iterator[_Drawn]]


class _Drawn(NamedTuple):
    at: float
    agent: str
    weight: float
    body: float
    chain: tuple[_Drawn, ...] = ()  # what its end brings about


def schedule(name: str, agents: int, capacity: int, seconds: float, seed: int) -> list[Job]:
    """The requests of a scenario, numbered, those without a parent in order of time.

    The same arguments give the same requests.
    """
    drawn = sorted(SCENARIOS[name].draw(Random(seed), agents, capacity), key=lambda d: d.at)
    jobs: list[Job] = []
    todo = [(request, ROOT) for request in drawn]
    # What is brought about is numbered after all roots, so a number is a place in the list.
    while todo:
        found, todo = todo, []
        for request, after in found:
            todo += [(child, len(jobs)) for child in request.chain]
            at, service = request.at * seconds, request.body * seconds
            jobs.append(Job(len(jobs), at, request.agent, request.weight, service, after))
    return jobs


def kind(agent: str) -> str:
    """The class of an agent: its name without the number."""
    return agent.partition("-")[0]


def kinds(jobs: Sequence[Job]) -> list[str]:
    """The classes, in the order in which they first occur."""
    return list(dict.fromkeys(kind(job.agent) for job in jobs))


def _burst(random: Random, agents: int, capacity: int) -> Iterator[_Drawn]:
    yield from _steady(random, _names("small", agents - 1), 0.7, capacity)
    for _ in range(_BURST):
        yield _request(random, _BURST_AT, "burst")


def _fairness(random: Random, agents: int, capacity: int) -> Iterator[_Drawn]:
    yield from _steady(random, ["whale"], 0.75, capacity)
    yield from _steady(random, _names("minnow", agents - 1), 0.45, capacity)


def _webhook_spike(random: Random, agents: int, capacity: int) -> Iterator[_Drawn]:
    webhooks = max(1, agents // 8)
    batch = _names("batch", agents - webhooks)
    for number in range(round(_BACKLOG * capacity / (_LONG * _BODY))):
        yield _request(random, 0.0, batch[number % len(batch)], body=_LONG)
    yield from _steady(random, batch, 1.0 - _BACKLOG, capacity, body=_LONG)
    names = _names("webhook", webhooks)
    yield from _steady(random, names, 0.03, capacity, body=_SHORT)
    for number in range(_SPIKE * capacity):
        at = _SPIKE_AT + random.uniform(0, _SPIKE_TAKES)
        yield _request(random, at, names[number % webhooks], body=_SHORT)


def _mdash_security(random: Random, agents: int, capacity: int) -> Iterator[_Drawn]:
    """Triages bring about scans, a finding of a scan is verified, what is confirmed is reported."""
    names, rest = {}, agents
    for name, (_, _, share, _) in _PIPELINE.items():
        count = rest if name == "report" else max(1, round(share * agents))
        names[name], rest = _names(name, count), rest - count
    asked, goal = 0.0, _REVIEW_LOAD * capacity
    while asked < goal:
        review = _stage(random, names, "triage", random.random())
        asked += _sum_of_bodies(review)
        yield review


def _stage(random: Random, names: dict[str, list[str]], name: str, at: float) -> _Drawn:
    weight, body, _, chance = _PIPELINE[name]
    order = list(_PIPELINE)
    most = _SCANS if name == "triage" else 1
    chain = tuple(
        _stage(random, names, order[order.index(name) + 1], 0.0)
        for _ in range(most)
        if random.random() < chance
    )
    return _request(random, at, random.choice(names[name]), weight, body)._replace(chain=chain)


def _sum_of_bodies(request: _Drawn) -> float:
    return request.body + math.fsum(_sum_of_bodies(child) for child in request.chain)


def _steady(
    random: Random, names: Sequence[str], load: float, capacity: int, body: float = 1.0
) -> Iterator[_Drawn]:
    """At random moments of the whole length, each by one of the names at random."""
    for _ in range(round(load * capacity / (body * _BODY))):
        yield _request(random, random.random(), random.choice(names), body=body)


def _request(
    random: Random, at: float, agent: str, weight: float = 1.0, body: float = 1.0
) -> _Drawn:
    return _Drawn(at, agent, weight, body * _BODY * random.uniform(*_SPREAD))


def _names(prefix: str, count: int) -> list[str]:
    digits = len(str(count))
    return [f"{prefix}-{number:0{digits}}" for number in range(1, count + 1)]


SCENARIOS = {
    "burst": Scenario(f"one agent asks {_BURST} times at once beside small ones", 8, 4, 2, _burst),
    "fairness": Scenario("a whale asks for more than all minnows together", 10, 4, 2, _fairness),
    "webhook_spike": Scenario("webhooks come all at once into busy slots", 8, 4, 2, _webhook_spike),
    "mdash_security": Scenario(
        "a review whose steps bring about others",
        120,
        6,
        5,
        _mdash_security,
    ),
}
