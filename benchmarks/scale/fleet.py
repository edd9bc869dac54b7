"""A fleet on paper: what so many hosts ask of one server, from the cost of one call of each kind.

    python -m benchmarks.scale.fleet           # the tables of docs/scaling.md
    python -m benchmarks.scale.fleet --write   # into the page, after `make bench-scale`

The costs are those of docs/figures/scale.json, which `python -m benchmarks.scale --write` measures.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import click

from benchmarks.asking import with_figures
from loco_redis._heartbeat import BEATS_A_LEASE

DOCS = Path(__file__).parents[2] / "docs"
PAGE, MEASURED = DOCS / "scaling.md", DOCS / "figures/scale.json"
HOSTS = (10, 100, 1000, 10_000)
CONNECTIONS = 3  # of a session: commands, hints, heartbeats


class Cost(NamedTuple):
    """Of one call: microseconds of the server's processor, bytes that it reads and writes; the
    hint that a release sends is among them."""

    usec: float
    read: float
    written: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Of the calls that a fleet makes, by `inside.py`."""

    acquire_waits: Cost
    acquire_free: Cost
    release_grants: Cost
    release_free: Cost
    heartbeat: Cost


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the server's memory, by `large.py`."""

    request: float
    session: float
    connection: float
    task: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """Hosts with a few processes each, all of which share one resource.

    Attributes:
        asks: requests a second of one process; hold: seconds of one lease.
        is_scarce: more is asked for than there are slots for, so every grant was waited for. Else
            slots are free and nobody waits.
        queue: requests that wait, for each process, where slots are scarce (`max_waiters`).
    """

    hosts: int
    is_scarce: bool
    processes: int = 4
    asks: float = 0.1
    hold: float = 2.0
    lease: float = 10.0
    queue: float = 0.5

    @property
    def sessions(self) -> int:
        return self.hosts * self.processes

    @property
    def slots(self) -> int:
        """Seven tenths of what is asked for, or twice that."""
        return round(self.sessions * self.asks * self.hold * (0.7 if self.is_scarce else 2.0))

    @property
    def waiting(self) -> int:
        return round(self.sessions * self.queue) if self.is_scarce else 0


@dataclass(frozen=True, slots=True)
class Rates:
    """What a server sees in a second; `busy` is the share of its core."""

    heartbeats: float
    grants: float
    refused: float
    hints: float
    commands: float
    read: float
    written: float
    busy: float


def expected(fleet: Fleet, costs: Costs, delay: float = 0.0) -> Rates:
    """By the formulae of docs/scaling.md; `delay` is the seconds of a way between client and
    server. A slot that others wait for is granted again two ways and a release after its body."""
    beats, asks = fleet.sessions * BEATS_A_LEASE / fleet.lease, fleet.sessions * fleet.asks
    turn = fleet.hold + 2 * delay + costs.release_grants.usec / 1e6
    grants = min(asks, fleet.slots / turn) if fleet.is_scarce else asks
    calls = [
        (costs.acquire_waits if fleet.is_scarce else costs.acquire_free, asks),
        (costs.release_grants if fleet.is_scarce else costs.release_free, grants),
        (costs.heartbeat, beats),
    ]
    return Rates(
        heartbeats=beats,
        grants=grants,
        refused=asks - grants,
        hints=grants * (1 - 1 / fleet.sessions) if fleet.is_scarce else 0.0,
        commands=sum(rate for _, rate in calls),
        read=sum(cost.read * rate for cost, rate in calls),
        written=sum(cost.written * rate for cost, rate in calls),
        busy=sum(cost.usec * rate for cost, rate in calls) / 1e6,
    )


def memory(fleet: Fleet, sizes: Sizes) -> float:
    """Bytes: connections, sessions, and requests that hold or wait."""
    return (
        fleet.sessions * (CONNECTIONS * sizes.connection + sizes.session)
        + (fleet.slots + fleet.waiting) * sizes.request
    )


