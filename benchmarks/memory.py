"""What does a waiting request cost in Redis? The growth of used_memory, divided."""

from __future__ import annotations

from benchmarks import server
from benchmarks.crowd import Arrival, Crowd
from benchmarks.figure import Figure
from loco_redis._server import EmbeddedServer


def run(process: EmbeddedServer, *, requests: int = 10_000, agents: int = 100) -> list[Figure]:
    """One row for as many agents as requests, one for `agents` agents."""
    return [_measure(process, requests, requests), _measure(process, requests, agents)]


def _measure(process: EmbeddedServer, requests: int, agents: int) -> Figure:
    with server.connected(process) as client:
        arrival = Arrival("continuous", burst=False)
        Crowd(client, "warm", 1, arrival)  # the scripts themselves are no part of it
        before = int(client.info("memory")["used_memory"])
        crowd = Crowd(client, "crowd", agents, arrival, requests=requests)
        grown = int(client.info("memory")["used_memory"]) - before
        del crowd
    return Figure(
        f"memory in Redis per waiting request, {requests:,} of {agents:,} agents",
        grown / requests,
        "bytes",
        None,
        f"used_memory grew by {grown / 2**20:.1f} MiB",
    )
