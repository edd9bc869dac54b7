"""What does a waiting request cost in Redis? The size of all keys, divided."""

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
        Crowd(client, "crowd", agents, Arrival("continuous", burst=False), requests=requests)
        # Of the keys and not of the server: buffers and freed memory come and go.
        size = sum(client.memory_usage(key, samples=0) or 0 for key in client.scan_iter())
    return Figure(
        f"memory in Redis per waiting request, {requests:,} of {agents:,} agents",
        size / requests,
        "bytes",
        None,
        f"MEMORY USAGE of all keys: {size / 2**20:.1f} MiB",
    )