def measured() -> tuple[Costs, Sizes]:
    """Of the last full run: `data` of its figures has them by the names of the fields."""
    found: dict[str, Any] = {}
    for figure in json.loads(MEASURED.read_text())["figures"]:
        found |= figure["data"] or {}
    costs = {name: Cost(*found[name]) for name in Costs.__slots__}
    return Costs(**costs), Sizes(**{name: found[f"{name}_bytes"] for name in Sizes.__slots__})


def prices(costs: Costs, sizes: Sizes) -> str:
    """Markdown: what one call costs, and what lies in memory."""
    calls = {
        "acquire, waits": costs.acquire_waits,
        "acquire, granted at once": costs.acquire_free,
        "release, grants to the next": costs.release_grants,
        "release, nobody waits": costs.release_free,
        "heartbeat": costs.heartbeat,
    }
    rows = [
        f"| {name} | {cost.usec:.0f} us | {cost.read:.0f} | {cost.written:.0f} |"
        for name, cost in calls.items()
    ]
    kept = {"a connection": sizes.connection, "a session": sizes.session}
    kept |= {"a waiting request": sizes.request, "a durable task of 64 bytes": sizes.task}
    rows += [f"| {name} | {size:,.0f} bytes of memory | | |" for name, size in kept.items()]
    head = ["| | the server's processor | bytes read | bytes written |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def table(costs: Costs, sizes: Sizes) -> str:
    """Markdown: a column for each size of fleet; "a / b": with free slots, with scarce ones."""
    both = [(Fleet(hosts, is_scarce=False), Fleet(hosts, is_scarce=True)) for hosts in HOSTS]
    rates = [[expected(fleet, costs) for fleet in fleets] for fleets in both]
    pairs = list(zip(both, rates, strict=True))

    def cells(shown: Callable[[Fleet, Rates], str]) -> list[str]:
        """Of a column: one text if it is the same for both."""
        texts = [[shown(*side) for side in zip(*pair, strict=True)] for pair in pairs]
        return [free if free == scarce else f"{free} / {scarce}" for free, scarce in texts]

    rows = {
        "hosts": cells(lambda fleet, _: f"{fleet.hosts:,}"),
        "sessions, and subscriptions": cells(lambda fleet, _: f"{fleet.sessions:,}"),
        "connections": cells(lambda fleet, _: f"{CONNECTIONS * fleet.sessions:,}"),
        "slots": cells(lambda fleet, _: f"{fleet.slots:,}"),
        "heartbeats/s": cells(lambda _, rates: f"{rates.heartbeats:,.0f}"),
        "grants/s": cells(lambda _, rates: f"{rates.grants:,.0f}"),
        "hints/s": cells(lambda _, rates: f"{rates.hints:,.0f}"),
        "commands/s": cells(lambda _, rates: f"{rates.commands:,.0f}"),
        "read, kB/s": cells(lambda _, rates: f"{rates.read / 1e3:,.0f}"),
        "written, kB/s": cells(lambda _, rates: f"{rates.written / 1e3:,.0f}"),
        "memory, MB": cells(lambda fleet, _: f"{memory(fleet, sizes) / 1e6:,.0f}"),
        "share of one core": cells(lambda _, rates: f"{rates.busy:.1%}"),
        "parts, so that each takes half a core": cells(lambda _, rates: f"{ceil(2 * rates.busy)}"),
    }
    lines = [f"| {name} | {' | '.join(texts)} |" for name, texts in rows.items()]
    return "\n".join([lines[0], "|---" * (1 + len(HOSTS)) + "|", *lines[1:]])


def written(page: str) -> str:
    """The page with both tables of the last full run."""
    given = measured()
    return with_figures(with_figures(page, "costs", prices(*given)), "fleet", table(*given))


@click.command()
@click.option("--write", is_flag=True, help="Put the tables into docs/scaling.md.")
def main(write: bool) -> None:
    """The tables of docs/scaling.md."""
    if write:
        PAGE.write_text(written(PAGE.read_text()))
    print(prices(*measured()), table(*measured()), sep="\n\n")


if __name__ == "__main__":
    main()
