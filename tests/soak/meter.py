"""What the server says of its scripts' times and of its memory, over all its lives."""

from __future__ import annotations

import contextlib
from typing import Any

import redis

from tests.soak.processes import rss
from tests.soak.server import SoakServer


class Meter:
    """`read` before each end of the server, and at last. Percentiles cannot be added up: those of
    the life with the most calls are kept, and the longest time of all."""

    def __init__(self, server: SoakServer) -> None:
        self._server = server
        self.calls, self._most = 0, 0
        self.p50 = self.p99 = self.longest = 0.0  # us

    def read(self) -> None:
        with contextlib.suppress(redis.RedisError):
            self._read(self._server.client)

    def _read(self, client: redis.Redis) -> None:
        stats: dict[str, Any] = client.info("commandstats")
        calls = int(stats.get("cmdstat_evalsha", {}).get("calls", 0))
        self.calls += calls
        latency: dict[str, Any] = client.info("latencystats")
        times = latency.get("latency_percentiles_usec_evalsha", {})
        self.longest = max(self.longest, float(times.get("p100", 0)))
        if calls > self._most:
            self._most = calls
            self.p50, self.p99 = float(times.get("p50", 0)), float(times.get("p99", 0))

    def prepare(self) -> None:
        """Have the longest time told as a percentile; older servers know none."""
        with contextlib.suppress(redis.RedisError):
            self._server.client.config_set("latency-tracking-info-percentiles", "50 99 100")

    def memory(self) -> tuple[int, int]:
        """The server's own figure, and its process'; bytes."""
        used: dict[str, Any] = self._server.client.info("memory")
        return int(used["used_memory"]), rss(self._server.pid)
