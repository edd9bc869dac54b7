"""Many resources on a cluster of three nodes, against one server: what does each give?

The same resources and the same load on both, in alternation. Three nodes need three cores to give
three times as much; what counts here is the work for a second of the servers' processor time. It
tells what a cluster itself costs: a hint is published to all of its nodes.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import redis

from benchmarks import server
from benchmarks.figure import Figure, spread
from benchmarks.scale import nodes
from benchmarks.scale.load import Load, run_for
from benchmarks.scale.usage import Measured, Usage
from benchmarks.scale.wire import Wires
from loco_redis._server import EmbeddedServer


@dataclass(slots=True)
class Side:
    """Servers that carry a load together."""

    clients: list[redis.Redis]
    loads: list[Load]
    measured: Measured = field(default_factory=Measured)

    def run(self, wires: Wires, seconds: float) -> None:
        before = sum(load.pairs for load in self.loads)
        with Usage(*self.clients) as usage:
            run_for(wires, seconds, self.loads)
        self.measured.add(usage, sum(load.pairs for load in self.loads) - before)


def run(
    process: EmbeddedServer,
    *,
    count: int = 3,
    resources: int = 12,
    slices: int = 5,
    seconds: float = 1.0,
    waiting: int = 100,
) -> list[Figure]:
    """With hints (everybody waits) and without (nobody waits): throughput, and work per second of
    the servers' processor."""
    rows = []
    with nodes.running(count) as members:
        for many, kind in ((waiting, "where all wait"), (0, "where nobody waits")):
            one, cluster = _measured(process, members, resources, slices, seconds, many)
            what = f"{resources} resources on {count} nodes against one server, {kind}"
            rows += _rows(what, one, cluster)
    return rows


def _measured(
    process: EmbeddedServer,
    members: list[EmbeddedServer],
    resources: int,
    slices: int,
    seconds: float,
    waiting: int,
) -> tuple[Measured, Measured]:
    places = nodes.spread(members, resources)
    with ExitStack() as stack:
        wires = stack.enter_context(Wires())
        clients = [stack.enter_context(server.connected(node)) for node in (process, *members)]

        def load(name: str, node: EmbeddedServer) -> Load:
            return Load(wires, node.url, name, sessions=4, agents=20, waiting=waiting, slots=8)

        one = Side(clients[:1], [load(name, process) for name, _ in places])
        cluster = Side(clients[1:], [load(name, node) for name, node in places])
        for _ in range(slices):
            one.run(wires, seconds)
            cluster.run(wires, seconds)
    return one.measured, cluster.measured


def _rows(what: str, one: Measured, cluster: Measured) -> list[Figure]:
    rates = [many / few for few, many in zip(one.rate, cluster.rate, strict=True)]
    work = [few / many for few, many in zip(one.usec, cluster.usec, strict=True)]
    cores = os.cpu_count() or 1
    return [
        Figure(f"{what}: pairs/s", median(rates), "x", None,
               f"{cluster.seen} against {one.seen}; {cores} cores here, also for the load"),
        Figure(f"{what}: pairs per second of the servers' processor", median(work), "x", None,
               f"a pair takes {cluster} against {one}; {spread(work, 2)}"),
    ]  # fmt: skip
